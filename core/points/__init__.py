"""Two-dimensional playgrounds: real networks, small enough to train while one watches (numpy only)."""
