"""What the rails of the Sound page share: examples, a clip of one's own, a request with other values."""

from __future__ import annotations

from typing import Any

import streamlit as st

from core.audio import dsp, upload, watermark
from core.errors import BadRequest
from core.request import Request
from ui import controls
from ui.page import guard

KINDS = ("wav", "flac", "ogg", "mp3", "m4a")


def example(name: str, options: tuple[str, ...]) -> None:
    """A list of examples that fills a text control."""

    def take() -> None:
        if st.session_state.get(f"_{name}_example"):
            st.session_state[name] = st.session_state[f"_{name}_example"]

    st.selectbox(
        "Examples", options, index=None, key=f"_{name}_example", on_change=take, placeholder="Choose an example"
    )


def own_clip(key: str, label: str) -> bytes:
    """A recording or an uploaded file, checked at once so that a bad one gets its sentence. b"": none."""
    tabs = st.segmented_control(label, ("none", "upload", "record"), default="none", key=f"_{key}_from", required=True)
    data = b""
    if tabs == "upload":
        data = controls.upload("Sound file, at most 30 s", KINDS, key=f"_{key}_file", max_mb=10)
    elif tabs == "record":
        recorded = st.audio_input("Record", sample_rate=16_000, key=f"_{key}_mic")
        data = recorded.getvalue() if recorded else b""
    if data:
        with guard():
            wave = upload.decode(data)
            found = watermark.strength(wave, dsp.SAMPLE_RATE)
            says = (
                "carries the lab's inaudible mark: it was made here"
                if found > watermark.THRESHOLD
                else "carries no mark"
            )
            st.caption(f"This sound {says} ({found:.1f}; found above {watermark.THRESHOLD:g}, needs 2 s).")
            return data
    return b""


def changed(base: Request, **values: Any) -> Request | None:
    """base with other values, or one sentence and None."""
    try:
        return base.replace(**values)
    except BadRequest as error:
        st.error(str(error), icon=":material/info:")
        return None
