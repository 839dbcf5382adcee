"""A library's own loop, run on a thread of its own, as the generator of steps that a pipeline is."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass
class _Ended:
    error: Exception | None = None


def aside(work: Callable[[Callable[[Any], None]], None], name: str) -> Iterator[Any]:
    """What `work(put)` puts, while it works on a thread called `name`. What it raises is raised here."""
    inbox: queue.Queue[Any] = queue.Queue()

    def run() -> None:
        try:
            work(inbox.put)
        except Exception as error:
            inbox.put(_Ended(error))
        else:
            inbox.put(_Ended())

    threading.Thread(target=run, name=name, daemon=True).start()
    while not isinstance(item := inbox.get(), _Ended):
        yield item
    if item.error is not None:
        raise item.error
