"""How long a picture takes, and what our pipeline adds to the library's: python -m benchmarks.pictures"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

from benchmarks.common import record, table
from core import catalog
from core.diffusion.request import DiffusionRequest
from core.pipeline import complete

PROMPT = "a portrait of a person with tan skin, curly blue hair, glasses and a smile on a pink background"
LIMITS = {"picture": 2.5, "student": 0.4, "ours": 1.05, "recorded": 1.3}  # s, s, times, times


def stock(model: str, settings: dict[str, Any]) -> Callable[[], Any]:
    """The bare library call that makes the same picture."""
    import torch
    from diffusers import DiffusionPipeline

    pipe: Any = DiffusionPipeline.from_pretrained(str(catalog.card(model).folder), local_files_only=True)
    pipe.set_progress_bar_config(disable=True)
    return lambda: pipe(PROMPT, generator=torch.Generator("cpu").manual_seed(1), **settings)


def alternating(calls: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Median seconds of each call, taken in turn so that a busy moment hits all alike; one round warms up."""
    spent: dict[str, list[float]] = {name: [] for name in calls}
    for i in range(rounds + 1):
        for name, call in calls.items():
            begun = time.perf_counter()
            call()
            if i:
                spent[name].append(time.perf_counter() - begun)
    return {name: statistics.median(values) for name, values in spent.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=11)
    args = parser.parse_args()
    settings: dict[str, Any] = {"num_inference_steps": 20, "guidance_scale": 3.0}
    plain = DiffusionRequest(prompt=PROMPT, seed=1, **settings)
    student = DiffusionRequest(model="student", prompt=PROMPT, seed=1, num_inference_steps=4, guidance_scale=1.0)
    complete(plain)  # loads, and sets the number of threads for all
    calls: dict[str, Callable[[], Any]] = {
        "library": stock("latent-diffusion", settings),
        "ours": lambda: complete(plain),
        "recorded": lambda: complete(plain.replace(record=True)),
        "student": lambda: complete(student),
    }
    if any(card.id == "latent-dit" for card in catalog.cards()):
        calls["transformer"] = lambda: complete(plain.replace(model="latent-dit"))
    found = alternating(calls, args.rounds)
    figures = [
        ("U-Net, 20 steps with guidance", f"{found['ours']:.2f} s", f"{LIMITS['picture']} s", found["ours"] / LIMITS["picture"]),
        ("student, 4 steps", f"{found['student']:.2f} s", f"{LIMITS['student']} s", found["student"] / LIMITS["student"]),
        ("our pipeline over the bare library call", f"{found['ours'] / found['library']:.3f}", f"{LIMITS['ours']}",
         found["ours"] / found["library"] / LIMITS["ours"]),
        ("every step recorded over plain", f"{found['recorded'] / found['ours']:.3f}", f"{LIMITS['recorded']}",
         found["recorded"] / found["ours"] / LIMITS["recorded"]),
    ]  # fmt: skip
    rows = [[name, value, limit, f"{share:.0%}"] for name, value, limit, share in figures]
    if "transformer" in found:
        rows.append(["diffusion transformer, 20 steps with guidance", f"{found['transformer']:.2f} s", "", ""])
    words = f"Medians of {args.rounds} alternating runs on one thread, models loaded; the same request makes the same bytes."
    record("Pictures", table(["what", "measured", "at most", "of the limit"], rows) + f"\n\n{words}")


if __name__ == "__main__":
    main()
