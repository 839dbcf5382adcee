"""The X/Y/Z grid: any two or three settings against each other, as a labelled sheet and a CSV of scores."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from core.diffusion.request import DiffusionRequest
from core.errors import BadRequest
from ui.diffusion_grid import MOST_CELLS, files, grid
from ui.diffusion_rail import samplers
from ui.diffusion_scores import kept_scores, score_line

AXES = ("guidance", "steps", "scheduler", "seed", "prompt words", "guider", "negative prompt", "model")


def xyz(request: DiffusionRequest, models: Sequence[str]) -> None:
    """Any two or three settings against each other."""
    chosen = []
    defaults = (("guidance", "1, 3, 8"), ("prompt words", "smile, sad mouth"), ("none", ""))
    for column, label, (axis, values) in zip(
        st.columns(3), ("X (across)", "Y (down)", "Z (sheets)"), defaults, strict=True
    ):
        with column:
            name = st.selectbox(label, ("none", *AXES), index=("none", *AXES).index(axis), key=f"xyz_{label[0]}")
            help = "For prompt words: the word as it stands in the prompt first, then what replaces it."
            value = values if name == axis else _example(name, models)
            text = st.text_input("Values", value, key=f"xyz_{label[0]}_{name}", help=help, disabled=name == "none")
            chosen.append((name, _values(name, text)))
    (x, xs), (y, ys), (z, zs) = chosen
    cells = len(xs) * len(ys) * len(zs)
    if cells > MOST_CELLS:
        raise BadRequest(f"{cells} cells are too many; shorten the lists to at most {MOST_CELLS} cells.")
    if not st.toggle(f"Compute {cells} cells", key="xyz_on"):
        return
    for k, third in enumerate(zs):
        base = _with(request, z, zs, third)
        requests = [[_with(_with(base, y, ys, down), x, xs, across) for across in xs] for down in ys]
        corner = f"{z} = {third}" if z != "none" else ""
        results = grid(requests, list(ys), list(xs), key=f"xyz{k}", corner=corner, under=score_line)
        table = [
            {x: xs[c], y: ys[r], z: third, **kept_scores(result), "seconds": round(result.seconds, 3)}
            for r, row in enumerate(results)
            for c, result in enumerate(row)
            if result is not None
        ]
        files(results, list(ys), list(xs), f"{x} by {y} {corner}", table, key=f"xyz{k}_files")


def _example(axis: str, models: Sequence[str]) -> str:
    return {
        "guidance": "1, 3, 8", "steps": "4, 8, 20", "scheduler": "DDIM, Euler ancestral, DPM++ 2M", "seed": "1, 2, 3",
        "prompt words": "smile, sad mouth", "guider": "cfg, adaptive projected", "negative prompt": "none, glasses",
        "model": ", ".join(models[:4]),
    }.get(axis, "")  # fmt: skip


def _values(axis: str, text: str) -> list[str]:
    if axis == "none":
        return [""]
    values = [part.strip() for part in text.split(",") if part.strip()]
    if not values:
        raise BadRequest(f"Give at least one value for {axis}, with commas between.")
    return values[:9]


def _with(request: DiffusionRequest, axis: str, values: Sequence[str], value: str) -> DiffusionRequest:
    """The request with one axis set. Raises BadRequest for a value that does not fit."""
    if axis == "none":
        return request
    if axis == "prompt words":
        if values[0] not in request.prompt:
            raise BadRequest(f"“{values[0]}” does not stand in the prompt; begin the list with a word that does.")
        return request.replace(prompt=request.prompt.replace(values[0], value))
    if axis == "negative prompt":
        return request.replace(negative_prompt="" if value == "none" else value)
    if axis == "scheduler" and value not in samplers(request.model):
        raise BadRequest(f"“{value}” does not fit; choose among {', '.join(samplers(request.model))}.")
    field = {"guidance": "guidance_scale", "steps": "num_inference_steps"}.get(axis, axis)
    changed = DiffusionRequest.from_dict({field: value})
    return request.replace(**{field: getattr(changed, field)})
