"""Which device runs the models: cuda, mps or cpu, chosen automatically, LAB_DEVICE overrides."""

from __future__ import annotations

import os
from functools import cache

from core.errors import BadRequest

DEVICES = ("cpu", "cuda", "mps")


@cache
def setup() -> None:
    """Once, before the first tensor: one thread, so that page and worker do not starve each other.

    Two spinning OpenMP threads fall to a sixth of their speed beside other work on two cores; one does not, and
    its sums do not depend on how many cores a machine has, so the same request gives the same bytes everywhere.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("GOMP_SPINCOUNT", "0")
    import torch
    from threadpoolctl import threadpool_limits

    threads = max(1, int(os.environ.get("LAB_THREADS", "1")))
    torch.set_num_threads(threads)
    threadpool_limits(threads)  # numpy's own, whose sums depend on it too: a sound came out otherwise without `make`


def device() -> str:
    """The device in use. Raises BadRequest when LAB_DEVICE names one that is not here."""
    import torch

    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    wanted = os.environ.get("LAB_DEVICE", "").strip().lower()
    if wanted:
        if not available.get(wanted, False):
            here = ", ".join(name for name, there in available.items() if there)
            raise BadRequest(f"LAB_DEVICE is “{wanted}”, which is not here; set it to one of {here}.")
        return wanted
    return "cuda" if available["cuda"] else "mps" if available["mps"] else "cpu"


def describe() -> str:
    """Words for the system panel; imports no torch unless it is there already."""
    import sys

    cores = os.cpu_count() or 1
    if "torch" not in sys.modules:
        return f"{os.environ.get('LAB_DEVICE', 'cpu')}, {cores} cores (nothing loaded yet)"
    return f"{device()}, {cores} cores"
