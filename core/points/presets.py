"""Settings that lead a 2-D GAN into its classic failures, and out of them. A test runs each of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Preset:
    """settings: what differs from the defaults of GanRequest; steps: when the effect can be seen."""

    title: str
    words: str
    settings: dict[str, Any] = field(default_factory=dict)
    steps: int = 1000


PRESETS = {
    "default": Preset("It works", "Non-saturating loss with a little R1: all eight modes are found.", {}, 1500),
    "collapse": Preset(
        "Mode collapse",
        "G moves fast and with momentum, D slowly: all fakes run to the place that D rates best,"
        " D marks it down, and they run on together.",
        {"lr_g": 0.01, "lr_d": 0.002, "beta1": 0.9, "r1": 0.0},
        500,
    ),
    "collapse_cured": Preset(
        "Mode collapse, cured", "Equal steps, less momentum, and R1 keeps D smooth: G spreads over the ring.", {}, 1500
    ),
    "oscillation": Preset(
        "Oscillation",
        "Wasserstein loss without its gradient penalty: D grows without bound, G is thrown about.",
        {"loss": "Wasserstein", "gp": 0.0, "lr_g": 0.002, "lr_d": 0.002, "r1": 0.0},
        1200,
    ),
    "oscillation_cured": Preset(
        "Oscillation, cured",
        "The same loss with the gradient penalty and two updates of D: G settles.",
        {"loss": "Wasserstein", "gp": 0.1, "d_steps": 2, "average": 0.99, "r1": 0.0},
        1200,
    ),
    "vanishing": Preset(
        "Vanishing gradient",
        "Minimax loss against a D that learns faster: D is sure of nearly every fake, and log(1 − D) is"
        " flat there. Most fakes have no arrow; only the few at the border still feel the data.",
        {"loss": "minimax", "d_steps": 5, "lr_d": 0.005, "lr_g": 0.0005, "r1": 0.0},
        250,
    ),
    "vanishing_cured": Preset(
        "Vanishing gradient, cured",
        "Same D, but G maximises log D: the surer D is, the stronger the pull.",
        {"loss": "non-saturating", "d_steps": 5, "lr_d": 0.005, "lr_g": 0.0005, "r1": 0.0},
        250,
    ),
}
