"""Teaching parts that every page has: how it works, failure gallery, predict-then-reveal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import streamlit as st

from ui.page import apply_settings


@dataclass(frozen=True)
class Failure:
    """One click to the failure, one to the cure. broken and cure: control values by widget key."""

    title: str
    why: str
    broken: dict[str, Any] = field(default_factory=dict)
    cure: dict[str, Any] = field(default_factory=dict)
    cure_title: str = "Fix it"


@dataclass(frozen=True)
class Question:
    """A prediction to make before the model answers. show: control values under which the answer can be seen."""

    question: str
    options: tuple[str, ...]
    answer: str
    why: str
    show: dict[str, Any] = field(default_factory=dict)


def failures(items: Sequence[Failure]) -> None:
    """The gallery: each failure with its button, its cause and its cure. The stage above shows what happens."""
    for index, item in enumerate(items):
        with st.container(border=True):
            st.markdown(f"**{item.title}**  \n{item.why}")
            with st.container(horizontal=True):
                st.button("Break it", key=f"_break{index}", on_click=apply_settings, args=(item.broken,))
                st.button(
                    item.cure_title, key=f"_cure{index}", on_click=apply_settings, args=(item.cure,), type="primary"
                )


def predict(items: Sequence[Question]) -> None:
    """Choose first, then the model answers: choosing sets the controls, so that the stage shows what is true."""
    for index, item in enumerate(items):
        with st.container(border=True):
            chosen = st.radio(item.question, item.options, index=None, key=f"_predict{index}")
            if chosen is None:
                continue
            right = chosen == item.answer
            (st.success if right else st.warning)(
                f"{'Right' if right else f'Not quite: {item.answer}'}. {item.why}", icon=":material/lightbulb:"
            )
            if item.show:
                st.button("Let the model show it", key=f"_show{index}", on_click=apply_settings, args=(item.show,))
