"""Side by side: schedulers against a long reference, models against each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st

from core import catalog
from core.diffusion.request import DiffusionRequest
from ui import style
from ui.diffusion_cfg import scores
from ui.diffusion_grid import run_one, wrapped
from ui.diffusion_rail import default, samplers

REFERENCE_STEPS = 100


def schedulers(result: Any) -> None:
    """Samplers from the same noise: distance to a long reference against model calls and time."""
    import plotly.graph_objects as go

    base: DiffusionRequest = result.request.replace(record=False, latents=b"", start_time=0.0)
    flow = "Flow Euler" in samplers(base.model)
    names = st.multiselect(
        "Schedulers", samplers(base.model)[1:], key="schedulers_names",
        default=list(samplers(base.model)[1:3]) if flow else ["DDIM", "Euler ancestral", "Heun", "DPM++ 2M", "UniPC"],
    )  # fmt: skip
    steps = st.segmented_control("Steps", [4, 8, 12, 20, 30], default=8, required=True, key="schedulers_steps")
    compare = st.toggle(
        f"Compute, with a reference of {REFERENCE_STEPS} steps", key="schedulers_on",
        help="The reference takes the longest; it is kept for this prompt and seed.",
    )  # fmt: skip
    if not compare or not names:
        return
    requests = [base.replace(scheduler=name, num_inference_steps=int(steps or 8), eta=0.0) for name in names]
    results = wrapped(requests, names, key="schedulers", width=4)
    solver = "Flow Euler" if flow else "DDIM"
    reference = run_one(
        base.replace(scheduler=solver, num_inference_steps=REFERENCE_STEPS, eta=0.0), "reference",
        f"Reference: {solver}, {REFERENCE_STEPS} steps",
    )  # fmt: skip
    if reference is None:
        return
    rows = []
    for name, one in zip(names, results, strict=True):
        if one is None:
            continue
        gap = float(np.sqrt(((one.images[0].astype(np.float32) - reference.images[0]) ** 2).mean()))
        rows.append(
            {
                "scheduler": name,
                "model calls": one.model_calls,
                "seconds": round(one.seconds, 2),
                "distance to reference (RMS of 255)": round(gap, 1),
                "attributes right (%)": round(100 * scores(one)["attributes right"]),
            }
        )
    st.dataframe(rows, hide_index=True)
    figure = style.figure(xaxis_title="model calls", yaxis_title="RMS distance to the reference")
    figure.add_trace(
        go.Scatter(
            x=[row["model calls"] for row in rows],
            y=[row["distance to reference (RMS of 255)"] for row in rows],
            text=[row["scheduler"] for row in rows],
            mode="markers+text", textposition="top center", marker={"size": 11, "color": style.color("diffusion")},
        )
    )  # fmt: skip
    st.plotly_chart(figure, key="schedulers_plot")
    st.caption(
        "Deterministic solvers approach the reference with more calls. Ancestral and DDPM samplers draw fresh noise, "
        "so they end at another picture of the same prompt: far from the reference is not worse there."
    )


def models(result: Any, ids: list[str]) -> None:
    """Every text-to-image model on the same prompt and seed, each at the settings it is meant for."""
    base: DiffusionRequest = result.request
    requests, labels = [], []
    for model in ids:
        settings: dict[str, Any] = {
            "num_inference_steps": int(default(model, "num_inference_steps", 20)),
            "guidance_scale": float(default(model, "guidance_scale", 3.0)),
        }
        requests.append(DiffusionRequest(model=model, prompt=base.prompt, seed=base.seed, **settings))
        labels.append(model)
    results = wrapped(requests, labels, key="models", width=4)
    rows = []
    for one in results:
        if one is None:
            continue
        card = catalog.card(one.request.model)
        figures = scores(one)
        rows.append(
            {
                "model": card.title,
                "family": style.FAMILY_NAMES.get(card.family, card.family),
                "parameters (M)": round(card.parameters / 1e6, 2),
                "steps": one.steps_run,
                "model calls": one.model_calls,
                "seconds": round(one.seconds, 2),
                "ms a call": round(1000 * one.seconds / max(1, one.model_calls)),
                "attributes right (%)": round(100 * figures["attributes right"]),
                "size (px)": one.images.shape[1],
            }
        )
    if rows:
        st.dataframe(rows, hide_index=True)
        st.caption("One picture each: seconds are of this run; for quality over many prompts see each model's card.")
