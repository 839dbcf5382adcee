"""One process runs all tests, with every library in it: the app's own budget is tested by test_runtime and benchmarks."""

import os

os.environ.setdefault("LAB_MEMORY_MB", "6000")
