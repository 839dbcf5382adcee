"""64 portraits of StyleGAN2, and the GAN playground in a browser: python -m benchmarks.gan [--seconds 10]"""

from __future__ import annotations

import argparse
import itertools
import re
import statistics
import time
from typing import Any

from benchmarks.common import app, browser, record, table

SAMPLES_LIMIT, STEPS_LEAST, REDRAWS_LEAST = 2.0, 150.0, 4.0


def samples(count: int = 64, runs: int = 3) -> float:
    """Median seconds for `count` pictures with their scores, the model loaded before."""
    from core.gan.request import SampleRequest
    from core.pipeline import complete

    complete(SampleRequest(model="stylegan2", count=1))
    seconds = []
    for seed in range(runs):
        started = time.perf_counter()
        complete(SampleRequest(model="stylegan2", count=count, seed=1000 * seed))
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


# Every redraw as the canvas counts it. An observer, since a browser that is asked every 20 ms draws half as often.
WATCH = """(seconds) => new Promise((done) => {
  const root = [...document.querySelectorAll('*')].map((e) => (e.shadowRoot || e).querySelector('[data-frames]')).find(Boolean);
  const seen = [], step = () => parseInt(root.querySelector('.name').textContent.replace(/\\D/g, ''));
  new MutationObserver(() => seen.push([performance.now(), step()])).observe(root, {attributeFilter: ['data-frames']});
  setTimeout(() => done(seen), seconds * 1000);
})"""


def playground(page: Any, seconds: float) -> tuple[float, float]:
    """GAN steps and redraws a second, over the frames that the page drew."""
    page.get_by_text(re.compile(r"^Step [\d,]+$")).first.wait_for(timeout=90_000)
    seen = page.evaluate(WATCH, seconds)
    new = [seen[0]] + [b for a, b in itertools.pairwise(seen) if b[1] != a[1]]
    elapsed = (new[-1][0] - new[0][0]) / 1000
    return (new[-1][1] - new[0][1]) / elapsed, (len(new) - 1) / elapsed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10)
    args = parser.parse_args()
    with app() as server, browser() as chromium:
        server.wait_healthy()
        page = chromium.new_page(viewport={"width": 1440, "height": 900})
        page.goto(f"{server.url}/GAN_playground?limit=20000", wait_until="commit")
        steps, redraws = playground(page, args.seconds)
    pictures = samples()
    rows = [
        ["64 samples of StyleGAN2 with scores, model loaded", f"{pictures:.2f} s", f"at most {SAMPLES_LIMIT:.0f} s"],
        ["GAN steps a second in the playground", f"{steps:.0f}", f"at least {STEPS_LEAST:.0f}"],
        ["redraws a second while it trains", f"{redraws:.1f}", f"at least {REDRAWS_LEAST:.0f}"],
    ]
    verdict = (
        f"Samples take {pictures / SAMPLES_LIMIT:.0%} of the time allowed; the playground makes "
        f"{steps / STEPS_LEAST:.0%} of the steps and {redraws / REDRAWS_LEAST:.0%} of the redraws asked for."
    )
    record("GAN", table(["", "measured", "wanted"], rows) + f"\n\n{verdict}")


if __name__ == "__main__":
    main()
