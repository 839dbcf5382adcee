"""The CFG explorer: its strip, why guidance works, guiders, presets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import streamlit as st

from core.diffusion.forward import to_uint8
from core.diffusion.request import GUIDER_KINDS, GUIDERS, DiffusionRequest
from core.errors import BadRequest, LabError
from ui import style, tables
from ui.diffusion_grid import files, grid, run_one, wrapped
from ui.diffusion_scores import percent, score_line, scores
from ui.diffusion_scrubber import View, scrubber
from ui.diffusion_steps import notes, record_of

SCALES = "0, 1, 2, 3, 4, 7.5, 15, 30"


def numbers(text: str, low: float, high: float, most: int = 9) -> list[float]:
    """ "1, 2, 4" -> [1.0, 2.0, 4.0]. Raises BadRequest, one sentence, for what is no list of numbers in range."""
    try:
        values = [float(part) for part in text.replace(";", ",").split(",") if part.strip()]
    except ValueError:
        raise BadRequest(f"“{text[:40]}” is no list of numbers; write for example {SCALES}.") from None
    if not values or len(values) > most:
        raise BadRequest(f"Give one to {most} numbers, with commas between.")
    if not all(low <= value <= high for value in values):
        raise BadRequest(f"Every number must lie from {low:g} to {high:g}.")
    return list(dict.fromkeys(values))


# --- the stage --------------------------------------------------------------------------------------------------------
def strip(request: DiffusionRequest, scales: Sequence[float], seeds: int) -> list[list[Any]]:
    """The matrix of guidance (columns) and seeds (rows), noise shared along a row."""
    rows = [request.replace(seed=(request.seed + i) % 2**32) for i in range(seeds)]
    cells = [[row.replace(guidance_scale=scale) for scale in scales] for row in rows]
    if seeds == 1:
        results = [wrapped(cells[0], [f"w = {scale:g}" for scale in scales], key="strip", under=score_line)]
    else:
        names = [f"w = {scale:g}" for scale in scales]
        results = grid(cells, [f"seed {row.seed}" for row in rows], names, key="strip", under=score_line)
    table = [
        {
            "seed": r.request.seed,
            "guidance_scale": r.request.guidance_scale,
            **scores(r),
            "seconds": round(r.seconds, 3),
        }
        for row in results
        for r in row
        if r is not None
    ]
    if table:
        st.caption(
            "Under each picture: guidance w, and the share of the attributes named in the prompt that the held-out "
            "classifier sees in it."
        )
        files(
            results, [f"seed {row.seed}" for row in rows], [f"w = {s:g}" for s in scales], "guidance by seed", table,
            key="strip_files",
        )  # fmt: skip
    return results


# --- Why it works -----------------------------------------------------------------------------------------------------
def why(request: DiffusionRequest, scales: Sequence[float]) -> None:
    """Inside one guided run: the two predictions, their difference, the result; norm, angle, saturation by step."""
    choices = [scale for scale in scales if scale not in (0.0, 1.0)]
    if not choices:
        st.info("At w = 0 and w = 1 only one prediction is used; add a larger guidance to the list.")
        return
    middle = min(choices, key=lambda scale: abs(scale - 5))
    scale = st.segmented_control(
        "Guidance looked into", choices, default=middle, required=True, format_func=lambda s: f"w = {s:g}", key="why_w"
    )
    looked = request.replace(guidance_scale=float(scale), record=True)
    result = run_one(looked, "why", "Recording a run with both predictions")
    if result is not None:
        _why(result)


def _why(result: Any) -> None:
    record = record_of(result)
    if record is None or "cond" not in record:
        st.info("This run made only one prediction a step; choose a guidance other than 0 and 1.")
        return
    other = "uncond" if "uncond" in record else "weak"
    believed = _decoded(result.request.digest(), result.request.model, record[f"{other}_x0"], record["cond_x0"])
    gap = record["cond"] - record[other]  # (S, C, h, w)
    size = np.abs(gap).mean(1)
    heat = np.clip(255 * size / (np.percentile(size, 99.5) + 1e-6), 0, 255).astype(np.uint8)
    scrubber(
        [
            View("Without the prompt", "clean picture believed from ε̂(x_t)", believed[0]),
            View("With the prompt", "clean picture believed from ε̂(x_t, prompt)", believed[1]),
            View("Difference", "where they differ: |ε̂ prompt − ε̂ none|", np.repeat(heat[..., None], 3, -1)),
            View(f"Guided, w = {result.request.guidance_scale:g}", "the difference, w times: what is really used",
                 record["x0_pictures"]),
        ],
        notes(record), key="why_scrubber", identity=f"why{result.request.digest()}", start=len(record["times"]) // 3,
        least=140,
    )  # fmt: skip
    _why_curves(record, other, believed[2])
    st.caption(
        "Both predictions see the same noisy picture. A gap of the noise moves the believed clean picture by σ/α times "
        "as much: early, where noise is strong, the push decides what is there at all; late it only adds contrast. "
        "An angle near 0° means that the difference only makes the same prediction stronger."
    )


@st.cache_data(max_entries=6, show_spinner=False)
def _decoded(digest: str, model: str, _other: np.ndarray, _cond: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Latents (S, C, h, w) of both beliefs -> pictures (S, H, W, 3), and the usual size of a clean latent."""
    import torch

    from core.runtime.models import lease

    with lease(model) as (loaded,), torch.inference_mode():
        both = [loaded.quick(torch.from_numpy(part).to(loaded.device)).permute(0, 2, 3, 1) for part in (_other, _cond)]
    usual = float(np.abs(_cond[-1]).max())
    return to_uint8(both[0].cpu().numpy()), to_uint8(both[1].cpu().numpy()), usual


def _why_curves(record: dict[str, Any], other: str, usual: float) -> None:
    import plotly.graph_objects as go

    steps = np.arange(1, len(record["times"]) + 1)
    cond, uncond, guided = (record[name].reshape(len(steps), -1) for name in ("cond", other, "eps"))
    length = np.linalg.norm
    ratio = 100 * length(cond - uncond, axis=1) / length(uncond, axis=1)
    gap = cond - uncond
    cosine = (gap * uncond).sum(1) / (length(gap, axis=1) * length(uncond, axis=1) + 1e-9)
    beyond = 100 * (np.abs(record["x0"]) > usual).mean((1, 2, 3))
    clean = length((record["cond_x0"] - record[f"{other}_x0"]).reshape(len(steps), -1), axis=1)
    clean = 100 * clean / length(record[f"{other}_x0"].reshape(len(steps), -1), axis=1)
    left, middle, right = st.columns(3)
    hue = style.color("diffusion")
    for column, title, unit, values, key in (
        (left, "Size of the difference", "% of its length without prompt", ratio, "why_size"),
        (
            middle,
            "Angle of difference to ε̂ none",
            "degrees",
            np.degrees(np.arccos(np.clip(cosine, -1, 1))),
            "why_angle",
        ),
        (right, "Guided x̂₀ beyond the unguided range", "% of latent values", beyond, "why_beyond"),
    ):
        figure = style.figure(title=title, xaxis_title="step", yaxis_title=unit, height=260)
        name = "noise ε̂" if key == "why_size" else unit
        figure.add_trace(go.Scatter(x=steps, y=values, line_color=hue, mode="lines+markers", name=name))
        if key == "why_size":
            figure.add_trace(
                go.Scatter(
                    x=steps, y=clean, line_color=style.color("flow"), mode="lines+markers", name="clean picture x̂₀"
                )
            )
            figure.update_layout(legend={"orientation": "h", "y": -0.4})
        column.plotly_chart(figure, key=key)
    longer = length(guided, axis=1) / length(cond, axis=1)
    begins = next((int(step) for step, share in zip(steps, beyond, strict=True) if share > 0.5), None)
    st.markdown(
        f"Guidance changes the length of the predicted noise by **{100 * (longer.mean() - 1):+.1f} %** on average. "
        + (f"Saturation begins at **step {begins}**: more than 0.5 % of x̂₀ leaves the range of the unguided belief."
           if begins else "No saturation: x̂₀ stays within the range of the unguided belief.")
    )  # fmt: skip


# --- Guiders ----------------------------------------------------------------------------------------------------------
BENT: dict[str, tuple[str, dict[str, Any]]] = {  # standard guidance with one more setting
    "interval": ("CFG from 35 % to 55 % of the steps only; w = 1 before and after.",
                 {"guidance_start": 0.35, "guidance_stop": 0.55}),
    "rescale": ("CFG, its contrast pulled back to that of the unguided prediction, φ = 0.7.", {"guidance_rescale": 0.7}),
}  # fmt: skip


def guiders(request: DiffusionRequest) -> None:
    """diffusers' guiders on one seed."""
    scale = st.slider("Guidance w of all", 1.5, 15.0, 5.0, 0.5, key="guiders_w")
    names = st.multiselect(
        "Guiders", [*GUIDERS, *BENT],
        default=["cfg", "interval", "rescale", "zero-star", "adaptive projected", "tangential", "perturbed attention",
                 "dynamic threshold"],
        key="guiders_names",
    )  # fmt: skip
    if not names:
        st.info("Choose at least one guider.")
        return
    cells = [
        request.replace(
            **({"guider": "cfg"} | BENT[name][1] if name in BENT else {"guider": name}), guidance_scale=scale
        )
        for name in names
    ]
    results = wrapped(cells, names, key="guiders", width=4)
    table = [
        {
            "guider": name,
            **{k: round(v, 3) for k, v in scores(result).items()},
            "model calls": result.model_calls,
            "seconds": round(result.seconds, 2),
            "what it does": BENT[name][0] if name in BENT else GUIDER_KINDS[name][2],
        }
        for name, result in zip(names, results, strict=True)
        if result is not None
    ]
    if table:
        tables.table(table)


# --- Presets ----------------------------------------------------------------------------------------------------------
def presets() -> None:
    """Each preset run on four seeds and measured, so that it shows what it says, or says that it does not."""
    from core.diffusion.presets import PRESETS, figures, holds, real_saturation
    from core.runtime.models import lease

    st.markdown(
        "Six states of guidance of our U-Net, with prompts and seeds of their own, each measured below against what it says."
    )
    if not st.toggle("Compute 6 x 4 pictures", key="presets_on"):
        return
    results = wrapped([request for _, request in PRESETS.values()], list(PRESETS), key="presets", width=3, scale=2)
    if any(result is None for result in results):
        return
    try:
        with lease("attributes-b") as (classifier,):
            found = {
                name: figures(result.images, result.request.prompt, classifier)
                for name, result in zip(PRESETS, results, strict=True)
            }
        real = real_saturation()
    except LabError as error:
        st.info(str(error))
        return
    shown = holds(found, real)
    tables.table(
        [
            {
                "preset": name,
                "shows what it says": "yes" if shown[name] else "no",
                "attributes right (%)": percent(row["right"]),
                "wears glasses (of 4)": row["glasses"],
                "saturation": round(row["saturation"], 3),
                "clipped (%)": round(100 * row["clipped"], 1),
                "what": PRESETS[name][0],
            }
            for name, row in found.items()
        ]
    )
    st.caption(
        f"The first four: “{PRESETS['balanced'][1].prompt}”; real portraits with most of that have a saturation of {real:.2f}. "
        f"The last two: “{PRESETS['glasses by themselves'][1].prompt}”. Four pictures are few: "
        "read large differences only. Attributes and glasses are read by the held-out classifier."
    )
