"""The Score workbench: a caption becomes notes; piano roll, MIDI file, tokens."""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st

from core import catalog
from core.audio import pitch, score, upload
from core.audio.symbolic import EXAMPLES, ScoreRequest
from core.errors import BadRequest
from core.request import Request
from core.result import AudioResult
from ui import compare as comparison
from ui import controls, learn, picker, sound_melody, style, tables
from ui import result as views
from ui import sound_views as show
from ui.sound_inputs import example, own_clip

COLORS = {0: "#CC79A7", 1: "#7A6FB0", 2: "#0072B2", 9: "#E69F00"}
PARTS = {0: "lead", 1: "chords", 2: "bass", 9: "drums"}


def rail() -> ScoreRequest | None:
    """Caption, melody (drawn, hummed or written) and the main controls; returns the request or None."""
    picker.facts(catalog.card("symbolic-music"))
    example("prompt", EXAMPLES)
    values: dict[str, Any] = {"prompt": controls.control(ScoreRequest, "prompt", wide=True)}
    values["melody"] = controls.control(ScoreRequest, "melody", "Melody for the lead")
    with st.expander("Draw it", icon=":material/show_chart:"):
        st.caption(
            "Draw a line, or click note by note; a click on a note takes it away. The model plays these notes in turn, "
            "in a rhythm of its own, without the gaps."
        )
        sound_melody.by_hand("melody", values["melody"])
    with st.expander("Hum it", icon=":material/mic:"):
        data = own_clip("hum", "Hum, whistle or play one line")
        if data:
            st.button("Take its notes", on_click=take, args=(data,), icon=":material/music_note:")
        if problem := st.session_state.get("_hum_problem"):
            st.error(problem, icon=":material/info:")
    values["seed"] = controls.control(ScoreRequest, "seed")
    values["seconds"] = controls.control(ScoreRequest, "seconds", "Seconds", key="score_seconds")
    values["temperature"] = controls.control(ScoreRequest, "temperature")
    with st.expander("More"):
        values["top_k"] = controls.control(ScoreRequest, "top_k", "Top-k", key="score_top_k", high=100)
    return controls.build(ScoreRequest, **values)


def take(data: bytes) -> None:
    """The notes of a clip into the melody field; a sentence when there are none."""
    try:
        st.session_state["melody"] = pitch.written(pitch.melody(upload.decode(data)))
        st.session_state.pop("_hum_problem", None)
    except BadRequest as error:
        st.session_state["_hum_problem"] = str(error)


def view(r: AudioResult) -> None:
    """Player, what the score says of itself, piano roll, MIDI."""
    facts, notes = r.extras["facts"], r.extras["notes"]
    show.player(r.waveform[:, 0], r.sample_rate, r.request.digest(), f"{r.request.prompt[:80]}", height=150)  # type: ignore[attr-defined]
    views.badge("now")
    st.caption(
        f"{facts['genre']} in {facts['tonic']} {facts['mode']} · {facts['tempo']} bpm · lead: {facts['lead']} · {len(notes)} notes · played by a small "
        "synthesiser of ours (added sines and noise), not by the network"
    )
    if r.extras["unknown_words"]:
        st.caption(
            f"Words that the model never read, so they say nothing to it: {', '.join(r.extras['unknown_words'])[:120]}."
        )
    st.plotly_chart(piano_roll(notes, len(r.waveform) / r.sample_rate), key="roll")
    st.download_button(
        "MIDI",
        r.extras["midi"],
        f"{r.request.model}-{getattr(r.request, 'seed', 0)}.mid",
        "audio/midi",
        icon=":material/piano:",
        on_click="ignore",
    )


def piano_roll(notes: list[score.Note], seconds: float) -> Any:
    """Notes as bars: time across, key upwards, one colour a part; drums at the bottom."""
    import plotly.graph_objects as go

    figure = style.figure(height=320, title="Piano roll", barmode="overlay", bargap=0.1)
    figure.update_layout(legend={"x": 1, "xanchor": "right"})  # beside the title
    for channel, part in PARTS.items():
        mine = [n for n in notes if n[2] == channel]
        figure.add_trace(
            go.Bar(
                base=[n[0] for n in mine],
                x=[max(n[1], 0.05) for n in mine],
                y=[20 + score.DRUMS.index(n[3]) * 2 if channel == 9 else n[3] for n in mine],
                orientation="h",
                width=0.9 if channel != 9 else 1.6,
                name=part,
                marker_color=COLORS[channel],
                text=["" for _ in mine],
                customdata=[
                    ("kick", "snare", "hi-hat", "ride")[score.DRUMS.index(n[3])]
                    if channel == 9
                    else f"{pitch.NAMES[n[3] % 12]}{n[3] // 12 - 1}"
                    for n in mine
                ],
                hovertemplate="%{customdata} at %{base:.2f} s<extra>" + part + "</extra>",
            )
        )
    ticks = [36, 48, 60, 72, 84]
    figure.update_layout(
        xaxis={"title": "time (s)", "range": [0, seconds]},
        yaxis={"tickvals": [23, *ticks], "ticktext": ["drums", *(f"C{t // 12 - 1}" for t in ticks)]},
    )
    return figure


def inside(r: AudioResult) -> None:
    """The tokens, beat by beat, and how likely the grammar left them."""
    tokens = r.extras["tokens"]
    st.markdown(
        "The network reads the caption and writes one token after the other: the **plan** (tempo, lead, genre, "
        "key, drums), then for every beat its notes, written as if the tonic were C. A grammar forbids what would be no score, such as a length without a note, so every "
        "piece is playable. After some bars the older half of the context is forgotten: a piece may be as long as you like."
    )
    beats: list[list[str]] = []
    for token in tokens[len(score.PLAN) :]:
        if token == "beat":
            beats.append([])
        elif beats:
            beats[-1].append(token)
    st.code(" ".join(tokens[: len(score.PLAN)]), language=None)
    with st.container(height=340):
        tables.table([{"beat": i + 1, "tokens": " ".join(b)} for i, b in enumerate(beats[:64])])
    classes = np.bincount([n[3] % 12 for n in r.extras["notes"] if n[2] != 9], minlength=12)
    import plotly.graph_objects as go

    figure = style.figure(height=220, title="How often each pitch class is written")
    figure.add_trace(go.Bar(x=list(pitch.NAMES), y=classes))
    st.plotly_chart(figure, key="classes")
    st.caption(
        f"{len(tokens)} tokens for {len(r.waveform) / r.sample_rate:.0f} s: the codec language model needs 200 a second."
    )


def compare(request: ScoreRequest) -> None:
    """The same caption at two to four temperatures."""
    heats = (0.6, 0.9, 1.2, 1.6)

    def column(i: int, base: Request) -> Request | None:
        heat = controls.control(ScoreRequest, "temperature", key=f"compare{i}_heat", default=heats[i])
        return base.replace(temperature=heat)

    def cell(r: Any) -> None:
        show.player(r.waveform[:, 0], r.sample_rate, f"s{r.request.digest()}", "one of the pieces compared", height=120)

    def row(r: Any) -> dict[str, Any]:
        facts = r.extras["facts"]
        return {
            "temperature": r.request.temperature,
            "tempo": facts["tempo"],
            "lead": facts["lead"],
            "genre": facts["genre"],
            "key": f"{facts['tonic']} {facts['mode']}",
            "notes": len(r.extras["notes"]),
            "drums": "yes" if any(n[2] == 9 for n in r.extras["notes"]) else "no",
        }

    comparison.compare(request, column, cell, key="score", measures=row)


FAILURES = (
    learn.Failure(
        "Too hot",
        "At temperature 2 any key of any octave may come: the harmony is gone, the grammar still holds.",
        {"temperature": 2.0},
        {"temperature": 0.9},
    ),
    learn.Failure(
        "Always the likeliest",
        "With top-k 1 the same bar comes again and again.",
        {"score_top_k": 1},
        {"score_top_k": 24},
        "Let it draw",
    ),
)
QUESTIONS = (
    learn.Question(
        "A score of 16 s needs about …",
        ("600 tokens", "3,200 tokens", "256,000 tokens"),
        "600 tokens",
        "The codec language model writes 3,200 for the same time (4 x 50 x 16), and a waveform model 256,000.",
    ),
)
