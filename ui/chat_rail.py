"""Beside the conversation: who answers and how, the conversation's file, and what the models can and cannot do."""

from __future__ import annotations

import numpy as np
import streamlit as st

from core import catalog
from core.chat.chat import ChatRequest, read_picture
from core.chat.history import History
from core.errors import LabError
from ui import chat_code, chat_full, chat_remote, chat_talk, learn, picker, tables
from ui.controls import control
from ui.page import notice

MODELS = ("any-to-any", "full-size", "remote")
MEASURED = ("any-to-any", "image-tokenizer", "code-lm")
QUIZ = [
    learn.Question(
        "Asked for the capital of France, what does the model do?",
        ("guesses a city", "says that it only knows faces", "draws a face"),
        "says that it only knows faces",
        "Refusals were part of its dialogues; the last button under the conversation asks it.",
    ),
    learn.Question(
        "Words at temperature 1.8: what suffers first?",
        ("spelling", "facts", "grammar"),
        "facts",
        "Near-ties between values flip first; then words of other sentences slip in. Press Again to see it.",
        {"temperature": 1.8},
    ),
]


def draw(examples: list[bytes]) -> None:
    """The rail. examples: PNG files that were never seen in training."""
    st.session_state.setdefault("_known_keys", set()).update(("model", *chat_code.KEYS))
    wanted = st.query_params.get("model")
    if wanted is not None and wanted not in MODELS:
        notice(f"“{wanted[:40]}” is no model of this page; the default stands instead.")
    model = st.segmented_control(
        "Who answers",
        MODELS,
        default="any-to-any",
        required=True,
        key="model",
        help="any-to-any: ours. full-size: a checkpoint from the hub or a folder, on this machine. remote: an "
        "OpenAI-compatible endpoint, yours or a service's.",
        bind="query-params",
    )
    settings = {"model": model if model in MODELS else "any-to-any"}
    if model == "remote":
        chat_remote.panel()
    elif model == "full-size":
        chat_full.panel()
    else:
        picker.facts(catalog.card("any-to-any"))
        thumbnails = np.concatenate([read_picture(data, 40) for data in examples], axis=1)
        st.segmented_control(
            "A portrait it has never seen",
            range(len(examples)),
            key="_portrait",
            default=None,
            format_func=lambda i: str(i + 1),
            on_change=_portrait,
            args=(examples,),
            help="Sends it with the question “What do you see?”",
        )
        st.image(thumbnails, width=40 * len(examples), alt="the portraits 1 to 6")
        settings["temperature"] = control(ChatRequest, "temperature", "Temperature of words")
        settings["picture_temperature"] = control(ChatRequest, "picture_temperature", "Temperature of pictures")
        settings["seed"] = control(ChatRequest, "seed")
        with st.expander("More"):
            for name in ("guidance_scale", "edit_guidance", "keep", "top_p", "top_k"):
                settings[name] = control(ChatRequest, name)
    st.session_state["_chat_settings"] = settings
    with st.popover("Export, import, clear", icon=":material/folder_open:"):
        _files()


def _portrait(examples: list[bytes]) -> None:
    number = st.session_state["_portrait"]
    if number is not None:
        chat_talk.send("What do you see?", examples[number])


def _files() -> None:
    talk = chat_talk.talk()

    def pictures() -> dict[int, bytes]:
        return {i: chat_talk.png(talk.turns[i].picture) for i in talk.path() if talk.turns[i].picture}

    st.download_button("Markdown", lambda: talk.to_markdown(pictures()), "chat.md", key="_md", on_click="ignore")
    st.download_button("JSON", talk.to_json, "chat.json", key="_json", on_click="ignore")
    file = st.file_uploader("Import a JSON export", type=["json"], key="_import", max_upload_size=12)
    if file is not None and st.session_state.get("_imported") != file.file_id:
        st.session_state["_imported"] = file.file_id
        try:
            replace(History.from_json(file.getvalue()))
        except LabError as error:
            st.error(str(error), icon=":material/info:")
        else:
            st.rerun()
    st.button("Clear", key="_clear", icon=":material/delete:", on_click=replace, args=(History(),))
    st.caption("Keys are in no export. The address names a copy of this conversation, kept while the app runs.")


def replace(history: History) -> None:
    """Another conversation takes the place of this one."""
    chat_talk.stop()
    st.session_state.update({"_chat": history, "_chat_extras": {}, "_chat_pending": None, "_chat_opened": True})
    chat_talk.save()


def limits() -> None:
    """What the models were trained on and how well they do, as measured."""
    cards = [catalog.card(name) for name in MEASURED]
    st.markdown(cards[0].prose)
    rows = [
        {"model": card.title, "measure": name.replace("_", " "), "value": str(value)}
        for card in cards
        for name, value in card.quality.items()
    ]
    tables.table(rows)
    st.caption(
        "Measured on portraits, phrasings and tasks that were held out of training: python -m "
        "training.measure_chat. Everything written or drawn here is ai-generated; the faces are of nobody."
    )
    learn.predict(QUIZ)
