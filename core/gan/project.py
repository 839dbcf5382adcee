"""Projection: the w whose picture is nearest to a given one (StyleGAN2, appendix D, with a small feature loss)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from core.gan.request import ProjectRequest
from core.result import ImageResult, Result, Step

if TYPE_CHECKING:
    from core.gan.load import Gan
    from core.pipeline import Control

__all__ = ["ProjectRequest", "generate"]


def generate(request: ProjectRequest, control: Control, gan: Gan) -> Iterator[Step | Result]:
    """Yield a step every fifth iteration, then an ImageResult with one picture: the best found.

    extras: target (64, 64, 3) uint8; losses (steps,); w (num_ws, w_dim) of the best; distance: its mean absolute
    error in grey levels, 0 to 255.
    """
    import torch
    import torch.nn.functional as F

    from core.diffusion.pictures import open_picture, to_tensor
    from core.gan.latent import draw, rows_that, spread, to_uint8, to_w

    shown = open_picture(request.picture, 64)
    target = to_tensor(shown)  # (1, 3, 64, 64)
    g, trunk = gan.generator, gan.discriminator.trunk

    def features(x: torch.Tensor) -> torch.Tensor:
        y = trunk(x)  # (1, 128, 4, 4): D's own view of a portrait
        return y / (y.norm() + 1e-6)

    # 1. start from the best of some random samples, so that style and colours are about right
    with torch.no_grad():
        goal, rows = features(target), rows_that(gan, request.wanted())
        nearest, start = math.inf, g.w_avg[None]
        for seed in request.sample_seeds(24):
            z, c, _, _ = draw(gan, seed, rows)
            w = to_w(gan, z, c, request.truncation_psi)
            score = float((g.synthesis(spread(gan, w)) - target).abs().mean())
            if score < nearest:
                nearest, start = score, w
    ws = spread(gan, start)[:, : g.num_ws if request.extended else 1].clone().requires_grad_()
    optimizer = torch.optim.Adam([ws], request.learning_rate, (0.9, 0.99))
    losses: list[float] = []
    least, steps, found, picture = math.inf, request.num_inference_steps, ws.detach().clone(), shown

    # 2. Adam on L1, on L1 of the picture at a quarter of its size, and on D's features
    for i in range(steps):
        if i and control.finishing:
            break
        p = i / steps
        optimizer.param_groups[0]["lr"] = request.learning_rate * min(1.0, p / 0.05 + 0.1, (1 - p) / 0.3)
        x = g.synthesis(ws.expand(-1, g.num_ws, -1))
        loss = (
            (x - target).abs().mean()
            + (F.avg_pool2d(x, 4) - F.avg_pool2d(target, 4)).abs().mean()
            + 0.5 * (features(x) - goal).square().sum()
        )
        optimizer.zero_grad()
        loss.backward()
        value = float(loss.detach())
        losses.append(value)
        if value < least:
            least, found, picture = value, ws.detach().clone(), to_uint8(x.detach())[0]
        optimizer.step()
        if (i + 1) % 5 == 0:
            yield Step("generate", i + 1, steps, preview=picture, data={"loss": value})
    distance = float(np.abs(picture.astype(np.float32) - shown).mean())
    yield ImageResult(
        request,
        steps_run=len(losses),
        model_calls=24 + len(losses),
        complete=len(losses) == steps,
        images=picture[None],
        seeds=[request.seed],
        extras={
            "target": shown,
            "losses": np.array(losses, np.float32),
            "distance": distance,
            "w": found.expand(-1, g.num_ws, -1)[0].numpy(),
        },
    )
