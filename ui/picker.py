"""The model picker: size, year, licence, measured quality and load state beside every name."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import streamlit as st

from core import catalog
from core.catalog import Card
from core.errors import Unavailable
from core.runtime import models
from ui import tables
from ui.controls import linked, publish
from ui.page import notice

SOURCE_WORDS = {
    "embedded": "trained by us",
    "borrowed": "borrowed weights",
    "hub": "full-size, from the hub or a folder",
    "remote": "remote endpoint",
}


def pick(
    choices: Sequence[Card],
    *,
    label: str = "Model",
    key: str = "model",
    default: str | None = None,
    card: bool = True,
) -> str:
    """A list of models bound to the URL; returns the id. `card`: the facts of the chosen one under it.

    Raises Unavailable when there is none.
    """
    if not choices:
        raise Unavailable(
            "No model of this kind is installed; restore assets/models with `git checkout -- assets/models`."
        )
    ids = [c.id for c in choices]
    by_id = {c.id: c for c in choices}
    st.session_state.setdefault("_known_keys", set()).add(key)
    wanted = st.query_params.get(key)
    if wanted is not None and key not in st.session_state and wanted not in ids:
        notice(f"“{wanted[:40]}” is no model of this page; the default stands instead.")
    start = default if default in ids else ids[0]
    shown = linked(key, ids, start)
    chosen = st.selectbox(label, ids, index=ids.index(shown), format_func=_line(by_id), key=key)
    publish(key, chosen, start)
    if card:
        facts(by_id[chosen])
    return chosen


def _line(by_id: dict[str, Card]) -> Callable[[str], str]:
    def words(model: str) -> str:
        card = by_id[model]
        return f"{card.title} · {card.year} · {card.parameters / 1e6:.1f} M"

    return words


def facts(card: Card) -> None:
    """Size, licence, quality and load state in one caption, the whole card in a popover."""
    state = models.state(card.id)
    st.caption(
        f"{SOURCE_WORDS[card.source]} · {card.bytes / 1e6:.1f} MB · {card.licence} · {state}"
        + (f" · {_quality(card)}" if card.quality else " · quality not measured")
    )
    with st.popover("Card", icon=":material/badge:"):
        st.markdown(f"**{card.title}** ({card.year}) · [paper]({card.paper})")
        rows = {
            "Parameters": f"{card.parameters:,}",
            "Memory": f"{card.memory_mb:.0f} MB",
            "Data": card.data,
            "Recipe": card.recipe,
            "Steps": f"{card.steps:,}" if card.steps else "",
            "Measured by": card.measured,
        }
        tables.facts({name: value for name, value in rows.items() if value})
        if card.quality:
            tables.facts({name.replace("_", " "): value for name, value in card.quality.items()})
        st.markdown(card.prose)


def _quality(card: Card) -> str:
    """The figure that says most: adherence, coverage or distance before the terms it was measured under."""
    best = ("attributes_right", "attribute_coverage", "right", "pass_at_1", "psnr", "frechet")
    names = [name for name in best if isinstance(card.quality.get(name), (int, float))] or list(card.quality)
    return f"{names[0].replace('_', ' ')} {card.quality[names[0]]}"


def generators(modality: str, *families: str) -> list[Card]:
    """Embedded and borrowed generators of a modality (and families), in catalog order."""
    return [
        c
        for c in catalog.cards(modality=modality, role="generator")
        if c.loader and c.source in ("embedded", "borrowed") and (not families or c.family in families)
    ]
