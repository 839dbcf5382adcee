"""Full size: the same words on checkpoints from the hub or a folder, or on a remote endpoint."""

from __future__ import annotations

from typing import Any

import streamlit as st

from core.diffusion.full_size import FullSizeRequest
from core.diffusion.remote import SERVICES, SIZES, RemoteImageRequest
from core.request import Request
from ui.controls import build
from ui.diffusion_grid import run_one
from ui.full_size import choose, stored_key
from ui.result import badge, details, picture

HINT = (
    "Stable Diffusion 1.5, SD-Turbo, SDXL, SD 3, PixArt, Sana, FLUX, Z-Image, LCM: any diffusers checkpoint, for example "
    "stable-diffusion-v1-5/stable-diffusion-v1-5 (about 4 GB in memory) or a folder. Nothing is fetched before you say so."
)


def draw(base: Any) -> None:
    """Choose where, set few things, generate."""
    place = st.segmented_control(
        "Where it runs", ["this machine", "remote endpoint"], default="this machine", required=True, key="full_place"
    )
    prompt = st.text_area("Prompt", base.prompt, max_chars=2000, key="full_prompt")
    request = _local(prompt, base) if place == "this machine" else _remote(prompt)
    if request is None:
        return
    if st.button("Generate", type="primary", icon=":material/play_arrow:", key="_full_run"):
        st.session_state["_full_asked"] = request
    asked: Request | None = st.session_state.get("_full_asked")
    if asked is None:
        return
    result = run_one(asked, "full", "Working")
    if result is not None:
        badge("borrowed")
        picture(result.images, "full-size picture", crisp=False, width=512)
        details(result, "full")


def _local(prompt: str, base: Any) -> FullSizeRequest | None:
    folder = choose("Hub id or folder", "full", kinds=("Pipeline",), hint=HINT)
    if not folder:
        return None
    with st.container(horizontal=True):
        steps = st.slider("Steps", 1, 60, 20, key="full_steps")
        own = st.toggle("The checkpoint's own guidance", True, key="full_own")
        scale = st.slider("Guidance w", 0.0, 15.0, 5.0, 0.5, key="full_w", disabled=own)
    st.caption("Attention maps and latents are not recorded for full-size models: their pictures only.")
    return build(
        FullSizeRequest, folder=folder, prompt=prompt, seed=base.seed, num_inference_steps=steps,
        guidance_scale=-1.0 if own else scale,
    )  # fmt: skip


def _remote(prompt: str) -> RemoteImageRequest | None:
    service = st.selectbox("Service", [*SERVICES, "Another"], key="full_service")
    address, variable, model = SERVICES.get(service, ("", "", ""))
    url = st.text_input(
        "Address", address, max_chars=300, key=f"full_url_{service}", help="OpenAI-compatible, up to /v1."
    )
    name = st.text_input("Model's name there", model, max_chars=200, key=f"full_name_{service}")
    size = st.selectbox("Size", SIZES, index=1, key="full_size")
    handle = stored_key(url, (address, variable), "_full_handle")
    st.caption("Your prompt is sent to this address. Its pictures are another model's, not ours.")
    if not url or not name:
        return None
    return build(RemoteImageRequest, base_url=url, name=name, prompt=prompt, size=size, key=handle)
