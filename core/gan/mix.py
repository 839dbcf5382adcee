"""Style mixing: the rows' samples with the columns' styles in a range of layers (StyleGAN, section 3.1)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from core.errors import BadRequest
from core.gan.request import MixRequest
from core.result import ImageResult, Result, Step

if TYPE_CHECKING:
    from core.gan.load import Gan
    from core.pipeline import Control

__all__ = ["MixRequest", "generate"]


def generate(request: MixRequest, control: Control, gan: Gan) -> Iterator[Step | Result]:
    """Yield a step a row, then an ImageResult of rows * columns mixtures, row by row.

    extras: rows (R, H, W, 3) and columns (C, H, W, 3) uint8: the unmixed sources; layers: resolution of each layer.
    """
    import torch

    from core.gan.latent import draw, picture, rows_that, spread, to_w

    sizes = gan.generator.layer_sizes()
    if request.first_layer >= len(sizes):
        raise BadRequest(f"{gan.id} has layers 0 to {len(sizes) - 1}; lower first_layer.")
    chosen = slice(request.first_layer, request.last_layer + 1)
    with torch.inference_mode():
        table = rows_that(gan, request.wanted())

        def sources(first: int, count: int) -> list[tuple[torch.Tensor, list[torch.Tensor] | None, np.ndarray]]:
            found = []
            for seed in range(first, first + count):
                z, c, noise, _ = draw(gan, seed % 2**32, table)
                ws = spread(gan, to_w(gan, z, c, request.truncation_psi)).clone()
                noise = noise if request.noise else None
                found.append((ws, noise, picture(gan, ws, noise)[0]))
            return found

        rows = sources(request.seed, request.rows)
        columns = sources(request.column_seed, request.columns)
        images = []
        for number, (base, noise, _) in enumerate(rows):
            if number and control.stopped:
                break
            for styles, _, _ in columns:
                ws = base.clone()
                ws[:, chosen] = styles[:, chosen]
                images.append(picture(gan, ws, noise)[0])
            yield Step("generate", number + 1, request.rows, preview=np.stack(images))
    yield ImageResult(
        request,
        steps_run=len(images),
        model_calls=len(images) + len(rows) + len(columns),
        complete=len(images) == request.rows * request.columns,
        images=np.stack(images),
        seeds=[(request.seed + i // request.columns) % 2**32 for i in range(len(images))],
        extras={"rows": np.stack([r[2] for r in rows]), "columns": np.stack([c[2] for c in columns]), "layers": sizes},
    )
