"""From `make app` on an installed tree to a Home that answers: python -m benchmarks.startup [--runs 3]"""

from __future__ import annotations

import argparse
import statistics
import time

from benchmarks.common import IDLE, app, browser, record, table

LIMIT = 5.0


def once(chromium: object) -> dict[str, float]:
    """Seconds to a healthy server, to the title, to an idle script; and whether torch was loaded by then."""
    with app() as server:
        healthy = server.wait_healthy()
        page = chromium.new_page()  # type: ignore[attr-defined]
        page.goto(server.url, wait_until="commit")
        page.locator("h1").first.wait_for(timeout=60_000)
        titled, torch_at_title = time.perf_counter() - server.started, server.maps("libtorch_cpu")
        page.wait_for_function(IDLE, timeout=60_000, polling=50)
        idle = time.perf_counter() - server.started
        rss = server.status()
        page.close()
    return {"healthy": healthy, "title": titled, "interactive": idle, "torch": torch_at_title, "rss": rss}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    with browser() as chromium:
        runs = [once(chromium) for _ in range(args.runs)]
    rows = []
    for key, name in (
        ("healthy", "server answers"),
        ("title", "title in the browser"),
        ("interactive", "Home interactive"),
    ):
        values = [run[key] for run in runs]
        rows.append([name, f"{statistics.median(values):.2f} s", f"{min(values):.2f} to {max(values):.2f} s"])
    median = statistics.median(run["interactive"] for run in runs)
    rows.append(["torch loaded when the title stood", "yes" if any(run["torch"] for run in runs) else "no", ""])
    rows.append(["RSS then", f"{statistics.median(run['rss'] for run in runs):.0f} MB", ""])
    verdict = f"Home interactive after {median:.1f} s, {median / LIMIT:.0%} of the {LIMIT:.0f} s allowed."
    record("Start", table(["", "median", f"of {args.runs} starts"], rows) + f"\n\n{verdict}")


if __name__ == "__main__":
    main()
