"""Memory-budgeted loading, jobs and devices, shared by all browser sessions of one process."""
