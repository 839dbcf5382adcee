"""From a seed to z, labels and w: one generator a sample, so that any sample can be made again alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from core.errors import BadRequest
from core.gan.labels import ATTRIBUTES, one_hot

if TYPE_CHECKING:
    from core.gan.load import Gan


def rows_that(gan: Gan, wanted: dict[str, str]) -> np.ndarray:
    """Label rows (M, 8) of the training set with the wanted values; without any such row, all rows made to fit."""
    if not gan.conditional:
        if wanted:
            raise BadRequest(f"{gan.id} knows no attributes; leave them at “any” or choose another model.")
        return np.zeros((1, len(ATTRIBUTES)), np.uint8)
    rows = gan.extras["labels"]
    columns = {list(ATTRIBUTES).index(k): ATTRIBUTES[k].index(v) for k, v in wanted.items()}
    fits = np.all([rows[:, i] == v for i, v in columns.items()], axis=0) if columns else np.ones(len(rows), bool)
    if fits.any():
        return rows[fits]
    rows = rows.copy()
    for i, value in columns.items():
        rows[:, i] = value
    return rows


def draw(gan: Gan, seed: int, rows: np.ndarray) -> tuple[Tensor, Tensor, list[Tensor] | None, np.ndarray]:
    """One sample's z (1, z_dim), labels (1, c_dim), noise pictures and label row (8,), all from one generator."""
    rng = torch.Generator().manual_seed(seed)
    z = torch.randn(1, gan.generator.z_dim, generator=rng)
    row = rows[int(torch.rand((), generator=rng, dtype=torch.float64) * len(rows))]
    c = one_hot(row[None]) if gan.conditional else torch.zeros(1, 0)
    noise = [torch.randn(1, 1, s, s, generator=rng) for s in gan.generator.noise_sizes()]
    return z, c, noise or None, row


def to_w(gan: Gan, z: Tensor, c: Tensor, psi: float) -> Tensor:
    """w (B, w_dim) with truncation; where there is no mapping network z is scaled instead (BigGAN's trick is close)."""
    g = gan.generator
    if not g.has_w:
        return g.mapping(z * psi, c)
    return g.w_avg + psi * (g.mapping(z, c) - g.w_avg)


def spread(gan: Gan, w: Tensor) -> Tensor:
    """(B, w_dim) -> (B, num_ws, w_dim): the same style for every layer."""
    return w.unsqueeze(1).expand(-1, gan.generator.num_ws, -1)


def picture(gan: Gan, ws: Tensor, noise: list[Tensor] | None, **more: object) -> tuple[np.ndarray, Tensor]:
    """One picture (H, W, 3) uint8 and its tensor (1, 3, H, W) from ws (1, num_ws, w_dim).

    Always a batch of one: kernels choose their summation order by batch size, so only then are the bytes of
    sample 5 the same alone and among 64.
    """
    x = gan.generator.synthesis(ws, noise, **more)
    return to_uint8(x)[0], x


def to_uint8(x: Tensor) -> np.ndarray:
    """(B, 3, H, W) in [-1, 1] -> (B, H, W, 3) uint8."""
    return ((x.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).contiguous().cpu().numpy()


def slerp(a: Tensor, b: Tensor, t: float) -> Tensor:
    """From a to b (B, D) at an even angular speed, lengths interpolated too; t from 0 to 1."""
    la, lb = a.norm(dim=1, keepdim=True), b.norm(dim=1, keepdim=True)
    angle = ((a / la) * (b / lb)).sum(1, keepdim=True).clamp(-1, 1).acos()
    if float(angle.min()) < 1e-4:
        return torch.lerp(a, b, t)
    way = (torch.sin((1 - t) * angle) * a / la + torch.sin(t * angle) * b / lb) / torch.sin(angle)
    return way * torch.lerp(la, lb, t)
