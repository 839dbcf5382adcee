"""ProGAN's growth: the same samples at 8, 16, 32 and 64 pixels, and the fades between them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from core.gan.request import GrowthRequest
from core.result import Result, Step, VideoResult

if TYPE_CHECKING:
    from core.gan.load import Gan
    from core.pipeline import Control

__all__ = ["GrowthRequest", "generate"]


def generate(request: GrowthRequest, control: Control, gan: Gan) -> Iterator[Step | Result]:
    """Yield a step every fourth frame, then a VideoResult of frames (64, 64 * count, 3), from 8 pixels to 64.

    extras: levels: {side: (count, side, side, 3) uint8}; level of each frame, where 2.4 is 32 pixels faded 40 %
    to 64.
    """
    import torch

    from core.gan.latent import draw, rows_that, spread, to_uint8, to_w

    g = gan.generator
    with torch.inference_mode():
        rows = rows_that(gan, request.wanted())
        samples = []
        for seed in request.sample_seeds(request.count):
            z, c, _, _ = draw(gan, seed, rows)
            samples.append(spread(gan, to_w(gan, z, c, request.truncation_psi)))

        def at(level: float) -> np.ndarray:
            return np.concatenate([to_uint8(g.synthesis(ws, level=level)) for ws in samples])

        levels = {8 << k: at(float(k)) for k in range(4)}
        frames, shown = [], []
        for i in range(request.frames):
            if i and control.stopped:
                break
            place = i / (request.frames - 1) * 4  # each level stands a while, then fades on
            level = min(3.0, math.floor(place) + max(0.0, place % 1 - 0.4) / 0.6)
            pictures = at(level)  # (count, side, side, 3)
            zoom = 64 // pictures.shape[1]
            frames.append(np.concatenate(list(pictures.repeat(zoom, 1).repeat(zoom, 2)), 1))
            shown.append(level)
            if (i + 1) % 4 == 0:
                yield Step("generate", i + 1, request.frames, preview=frames[-1])
    done = len(frames)
    yield VideoResult(
        request,
        steps_run=done,
        model_calls=done * request.count,
        complete=done == request.frames,
        frames=np.stack(frames),
        fps=float(request.fps),
        seeds=request.sample_seeds(request.count),
        extras={"levels": levels, "level": shown},
    )
