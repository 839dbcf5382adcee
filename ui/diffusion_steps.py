"""The lenses of the Diffusion steps page. Each works on the run that stands on the stage."""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st

from core.diffusion.forward import FORWARD_SCHEDULES, add_noise, forward_schedule, snr_db, to_uint8
from ui import style
from ui.controls import read_picture, upload
from ui.diffusion_rail import about_prompt
from ui.diffusion_scrubber import View, gif, mp4, scrubber, strip
from ui.result import enlarge, picture

BELOW = {"orientation": "h", "y": -0.25}  # legends under the plot, where they hide no title


def record_of(result: Any) -> dict[str, Any] | None:
    """The recorded steps of the first picture, or None."""
    records = result.extras.get("records") if result is not None else None
    return records[0] if records else None


def notes(record: dict[str, Any]) -> list[str]:
    """One line a step: number, time, noise share."""
    total = len(record["times"])
    return [
        f"step {i + 1} of {total} · t = {t:.0f} · σ = {sigma:.2f}"
        for i, (t, sigma) in enumerate(zip(record["times"], record["sigma"], strict=True))
    ]


def normal(values: np.ndarray) -> np.ndarray:
    """(S, C, h, w) -> uint8 grey, zero is middle grey, three standard deviations fill the range."""
    return to_uint8(values / (3.0 * values.std() + 1e-6))


def latent_mosaic(latents: np.ndarray) -> np.ndarray:
    """(S, C, h, w) -> (S, H, W, 3): the channels side by side, two a row."""
    grey = normal(latents)
    if grey.shape[1] == 3:
        return grey.transpose(0, 2, 3, 1)
    rows = [np.concatenate([grey[:, i], grey[:, i + 1]], axis=2) for i in range(0, grey.shape[1] - 1, 2)]
    return np.repeat(np.concatenate(rows, axis=1)[..., None], 3, axis=-1)


def first_channels(latents: np.ndarray) -> np.ndarray:
    """(S, C, h, w) -> (S, h, w, 3): the first three channels as red, green and blue."""
    return normal(latents[:, :3]).transpose(0, 2, 3, 1)


def show_run(result: Any) -> None:
    """The stage: the recorded run on a scrubber."""
    record = record_of(result)
    if record is None:
        picture(result.images, "generated picture", caption=f"{result.images.shape[1]} px")
        return
    cells = record["x"].shape[2]
    final = np.concatenate([record["x0_pictures"][:-1], result.images[:1]])
    scrubber(
        [
            View(
                "What the model holds",
                f"noisy latent x_t, {cells} x {cells} cells, a colour for each",
                record["x_pictures"],
            ),
            View("What it believes is there", "predicted clean picture x̂₀, from this one step", final),
            View(
                "What it would take away",
                "predicted noise ε̂, three latent channels as colours",
                first_channels(record["eps"]),
            ),
        ],
        notes(record),
        key="stage_scrubber",
        identity=result.request.digest(),
        least=170,
    )
    about_prompt(result.extras)


def show_running(job: Any) -> None:
    """The stage while it runs: the predicted clean picture, live, where it will stand."""
    caption = "What it believes is there"
    st.columns(3)[1].image(enlarge(job.preview), caption=caption, alt=caption)


# --- Inside -----------------------------------------------------------------------------------------------------------
def inside(result: Any) -> None:
    """Everything recorded, on one scrubber, with the curves beside it and the run as a file."""
    record = record_of(result)
    if record is None:
        st.info("Run a picture first: this view looks inside it.")
        return
    views = [
        View("x_t", "noisy latent, its cells as colours", record["x_pictures"]),
        View("x̂₀", "predicted clean picture", record["x0_pictures"]),
        View("latents of x_t", f"{record['x'].shape[1]} channels, {record['x'].shape[2]} px: what is computed on",
             latent_mosaic(record["x"])),
        View("ε̂", "predicted noise, the same channels", latent_mosaic(record["eps"])),
    ]  # fmt: skip
    if "cond" in record:
        gap = np.abs(record["cond"] - record["uncond" if "uncond" in record else "weak"]).mean(1)  # (S, h, w)
        grey = np.clip(255 * gap / (gap.max() + 1e-6), 0, 255).astype(np.uint8)
        views.append(View("|ε̂ prompt − ε̂ none|", "where the prompt matters", np.repeat(grey[..., None], 3, -1)))
    scrubber(views, notes(record), key="inside_scrubber", identity=result.request.digest(), least=130)
    _curves(record)
    _files(result, record)


def _curves(record: dict[str, Any]) -> None:
    import plotly.graph_objects as go

    steps = np.arange(1, len(record["times"]) + 1)
    states = np.concatenate([record["x"], record["x0"][-1:]])
    moved = np.sqrt(((states[1:] - states[:-1]) ** 2).mean((1, 2, 3)))
    changed = np.sqrt((np.diff(record["x0"], axis=0, prepend=0) ** 2).mean((1, 2, 3)))
    left, right = st.columns(2)
    figure = style.figure(title="Noise and signal in x_t", xaxis_title="step", yaxis_title="share", legend=BELOW)
    figure.add_trace(go.Scatter(x=steps, y=record["alpha"], name="signal α_t", line_color=style.color("diffusion")))
    figure.add_trace(go.Scatter(x=steps, y=record["sigma"], name="noise σ_t", line_color=style.REAL))
    left.plotly_chart(figure, key="curve_noise")
    figure = style.figure(
        title="How far each step goes", xaxis_title="step", yaxis_title="RMS of latents", legend=BELOW
    )
    figure.add_trace(go.Scatter(x=steps, y=moved, name="step of x_t", line_color=style.color("diffusion")))
    figure.add_trace(go.Scatter(x=steps[1:], y=changed[1:], name="change of x̂₀", line_color=style.color("flow")))
    right.plotly_chart(figure, key="curve_moved")
    st.caption("Large changes of x̂₀ early: composition and colours are decided there; late steps only sharpen.")


def _files(result: Any, record: dict[str, Any]) -> None:
    name = f"{result.request.model}-{result.request.seed}-steps"
    both = np.concatenate([record["x_pictures"], record["x0_pictures"]], axis=2)  # (S, H, 2W, 3)

    def film() -> bytes:
        from core.diffusion.pictures import png

        rows = [strip(record["x_pictures"]), strip(record["x0_pictures"])]
        return png(np.concatenate(rows, axis=0).repeat(2, 0).repeat(2, 1))

    with st.container(horizontal=True):
        for label, make, ending in (
            ("Film strip", film, "png"),
            ("GIF", lambda: gif(both), "gif"),
            ("MP4", lambda: mp4(both), "mp4"),
        ):
            st.download_button(
                label, make, f"{name}.{ending}", key=f"_film_{ending}", icon=":material/download:", on_click="ignore"
            )


# --- Words ------------------------------------------------------------------------------------------------------------
def words(result: Any) -> None:
    """Cross-attention of each piece of the prompt over the picture, by step and layer."""
    record = record_of(result)
    if record is None or "attention" not in record:
        st.info("This model has no cross-attention to look at; choose the U-Net with text.")
        return
    tokens = result.extras["tokens"]
    layers = ["mean of all layers", *record["layers"]]
    layer = st.selectbox("Layer", range(len(layers)), format_func=lambda i: layers[i], key="attention_layer")
    maps = record["attention"].astype(np.float32)  # (S, L, T, h, w)
    maps = maps.mean(1) if layer == 0 else maps[:, layer - 1]  # (S, T, h, w)
    first = result.extras.get("first_position", 1)
    maps = maps[:, first : first + len(tokens)]
    low, high = maps.min((2, 3), keepdims=True), maps.max((2, 3), keepdims=True)
    heat = (maps - low) / (high - low + 1e-6)
    shown = [(f"{token or '·'}", heat[:, i]) for i, token in enumerate(tokens)]
    scrubber(
        [
            View("Where the word lands", "predicted clean picture, dark where the word is not looked at",
                 record["x0_pictures"], heat=True),
            View("The picture", "the same without the map", record["x0_pictures"]),
        ],
        notes(record), key="attention_scrubber", identity=f"{result.request.digest()}-{layer}", words=shown,
        word=_striking(tokens), least=200, most=380, crisp=False,
    )  # fmt: skip
    st.caption(
        f"Hover or tap a piece. {len(tokens)} pieces as the tokenizer cut them; each map is the attention from every "
        "place of the latent to that piece, mean over heads, scaled to its own range at each step."
    )


def _striking(tokens: list[str]) -> int:
    """The first piece that names something to see."""
    return next((i for i, token in enumerate(tokens) if token in ("hair", "glasses", "bob", "background", "smile")), 0)


# --- Forward ----------------------------------------------------------------------------------------------------------
def forward(result: Any) -> None:
    """A picture destroyed by noise, by schedule; the signal-to-noise ratio; what the network is asked for."""
    import plotly.graph_objects as go

    source = st.segmented_control(
        "Picture", ["on the stage", "training portrait", "my own"], default="on the stage", required=True,
        key="forward_source",
    )  # fmt: skip
    clean = result.images[0]
    if source == "training portrait":
        from core.metrics.portraits import Reference

        pictures = Reference.load().pictures
        number = int(st.number_input("Number", 0, len(pictures) - 1, 0, key="forward_number"))
        clean = pictures[number]
    elif source == "my own":
        data = upload("A picture of your own", ["png", "jpg", "jpeg", "webp"], key="_forward_file")
        clean = read_picture(data, 64) if data else clean
    schedule = st.segmented_control(
        "Schedule", FORWARD_SCHEDULES, default="scaled-linear", required=True, key="schedule", bind="query-params"
    )
    alpha, sigma = forward_schedule(schedule)
    times = np.linspace(0, 1000, 26).astype(int)
    noise = np.random.default_rng(result.request.seed).standard_normal(clean.shape).astype(np.float32)
    x0 = clean.astype(np.float32) / 127.5 - 1.0
    a, s = alpha[times][:, None, None, None], sigma[times][:, None, None, None]
    velocity = noise - x0 if schedule == "rectified flow" else a * noise - s * x0
    velocity = np.broadcast_to(velocity, (len(times), *clean.shape))
    noised = np.stack([add_noise(clean, alpha[t], sigma[t], result.request.seed) for t in times])
    scrubber(
        [
            View("x_t", "what the network is given", noised),
            View("ε", "asked for: the noise", to_uint8(noise / 3)[None]),
            View("x₀", "or: the clean picture", clean[None]),
            View("v", "or: the velocity, noise − picture" if schedule == "rectified flow" else "or: v = α ε − σ x₀",
                 to_uint8(velocity / 3)),
        ],
        [f"t = {t} · α = {alpha[t]:.2f} · σ = {sigma[t]:.2f}" for t in times],
        key="forward_scrubber", identity=f"{schedule}-{hash(clean.tobytes())}", start=8, least=130,
    )  # fmt: skip
    figure = style.figure(
        title="Signal-to-noise ratio", xaxis_title="time t", yaxis_title="SNR (dB)", yaxis_range=[-60, 60], legend=BELOW
    )
    for name in FORWARD_SCHEDULES:
        ratio = snr_db(*forward_schedule(name))
        width, dash = (4, "solid") if name == schedule else (1.5, "dot")
        hue = style.color("flow" if name == "rectified flow" else "diffusion")
        figure.add_trace(
            go.Scatter(x=np.arange(1001), y=ratio, name=name, line={"width": width, "dash": dash, "color": hue})
        )
    st.plotly_chart(figure, key="snr")
    st.caption(
        "x_t = α_t x₀ + σ_t ε. At 0 dB picture and noise are equally strong. The loss at t is the mean squared error "
        "between what the network says and one of the three pictures on the right: each can be turned into the others."
    )
