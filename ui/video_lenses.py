"""Lenses of the video page on the finished film: frames, ablation, side by side, cost, learning."""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st

from core.request import Request
from core.video import patches
from core.video.between import FilmRequest
from core.video.sample import VideoRequest
from ui import controls, tables
from ui import video_views as views
from ui.stage import job_of, job_words, poll_seconds, stage
from ui.video_inside import slider

FULL, TWIN, KEYED = "video-dit", "video-dit-frames", "video-between"


def frames(result: Any) -> None:
    """Contact sheet, x-t slice, and what the tracker sees in this clip."""
    from core.video.coherence import asked, measure

    left, right = st.columns([3, 2])
    with left:
        views.contact(result.frames)
    with right:
        row = slider("Row of pixels", 0, result.frames.shape[1] - 1, 24, "row", "The row that the x-t slice follows.")
        views.xt(result.frames, row)
    found = measure(result.frames)["track"]
    wanted = asked(result.request.prompt)
    rows = [
        {
            "what": name,
            "asked": wanted.get(name, "not said"),
            "seen by the tracker": getattr(found, name) or "nothing",
            "right": "" if name not in wanted else "yes" if wanted[name] == getattr(found, name) else "no",
        }
        for name in ("shape", "color", "motion", "background")
    ]
    tables.table(rows)


# --- ablation and comparison -----------------------------------------------------------------------------------


def ablate(result: Any) -> None:
    """The same noise with something taken away, next to the untouched clip."""
    base = result.request
    depth = int(result.extras["attention"].shape[1])
    a, b = st.columns(2)
    with a:
        st.session_state.setdefault("_known_keys", set()).add("cut_layers")
        cut = st.pills(
            "Nothing passes between times in layers",
            list(range(depth + 1)),
            selection_mode="multi",
            default=list(range(depth + 1)),
            format_func=lambda i: f"{i} attention" if i < depth else f"{i} convolutions",
            key="cut_layers",
            bind="query-params",
            disabled=base.model == TWIN,
            help="There a token sees only its own two frames; the last layer refines by convolutions.",
        )
        positions = controls.control(VideoRequest, "positions", "Positions", key="cut_positions")
    with b:
        guidance = controls.control(
            VideoRequest, "guidance_scale", "Guidance", key="cut_guidance", default=base.guidance_scale
        )
        first = controls.control(
            VideoRequest, "stop_after", "Only the first k steps", key="cut_steps", high=base.num_inference_steps
        )
    request = base.replace(
        local_layers=tuple(cut or ()), positions=positions, guidance_scale=guidance, stop_after=first
    )
    other = stage(
        request,
        lambda r: views.beside([("untouched", result.frames), ("ablated", r.frames)], r.fps),
        key="ablate",
        preview=views.preview,
        details=False,
    )
    if other is not None and len(other.frames) == len(result.frames):
        views.figures([("untouched", result.frames), ("ablated", other.frames)])


NAMES = {
    FULL: "full attention",
    "video-dit-factorised": "factorised",
    TWIN: "frame by frame",
    KEYED: "keyframes, then between",
}


def twins(result: Any) -> None:
    """The same prompt and seed by every way to make a film, played in step, with what it costs."""
    base = result.request
    others = [name for name in NAMES if name != base.model]
    st.session_state.setdefault("_known_keys", set()).add("ways")
    chosen = st.pills(
        "Beside it",
        others,
        selection_mode="multi",
        default=[TWIN if base.model != TWIN else FULL],
        format_func=NAMES.__getitem__,
        key="ways",
        help="Same prompt, seed and steps. All but the keyframes start from the same noise.",
    )
    jobs = {name: job_of(_way(base, name), f"twin-{name}") for name in others if name in (chosen or ())}
    running = any(job.active for job in jobs.values())

    @st.fragment(run_every=poll_seconds() if running else None)
    def live() -> None:
        films = [(NAMES[base.model], result.frames)]
        for name, job in jobs.items():
            if job.result is not None:
                films.append((NAMES[name], job.result.frames))  # type: ignore[attr-defined]
            elif job.error:
                st.error(f"{NAMES[name]}: {job.error}", icon=":material/info:")
            else:
                st.progress(job.progress, text=f"{NAMES[name]}: {job_words(job, False)}")
        views.beside(films, result.fps)
        if running and not any(job.active for job in jobs.values()):
            st.rerun()

    live()
    done = [(name, job.result) for name, job in jobs.items() if job.result is not None]
    if not done:
        return
    films = [(base.model, result), *((name, r) for name, r in done if len(r.frames) == len(result.frames))]  # type: ignore[attr-defined]
    costs = [{"seconds": round(r.seconds, 2), "network calls": r.model_calls} for _, r in films]
    views.figures([(NAMES[name], r.frames) for name, r in films], costs)
    st.caption(
        "Frame by frame is the same network with nothing passing between pairs of frames: inside a pair all holds "
        "together, between pairs it guesses anew. Factorised looks in turn at a pair's own patches and at one place "
        "over all times: 9 + 8 patches instead of 72. Keyframes draw every fifth frame and fill the gaps."
    )


def _way(base: VideoRequest, name: str) -> Request:
    """The request of one way, with everything else as on the stage."""
    if name != KEYED:
        return base.replace(model=name)
    return FilmRequest(
        prompt=base.prompt,
        seed=base.seed,
        num_inference_steps=base.num_inference_steps,
        guidance_scale=base.guidance_scale,
    )


# --- cost ------------------------------------------------------------------------------------------------------

# name, frames a second, seconds, height, width
FILMS = (
    ("one 1024 x 1024 picture", 1, 0, 1024, 1024),
    ("5 s of 480p, 16 a second", 16, 5, 480, 832),
    ("10 s of 1080p, 30 a second", 30, 10, 1080, 1920),
    ("60 s of 1080p, 30 a second", 30, 60, 1080, 1920),
)


def costs(result: Any) -> None:
    """Measured on our network: one pair of frames against the clip; then scaled by formula with the numbers shown."""
    st.markdown("**Measured here:** the same network on two frames (in effect a picture) and on the clip")
    small = stage(
        result.request.replace(frames=2, first_frame=b"", clip=b""),
        lambda r: views.still(r.frames[0], "two frames"),
        key="picture",
        details=False,
    )
    rows = []
    for name, r in (("two frames", small), (f"{len(result.frames)} frames", result)):
        if r is not None and r.steps_run:
            c = patches.cost(int(np.prod(r.extras["grid"])), **patches.OURS)
            rows.append(
                {
                    "film": name,
                    "tokens": c.tokens,
                    "seconds": round(r.seconds, 2),
                    "network calls": r.model_calls,
                    "operations": f"{c.total * r.model_calls:.2e}",
                    "GFLOP/s reached": round(c.total * r.model_calls / r.seconds / 1e9, 1),
                }
            )
    tables.table(rows)
    st.markdown(
        "**By formula:** a full-size transformer (width 3072, 42 layers, as CogVideoX-5B) on latents 8 x 8 pixels and "
        "4 frames large, cut into patches of 2 x 2; one pass, full attention over space and time"
    )
    st.latex(
        r"\mathrm{operations} = L\,(8 + 4m)\,n\,d^2 + 4\,L\,n^2 d "
        r"\qquad n=\mathrm{tokens},\ d=\mathrm{width},\ L=\mathrm{layers},\ m=4"
    )
    table, image = [], 0.0
    for name, fps, seconds, h, w in FILMS:
        frames = max(1, fps * seconds)
        n = int(np.prod(patches.tokens(frames, h, w, 4, 16)))
        c = patches.cost(n, 3072, 42, 48)
        image = image or c.total
        table.append(
            {
                "film": name,
                "tokens": f"{n:,}",
                "linear parts": f"{c.linear:.1e}",
                "attention": f"{c.attention:.1e}",
                "times the picture": f"{c.total / image:,.0f}",
            }
        )
    tables.table(table)


# --- stage and learning -------------------------------------------------------------------------------------------


def scrubber(count: int) -> None:
    """The frame that stands beside the film."""
    slider("Frame", 0, count - 1, 0, "frame", "Move it to hold one frame of the film beside the player.")


def teach(questions: Any) -> None:
    """The formula, the papers, and predictions to make."""
    from ui import learn

    st.markdown(
        "**How it works.** A codec turns each frame into 6 x 6 x 24 numbers. Two frames of 2 x 2 of those are one "
        "*spacetime patch* (16 x 16 pixels x 2 frames): 72 tokens a clip. The network sees them spoilt with noise, "
        "$z_t = (1-t)\\,x + t\\,\\epsilon$, and guesses the clean $\\hat x$; a step moves along the line between them:"
    )
    st.latex(
        r"z_{t'} = z_t + \left(\tfrac{t'}{t} - 1\right)(z_t - \hat x), \qquad "
        r"\hat x = \hat x_\varnothing + w\,(\hat x_{text} - \hat x_\varnothing)"
    )
    st.caption(
        "w is the guidance. Rectified flow: arXiv 2209.03003; x-prediction with large patches: JiT, arXiv 2511.13720; "
        "spacetime transformers: Latte, arXiv 2401.03048, CogVideoX, arXiv 2408.06072."
    )
    learn.predict(questions)
