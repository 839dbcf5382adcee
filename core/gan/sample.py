"""Samples of a GAN, each with its latent, labels and the discriminator's score."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from core.gan.request import COMPONENTS, SLIDES, SampleRequest
from core.result import ImageResult, Result, Step

if TYPE_CHECKING:
    from core.gan.load import Gan
    from core.pipeline import Control

__all__ = ["SampleRequest", "generate"]


def generate(request: SampleRequest, control: Control, gan: Gan) -> Iterator[Step | Result]:
    """Yield a step every eighth sample, then an ImageResult.

    extras: z (N, z_dim), w (N, w_dim), scores (N,) logits of D, labels: one {attribute: value} a sample.
    """
    import torch

    from core.gan.labels import ATTRIBUTES
    from core.gan.latent import draw, picture, rows_that, spread, to_w

    seeds = request.sample_seeds(request.count)
    images, zs, ws, scores, labels = [], [], [], [], []
    with torch.inference_mode():
        rows, shift = rows_that(gan, request.wanted()), direction(request, gan)
        for i, seed in enumerate(seeds):
            if i and control.finishing:
                break
            z, c, noise, row = draw(gan, seed, rows)
            w = to_w(gan, z, c, request.truncation_psi)
            if shift is not None:
                w = w + shift
            image, x = picture(gan, spread(gan, w), noise if request.noise else None)
            images.append(image)
            zs.append(z[0].numpy())
            ws.append(w[0].numpy())
            scores.append(float(gan.discriminator(x, c)))
            labels.append({k: v[row[j]] for j, (k, v) in enumerate(ATTRIBUTES.items())} if gan.conditional else {})
            if (i + 1) % 8 == 0:
                yield Step("generate", i + 1, len(seeds), preview=np.stack(images))
    done = len(images)
    yield ImageResult(
        request,
        steps_run=done,
        model_calls=done,
        complete=done == len(seeds),
        images=np.stack(images),
        seeds=seeds[:done],
        extras={"z": np.stack(zs), "w": np.stack(ws), "scores": np.array(scores, np.float32), "labels": labels},
    )


def direction(request: SampleRequest, gan: Gan):  # type: ignore[no-untyped-def]
    """Sum of all sliders as one step in w, (w_dim,), or None when all stand at zero."""
    import torch

    total = None
    for name, size, amounts in (
        ("components", COMPONENTS, request.components()),
        ("slides", len(SLIDES), request.slides()),
    ):
        if any(amounts):
            table = torch.from_numpy(gan.extras[name]).float()[:size]  # (K, w_dim)
            step = torch.tensor(amounts) @ table
            total = step if total is None else total + step
    return total
