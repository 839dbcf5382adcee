"""Equivariance: move the input of the synthesis network and see whether the picture moves, details and all.

StyleGAN3 (arXiv 2106.12423) was built for this; in StyleGAN2 details stick to pixel coordinates.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from core.gan.request import MoveRequest
from core.result import Result, Step, VideoResult

if TYPE_CHECKING:
    from torch import Tensor

    from core.gan.load import Gan
    from core.pipeline import Control

__all__ = ["MoveRequest", "eq_t", "generate"]


def shift_by(dx: float, dy: float) -> Tensor:
    """(1, 2, 3): the picture moves right and down by dx, dy in sides; an output position looks that much back."""
    import torch

    return torch.tensor([[[1.0, 0.0, -dx], [0.0, 1.0, -dy]]])


def turn_by(angle: float) -> Tensor:
    """(1, 2, 3): the picture turns clockwise by `angle` radians around its centre."""
    import torch

    c, s = math.cos(angle), math.sin(angle)
    return torch.tensor([[[c, s, 0.0], [-s, c, 0.0]]])


def generate(request: MoveRequest, control: Control, gan: Gan) -> Iterator[Step | Result]:
    """Yield a step every fourth frame, then a VideoResult that swings from side to side and loops.

    extras: offsets (T,) pixels or degrees; slice (T, 64, 3) uint8: the middle row of every frame, one below the
    other: lines that follow the swing are details that move, upright lines are details that stick;
    undone (T, 64, 3): the same rows moved back by the known offset (translation only).
    """
    import torch

    from core.gan.latent import draw, picture, rows_that, spread, to_w

    frames, offsets, undone = [], [], []
    with torch.inference_mode():
        z, c, noise, _ = draw(gan, request.seed, rows_that(gan, request.wanted()))
        ws = spread(gan, to_w(gan, z, c, request.truncation_psi))
        noise = noise if request.noise else None
        for i in range(request.frames):
            if i and control.stopped:
                break
            swing = math.sin(2 * math.pi * i / request.frames) * request.amount
            if request.motion == "translation":
                offset, move = swing, shift_by(swing / 64, 0.0)
            else:
                offset, move = 4 * swing, turn_by(math.radians(4 * swing))
            frame, _ = picture(gan, ws, noise, move=move)
            frames.append(frame)
            offsets.append(offset)
            if request.motion == "translation":
                row, x = frame[32].astype(np.float32), np.arange(64)
                undone.append(np.stack([np.interp(x + offset, x, row[:, k]) for k in range(3)], 1))
            if (i + 1) % 4 == 0:
                yield Step("generate", i + 1, request.frames, preview=frame)
    done = len(frames)
    extras = {"offsets": np.array(offsets, np.float32), "slice": np.stack([f[32] for f in frames])}
    if undone:
        extras["undone"] = np.stack(undone).round().astype(np.uint8)
    yield VideoResult(
        request,
        steps_run=done,
        model_calls=done,
        complete=done == request.frames,
        frames=np.stack(frames),
        fps=float(request.fps),
        seeds=[request.seed],
        extras=extras,
    )


def eq_t(gan: Gan, count: int = 64, seed: int = 0, reach: float = 1 / 8) -> float:
    """EQ-T in dB: 10 log10(I_max^2 / E[(g(t[z]) - t[g(z)])^2]), I_max = 2 (StyleGAN3, section 2 and appendix E.2).

    t: whole pixels, uniform in +-`reach` of the side along both axes; only pixels that both pictures hold count.
    Noise off, since its pictures do not move.
    """
    import torch

    from core.gan.latent import draw, rows_that, spread, to_w

    errors, rows = [], rows_that(gan, {})
    offsets = np.random.default_rng(seed).integers(-int(64 * reach), int(64 * reach) + 1, (count, 2))
    with torch.inference_mode():
        for i in range(count):
            z, c, _, _ = draw(gan, seed + i, rows)
            ws = spread(gan, to_w(gan, z, c, 1.0))
            dx, dy = (int(v) for v in offsets[i])
            still = gan.generator.synthesis(ws, None, move=shift_by(0.0, 0.0))
            moved = gan.generator.synthesis(ws, None, move=shift_by(dx / 64, dy / 64))
            here = moved[..., max(dy, 0) : 64 + min(dy, 0), max(dx, 0) : 64 + min(dx, 0)]
            there = still[..., max(-dy, 0) : 64 + min(-dy, 0), max(-dx, 0) : 64 + min(-dx, 0)]
            errors.append(float((here - there).square().mean()))
    return 10 * math.log10(4 / np.mean(errors))
