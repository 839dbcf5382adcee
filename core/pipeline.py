"""The one way from a request to a result, for pages, jobs, the command line and tests."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from importlib import import_module

from core.request import Request
from core.result import Result, Step


class Control:
    """How the outside asks a running pipeline to stop. Poll `stopped` each step and `finishing` between samples."""

    def __init__(self) -> None:
        self._now = threading.Event()
        self._after = threading.Event()

    @property
    def stopped(self) -> bool:
        """Stop within this step and keep what there is."""
        return self._now.is_set()

    @property
    def finishing(self) -> bool:
        """Stop once the current sample is done."""
        return self._after.is_set() or self._now.is_set()

    def stop(self, after_sample: bool = False) -> None:
        (self._after if after_sample else self._now).set()


def run(request: Request, control: Control | None = None) -> Iterator[Step | Result]:
    """Load what the request needs, then yield its steps and last its result.

    Raises LabError (one sentence) when a model is unknown, does not fit or is broken.
    """
    from core.runtime.models import lease

    control = control or Control()
    module = import_module(request.PIPELINE)
    started = time.perf_counter()
    yield Step("load", note=", ".join(request.models()))
    with lease(*request.models(), room_mb=request.ROOM_MB) as models:
        loaded = time.perf_counter()
        for item in module.generate(request, control, *models):
            if isinstance(item, Result):
                item.load_seconds = loaded - started
                item.seconds = item.seconds or time.perf_counter() - loaded
                item.complete = item.complete and not control.stopped
            yield item


def complete(request: Request, control: Control | None = None) -> Result:
    """Run to the end and return the result; the blocking form."""
    result = None
    for item in run(request, control):
        if isinstance(item, Result):
            result = item
    if result is None:
        raise RuntimeError(f"{request.PIPELINE} ended without a result")
    return result
