"""The memory budget: resident set size of the whole process, in MB (10^6 bytes)."""

from __future__ import annotations

import ctypes
import gc
import os
import sys

import psutil

DEFAULT_BUDGET_MB = 690.0  # the least that Streamlit Community Cloud promises


def budget_mb() -> float:
    """The budget for the whole process; LAB_MEMORY_MB overrides it."""
    try:
        return max(64.0, float(os.environ.get("LAB_MEMORY_MB", DEFAULT_BUDGET_MB)))
    except ValueError:
        return DEFAULT_BUDGET_MB


def rss_mb() -> float:
    """Resident set size of this process now."""
    return psutil.Process().memory_info().rss / 1e6


def lean() -> None:
    """Keep glibc from holding freed memory in one arena a thread: two arenas, large blocks returned at once."""
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(-8, 2)  # M_ARENA_MAX
        libc.mallopt(-3, 1 << 20)  # M_MMAP_THRESHOLD: from 1 MiB on, free() gives the pages back
        libc.mallopt(-1, 8 << 20)  # M_TRIM_THRESHOLD


def trim() -> None:
    """Collect garbage and give free pages back to the system."""
    gc.collect()
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        if hasattr(libc, "malloc_trim"):
            libc.malloc_trim(0)
