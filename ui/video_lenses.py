"""The lenses of the video page: frames, patches, attention, ablation, side by side, cost."""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st

from core.result import VideoResult
from core.video import patches, scenes
from core.video.sample import EDITS, VideoRequest
from ui import controls, style
from ui import video_views as views
from ui.stage import stage

FULL, TWIN = "video-dit", "video-dit-frames"


def _slider(label: str, low: int, high: int, value: int, key: str, help: str = "") -> int:
    """A slider that lives in the address; one possible value draws nothing."""
    st.session_state.setdefault("_known_keys", set()).add(key)
    if high <= low:
        return low
    if key in st.session_state:
        st.session_state[key] = min(max(int(st.session_state[key]), low), high)
    return int(st.slider(label, low, high, value, key=key, bind="query-params", help=help or None))


def _pick(label: str, options: list[str], key: str) -> str:
    st.session_state.setdefault("_known_keys", set()).add(key)
    return st.segmented_control(label, options, default=options[0], required=True, key=key, bind="query-params")  # type: ignore[return-value]


def frames(result: VideoResult) -> None:
    """Contact sheet, x-t slice, and what the tracker sees in this clip."""
    from core.video.coherence import asked, measure

    left, right = st.columns([3, 2])
    with left:
        views.contact(result.frames)
    with right:
        row = _slider("Row of pixels", 0, result.frames.shape[1] - 1, 24, "row", "The row that the x-t slice follows.")
        views.xt(result.frames, row)
    found = measure(result.frames)["track"]
    wanted = asked(result.request.prompt)
    rows = [{"what": name, "asked": wanted.get(name, "not said"), "seen by the tracker": getattr(found, name) or "nothing",
             "right": "" if name not in wanted else "yes" if wanted[name] == getattr(found, name) else "no"}
            for name in ("shape", "color", "motion", "background")]  # fmt: skip
    st.dataframe(rows, hide_index=True)


# --- patches -------------------------------------------------------------------------------------------------


def _source(result: VideoResult) -> np.ndarray:
    """The film under the knife: (T, 48, 48, 3) uint8, T even."""
    from core.video.clip_io import MAX_BYTES, MAX_SECONDS, read_clip

    kind = _pick("Film", ["this clip", "a drawn scene", "an upload"], "film")
    if kind == "a drawn scene":
        index = _slider("Scene", 0, 99, 3, "scene", "A clip drawn by script, as the network was trained on.")
        scene = scenes.random_scene(np.random.default_rng(index), "any")
        st.caption(f"real data · {scenes.caption(scene)}")
        return scenes.render(scene)
    if kind == "an upload":
        file = st.file_uploader("Film", type=["mp4", "mov", "webm", "gif", "mkv", "avi"], key="_film_file",
                                help=f"At most {MAX_BYTES // 1_000_000} MB; the first {MAX_SECONDS:.0f} s are read, "
                                "cropped to a square of 48 pixels, 16 frames at 8 a second.")  # fmt: skip
        if file is not None:
            start = _slider("Start (s)", 0, 28, 0, "start")
            return read_clip(file.getvalue(), start=float(start))
        st.caption("Until a film is chosen, the clip on the stage is cut.")
    return result.frames[: len(result.frames) // 2 * 2]


def explorer(result: VideoResult) -> None:
    """Cut a film into patches, count them, and spoil, shuffle or drop them before a partial denoise."""
    film = _source(result)
    a, b = st.columns(2)
    with a:
        pf = _slider("Frames in a patch", 1, 8, 2, "patch_frames")
    with b:
        p = _slider("Pixels in a patch, a side", 4, 24, 16, "patch_pixels")
    s, rows, columns = patches.tokens(len(film), *film.shape[1:3], pf, p)
    count = s * rows * columns
    st.plotly_chart(views.volume(film, pf, p), width="stretch", key="_volume", alt="the film cut into spacetime patches")
    st.markdown(f"{s} x {rows} x {columns} = **{count:,} tokens** of {pf * p * p * 3:,} numbers each; every layer compares "
                f"{count:,} x {count:,} = **{count * count:,} pairs**. Our network uses 2 frames of 16 x 16 pixels (after its codec).")  # fmt: skip
    table = []
    for name, (t, h, w) in {"this film": (len(film), *film.shape[1:3]), "10 s of 1080p, 30 a second": (300, 1080, 1920),
                            "60 s of 1080p, 30 a second": (1800, 1080, 1920)}.items():  # fmt: skip
        n = int(np.prod(patches.tokens(t, h, w, pf, p)))
        c = patches.cost(n, 160, 5, 5, 3)
        table.append({"film": name, "tokens": f"{n:,}", "operations a pass": f"{c.total:.2e}",
                      "of them attention": f"{c.attention / c.total:.0%}",
                      "attention weights of one layer, if kept": f"{c.attention_bytes / 1e6:,.1f} MB"})  # fmt: skip
    st.dataframe(table, hide_index=True)
    st.caption("By formula, for a network of our size (width 160, 5 layers, 5 heads); sizes count pixels, without a codec.")
    st.markdown("**Spoil the tokens, then denoise the rest of the way**")
    c1, c2 = st.columns(2)
    with c1:
        edit = controls.control(VideoRequest, "edit", "What happens to the tokens", options=EDITS)
    with c2:
        strength = controls.control(VideoRequest, "strength", "Noise added first", low=0.05, high=1.0)
    base = result.request
    request = controls.build(VideoRequest, model=base.model, prompt=base.prompt, seed=base.seed, frames=len(film),
                             guidance_scale=base.guidance_scale, num_inference_steps=base.num_inference_steps,
                             clip=film.tobytes(), edit=edit, strength=strength)  # fmt: skip
    stage(request, lambda r: views.beside([("given", film), (f"after “{edit}”", r.frames)], r.fps), key="edit",
          auto=False, preview=views.preview, details=False)  # fmt: skip


# --- attention -----------------------------------------------------------------------------------------------


def attention(result: VideoResult) -> None:
    """What one patch sees in every frame, or where one word acts; by layer and step."""
    maps = result.extras["attention"].astype(np.float32)  # (steps, layers, N, N + words)
    slices, n, _ = result.extras["grid"]
    words = result.extras["words"]
    count = slices * n * n
    left, right = st.columns([1, 2])
    with left:
        mode = _pick("Follow", ["a patch", "a word"] if words else ["a patch"], "follow")
        step = _slider("Step", 1, len(maps), max(1, len(maps) // 2), "att_step", "Early steps decide place and motion.")
        layer = _slider("Layer", 0, maps.shape[1] - 1, maps.shape[1] // 2, "att_layer")
        now = maps[step - 1, layer]  # (N, N + words)
        if mode == "a word":
            word = st.selectbox("Word", range(len(words)), format_func=lambda i: words[i], key="_att_word")
            weights = now[:, count + word]
            told = f"How strongly each patch listens to “{words[word]}”; brightest {weights.max():.0%} of its attention."
        else:
            token = _slider("Patch", 0, count - 1, count // 2 + n * n // 2, "patch", "Or click a patch in the picture.")
            weights = now[token, :count]
            own = now[token, :count].reshape(slices, -1)[token // (n * n)].sum()
            told = (f"Patch {token}: frames {2 * (token // (n * n))} and {2 * (token // (n * n)) + 1}, row {token // n % n}, column "
                    f"{token % n}. It spends {own:.0%} on its own two frames, {now[token, :count].sum() - own:.0%} on other "
                    f"times, {now[token, count:].sum():.0%} on words.")  # fmt: skip
        st.caption(told + " Mean over heads, first half of the guided pair.")
    cube = (weights / max(float(weights.max()), 1e-9)).reshape(slices, n, n)
    with right:
        _clickable(views.heat_frames(result.frames, cube), n, None if mode == "a word" else token)
        by_time = weights.reshape(slices, -1).sum(1)
        fig = style.figure(height=220, xaxis_title="frames", yaxis_title="share of attention")
        fig.add_bar(x=[f"{2 * i}-{2 * i + 1}" for i in range(slices)], y=by_time, marker_color=style.color("diffusion"))
        st.plotly_chart(fig, width="stretch", key="_by_time", alt="attention by time")
    shares = maps[step - 1]
    block = np.kron(np.eye(slices), np.ones((n * n, n * n)))
    own = (shares[..., :count] * block).sum(-1).mean(-1)
    text = shares[..., count:].sum(-1).mean(-1)
    fig = style.figure(height=260, barmode="stack", xaxis_title="layer", yaxis_title="share of attention")
    for name, values, hue in (("own two frames (space)", own, "#2B8CD6"), ("other times", 1 - own - text, "#E69F00"),
                              ("words", text, "#8A8F98")):  # fmt: skip
        fig.add_bar(name=name, x=list(range(len(values))), y=values, marker_color=hue)
    st.plotly_chart(fig, width="stretch", key="_shares", alt="space, time and words by layer")


def _clickable(sheets: np.ndarray, n: int, chosen: int | None) -> None:
    """The slices in two rows with a point on every patch; a click sets the patch."""
    from core.provenance import contact_sheet

    s, size = len(sheets), sheets.shape[1]
    columns = (s + 1) // 2
    fig = style.figure(height=330)
    fig.add_image(z=contact_sheet(np.pad(sheets, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=255), columns), hoverinfo="skip")
    index = np.arange(s * n * n)
    where = index // (n * n)
    x = where % columns * (size + 2) + 1 + (index % n + 0.5) * size / n - 0.5
    y = where // columns * (size + 2) + 1 + (index // n % n + 0.5) * size / n - 0.5
    colors = ["#E69F00" if i == chosen else "rgba(255,255,255,.55)" for i in index]
    fig.add_scatter(x=x, y=y, mode="markers", marker={"size": [13 if i == chosen else 6 for i in index], "color": colors},
                    hovertext=[f"patch {i}" for i in index], hoverinfo="text", showlegend=False)  # fmt: skip
    fig.update_xaxes(visible=False)
    fig.update_yaxes(visible=False)

    def click() -> None:
        points = [p for p in st.session_state["_att_chart"]["selection"]["points"] if "point_index" in p and p.get("curve_number") == 1]
        if points:
            st.session_state["patch"] = int(points[0]["point_index"])

    st.plotly_chart(fig, width="stretch", key="_att_chart", on_select=click, selection_mode="points",
                    alt="the film, bright where attention goes")  # fmt: skip


# --- ablation and comparison -----------------------------------------------------------------------------------


def ablate(result: VideoResult) -> None:
    """The same noise with something taken away, next to the untouched clip."""
    base = result.request
    depth = int(result.extras["attention"].shape[1])
    a, b = st.columns(2)
    with a:
        st.session_state.setdefault("_known_keys", set()).add("cut_layers")
        cut = st.pills("Temporal attention off in layers", list(range(depth)), selection_mode="multi", default=list(range(depth)),
                       key="cut_layers", bind="query-params", disabled=base.model == TWIN,
                       help="In these layers a token sees only its own two frames.")  # fmt: skip
        positions = controls.control(VideoRequest, "positions", "Positions", key="cut_positions")
    with b:
        guidance = controls.control(VideoRequest, "guidance_scale", "Guidance", key="cut_guidance", default=base.guidance_scale)
        first = controls.control(VideoRequest, "stop_after", "Only the first k steps", key="cut_steps", high=base.num_inference_steps)
    request = base.replace(local_layers=tuple(cut or ()), positions=positions, guidance_scale=guidance, stop_after=first)
    other = stage(request, lambda r: views.beside([("untouched", result.frames), ("ablated", r.frames)], r.fps), key="ablate",
                  preview=views.preview, details=False)  # fmt: skip
    if other is not None and len(other.frames) == len(result.frames):
        views.figures([("untouched", result.frames), ("ablated", other.frames)])


def twins(result: VideoResult) -> None:
    """The full network and its frame-by-frame twin: same prompt, seed, noise and size."""
    model = TWIN if result.request.model == FULL else FULL
    request = result.request.replace(model=model)
    names = {FULL: "full attention", TWIN: "frame by frame"}
    mine = names[result.request.model]

    def draw(other: VideoResult) -> None:
        views.beside([(mine, result.frames), (names[model], other.frames)], other.fps)

    other = stage(request, draw, key="twin", preview=views.preview, details=False)
    if other is not None and len(other.frames) == len(result.frames):
        costs = [{"seconds": round(r.seconds, 2), "network calls": r.model_calls} for r in (result, other)]
        views.figures([(mine, result.frames), (names[model], other.frames)], costs)
        st.caption("The twin sees one patch of two frames at a time: inside a pair of frames it holds together, from pair to pair it guesses anew.")


# --- cost ------------------------------------------------------------------------------------------------------

# name, frames a second, seconds, height, width
FILMS = (("one 1024 x 1024 picture", 1, 0, 1024, 1024), ("5 s of 480p, 16 a second", 16, 5, 480, 832),
         ("10 s of 1080p, 30 a second", 30, 10, 1080, 1920), ("60 s of 1080p, 30 a second", 30, 60, 1080, 1920))  # fmt: skip


def costs(result: VideoResult) -> None:
    """Measured on our network: one pair of frames against the clip; then scaled by formula with the numbers shown."""
    st.markdown("**Measured here:** the same network on two frames (in effect a picture) and on the clip")
    small = stage(result.request.replace(frames=2, first_frame=b"", clip=b""),
                  lambda r: st.image(r.frames[0].repeat(3, 0).repeat(3, 1), alt="two frames"), key="picture", details=False)  # fmt: skip
    config = {"width": 160, "depth": 5, "heads": 5, "mlp": 3}
    rows = []
    for name, r in (("two frames", small), (f"{len(result.frames)} frames", result)):
        if r is not None and r.steps_run:
            c = patches.cost(int(np.prod(r.extras["grid"])), **config)
            rows.append({"film": name, "tokens": c.tokens, "seconds": round(r.seconds, 2), "network calls": r.model_calls,
                         "operations": f"{c.total * r.model_calls:.2e}", "GFLOP/s reached": round(c.total * r.model_calls / r.seconds / 1e9, 1)})  # fmt: skip
    st.dataframe(rows, hide_index=True)
    st.markdown("**By formula:** a full-size transformer (width 3072, 42 layers, as CogVideoX-5B) on latents 8 x 8 pixels and "
                "4 frames large, cut into patches of 2 x 2; one pass, full attention over space and time")  # fmt: skip
    st.latex(r"\mathrm{operations} = L\,(8 + 4m)\,n\,d^2 + 4\,L\,n^2 d \qquad n=\mathrm{tokens},\ d=\mathrm{width},\ L=\mathrm{layers},\ m=4")
    table, image = [], 0.0
    for name, fps, seconds, h, w in FILMS:
        frames = max(1, fps * seconds)
        n = int(np.prod(patches.tokens(frames, h, w, 4, 16)))
        c = patches.cost(n, 3072, 42, 48)
        image = image or c.total
        table.append({"film": name, "tokens": f"{n:,}", "linear parts": f"{c.linear:.1e}", "attention": f"{c.attention:.1e}",
                      "times the picture": f"{c.total / image:,.0f}"})  # fmt: skip
    st.dataframe(table, hide_index=True)


# --- stage and learning -------------------------------------------------------------------------------------------


def scrubber(count: int) -> None:
    """The frame that stands beside the film."""
    _slider("Frame", 0, count - 1, 0, "frame", "Move it to hold one frame of the film beside the player.")


def teach(questions: Any) -> None:
    """The formula, the papers, and predictions to make."""
    from ui import learn

    st.markdown(
        "**How it works.** A fixed codec turns each frame into 6 x 6 x 16 numbers. Two frames of 2 x 2 of those are one "
        "*spacetime patch* (16 x 16 pixels x 2 frames): 72 tokens a clip. The network sees them spoilt with noise, "
        "$z_t = (1-t)\\,x + t\\,\\epsilon$, and guesses the clean $\\hat x$; a step moves along the line between them:"
    )
    st.latex(r"z_{t'} = z_t + \left(\tfrac{t'}{t} - 1\right)(z_t - \hat x), \qquad \hat x = \hat x_\varnothing + w\,(\hat x_{text} - \hat x_\varnothing)")
    st.caption("w is the guidance. Rectified flow: arXiv 2209.03003; x-prediction with large patches: JiT, arXiv 2511.13720; "
               "spacetime transformers: Latte, arXiv 2401.03048, CogVideoX, arXiv 2408.06072.")  # fmt: skip
    learn.predict(questions)
