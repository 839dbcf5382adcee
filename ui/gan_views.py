"""How GAN results are shown: a sheet of samples with D's scores, clips, mixing tables, neighbours."""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st

from core.result import ImageResult, VideoResult
from ui.result import enlarge
from ui.video_views import player


def columns_for(count: int) -> int:
    """Columns of a sheet that is wider than high."""
    return max(1, min(8, int(np.ceil(np.sqrt(count * 1.6)))))


def sheet(images: np.ndarray, columns: int, gap: int = 2) -> np.ndarray:
    """(N, H, W, 3) to one picture with clear seams, enlarged by whole pixels."""
    n, h, w, _ = images.shape
    rows = -(-n // columns)
    page = np.full((rows * (h + gap) - gap, columns * (w + gap) - gap, 3), 255, np.uint8)
    for i, image in enumerate(images):
        y, x = divmod(i, columns)
        page[y * (h + gap) : y * (h + gap) + h, x * (w + gap) : x * (w + gap) + w] = image
    return enlarge(page, 700)


def samples(result: ImageResult) -> None:
    """The stage: all samples in reading order."""
    request = result.request
    st.image(
        sheet(result.images, columns_for(len(result.images))),
        width="stretch",
        alt=f"{len(result.images)} portraits by {request.model}, seeds from {result.seeds[0] if result.seeds else 0}",
    )
    st.caption(
        f"{len(result.images)} samples of 64 x 64 pixels by {request.model}, seeds {result.seeds[0]} to "
        f"{result.seeds[-1]} in reading order, ψ = {getattr(request, 'truncation_psi', 1):g}."
        if result.seeds
        else ""
    )


def preview(job: Any) -> None:
    """The samples so far."""
    if job.preview is not None:
        pictures = job.preview if job.preview.ndim == 4 else job.preview[None]
        st.image(sheet(pictures, columns_for(len(pictures))), width="stretch", alt="the samples so far")


def scored(result: ImageResult) -> None:
    """Samples in the order of the discriminator's score, best first, with the score under each."""
    scores = np.asarray(result.extras["scores"])
    order = np.argsort(-scores)
    st.caption(
        "Each sample's logit by the model's own discriminator, highest first: what D still takes for real. Scores of "
        "two models have different scales."
    )
    shown = np.concatenate([order[:6], order[-6:]]) if len(order) > 12 else order
    for start in range(0, len(shown), 6):
        for area, i in zip(st.columns(6), shown[start : start + 6], strict=False):
            area.image(
                enlarge(result.images[i], 192),
                width="stretch",
                alt=f"seed {result.seeds[i]}",
                caption=f"{scores[i]:+.2f} · seed {result.seeds[i]}",
            )


def clip(result: VideoResult) -> None:
    """A looping clip of bounded width."""
    player(result.frames, result.fps, f"clip by {result.request.model}", width=min(900, 8 * result.frames.shape[2]))
    st.caption(
        f"{len(result.frames)} frames of {result.frames.shape[2]} x {result.frames.shape[1]} pixels, "
        f"{result.fps:g} a second."
    )


def mixture(result: Any) -> None:
    """The mixing table: sources on the edges, mixtures inside."""
    rows, columns = result.extras["rows"], result.extras["columns"]
    side = rows.shape[1]
    blank = np.full((1, side, side, 3), 255, np.uint8)
    lines = [np.concatenate([blank, columns])]
    for i, row in enumerate(rows):
        inside = result.images[i * len(columns) : (i + 1) * len(columns)]
        if len(inside) == len(columns):
            lines.append(np.concatenate([row[None], inside]))
    st.image(sheet(np.concatenate(lines), len(columns) + 1, 4), width="stretch", alt="style mixing table")
    sizes = result.extras["layers"]
    first, last = result.request.first_layer, min(result.request.last_layer, len(sizes) - 1)
    st.caption(
        f"Top row gives the styles of layers {first} to {last} ({sizes[first]} to {sizes[last]} pixels), left column "
        "all the others. Early layers set the style of drawing and the hair cut, late ones the colours."
    )


def projected(result: ImageResult) -> None:
    """Target, projection, and the loss on the way."""
    from ui import style

    left, middle, right = st.columns([1, 1, 2])
    left.image(
        enlarge(result.extras["target"]), width="stretch", caption="Given, cropped to 64 x 64", alt="given picture"
    )
    middle.image(
        enlarge(result.images[0]),
        width="stretch",
        alt="projection",
        caption=f"Nearest found: mean error {result.extras['distance']:.1f} of 255",
    )
    figure = style.figure(height=260, xaxis_title="iteration", yaxis_title="loss")
    figure.add_scatter(y=result.extras["losses"], line={"color": style.color("gan")}, name="loss")
    right.plotly_chart(figure, key="_project_loss", alt="loss over the iterations")


def sticking(result: Any) -> None:
    """The moving picture, and its middle row over time: details that move draw slanted lines, stuck ones upright."""
    left, right = st.columns(2)
    with left:
        player(result.frames, result.fps, f"{result.request.motion} by {result.request.model}")
        st.caption(f"{result.request.model}: the input of the synthesis network is moved, nothing else.")
    slab = result.extras.get("undone", result.extras["slice"])
    with right:
        st.image(slab.repeat(8, 0).repeat(8, 1), width="stretch", alt="middle row over time")
        st.caption(
            "Middle row of each frame, time downwards"
            + (
                ", moved back by the known offset: upright lines are details that moved along, wavy ones are stuck "
                "to the screen."
                if "undone" in result.extras
                else "."
            )
        )


def neighbours(result: ImageResult) -> None:
    """Each sample beside the training portraits nearest to it."""
    real = result.extras["real"].get("neighbour")
    st.caption(
        "Left: sample. Right: the three nearest of 2,000 training portraits in feature space, with distances."
        + (f" A held-out real portrait lies {real:.1f} from its nearest one (median)." if real else "")
        + " Much smaller distances would be copies."
    )
    for i in range(0, len(result.images), 2):
        for area, j in zip(st.columns(2), range(i, min(i + 2, len(result.images))), strict=False):
            page = np.concatenate([result.images[j][None], result.extras["neighbours"][j]])
            words = " · ".join(f"{d:.1f}" for d in result.extras["distances"][j])
            area.image(
                sheet(page, 4), width="stretch", caption=words, alt="a sample and its nearest training portraits"
            )
