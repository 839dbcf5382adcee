"""Running pages without a browser: wait for jobs, then look."""

from __future__ import annotations

import re
import time
from pathlib import Path

from streamlit.testing.v1 import AppTest

from core.runtime import models
from core.runtime.jobs import queue

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(path.name for path in (ROOT / "pages").glob("*.py"))


def open_home(**query: str) -> AppTest:
    """The app at its entry, with query parameters."""
    at = AppTest.from_file(str(ROOT / "Home.py"), default_timeout=180)
    for key, value in query.items():
        at.query_params[key] = value
    return at


def open_page(name: str, **query: str) -> AppTest:
    """One page, launched from Home.py (page links fail when a page is launched alone), its jobs done."""
    at = open_home().run()
    at.switch_page(f"pages/{name}")
    for key, value in query.items():
        at.query_params[key] = value
    at.run()
    return settle(at)


def settle(at: AppTest, seconds: float = 240.0) -> AppTest:
    """Run again until no job waits or runs, then once more to see the results."""
    end = time.time() + seconds
    while queue().pending():
        assert time.time() < end, "the jobs did not end"
        time.sleep(0.05)
    return at.run()


def errors(at: AppTest) -> list[str]:
    """All sentences that the page shows as errors, and uncaught exceptions."""
    return [e.value for e in at.error] + [e.value for e in at.exception]


def tables(at: AppTest) -> list[dict[str, list[str]]]:
    """The page's tables (ui.tables): the cells of each column as text."""
    found = []
    for text in (m.value for m in at.markdown if m.value.startswith("| ")):
        names, _, *rows = [
            [re.sub(r"\\(.)", r"\1", cell) for cell in line[2:-2].split(" | ")] for line in text.splitlines()
        ]
        found.append({name: [row[i] for row in rows] for i, name in enumerate(names)})
    return found


def clean() -> None:
    """Stop and forget all jobs, release all models."""
    assert queue().stop_all(60)
    queue().forget()
    models.release_all()
