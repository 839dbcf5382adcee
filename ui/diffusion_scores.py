"""Figures under pictures: attributes right by the held-out classifier, CLIP score, saturation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import streamlit as st

from core.errors import LabError


def scores(result: Any) -> dict[str, Any]:
    """Means over one result's pictures: attributes right (share), CLIP score (cosine), saturation, clipped share.

    NaN where there is nothing to judge by: a prompt that names nothing, a model without words, a judge that is not there.
    """
    from core.diffusion import score
    from core.runtime.models import lease

    figures: dict[str, Any] = {"attributes right": float("nan"), "CLIP score": float("nan")}
    prompt = result.request.prompt
    if result.extras.get("words", True) and prompt.strip():
        try:
            with lease("attributes-b") as (classifier,):
                figures["attributes right"] = float(np.mean(score.right(classifier, result.images, prompt)))
            with lease("clip") as (clip,):
                figures["CLIP score"] = float(clip.score(result.images, [score.plain(prompt)]).mean())
        except LabError:  # a judge is not there or does not fit: the other figures stand
            pass
    figures["saturation"] = float(score.saturation(result.images).mean())
    figures["clipped"] = float(score.clipped(result.images).mean())
    return figures


def kept(place: str, result: Any, make: Callable[[], Any], most: int) -> Any:
    """`make()`, once a result and session, under the name `place`; at most `most` of them."""
    store = st.session_state.setdefault(place, {})
    name = result.request.digest()
    if name not in store:
        if len(store) > most:
            store.clear()
        store[name] = make()
    return store[name]


def kept_scores(result: Any) -> dict[str, Any]:
    """`scores`, computed once a result and session."""
    found: dict[str, Any] = kept("_cell_scores", result, lambda: scores(result), 400)
    return found


def score_line(result: Any) -> str:
    """A cell's caption: share of the prompt's attributes that the held-out classifier sees."""
    share = kept_scores(result)["attributes right"]
    return "" if np.isnan(share) else f"{100 * share:.0f} %"


def percent(share: float) -> int | None:
    """For tables: 0.42 -> 42, and an empty cell where nothing could be judged."""
    return None if np.isnan(share) else round(100 * share)


def row(result: Any) -> dict[str, Any]:
    """Columns of a table of results: percent and cosine, empty where nothing could be judged."""
    figures = kept_scores(result)
    clip = figures["CLIP score"]
    return {
        "attributes right (%)": percent(figures["attributes right"]),
        "CLIP score": None if np.isnan(clip) else round(clip, 2),
    }
