"""Peak memory after opening every page and running every embedded model once: python -m benchmarks.memory"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.common import BUDGET_MB, app, browser, problems, record, settled, slugs, table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=20, help="longest time for all models together")
    args = parser.parse_args()
    rows: list[list[str]] = []
    errors: list[str] = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        with app([sys.executable, "-m", "benchmarks.serve", scratch]) as server, browser() as chromium:
            server.wait_healthy()
            # 1. Every page, in one browser session, each until its own default run is done
            page = chromium.new_page()
            for slug in slugs():
                page.goto(f"{server.url}/{slug}", wait_until="commit")
                page.locator("h1").first.wait_for(timeout=120_000)
                waited = settled(page)
                errors += [f"/{slug}: {text}" for text in problems(page)]
                rows.append([f"/{slug}", f"{waited:.1f} s", f"{server.status():.0f}", f"{server.status('VmHWM'):.0f}"])
                print(*rows[-1], flush=True)
            page.close()
            # 2. Every embedded model, in the same process, through the same queue
            (folder / "go").touch()
            log, seen = folder / "models.jsonl", 0
            end = time.time() + 60 * args.minutes
            while time.time() < end and server.process.poll() is None:
                finished = (folder / "done").exists()
                lines = log.read_text().splitlines() if log.exists() else []
                for line in lines[seen:]:
                    row = json.loads(line)
                    errors += [f"{row['id']}: {row['error']}"] if row["error"] else []
                    rows.append(
                        [row["id"], f"{row['seconds']:.1f} s", f"{row['rss']:.0f}", f"{server.status('VmHWM'):.0f}"]
                    )
                    print(*rows[-1], flush=True)
                seen = len(lines)
                if finished:
                    break
                time.sleep(0.3)
            else:
                errors.append("not every model was run in time")
            peak = server.status("VmHWM") if server.process.poll() is None else float("nan")
    verdict = (
        f"Peak RSS {peak:.0f} MB, {peak / BUDGET_MB:.0%} of {BUDGET_MB:.0f} MB, after {len(slugs())} pages and "
        f"{seen} models. " + ("No error." if not errors else "Errors: " + "; ".join(errors))
    )
    record("Memory", table(["page or model", "time", "RSS, MB", "peak so far, MB"], rows) + f"\n\n{verdict}")


if __name__ == "__main__":
    main()
