"""Guidance: how conditional and unconditional predictions become one. diffusers' guiders, by name.

cfg:  eps = eps_uncond + w (eps_cond - eps_uncond)      (Ho & Salimans 2022; w = guidance_scale)
w = 0 is the unconditional model, w = 1 the conditional one. (The stock pipelines read every w <= 1 as 1.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from core.diffusion.request import GUIDER_KINDS

SKIP_SCALE = 1.5  # strength of the extra push of perturbed-attention and skip-layer guidance
DROP_RATE = 0.1


@dataclass
class Guider:
    """One guider of diffusers with its state; `passes` says which denoiser passes a step needs."""

    name: str
    inner: Any
    weak: str

    def begin(self, step: int, steps: int, timestep: Any) -> None:
        """Tell the step (0-based) before the denoiser runs."""
        self.inner.set_state(step=step, num_inference_steps=steps, timestep=timestep)
        self.inner.prepare_inputs({})  # resets momentum at step 0

    @property
    def passes(self) -> tuple[str, ...]:
        """Some of "uncond", "cond", "weak", in the order in which they are batched."""
        count = self.inner.num_conditions
        if self.weak == "drop":  # the unconditional pass itself is the weakened one
            return ("weak", "cond") if count == 2 else ("cond",)
        if self.weak:
            cfg, extra = self.inner._is_cfg_enabled(), self.inner._is_slg_enabled()
            return (*(("uncond",) if cfg else ()), "cond", *(("weak",) if extra else ()))
        return ("uncond", "cond") if count == 2 else ("cond",)

    def combine(self, cond: torch.Tensor, uncond: torch.Tensor | None, weak: torch.Tensor | None) -> torch.Tensor:
        """Predictions (B, C, h, w) -> the guided prediction (B, C, h, w)."""
        if self.weak == "drop":
            return self.inner.forward(cond, weak).pred
        if self.weak:
            return self.inner.forward(cond, uncond, weak).pred
        if self.name == "magnitude aware":  # this guider takes norms over all dimensions at once: hand it (B, N)
            return self.inner.forward(cond.flatten(1), None if uncond is None else uncond.flatten(1)).pred.view_as(cond)
        return self.inner.forward(cond, uncond).pred


def make(name: str, guidance_scale: float, rescale: float, start: float, stop: float) -> Guider:
    """A fresh guider. rescale: guidance_rescale (0..1); start, stop: share of the steps in which guidance acts."""
    from diffusers import guiders
    from diffusers.utils import logging

    logging.get_logger("diffusers.guiders.guider_utils").setLevel(logging.ERROR)  # "experimental" at each construction
    class_name, weak, _ = GUIDER_KINDS[name]
    settings: dict[str, Any] = {"guidance_scale": guidance_scale, "guidance_rescale": rescale}
    if weak == "drop":
        settings |= {"auto_guidance_config": _layer(), "dropout": None}
    elif weak == "identity":
        settings |= {"perturbed_guidance_config": _layer(scores=True), "perturbed_guidance_scale": SKIP_SCALE}
        settings |= {"perturbed_guidance_start": 0.0, "perturbed_guidance_stop": 1.0}
    elif weak == "skip":
        settings |= {"skip_layer_config": _layer(), "skip_layer_guidance_scale": SKIP_SCALE}
        settings |= {"skip_layer_guidance_start": 0.0, "skip_layer_guidance_stop": 0.6}
    if name == "adaptive projected":
        settings |= {"eta": 0.0, "adaptive_projected_guidance_momentum": -0.5}  # as in the paper, for Stable Diffusion
    guider = getattr(guiders, class_name)(start=min(start, 0.999), stop=stop, **settings)
    return Guider(name, guider, weak)


def _layer(scores: bool = False) -> Any:
    """The guiders want a layer to weaken; our own hooks (attention.weaken) do it, so any valid one will do."""
    from diffusers.hooks import LayerSkipConfig

    return LayerSkipConfig(
        [0], "transformer_blocks", skip_attention=not scores, skip_attention_scores=scores, skip_ff=not scores
    )


def threshold(x0: torch.Tensor, quantile: float = 0.975, floor: float = 1.0) -> torch.Tensor:
    """Dynamic thresholding (Imagen, Saharia et al. 2022) of a predicted clean sample (B, C, h, w).

    Each sample is clipped at its own quantile s of |x0| and scaled back to the floor's range when s exceeds the floor.
    """
    s = torch.quantile(x0.abs().flatten(1), quantile, dim=1).clamp(min=floor).view(-1, 1, 1, 1)
    return torch.clamp(x0, -s, s) * (floor / s)
