"""Inside a film and its network: the two lenses on spacetime patches and on attention, and small widgets for both."""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st

from core.video import patches, scenes
from core.video.sample import EDITS, VideoRequest
from ui import controls, style, tables
from ui import video_views as views
from ui.stage import stage


def slider(label: str, low: int, high: int, value: int, key: str, help: str = "") -> int:
    """A slider that lives in the address; one possible value draws nothing."""
    st.session_state.setdefault("_known_keys", set()).add(key)
    if high <= low:
        return low
    if key in st.session_state:
        st.session_state[key] = min(max(int(st.session_state[key]), low), high)
    return int(st.slider(label, low, high, value, key=key, bind="query-params", help=help or None))


def segments(label: str, options: list[str], key: str, names: dict[str, str] | None = None) -> str:
    """A segmented control that lives in the address; `names`: what the options are called on the page."""
    st.session_state.setdefault("_known_keys", set()).add(key)
    if names:
        chosen = st.segmented_control(
            label, options, default=controls.linked(key, options, options[0]), required=True, key=key,
            format_func=lambda option: names[option],
        )  # fmt: skip
        controls.publish(key, chosen, options[0])
        return chosen or options[0]
    return st.segmented_control(label, options, default=options[0], required=True, key=key, bind="query-params")  # type: ignore[return-value]


# --- patches -------------------------------------------------------------------------------------------------


def _source(result: Any) -> np.ndarray:
    """The film under the knife: (T, 48, 48, 3) uint8, T even."""
    from core.video.clip_io import MAX_BYTES, MAX_SECONDS, read_clip

    kind = segments("Film", ["this clip", "a drawn scene", "an upload"], "film")
    if kind == "a drawn scene":
        index = slider(
            "Scene",
            0,
            99,
            3,
            "scene",
            "A clip drawn by script: one object, two that meet, or a moving camera, in turn.",
        )
        kind = scenes.KINDS[index % len(scenes.KINDS)]  # one object, two that meet, a moving camera
        scene = scenes.random_scene(np.random.default_rng(index), "any", kind)
        st.caption(f"real data · {scenes.caption(scene)}")
        return scenes.render(scene)
    if kind == "an upload":
        file = st.file_uploader(
            "Film",
            type=["mp4", "mov", "webm", "gif", "mkv", "avi"],
            key="_film_file",
            max_upload_size=MAX_BYTES // 1_000_000,
            help=f"At most {MAX_BYTES // 1_000_000} MB; the first {MAX_SECONDS:.0f} s are read, "
            "cropped to a square of 48 pixels, 16 frames at 8 a second.",
        )
        if file is not None:
            start = slider("Start (s)", 0, 28, 0, "start")
            return read_clip(file.getvalue(), start=float(start))
        st.caption("Until a film is chosen, the clip on the stage is cut.")
    return result.frames[: len(result.frames) // 2 * 2]


def explorer(result: Any) -> None:
    """Cut a film into patches, count them, and spoil, shuffle or drop them before a partial denoise."""
    film = _source(result)
    a, b = st.columns(2)
    with a:
        pf = slider("Frames in a patch", 1, 8, 2, "patch_frames")
    with b:
        p = slider("Pixels in a patch, a side", 4, 24, 16, "patch_pixels")
    s, rows, columns = patches.tokens(len(film), film.shape[1], film.shape[2], pf, p)
    count = s * rows * columns
    st.plotly_chart(
        views.volume(film, pf, p), width="stretch", key="_volume", alt="the film cut into spacetime patches"
    )
    st.markdown(
        f"{s} x {rows} x {columns} = **{count:,} tokens** of {pf * p * p * 3:,} numbers each; every layer compares "
        f"{count:,} x {count:,} = **{count * count:,} pairs**. Our network uses 2 frames of 16 x 16 pixels."
    )
    table = []
    for name, (t, h, w) in {
        "this film": (len(film), *film.shape[1:3]),
        "10 s of 1080p, 30 a second": (300, 1080, 1920),
        "60 s of 1080p, 30 a second": (1800, 1080, 1920),
    }.items():
        n = int(np.prod(patches.tokens(t, h, w, pf, p)))
        c = patches.cost(n, **patches.OURS)
        table.append(
            {
                "film": name,
                "tokens": f"{n:,}",
                "operations a pass": f"{c.total:.2e}",
                "of them attention": f"{c.attention / c.total:.0%}",
                "attention weights of one layer, if kept": f"{c.attention_bytes / 1e6:,.1f} MB",
            }
        )
    tables.table(table)
    st.caption(
        "By formula, for a network of our size (width {width}, {depth} layers, {heads} heads); sizes count pixels, without "
        "a codec.".format(**patches.OURS)
    )
    st.markdown("**Spoil the tokens, then denoise the rest of the way**")
    c1, c2 = st.columns(2)
    with c1:
        edit = controls.control(VideoRequest, "edit", "What happens to the tokens", options=EDITS)
    with c2:
        strength = controls.control(VideoRequest, "strength", "Noise added first", low=0.05, high=1.0)
    base = result.request
    request = controls.build(
        VideoRequest,
        model=base.model,
        prompt=base.prompt,
        seed=base.seed,
        frames=len(film),
        guidance_scale=base.guidance_scale,
        num_inference_steps=base.num_inference_steps,
        clip=film.tobytes(),
        edit=edit,
        strength=strength,
    )

    def draw(r: Any) -> None:
        given = np.frombuffer(r.request.clip, np.uint8).reshape(-1, *film.shape[1:])
        views.beside([("given", given), (f"noise {r.request.strength:g}, {r.request.edit}", r.frames)], r.fps)

    stage(request, draw, key="edit", auto=False, preview=views.preview, details=False)


# --- attention -----------------------------------------------------------------------------------------------


def attention(result: Any) -> None:
    """What one patch sees in every frame, or where one word acts; by layer and step."""
    maps = result.extras["attention"].astype(np.float32)  # (steps, layers, N, N + words)
    slices, n, _ = result.extras["grid"]
    words = result.extras["words"]
    count = slices * n * n
    left, right = st.columns([1, 2])
    with left:
        mode = segments("Follow", ["a patch", "a word"] if words else ["a patch"], "follow")
        step = slider("Step", 1, len(maps), max(1, len(maps) // 2), "att_step", "Early steps decide place and motion.")
        layer = slider("Layer", 0, maps.shape[1] - 1, maps.shape[1] // 2, "att_layer")
        now = maps[step - 1, layer]  # (N, N + words)
        if mode == "a word":
            word = st.selectbox("Word", range(len(words)), format_func=lambda i: words[i], key="_att_word")
            weights = now[:, count + word]
            told = (
                f"How strongly each patch listens to “{words[word]}”; brightest {weights.max():.0%} of its attention."
            )
        else:
            token = slider("Patch", 0, count - 1, count // 2 + n * n // 2, "patch", "Or click a patch in the picture.")
            weights, pair = now[token, :count], token // (n * n)
            own = now[token, :count].reshape(slices, -1)[pair].sum()
            told = (
                f"Patch {token}: frames {2 * pair} and {2 * pair + 1}, row {token // n % n}, column "
                f"{token % n}. It spends {own:.0%} on its own two frames, {weights.sum() - own:.0%} on other "
                f"times, {now[token, count:].sum():.0%} on words."
            )
        st.caption(told + " Mean over heads, first half of the guided pair.")
    cube = (weights / max(float(weights.max()), 1e-9)).reshape(slices, n, n)
    with right:
        _clickable(views.heat_frames(result.frames, cube), n, None if mode == "a word" else token)
        by_time = weights.reshape(slices, -1).sum(1)
        # a category: plotly takes "10-11" for a date
        fig = style.figure(height=220, xaxis_title="frames", xaxis_type="category", yaxis_title="share of attention")
        fig.add_bar(x=[f"{2 * i}-{2 * i + 1}" for i in range(slices)], y=by_time, marker_color=style.color("diffusion"))
        st.plotly_chart(fig, width="stretch", key="_by_time", alt="attention by time")
    shares = maps[step - 1]
    block = np.kron(np.eye(slices), np.ones((n * n, n * n)))
    own = (shares[..., :count] * block).sum(-1).mean(-1)
    text = shares[..., count:].sum(-1).mean(-1)
    fig = style.figure(height=260, barmode="stack", xaxis_title="layer", yaxis_title="share of attention")
    for name, values, hue in (
        ("own two frames (space)", own, "#2B8CD6"),
        ("other times", 1 - own - text, "#E69F00"),
        ("words", text, "#8A8F98"),
    ):
        fig.add_bar(name=name, x=list(range(len(values))), y=values, marker_color=hue)
    st.plotly_chart(fig, width="stretch", key="_shares", alt="space, time and words by layer")


def _clickable(sheets: np.ndarray, n: int, chosen: int | None) -> None:
    """The slices in two rows with a point on every patch; a click sets the patch."""
    from core.provenance import contact_sheet

    s, size = len(sheets), sheets.shape[1]
    columns = (s + 1) // 2
    fig = style.figure(height=330)
    fig.add_image(
        z=contact_sheet(np.pad(sheets, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=255), columns),
        hoverinfo="skip",
    )
    index = np.arange(s * n * n)
    where = index // (n * n)
    x = where % columns * (size + 2) + 1 + (index % n + 0.5) * size / n - 0.5
    y = where // columns * (size + 2) + 1 + (index // n % n + 0.5) * size / n - 0.5
    colors = ["#E69F00" if i == chosen else "rgba(255,255,255,.55)" for i in index]
    fig.add_scatter(
        x=x,
        y=y,
        mode="markers",
        marker={"size": [13 if i == chosen else 6 for i in index], "color": colors},
        hovertext=[f"patch {i}" for i in index],
        hoverinfo="text",
        showlegend=False,
    )
    fig.update_xaxes(visible=False)
    fig.update_yaxes(visible=False)

    def click() -> None:
        points = [
            p
            for p in st.session_state["_att_chart"]["selection"]["points"]
            if "point_index" in p and p.get("curve_number") == 1
        ]
        if points:
            st.session_state["patch"] = int(points[0]["point_index"])

    st.plotly_chart(
        fig,
        width="stretch",
        key="_att_chart",
        on_select=click,
        selection_mode="points",
        alt="the film, bright where attention goes",
    )
