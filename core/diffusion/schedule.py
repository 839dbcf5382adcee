"""Noise levels: the trained schedule at any time t, and the samplers ("schedulers") by name.

variance preserving:  x_t = alpha_t x_0 + sigma_t eps,  alpha_t^2 + sigma_t^2 = 1      (DDPM, Stable Diffusion)
rectified flow:       x_t = (1 - sigma) x_0 + sigma eps, v = eps - x_0                 (SD 3, FLUX)
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from core.errors import BadRequest

# name shown -> (class in diffusers, settings). "model" is the scheduler the model came with.
DIFFUSION_SCHEDULERS: dict[str, tuple[str, dict[str, Any]]] = {
    "DDIM": ("DDIMScheduler", {}),
    "DDPM": ("DDPMScheduler", {}),
    "Euler": ("EulerDiscreteScheduler", {}),
    "Euler ancestral": ("EulerAncestralDiscreteScheduler", {}),
    "Heun": ("HeunDiscreteScheduler", {}),
    "DPM++ 2M": ("DPMSolverMultistepScheduler", {}),
    "UniPC": ("UniPCMultistepScheduler", {}),
    "LCM": ("LCMScheduler", {}),
}
FLOW_SCHEDULERS: dict[str, tuple[str, dict[str, Any]]] = {
    "Flow Euler": ("FlowMatchEulerDiscreteScheduler", {}),
    "Flow Heun": ("FlowMatchHeunDiscreteScheduler", {}),
}


def is_flow(scheduler: Any) -> bool:
    """Whether a scheduler walks straight paths (rectified flow) instead of a variance-preserving diffusion."""
    return type(scheduler).__name__.startswith("FlowMatch") or bool(scheduler.config.get("use_flow_sigmas"))


def names_for(flow: bool) -> tuple[str, ...]:
    """The samplers that fit a model: flow models need flow samplers and the other way round."""
    return tuple(FLOW_SCHEDULERS if flow else DIFFUSION_SCHEDULERS)


def make(base: Any, name: str) -> Any:
    """A fresh scheduler of this name on the trained schedule of `base`; raises BadRequest when they do not fit."""
    if name == "model":
        return type(base).from_config(base.config)
    table = FLOW_SCHEDULERS if is_flow(base) else DIFFUSION_SCHEDULERS
    if name not in table:
        raise BadRequest(f"{name} does not fit this model; choose one of {', '.join(table)}.")
    import diffusers

    class_name, settings = table[name]
    return getattr(diffusers, class_name).from_config(base.config, **settings)


class Levels:
    """alpha_t and sigma_t of a trained schedule at any (also fractional) time, and conversions of model outputs."""

    def __init__(self, scheduler: Any) -> None:
        self.flow = is_flow(scheduler)
        self.prediction = "flow" if self.flow else scheduler.config.prediction_type
        self.steps = int(scheduler.config.num_train_timesteps)
        if not self.flow:
            betas = np.asarray(scheduler.betas, np.float64)
            self._log_alpha = 0.5 * np.cumsum(np.log1p(-betas))  # (T,)

    def at(self, t: float) -> tuple[float, float]:
        """(alpha_t, sigma_t) at time t in [0, num_train_timesteps]."""
        if self.flow:
            sigma = float(t) / self.steps
            return 1.0 - sigma, sigma
        alpha = math.exp(float(np.interp(float(t), np.arange(self.steps), self._log_alpha)))
        return alpha, math.sqrt(max(0.0, 1.0 - alpha * alpha))

    def split(self, output: torch.Tensor, x: torch.Tensor, t: float) -> tuple[torch.Tensor, torch.Tensor]:
        """Model output at x_t -> (predicted x_0, predicted noise), both shaped like x."""
        alpha, sigma = self.at(t)
        if self.prediction == "flow":
            return x - sigma * output, x + (1.0 - sigma) * output
        if self.prediction == "v_prediction":  # v = alpha eps - sigma x_0 (Salimans & Ho 2022)
            return alpha * x - sigma * output, alpha * output + sigma * x
        if self.prediction == "sample":
            return output, (x - alpha * output) / max(sigma, 1e-6)
        return (x - sigma * output) / max(alpha, 1e-6), output

    def join(self, x0: torch.Tensor, x: torch.Tensor, t: float) -> torch.Tensor:
        """The model output that would predict x_0 at x_t: the inverse of `split`."""
        alpha, sigma = self.at(t)
        if self.prediction == "sample":
            return x0
        eps = (x - alpha * x0) / max(sigma, 1e-6)
        if self.prediction == "flow":
            return eps - x0
        return alpha * eps - sigma * x0 if self.prediction == "v_prediction" else eps

    def mix(self, x0: torch.Tensor, noise: torch.Tensor, t: float) -> torch.Tensor:
        """x_t from a clean sample and noise."""
        alpha, sigma = self.at(t)
        return alpha * x0 + sigma * noise
