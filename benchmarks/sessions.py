"""Eight browser sessions that generate at once for two minutes: python -m benchmarks.sessions

Every session keeps to a page of its own and asks for a new seed as soon as its last result stands. On the CFG explorer
that is the whole strip; a session counts as starved when not even one picture of it came.
"""

from __future__ import annotations

import argparse
import re
import time
from dataclasses import dataclass, field
from typing import Any

from benchmarks.common import BUDGET_MB, app, browser, problems, record, slugs, table

DONE = re.compile(r"Computed .*ai-generated|computed now|\b(\d+) of \1 computed")
PART = re.compile(r"\b[1-9]\d* of \d+ computed")


@dataclass
class Session:
    """One browser context: what it asked for last and how it fared."""

    page: Any
    slug: str
    seed: int
    asked: float = 0.0
    waits: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    parts: bool = False  # a strip that is on its way: some of its pictures stand

    def ask(self, url: str) -> None:
        self.seed += 1
        self.asked = time.perf_counter()
        self.page.goto(f"{url}/{self.slug}?seed={self.seed}", wait_until="commit", timeout=100_000)

    def look(self, url: str) -> None:
        found = problems(self.page)
        if found:
            self.errors += found
        elif not self.page.get_by_text(DONE).count():
            self.parts = self.parts or self.page.get_by_text(PART).count() > 0
            return
        self.waits.append(time.perf_counter() - self.asked)
        self.ask(url)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=120)
    args = parser.parse_args()
    # pages with a stage of their own and a seed in the address; the playground draws endlessly instead
    usable = [slug for slug in slugs()[1:] if "playground" not in slug] or slugs()
    with app() as server, browser() as chromium:
        server.wait_healthy()
        sessions = [
            Session(chromium.new_context().new_page(), usable[i % len(usable)], 1000 * (i + 1))
            for i in range(args.sessions)
        ]
        for session in sessions:
            session.ask(server.url)
        end = time.perf_counter() + args.seconds
        while time.perf_counter() < end and server.process.poll() is None:
            for session in sessions:
                session.look(server.url)
            time.sleep(0.1)
        alive = server.process.poll() is None
        peak = server.status("VmHWM") if alive else float("nan")
    rows, starved = [], 0
    for number, session in enumerate(sessions, 1):
        starved += not (session.waits or session.parts)
        longest = max([*session.waits, time.perf_counter() - session.asked])
        rows.append(
            [
                number,
                f"/{session.slug}",
                len(session.waits) - len(session.errors),
                f"{longest:.1f} s",
                len(session.errors),
            ]
        )
    errors = [text for session in sessions for text in session.errors]
    counts = [len(session.waits) for session in sessions]
    verdict = (
        f"{sum(counts)} results in {args.seconds:.0f} s from {args.sessions} sessions, {len(errors)} errors, "
        f"{starved} starved, peak RSS {peak:.0f} MB ({peak / BUDGET_MB:.0%} of {BUDGET_MB:.0f} MB)"
        + ("." if alive else "; the app died.")
        + (f" First error: {errors[0]}" if errors else "")
    )
    record("Sessions", table(["session", "page", "results", "longest wait", "errors"], rows) + f"\n\n{verdict}")


if __name__ == "__main__":
    main()
