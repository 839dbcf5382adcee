"""The trade-off of guidance: adherence against variety, measured now, with bands, beside the stored run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import streamlit as st

from core import catalog
from core.diffusion.request import DiffusionRequest
from core.errors import LabError
from ui import style
from ui.diffusion_grid import wrapped
from ui.diffusion_scores import kept

# name in the card's sweep -> (title, unit, family whose colour it takes)
FIGURES = {
    "attributes_right": ("Attributes right", "% (held-out classifier)", "diffusion"),
    "clip_score": ("CLIP score", "cosine of picture and prompt", "flow"),
    "spread": ("Diversity", "RMS pixel distance of pairs", "vae"),
    "saturation": ("Saturation", "mean (max − min)", "gan"),
    "frechet": ("Distance to real portraits", "Frechet, 8 main directions", "autoregressive"),
}


def trade_off(request: DiffusionRequest, scales: Sequence[float]) -> None:
    """Five figures over the guidance list, on N samples computed now."""
    st.markdown(
        "Guidance buys adherence and pays with variety. Each point is N pictures of your prompt, made now; "
        "the bars are 95 % bootstrap intervals."
    )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        count = st.segmented_control("N", [4, 8, 16], default=8, required=True, key="sweep_n")
        start = st.toggle("Compute", key="sweep_on", help=f"{len(scales)} x N pictures, kept one guidance at a time.")
    if not start:
        return
    cells = [request.replace(guidance_scale=scale, count=int(count)) for scale in scales]
    results = wrapped(cells, [f"w = {s:g}" for s in scales], key="sweep", width=7, scale=1)
    there = [result for result in results if result is not None and len(result.images) > 1]
    if len(there) > 1:
        _plots(there)


def measured(result: Any, real: np.ndarray) -> dict[str, tuple[float, float, float]]:
    """name -> (value, low, high) of one result; a figure whose judge is not there is left out.

    real: (M, 320) features of the real portraits to compare with.
    """
    from core.diffusion import score
    from core.runtime.models import lease

    images, prompt = result.images, result.request.prompt
    mean: Callable[[np.ndarray], float] = lambda v: float(v.mean())  # noqa: E731
    found = {"spread": score.spread_with_band(images)}
    found["saturation"] = score.with_band(score.saturation(images), mean)
    for name, judge in (
        ("attributes_right", "attributes-b"),
        ("clip_score", "clip"),
        ("frechet", "efficientnet-lite0"),
    ):
        try:
            with lease(judge) as (model,):
                if name == "attributes_right":
                    found[name] = score.with_band(100 * score.right(model, images, prompt), mean)
                elif name == "clip_score":
                    found[name] = score.with_band(model.score(images, [score.plain(prompt)])[:, 0], mean)
                else:
                    found[name] = score.with_band(model.features(images), score.to_real(real), rounds=60)
        except LabError:  # not enough room for this judge: the others stand
            continue
    return found


def _plots(results: Sequence[Any]) -> None:
    import plotly.graph_objects as go

    from core.diffusion import score
    from core.metrics.portraits import Reference

    judge = Reference.load()
    alike, rows_alike = score.matching(judge.labels, score.named(results[0].request.prompt))
    real = judge.features[rows_alike]
    figures = [kept("_sweep_figures", r, partial(measured, r, real), 100) for r in results]
    scales = [result.request.guidance_scale for result in results]
    stored = catalog.card(results[0].request.model).extra.get("sweep") or []
    names = [name for name in FIGURES if all(name in row for row in figures)]
    for part in (names[:3], names[3:]):
        for column, name in zip(st.columns(3), part, strict=False):
            title, unit, hue = FIGURES[name]
            values = np.array([row[name] for row in figures])  # (W, 3): value, low, high
            error = {"array": values[:, 2] - values[:, 0], "arrayminus": values[:, 0] - values[:, 1], "type": "data"}
            figure = style.figure(title=title, xaxis_title="guidance w", yaxis_title=unit, height=280)
            figure.add_trace(
                go.Scatter(x=scales, y=values[:, 0], error_y=error, line_color=style.color(hue), name="now")
            )
            _stored(figure, stored, name)
            figure.update_layout(legend={"orientation": "h", "y": -0.35})
            column.plotly_chart(figure, key=f"trade_{name}")
    same = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in alike.items())
    st.caption(
        f"Distance to real portraits: N pictures cannot fill the 320 features, so the 8 main directions of "
        f"{len(rows_alike)} real portraits{f' with {same}' if same else ''} are compared; 0 is the same cloud. "
        + (
            f"Dotted: the stored run on {stored[0]['prompts']} held-out prompts (diversity: between pictures of one prompt); it compares "
            "with real portraits of all kinds."
            if stored
            else ""
        )
    )


def _stored(figure: Any, sweep: Sequence[dict[str, Any]], name: str) -> None:
    """The card's sweep over held-out prompts (training.measure_images) as a dotted line with its own bands."""
    import plotly.graph_objects as go

    points = [(row["w"], row[name]) for row in sweep if name in row]
    if not points:
        return
    x = [w for w, _ in points]
    y = np.array([value for _, value in points])  # (W, 3)
    error = {"array": y[:, 2] - y[:, 0], "arrayminus": y[:, 0] - y[:, 1], "type": "data", "thickness": 1}
    figure.add_trace(
        go.Scatter(
            x=x, y=y[:, 0], error_y=error, name="stored, many prompts", mode="markers+lines",
            line={"dash": "dot", "color": style.OTHER},
        )
    )  # fmt: skip
