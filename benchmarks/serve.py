"""The real app, in a process that also runs every embedded generator once through the app's own queue when asked.

    python -m benchmarks.serve FOLDER [streamlit options]

It waits for FOLDER/go, then submits the default request of each generator, one after another, and appends one JSON
line a model to FOLDER/models.jsonl; FOLDER/done ends it. Only `benchmarks.memory` uses this.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from core.catalog import Card
    from core.request import Request


def default_request(card: Card) -> Request:
    """What the page of this model opens on; a chat needs a first word."""
    cls: Any = card.request_class()
    if "conversation" in cls.__dataclass_fields__:
        return cls(model=card.id, conversation=(("user", "Draw a person with red hair and glasses.", b""),))
    return cls(model=card.id)


def run_all(folder: Path) -> None:
    while not (folder / "go").exists():
        time.sleep(0.2)
    from core import catalog
    from core.errors import LabError
    from core.runtime import memory
    from core.runtime.jobs import queue
    from core.runtime.models import lease

    for card in catalog.cards(source="embedded") + catalog.cards(source="borrowed"):
        started, error, result = time.perf_counter(), "", None
        try:
            if card.request:
                job = queue().submit(default_request(card), "benchmark")
                while job.active:
                    time.sleep(0.05)
                error, result = job.error, job.result
            elif card.loader:
                with lease(card.id):
                    pass
        except LabError as failure:
            error = str(failure)
        row = {
            "id": card.id,
            "role": card.role,
            "seconds": round(time.perf_counter() - started, 2),
            "error": error,
            "rss": round(memory.rss_mb(), 1),
            "result": type(result).__name__ if result else "",
        }
        with (folder / "models.jsonl").open("a") as out:
            out.write(json.dumps(row) + "\n")
    (folder / "done").touch()


def main() -> None:
    from streamlit.web import cli

    threading.Thread(target=run_all, args=(Path(sys.argv[1]),), daemon=True).start()
    sys.argv = ["streamlit", "run", "Home.py", *sys.argv[2:]]
    cli.main()


if __name__ == "__main__":
    main()
