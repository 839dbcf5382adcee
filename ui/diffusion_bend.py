"""Lenses that bend the run on the stage: branch, poke, paint (image to image, inpainting), walk."""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st

from core.diffusion.request import DiffusionRequest
from core.errors import BadRequest
from ui.controls import read_picture, upload
from ui.diffusion_grid import run_one, wrapped
from ui.diffusion_rail import samplers
from ui.diffusion_scrubber import View, gif, scrubber
from ui.diffusion_steps import notes, record_of
from ui.result import picture

REGIONS = {  # of a portrait, as shares of its side: top, bottom, left, right
    "eyes": (0.34, 0.58, 0.15, 0.85), "mouth": (0.58, 0.80, 0.25, 0.75), "hair": (0.0, 0.36, 0.0, 1.0),
    "left half": (0.0, 1.0, 0.0, 0.5), "face": (0.25, 0.85, 0.2, 0.8),
}  # fmt: skip

OWN_MASK = "my own mask"


def _futures(first: Any, second: Any, at: int) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
    """A run and its branch at step `at` -> (record, x_t and x̂₀ pictures of the branch on the run's steps)."""
    record, other = record_of(first), record_of(second)
    if record is None or other is None:
        raise BadRequest("One of the two runs was not recorded; run it again.")
    total = len(record["times"])
    index = np.linspace(0, len(other["times"]) - 1, total - at).round().astype(int)
    states = np.concatenate([record["x_pictures"][:at], other["x_pictures"][index]])
    believed = np.concatenate([record["x0_pictures"][:at], other["x0_pictures"][index]])
    believed[-1] = second.images[0]
    return record, states, believed


def branch(result: Any) -> None:
    """Leave the run at a step, change something, go on; both futures on one scrubber."""
    record = record_of(result)
    if record is None or len(record["times"]) < 2:
        st.info("Run at least two steps first: a branch needs a point to leave from.")
        return
    base: DiffusionRequest = result.request
    total = len(record["times"])
    left, right = st.columns(2)
    with left:
        at = st.slider("Leave the run before step", 1, total, max(1, total // 3) + 1, key="branch_at") - 1
        prompt = st.text_area("Go on with this prompt", _other_prompt(base.prompt), max_chars=600, key="branch_prompt")
    with right:
        scale = st.slider("Go on with guidance w", 0.0, 15.0, base.guidance_scale, 0.5, key="branch_w")
        names = samplers(base.model)
        sampler = st.selectbox("Go on with scheduler", names, index=names.index(base.scheduler), key="branch_scheduler")
        fresh = st.toggle("Draw the noise anew", key="branch_noise", help="Keeps the belief x̂₀, replaces the noise ε.")
    state = record["x"][at]
    if fresh:
        noise = np.random.default_rng([base.seed, at]).standard_normal(state.shape).astype(np.float32)
        state = record["alpha"][at] * record["x0"][at] + record["sigma"][at] * noise
    changed = base.replace(
        prompt=prompt, guidance_scale=scale, scheduler=sampler, record=True, prompt_mix=0.0, image=b"", mask=b"",
        latents=state.astype(np.float32).tobytes(), start_time=float(record["times"][at]),
    )  # fmt: skip
    other = run_one(changed, "branch", "Going on from there")
    if other is None:
        return
    record, states, believed = _futures(result, other, at)
    scrubber(
        [
            View("First future", "predicted clean picture of the run on the stage", _ended(record, result)),
            View("Second future", "predicted clean picture after the change", believed),
            View("x_t of the second", "the noisy latent, as colours", states),
        ],
        notes(record), key="branch_scrubber", identity=f"{other.request.digest()}", least=170, most=330,
    )  # fmt: skip
    st.caption(
        "Leave early and the second prompt can still change everything; leave late and only details move. "
        "Multistep schedulers (DPM++ 2M, UniPC) lose their memory of earlier steps at the branch, so even without a "
        "change their second future differs a little."
    )


def _ended(record: dict[str, Any], result: Any) -> np.ndarray:
    return np.concatenate([record["x0_pictures"][:-1], result.images[:1]])


def _other_prompt(prompt: str) -> str:
    """The prompt with one visible thing changed, as a start."""
    for old, new in (
        ("blue", "red"),
        ("pink", "green"),
        ("red", "blue"),
        ("short black", "long blond"),
        ("grey", "pink"),
    ):
        if f"{old} " in prompt:
            return prompt.replace(f"{old} ", f"{new} ", 1)
    return prompt


def poke(result: Any) -> None:
    """Paint noise into a spot of the latent at a step and watch the run heal it, or not."""
    record = record_of(result)
    if record is None or len(record["times"]) < 2:
        st.info("Run at least two steps first.")
        return
    base: DiffusionRequest = result.request
    total, side = len(record["times"]), record["x"].shape[2]
    with st.container(horizontal=True):
        at = st.slider("Before step", 1, total, max(1, total // 2) + 1, key="poke_at") - 1
        row = st.slider("Row", 0, side - 1, side // 2, key="poke_row", help="Latent cells from the top.")
        column = st.slider("Column", 0, side - 1, side // 2, key="poke_column", help="Latent cells from the left.")
        radius = st.slider("Radius", 1, side // 2, 3, key="poke_radius", help="In latent cells.")
    yy, xx = np.mgrid[:side, :side]
    spot = (yy - row) ** 2 + (xx - column) ** 2 <= radius**2
    noise = np.random.default_rng([base.seed, at, row, column]).standard_normal(record["x"][at].shape)
    state = np.where(spot, noise, record["x"][at]).astype(np.float32)
    other = run_one(
        base.replace(latents=state.tobytes(), start_time=float(record["times"][at]), record=True, image=b"", mask=b""),
        "poke", "Going on with the wound",
    )  # fmt: skip
    if other is None:
        return
    record, states, believed = _futures(result, other, at)
    whole = _ended(record, result)
    gap = np.abs(believed.astype(np.int16) - whole).max(-1, keepdims=True).astype(np.uint8)
    scrubber(
        [
            View("Untouched", "predicted clean picture", whole),
            View("Wounded x_t", "noise painted into the spot", states),
            View("Healing", "predicted clean picture after the wound", believed),
            View("Difference", "healed to untouched; white is most", np.repeat(gap, 3, -1)),
        ],
        notes(record), key="poke_scrubber", identity=f"poke{other.request.digest()}", start=at, least=140,
    )  # fmt: skip
    st.caption(
        f"After the last step the pictures differ by {gap[-1].mean():.1f} of 255 on average. Early wounds are "
        "repainted with something plausible, often something else; late ones leave a scar, since few steps remain."
    )


def paint(result: Any) -> None:
    """Image to image and inpainting, from the picture on the stage or an upload."""
    from core.diffusion.pictures import png

    base: DiffusionRequest = result.request
    left, right = st.columns([1, 2])
    with left:
        data = upload("A picture of your own (or the one on the stage)", ["png", "jpg", "jpeg", "webp"], key="_paint")
        side = result.images.shape[1]
        start = read_picture(data, side) if data else result.images[0]
        prompt = st.text_area("What it should become", _other_prompt(base.prompt), max_chars=600, key="paint_prompt")
        strength = st.slider("Strength", 0.05, 1.0, 0.6, 0.05, key="paint_strength",
                             help="How far back into noise the picture is sent: 1 keeps nothing of it.")  # fmt: skip
        region = st.segmented_control(
            "Repaint", ["everything", *REGIONS, OWN_MASK], default="everything", required=True, key="paint_region"
        )
        kinds = ["png", "jpg", "jpeg", "webp"]
        drawn = upload("A mask: white is painted anew", kinds, key="_paint_mask") if region == OWN_MASK else b""
    mask = np.full((side, side), 255, np.uint8)
    if region == OWN_MASK:
        if not drawn:
            right.info("Upload a black and white picture of any size: white is painted anew, black stays.")
            return
        mask = np.where(read_picture(drawn, side).mean(-1) > 127, 255, 0).astype(np.uint8)
    elif region != "everything":
        top, bottom, west, east = (round(share * side) for share in REGIONS[str(region)])
        mask[:] = 0
        mask[top:bottom, west:east] = 255
    changed = base.replace(
        prompt=prompt, image=png(start), mask=b"" if region == "everything" else png(mask), strength=strength,
        record=False,        latents=b"", start_time=0.0,
    )  # fmt: skip
    with right:
        other = run_one(changed, "paint", "Painting")
        if other is None:
            return
        shaded = np.where(mask[..., None] > 0, start, start // 3) if region != "everything" else start
        for column, image, words in zip(
            st.columns(2), (shaded, other.images[0]), ("given (bright: may change)", "repainted"), strict=True
        ):
            with column:
                picture(image, words, caption=words)
        outside = mask == 0
        if outside.any():
            gap = np.abs(other.images[0].astype(int) - start)[outside].mean()
            st.caption(f"Outside the mask the picture moved by {gap:.1f} of 255: that is the autoencoder's own error.")


def walk(result: Any) -> None:
    """From one prompt to another, around a circle of noises, or to seeds near this one."""
    base: DiffusionRequest = result.request.replace(record=False, latents=b"", start_time=0.0, image=b"", mask=b"")
    kind = st.segmented_control(
        "Walk", ["prompt to prompt", "circle of noises", "seeds nearby"], default="prompt to prompt", required=True,
        key="walk_kind",
    )  # fmt: skip
    frames = st.slider("Pictures", 3, 12, 5, key="walk_frames")
    if kind == "prompt to prompt":
        target = st.text_input("To", _other_prompt(base.prompt), max_chars=600, key="walk_prompt")
        requests = [base.replace(prompt_to=target, prompt_mix=float(m)) for m in np.linspace(0, 1, frames).round(3)]
        labels = [f"{100 * request.prompt_mix:.0f} %" for request in requests]
        about = "The prompts' embeddings are blended along the sphere; the noise stays the same."
    else:
        seed = int(st.number_input("Second noise, seed", 0, 2**32 - 1, base.seed + 1, key="walk_seed"))
        end = 360.0 * (frames - 1) / frames if kind == "circle of noises" else 40.0
        angles = np.linspace(0, end, frames).round(1)
        requests = [base.replace(seed_to=seed, noise_angle=float(angle)) for angle in angles]
        labels = [f"{request.noise_angle:g}°" for request in requests]
        about = "x_T = cos φ ε₁ + sin φ ε₂ keeps its variance at every angle φ, so every point is a fair start."
    if not st.toggle(f"Compute {frames} pictures", key="walk_on"):
        return
    results = wrapped(requests, labels, key="walk", width=6)
    st.caption(about)
    if all(one is not None for one in results):
        pictures = np.stack([one.images[0] for one in results])
        if kind == "circle of noises":
            pictures = np.concatenate([pictures, pictures[:1]])
        st.download_button(
            "GIF", lambda: gif(pictures, milliseconds=250), "walk.gif", key="_walk_gif", icon=":material/download:",
            on_click="ignore",
        )  # fmt: skip
