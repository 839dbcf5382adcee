"""Chat that sees and draws: one vocabulary of words and picture codes, and remote models behind the same page."""

from __future__ import annotations

from typing import Any

import streamlit as st

from core import catalog
from ui import chat_code, chat_compare, chat_pictures, chat_rail, chat_talk, chat_tokens
from ui.page import Scene, close_page, guard, lenses, open_page

FOLDER = catalog.MODELS_DIR / "any-to-any" / "examples"
EXAMPLES = [path.read_bytes() for path in sorted(FOLDER.glob("*.png"))]
QUESTIONS = (
    "Describe the picture",
    "What colour is the hair?",
    "Does the person wear glasses?",
    "Is the hair red?",
    "Make the background yellow",
    "Draw a person with short pink hair and light skin on a navy background",
    "What is the capital of France?",
)


def conversation() -> None:
    """The stage: turns, examples, the line to write in."""
    chat_talk.collect()
    ours = st.session_state["_chat_settings"]["model"] == "any-to-any"  # nothing is sent out or loaded unasked
    if ours and not chat_talk.talk().turns and not st.session_state.get("_chat_opened"):
        st.session_state["_chat_opened"] = True
        chat_talk.send("Describe the picture", EXAMPLES[0])
    with st.container(height=460, key="talk", autoscroll=True), guard():
        chat_talk.show()
    with st.container(horizontal=True, gap="xsmall"):
        for i, words in enumerate(QUESTIONS):
            label = words if len(words) < 32 else words[:29] + "…"
            st.button(label, key=f"_ask{i}", on_click=chat_talk.send, args=(words,), help=words, type="tertiary")
        st.button(
            "Compare two portraits",
            key="_ask_two",
            on_click=chat_talk.send,
            args=("Do both have the same skin", EXAMPLES[1], EXAMPLES[2]),
            help="Sends two pictures: Do both have the same skin",
            type="tertiary",
        )
    said = st.chat_input(
        "Ask about a portrait, or say what to draw",
        key="_say",
        accept_file="multiple",
        accept_audio=True,
        max_upload_size=10,
        file_type=["png", "jpg", "jpeg", "webp", "wav"],
        max_chars=2000,
    )
    if said:
        send(said)
        st.rerun()


def send(said: Any) -> None:
    """What was written, recorded and added in one go: up to four pictures, one sound."""
    text = said if isinstance(said, str) else said.text or ""
    files = [] if isinstance(said, str) else [file.getvalue() for file in said.files or []]
    heard = [data for data in files if data[:4] == b"RIFF" and data[8:12] == b"WAVE"]
    pictures = [data for data in files if data not in heard][:4]
    if not isinstance(said, str) and said.audio is not None:
        heard.insert(0, said.audio.getvalue())
    if not text and not heard:
        text = "Do both have the same hair" if len(pictures) > 1 else "Describe the picture"
    chat_talk.send(text, *pictures, media=tuple(("audio", data) for data in heard[:1]))


open_page(
    "Chat",
    "A model that reads pictures and answers with words **and pictures**, out of one vocabulary: watch each token "
    "being chosen, choose another, and see where it leads.",
    [
        Scene("It describes a portrait that it never saw", {"temperature": 0.0}),
        Scene("Too much heat: press Again and facts flip", {"temperature": 1.8}),
    ],
)
stage, side = st.columns([2, 1])
with side.container(key="rail"), guard():
    chat_rail.draw(EXAMPLES)
with stage, guard():
    conversation()
lenses(
    {
        "Tokens": chat_tokens.draw,
        "Side by side": chat_compare.draw,
        "Picture tokens": lambda: chat_pictures.draw(EXAMPLES),
        "Code": chat_code.draw,
        "Limits": chat_rail.limits,
    }
)
close_page()
