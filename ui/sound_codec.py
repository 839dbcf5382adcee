"""The Codec workbench of the Sound page: rail, stage, lenses, failures."""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st

from core.audio import dsp, upload
from core.audio.codec import EDITS, CodecRequest, set_tokens, written
from core.audio.opus import opus
from core.result import AudioResult
from ui import controls, learn, tables
from ui import result as views
from ui import sound_views as show
from ui.page import guard
from ui.sound_inputs import own_clip


def rail() -> CodecRequest | None:
    """The clip, the number of codebooks, the edit."""
    names = upload.clip_names()
    values: dict[str, Any] = {"clip": controls.control(CodecRequest, "clip", "Clip", options=names)}
    values["upload"] = own_clip("codec", "Or your own")
    n = values["n_codebooks"] = controls.control(CodecRequest, "n_codebooks", "Codebooks")
    st.caption(f"Bitrate: {0.4 * n:.1f} kbit/s")
    values["edit"] = controls.control(CodecRequest, "edit", "Edit the tokens", options=EDITS)
    if values["edit"] != "none":
        values["codebook"] = controls.control(CodecRequest, "codebook", "Codebook (0: all)")
        values["start"] = controls.control(CodecRequest, "start", "From frame", high=199)
        values["length"] = controls.control(CodecRequest, "length", "Frames", high=200)
    if values["edit"] in ("shift", "repeat"):
        values["amount"] = controls.control(CodecRequest, "amount", "By frames", low=-100, high=100)
    if values["edit"] == "splice":
        values["second"] = controls.control(CodecRequest, "second", "Spliced in", options=names)
    values["tokens"] = controls.control(CodecRequest, "tokens", "Single tokens", wide=True)
    return controls.build(CodecRequest, **values)


def view(r: AudioResult) -> None:
    """Before and after, then the facts."""
    left, right = st.columns(2)
    with left:
        show.player(
            r.extras["original"],
            r.sample_rate,
            f"o{r.request.digest()}",
            "the clip before the codec",
            tag="original",
            height=180,
        )
        views.badge("real")
    with right:
        show.player(
            r.waveform[:, 0], r.sample_rate, f"d{r.request.digest()}", "the clip decoded from its tokens", height=180
        )
        views.badge("now")


def inside(r: AudioResult) -> None:
    """The token grid after the edit."""
    st.markdown(
        "Each column is 20 ms of sound. **Codebook 1** codes the gist, each further one what the ones before left over "
        "(residual vector quantisation). Edit tokens in the rail and hear it at once."
    )
    extras = r.extras
    st.plotly_chart(
        show.token_grid(extras["edited"], extras["frame_rate"], extras["size"], "Tokens after the edit"),
        key="codec-grid",
    )
    set_one(extras["edited"], extras["size"])


def set_one(codes: np.ndarray, size: int) -> None:
    """Choose one token by codebook and frame and set it; the sound is decoded again."""
    book, frame, value, go = st.columns([1, 1, 1, 1], vertical_alignment="bottom")
    k = int(book.number_input("Codebook", 1, len(codes), key="_token_book"))
    t = min(int(frame.number_input("Frame", 0, codes.shape[1] - 1, key="_token_frame")), codes.shape[1] - 1)
    new = int(value.number_input("Token (-1 mutes)", -1, size - 1, int(codes[k - 1, t]), key=f"_token_{k}_{t}"))

    def keep() -> None:
        with guard():
            st.session_state["tokens"] = written(set_tokens(st.session_state.get("tokens", "")) | {(k, t): new})

    go.button("Set it and listen", on_click=keep, icon=":material/edit:")
    st.caption(f"Codebook {k}, frame {t} ({t * 20} ms) is {codes[k - 1, t]}.")


def compare(r: AudioResult) -> None:
    """Every number of codebooks to listen to, with figures."""
    extras = r.extras
    total = len(extras["reconstructions"])
    rows = []
    for n, wave in enumerate(extras["reconstructions"], 1):
        rate = n * extras["kilobits"] / len(extras["edited"])
        st.caption(f"{n} of {total} codebooks · {rate:.1f} kbit/s")
        st.audio(wave, sample_rate=r.sample_rate)
        distance = round(extras["mel_distances"][n - 1], 3)
        rows.append({"codebooks": str(n), "kbit/s": round(rate, 1), "mel distance": distance})
    with guard():
        other = opus(extras["original"], 6000) if r.sample_rate == 16_000 else None
        if other is not None:
            st.caption("Opus at 6 kbit/s, the least that it does: it keeps phases and cuts what lies above 4 kHz")
            st.audio(other, sample_rate=r.sample_rate)
            distance = round(dsp.mel_distance(extras["original"], other), 3)
            rows.append({"codebooks": "Opus", "kbit/s": 6.0, "mel distance": distance})
    tables.table(rows)
    st.caption("Mel distance: mean difference of log10 mel spectra at three window lengths; 0 is the original.")


FAILURES = (
    learn.Failure(
        "One codebook only",
        "0.4 kbit/s: rhythm and pitch range survive, timbre does not.",
        {"n_codebooks": 1},
        {"n_codebooks": 6},
        "Use all six",
    ),
    learn.Failure(
        "The gist is lost",
        "Muting codebook 1 leaves corrections to something that is no longer there.",
        {"edit": "mute", "codebook": 1, "start": 0, "length": 200},
        {"edit": "none"},
        "Undo the edit",
    ),
    learn.Failure(
        "Order matters",
        "Scrambled frames keep every spectrum and lose every sound.",
        {"edit": "scramble", "codebook": 0, "start": 0, "length": 200},
        {"edit": "none"},
        "Undo the edit",
    ),
)
