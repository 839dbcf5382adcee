"""Samples, walks and maps of a VAE."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch

from core.result import ImageResult, Result, Step
from core.vae.request import VAERequest

if TYPE_CHECKING:
    from core.pipeline import Control
    from core.vae.network import VAE

__all__ = ["VAERequest", "generate"]


def draw(seed: int, latent: int) -> torch.Tensor:
    """z (latent,) of one seed."""
    return torch.randn(latent, generator=torch.Generator("cpu").manual_seed(seed))


def points(request: VAERequest, latent: int) -> tuple[torch.Tensor, list[int]]:
    """All z (N, latent) of a request, and the seed each comes from."""
    if request.view == "walk":  # along the sphere, where the prior has its mass
        a, b = draw(request.seed, latent), draw(request.seed_to, latent)
        angle = torch.arccos(torch.clamp(a @ b / (a.norm() * b.norm()), -0.9999, 0.9999))
        shares = torch.linspace(0, 1, max(2, request.count))[:, None]
        z = (torch.sin((1 - shares) * angle) * a + torch.sin(shares * angle) * b) / torch.sin(angle)
        return z * request.temperature, [request.seed] * len(z)
    if request.view == "map":  # the first two numbers; the others stay 0
        side = math.isqrt(request.count - 1) + 1
        axis = torch.linspace(-request.reach, request.reach, side) if side > 1 else torch.zeros(1)
        z = torch.zeros(side * side, latent)
        z[:, 0], z[:, 1] = axis.repeat(side), axis.flip(0).repeat_interleave(side)
        return z, [request.seed] * len(z)
    seeds = request.sample_seeds(request.count)
    return torch.stack([draw(seed, latent) for seed in seeds]) * request.temperature, seeds


@torch.inference_mode()
def generate(request: VAERequest, control: Control, model: VAE) -> Iterator[Step | Result]:
    """Yield one Step, then an ImageResult; extras: z (N, latent) float32."""
    begin = time.perf_counter()
    z, seeds = points(request, model.latent)
    done: list[np.ndarray] = []
    for start in range(0, len(z), 32):
        if done and (control.stopped or control.finishing):
            break
        x = model.decode(z[start : start + 32])  # (b, 3, side, side)
        done += list(((x.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy())
        yield Step("decode", len(done), len(z), preview=np.stack(done))
    yield ImageResult(
        request, steps_run=len(done), model_calls=len(done), complete=len(done) == len(z), images=np.stack(done),
        seeds=seeds[: len(done)], seconds=time.perf_counter() - begin, extras={"z": z[: len(done)].numpy()},
    )  # fmt: skip
