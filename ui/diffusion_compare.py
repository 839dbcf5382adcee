"""Side by side: schedulers against a long reference, models against each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st
from PIL import Image

from core import catalog
from core.diffusion.request import DiffusionRequest
from core.errors import LabError
from ui import style, tables
from ui.diffusion_grid import run_one, wrapped
from ui.diffusion_rail import default, samplers
from ui.diffusion_rail import models as cards
from ui.diffusion_scores import row
from ui.result import enlarge

REFERENCE_STEPS = 200
PIXEL = "pixel-ddpm"


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
                **row(one),
            }
        )
    tables.table(rows)
    figure = style.figure(xaxis_title="model calls", yaxis_title="RMS distance to the reference")
    figure.add_trace(
        go.Scatter(
            x=[line["model calls"] for line in rows],
            y=[line["distance to reference (RMS of 255)"] for line in rows],
            text=[line["scheduler"] for line in rows],
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
    st.markdown(
        "Same data, same latents, same prompt and seed: a U-Net with CLIP's words, its student of few steps, and a "
        "transformer of the same size with T5's words, trained by flow matching."
        if "latent-dit" in ids
        else "Same data, same latents, same prompt and seed."
    )
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
        rows.append(
            {
                "model": card.title,
                "family": style.FAMILY_NAMES.get(card.family, card.family),
                "network (M)": card.extra.get("network_m"),
                "MFLOP a call": card.extra.get("mflop"),
                "steps": one.steps_run,
                "model calls": one.model_calls,
                "seconds": round(one.seconds, 2),
                "ms a call": round(1000 * one.seconds / max(1, one.model_calls)),
                **row(one),
                "size (px)": one.images.shape[1],
            }
        )
    if rows:
        tables.table(rows)
        st.caption("One picture each: seconds are of this run; for quality over many prompts see each model's card.")


def pixel(result: Any) -> None:
    """The same network on latents and on pixels, timed now; and our pixel model's run beside the latent one's."""
    from core.diffusion.cost import CostRequest, seconds_a_picture

    base: DiffusionRequest = result.request
    model = base.model if base.model != PIXEL else "latent-diffusion"
    timed = run_one(CostRequest(model=model), "cost", "Timing the network on latents and on pixels")
    if timed is not None:
        found = timed.extras
        steps = int(default(model, "num_inference_steps", 20))
        latent, pixels = seconds_a_picture(found, steps)
        together = seconds_a_picture(found, steps, "sheet_")
        side = found["side"]
        st.markdown(
            f"At {side} px a picture made on latents is **{pixels / latent:.1f} times cheaper** than one made on pixels, and "
            f"**{together[1] / together[0]:.1f} times** when {found['sheet']} are made at once, where calling the layers "
            f"counts for less: the same network has {found['pixel_numbers']:,} numbers to denoise in place of {found['latent_numbers']:,}, "
            "and the autoencoder decodes once, at the end."
        )
        tables.table(
            [
                _cost(f"latents of a {side} px picture", found, "latent", steps, latent),
                _cost(f"pixels, {side} px", found, "pixel", steps, pixels),
            ]
        )
        st.caption(
            f"The least processor time of {timed.steps_run} alternating windows, just now. The pixel twin has the latent network's "
            "configuration with three channels in and out, and random weights: time does not depend on them."
        )
    if any(card.id == PIXEL for card in cards()):
        _pixel_run(base.seed)


def _cost(name: str, found: dict[str, Any], kind: str, steps: int, seconds: float) -> dict[str, Any]:
    parameters = found["parameters" if kind == "latent" else "pixel_parameters"]
    return {
        "works on": name,
        "parameters (M)": round(parameters / 1e6, 2),
        "numbers": found[f"{kind}_numbers"],
        "ms a guided step": round(found[f"{kind}_ms"], 1),
        "steps": steps,
        "decoding (ms)": round(found["decode_ms"], 1) if kind == "latent" else None,
        "seconds a picture": round(seconds, 2),
    }


def _pixel_run(seed: int) -> None:
    """Our own pixel model, trained at 32 px without words, step by step."""
    from ui.diffusion_scrubber import View, scrubber
    from ui.diffusion_steps import first_channels, notes, record_of

    st.markdown("Our pixel model, trained at 32 px without words. No decoder: what it holds is the picture itself.")
    request = DiffusionRequest(
        model=PIXEL, seed=seed, scheduler="DDIM", record=True, guidance_scale=1.0,
        num_inference_steps=int(default(PIXEL, "num_inference_steps", 50)),
    )  # fmt: skip
    result = run_one(request, "pixel", "Denoising pixels")
    record = record_of(result)
    if record is None:
        return
    scrubber(
        [
            View("x_t", "noisy pixels", record["x_pictures"]),
            View("x̂₀", "predicted clean picture", record["x0_pictures"]),
            View("ε̂", "predicted noise, red, green and blue", first_channels(record["eps"])),
        ],
        notes(record), key="pixel_scrubber", identity=result.request.digest(), least=130,
    )  # fmt: skip


def nearest(result: Any) -> None:
    """Is it a copy? The picture beside the training portraits that are most like it."""
    try:
        strip, distances, usual = _nearest(result.request.digest(), result.images[:1])
    except LabError as error:
        st.info(str(error))
        return
    names = ["this picture", *[f"distance {d:.1f}" for d in distances]]
    for column, picture, name in zip(st.columns(len(strip)), strip, names, strict=True):
        column.image(enlarge(picture), caption=name, alt=name)
    quality = catalog.card(result.request.model).quality
    share = quality.get("near_copies")
    st.caption(
        f"The {len(distances)} nearest of 2,000 training portraits, by features of a network that knows photographs. "
        f"A real portrait that nobody trained on lies {usual:.1f} from its nearest one (median); a copy would lie well below that. "
        + (
            f"All training portraits were searched for the card: {100 * share:.1f} % of {quality.get('prompts', 'its')} "
            f"generated pictures are nearly equal to one, {100 * quality.get('near_copies_real', 0):.1f} % of real held-out ones."
            if isinstance(share, (int, float))
            else ""
        )
    )


@st.cache_data(max_entries=20, show_spinner=False)
def _nearest(digest: str, _images: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """(picture and its 5 neighbours (6, 64, 64, 3), their distances (5,), the median distance of real ones)."""
    from core.metrics.portraits import SIDE, Reference
    from core.runtime.models import lease

    picture = np.asarray(Image.fromarray(_images[0]).resize((SIDE, SIDE), Image.Resampling.NEAREST))[None]
    with lease("efficientnet-lite0") as (network,):
        judge = Reference.load()
        rows, distances = judge.neighbours(picture, network, 5)
    return np.concatenate([picture, judge.pictures[rows[0]]]), distances[0], judge.real["neighbour"]
