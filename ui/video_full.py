"""Full size: the same words on video checkpoints from the hub or a folder."""

from __future__ import annotations

from typing import Any

import streamlit as st

from core.video.full_size import FAMILIES, FullVideoRequest
from ui import video_views as views
from ui.controls import build
from ui.full_size import choose
from ui.stage import stage

HINT = (
    "Any diffusers checkpoint of these families, for example zai-org/CogVideoX-2b, Wan-AI/Wan2.1-T2V-1.3B-Diffusers, "
    "Lightricks/LTX-Video, hunyuanvideo-community/HunyuanVideo, genmo/mochi-1-preview, maxin-cn/Latte-1, or a folder. "
    "They need a GPU and tens of gigabytes; nothing is fetched before you say so."
)


def draw(base: Any) -> None:
    """Choose a checkpoint, set few things, run; the film plays as ours does."""
    folder = choose("Hub id or folder", "video_full", kinds=tuple(FAMILIES), hint=HINT)
    if not folder:
        return
    prompt = st.text_area("Prompt", base.prompt, max_chars=2000, key="full_prompt")
    with st.container(horizontal=True):
        steps = st.slider("Steps", 1, 60, 30, key="full_steps")
        frames = st.slider("Frames (0: its own number)", 0, 161, 0, key="full_frames")
        side = st.selectbox("Size", ["its own", "256 x 256", "512 x 320", "768 x 512"], key="full_size")
    width, height = (0, 0) if side == "its own" else (int(v) for v in side.split(" x "))
    request = build(
        FullVideoRequest, folder=folder, prompt=prompt, seed=base.seed, num_inference_steps=steps, frames=frames,
        width=width, height=height,
    )  # fmt: skip
    st.caption("Its attention and latents are not recorded: only its film. Frames are rounded to what its codec packs.")
    if st.toggle("Run it", key="_full_asked", help="Loads the checkpoint and keeps it until another is chosen."):
        stage(
            request,
            lambda r: views.player(r.frames, r.fps, f"Film: {r.request.prompt}"),
            key="full",
            auto=False,
        )
