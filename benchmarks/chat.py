"""The chat model's speed, loaded: python -m benchmarks.chat [--runs 5]

First token of an answer about a picture, words a second, a whole drawing with and without guidance, and an edit.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable

from benchmarks.common import record, table
from core import catalog
from core.chat.chat import ChatRequest
from core.pipeline import complete
from core.result import Result

FIRST, WORDS, PICTURE = 0.3, 40.0, 3.0  # seconds, tokens a second, seconds: what is allowed


def median(request: ChatRequest, value: Callable[[Result], float], runs: int) -> tuple[float, float, float]:
    """Median, least and greatest of `value` over runs with different seeds, after one run that does not count."""
    complete(request)
    values = [value(complete(request.replace(seed=seed))) for seed in range(runs)]
    return statistics.median(values), min(values), max(values)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    portrait = sorted((catalog.MODELS_DIR / "any-to-any" / "examples").glob("*.png"))[0].read_bytes()
    see = ChatRequest(conversation=(("user", "describe the picture", portrait),))
    draw = ChatRequest(prompt="Draw a person with short red hair, light skin and glasses on a navy background")
    edit = ChatRequest(conversation=(("user", "make the background yellow", portrait),))
    cases = [
        ("first token, with a picture to read", see, lambda r: r.extras["first_token"], FIRST, "s", False),
        ("words", see, lambda r: r.extras["tokens_per_second"], WORDS, "tokens/s", True),
        ("a picture, guided", draw, lambda r: r.seconds, PICTURE, "s", False),
        ("a picture, not guided", draw.replace(guidance_scale=1.0), lambda r: r.seconds, PICTURE, "s", False),
        ("an edited picture", edit, lambda r: r.seconds, PICTURE, "s", False),
    ]
    rows = []
    for name, request, value, limit, unit, more in cases:
        mid, least, most = median(request, value, runs)
        held = "yes" if (mid >= limit if more else mid <= limit) else "no"
        allowed = f"{'at least' if more else 'at most'} {limit:g} {unit}"
        rows.append([name, f"{mid:.2f} {unit}", f"{least:.2f} to {most:.2f}", allowed, held])
    record("Chat", table(["", "median", f"of {runs}", "allowed", "holds"], rows))


if __name__ == "__main__":
    main()
