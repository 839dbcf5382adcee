"""Walks through the latent space: from sample to sample, or around a circle."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from core.gan.request import WalkRequest
from core.result import Result, Step, VideoResult

if TYPE_CHECKING:
    from core.gan.load import Gan
    from core.pipeline import Control

__all__ = ["WalkRequest", "generate"]


def generate(request: WalkRequest, control: Control, gan: Gan) -> Iterator[Step | Result]:
    """Yield a step every fourth frame, then a VideoResult that loops. extras: w (T, w_dim)."""
    import torch

    from core.gan.latent import draw, picture, rows_that, slerp, spread, to_w

    frames, path = [], []
    with torch.inference_mode():
        rows = rows_that(gan, request.wanted())
        stops = [draw(gan, seed, rows) for seed in request.sample_seeds(max(request.stops, 3))]
        noise = stops[0][2] if request.noise else None  # the same for all frames: nothing flickers
        ends = [to_w(gan, z, c, request.truncation_psi) for z, c, _, _ in stops]
        for i in range(request.frames):
            if i and control.stopped:
                break
            t = i / request.frames
            if request.path == "interpolation":
                place = t * request.stops
                a, b, part = int(place), (int(place) + 1) % request.stops, place % 1
                if request.space == "w":
                    w = torch.lerp(ends[a], ends[b], part)
                else:
                    c = torch.lerp(stops[a][1], stops[b][1], part)
                    w = to_w(gan, slerp(stops[a][0], stops[b][0], part), c, request.truncation_psi)
            else:  # centre: sample 0; plane: samples 1 and 2
                x, y = request.radius * math.cos(2 * math.pi * t), request.radius * math.sin(2 * math.pi * t)
                if request.space == "w":
                    centre = gan.generator.w_avg[None]
                    w = ends[0] + 0.5 * (x * (ends[1] - centre) + y * (ends[2] - centre))
                else:
                    z = x * stops[1][0] + y * stops[2][0]
                    w = to_w(gan, z, stops[0][1], request.truncation_psi)
            frame, _ = picture(gan, spread(gan, w), noise)
            frames.append(frame)
            path.append(w[0].numpy())
            if (i + 1) % 4 == 0:
                yield Step("generate", i + 1, request.frames, preview=frame)
    done = len(frames)
    yield VideoResult(
        request,
        steps_run=done,
        model_calls=done,
        complete=done == request.frames,
        frames=np.stack(frames),
        fps=float(request.fps),
        seeds=request.sample_seeds(request.stops),
        extras={"w": np.stack(path)},
    )
