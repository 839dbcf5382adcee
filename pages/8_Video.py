"""Video: a text-to-video diffusion transformer over spacetime patches, and what it is without its parts."""

from __future__ import annotations

import io

import numpy as np
import streamlit as st

from core.errors import BadRequest
from core.video.sample import VideoRequest, picture
from ui import controls, learn, page, picker, video_between, video_full, video_inside, video_lenses, video_views
from ui import result as results
from ui.page import guard
from ui.stage import estimate, stage
from ui.video_words import EXAMPLES, FAILURES, QUESTIONS, TOUR


def first_frame() -> bytes:
    """The picture the film must start with: an upload, or the last frame of the clip on the stage."""
    data = controls.upload(
        "First frame",
        ["png", "jpg", "jpeg", "webp"],
        key="_first_file",
        max_mb=20,
        help="Cropped to a square of 48 pixels. It knows only scenes like its own.",
    )
    if data:
        try:
            picture(data)
            return data
        except BadRequest as error:
            st.error(str(error), icon=":material/info:")
            return b""
    return st.session_state.get("_continued", b"") if st.session_state.get("_continue") else b""


def keep_last() -> None:
    """Remember the last frame of the clip on the stage, so that the next film goes on from there."""
    from PIL import Image

    last = st.session_state.get("_video_last")
    if st.session_state.get("_continue") and last is not None:
        out = io.BytesIO()
        Image.fromarray(np.asarray(last.frames[-1])).save(out, "PNG")
        st.session_state["_continued"] = out.getvalue()


page.open_page(
    "Video",
    "A small transformer turns a sentence into a film by denoising patches of space and time. Every part of it can be "
    "looked into, switched off and compared.",
    TOUR,
)
left, right = st.columns([2, 1])
with right.container(key="rail"):
    model = picker.pick([c for c in picker.generators("video") if c.request.endswith(":VideoRequest")])
    prompt = controls.control(VideoRequest, "prompt", "Prompt")
    st.selectbox(
        "Examples",
        EXAMPLES,
        index=None,
        key="_example",
        placeholder="Take an example",
        on_change=lambda: page.apply_settings({"prompt": st.session_state["_example"] or EXAMPLES[0]}),
    )
    seed = controls.control(VideoRequest, "seed")
    steps = controls.control(VideoRequest, "num_inference_steps", "Steps")
    guidance = controls.control(VideoRequest, "guidance_scale", "Guidance")
    with st.expander("More"):
        frames = controls.control(VideoRequest, "frames")
        fps = controls.control(VideoRequest, "fps", "Frames a second")
        st.toggle("Go on from the last frame on the stage", key="_continue", on_change=keep_last)
        first = first_frame()
        results.restore_box(VideoRequest)
    request = controls.build(
        VideoRequest,
        model=model,
        prompt=prompt,
        seed=seed,
        num_inference_steps=steps,
        guidance_scale=guidance,
        frames=frames,
        fps=fps,
        first_frame=first,
    )
    video_views.honest(model)
    estimate(request)
with left, guard():
    clip = stage(request, video_views.clip, key="video", preview=video_views.preview)
    if clip is not None:
        video_lenses.scrubber(len(clip.frames))
if clip is not None:
    page.lenses(
        {
            "Frames": lambda: video_lenses.frames(clip),
            "Patches": lambda: video_inside.explorer(clip),
            "Attention": lambda: video_inside.attention(clip),
            "Ablate": lambda: video_lenses.ablate(clip),
            "Side by side": lambda: video_lenses.twins(clip),
            "Between frames": lambda: video_between.draw(clip),
            "Costs": lambda: video_lenses.costs(clip),
            "Break it": lambda: learn.failures(FAILURES),
            "Full size": lambda: video_full.draw(clip.request),
            "Learn": lambda: video_lenses.teach(QUESTIONS),
        }
    )
page.close_page()
