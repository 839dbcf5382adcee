"""Six states of guidance, each with what it says in figures, so that a page and a test can check that it shows it.

Prompts and seeds are fixed, for the shipped weights of "latent-diffusion": how strongly a prompt saturates, and whether
glasses come by themselves, differs from one to the next.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from core.diffusion import score
from core.diffusion.request import DiffusionRequest

COLOURS = DiffusionRequest(
    prompt="adventurer style: long red hair, a smile and light skin, on sky blue", seed=7, count=4
)
GLASSES = DiffusionRequest(prompt="a man in the avataaars style", seed=211, count=4)
PRESETS: dict[str, tuple[str, DiffusionRequest]] = {
    "ignores the text": ("w = 0: the prompt has no say", COLOURS.replace(guidance_scale=0.0)),
    "balanced": ("w = 3: most of what the prompt names is there", COLOURS.replace(guidance_scale=3.0)),
    "over-saturated": ("w = 15: colours burn out", COLOURS.replace(guidance_scale=15.0)),
    "fixed by an interval": (
        "w = 15, but only from 35 % to 55 % of the steps, w = 1 before and after",
        COLOURS.replace(guidance_scale=15.0, guidance_start=0.35, guidance_stop=0.55),
    ),
    "glasses by themselves": ("w = 3: the prompt names no glasses, and some wear them", GLASSES),
    "negative prompt removes glasses": (
        "the same with the negative prompt “glasses”", GLASSES.replace(negative_prompt="glasses"),
    ),
}  # fmt: skip


def figures(images: np.ndarray, prompt: str, classifier: Any) -> dict[str, float]:
    """Of pictures (N, H, W, 3): "right" (share of what the prompt names), "glasses" (how many wear them),
    "saturation" and "clipped" (0 to 1)."""
    return {
        "right": float(np.mean(score.right(classifier, images, prompt))),
        "glasses": int((classifier.predict(images)["glasses"] == "yes").sum()),
        "saturation": float(score.saturation(images).mean()),
        "clipped": float(score.clipped(images).mean()),
    }


def real_saturation() -> float:
    """Saturation of the training portraits that show most of what the prompt of the colour presets names."""
    from core.metrics.portraits import Reference

    judge = Reference.load()
    _, rows = score.matching(judge.labels, score.named(COLOURS.prompt), least=20)
    return float(score.saturation(judge.pictures[rows]).mean())


def holds(found: dict[str, dict[str, float]], real: float) -> dict[str, bool]:
    """For each preset whether its figures show what it says. `found`: `figures` of every preset; real: `real_saturation`."""
    none, good, burnt, mended = (found[name] for name in list(PRESETS)[:4])
    with_glasses, without = (found[name] for name in list(PRESETS)[4:])
    over = burnt["saturation"] - good["saturation"]
    return {
        "ignores the text": none["right"] < 0.35,
        "balanced": good["right"] >= 0.7,
        "over-saturated": over > 0.2 * good["saturation"] and burnt["saturation"] > 1.2 * real,
        "fixed by an interval": mended["saturation"] < good["saturation"] + over / 3
        and mended["right"] >= good["right"],
        "glasses by themselves": with_glasses["glasses"] >= 2,
        "negative prompt removes glasses": with_glasses["glasses"] >= 2 and without["glasses"] == 0,
    }
