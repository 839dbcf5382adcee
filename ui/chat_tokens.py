"""The token view: the whole sequence coloured by modality, each token's candidates, and another way to go on."""

from __future__ import annotations

import html
from typing import Any

import numpy as np
import streamlit as st

from core.chat.vocabulary import Vocabulary
from ui.chat_talk import answer, talk
from ui.tables import plain

HUES = {"mark": "#8A8F98", "text": "#CC79A7", "picture": "#2B8CD6"}  # neutral, autoregressive, pictures


def words_of(model: str) -> Vocabulary:
    """The vocabulary of an embedded model."""
    from core import catalog

    return Vocabulary.load(catalog.card(model).folder / "vocabulary.json")


def strip(tokens: list[tuple[str, str, float]], chosen: int = -1) -> None:
    """Tokens as coloured boxes: (label, modality, probability or -1); every label is escaped."""
    boxes = []
    for i, (label, modality, probability) in enumerate(tokens):
        shown = html.escape(label.replace(" ", "·").replace("\n", "↵"))
        title = f"{modality}, p {probability:.3f}" if probability >= 0 else f"{modality}, read"
        edge = "box-shadow:0 0 0 2px #E69F00;" if i == chosen else ""
        boxes.append(
            f'<span title="{title}" style="background:{HUES[modality]}33;border-bottom:2px solid '
            f"{HUES[modality]};{edge}border-radius:3px;padding:0 3px;margin:1px;display:inline-block;"
            f'font:12px monospace">{shown}</span>'
        )
    st.html(f'<div style="line-height:1.9">{"".join(boxes)}</div>')


def draw() -> None:
    """The lens: one answer of the shown branch, token by token."""
    kept: dict[int, dict[str, Any]] = st.session_state.get("_chat_extras", {})
    ours = [i for i in talk().path() if kept.get(i, {}).get("tokens")]
    if not ours:
        st.caption(
            "Ask our model something: its answer's tokens appear here. (The newest 12 answers are kept; after a "
            "reload press Again under an answer.)"
        )
        return
    names = {i: f"turn {i + 1}: {talk().turns[i].text[:50] or 'a picture'}" for i in ours}
    # a new answer makes a new list, which opens on it
    index = st.selectbox("Answer", ours[::-1], key=f"_tokens_turn{ours[-1]}", format_func=names.__getitem__)
    index = index if index in ours else ours[-1]
    extras, words = kept[index], words_of("any-to-any")
    tokens = extras["tokens"]
    if extras["context"]:
        st.markdown(f"**Read** · {len(extras['context'])} tokens")
        with st.container(height=150):
            strip([(words.label(i), words.modality(i), -1.0) for i in extras["context"]])
    st.markdown(f"**Written** · {len(tokens)} tokens")
    at = (
        st.slider(
            "Token",
            1,
            len(tokens),
            1,
            key=f"_token_{index}",
            help="Pick a token to see what else could have stood there.",
        )
        - 1
        if len(tokens) > 1
        else 0
    )
    strip([(t["label"], t["modality"], t["probability"]) for t in tokens], at)
    left, right = st.columns([3, 2])
    with left:
        _candidates(index, tokens, at, ours=bool(extras["context"]))
    with right:
        _attention(index, extras, tokens, at, words)


def _candidates(index: int, tokens: list[dict[str, Any]], at: int, ours: bool) -> None:
    """What could have stood there; our model can go on from another one."""
    token = tokens[at]
    if token["forced"]:
        st.caption("The grammar of pictures leaves one token here: row marks stand before every eight codes.")
        return
    more = " Another one goes on from there." if ours else ""
    st.caption(f"Candidates, after temperature. Crossed out: cut off by top-k or top-p.{more}")
    with st.container(key="abreast-candidates"):
        for number, label, probability, kept in token["candidates"]:
            row = st.columns([3, 4, 2], vertical_alignment="center")
            name = plain(label.replace(" ", "·")) or "·"
            row[0].markdown(name if kept else f"~~{name}~~")
            row[1].progress(min(1.0, probability), text=f"{100 * probability:.1f} %")
            chosen = number == token["id"]
            start = (*(t["id"] for t in tokens[:at]), number)
            if not ours:
                row[2].caption("taken" if chosen else "")
                continue
            row[2].button(
                "taken" if chosen else "go on",
                key=f"_go{index}_{at}_{number}",
                disabled=chosen,
                type="tertiary",
                on_click=answer,
                args=(talk().turns[index].parent, start),
            )
    st.caption(
        "Why not always the likeliest? For facts the likeliest word is best (temperature 0). A picture made only of "
        "likeliest codes comes out flat and always the same: variety needs the dice."
    )


def _attention(index: int, extras: dict[str, Any], tokens: list[dict[str, Any]], at: int, words: Vocabulary) -> None:
    """Where the model looked when it chose this token: heat over the newest picture, and the words looked at most."""
    from ui.chat_talk import png

    seen = tokens[at].get("attention")
    if seen is None:
        st.caption("Attention is kept for words, not for picture codes.")
        return
    ids = [*extras["context"], *(t["id"] for t in tokens[:at])][: len(seen)]
    codes = [i for i, token in enumerate(ids) if token >= words.first_code]
    weights = np.asarray(seen, np.float32)
    if len(codes) == 64:
        import io

        from PIL import Image

        heat = weights[codes].reshape(8, 8)
        picture = next(
            (t.picture for t in (talk().turns[i] for i in reversed(talk().path()) if i < index) if t.picture), b""
        )
        with Image.open(io.BytesIO(png(picture))) as file:
            ground = np.asarray(file.convert("RGB").resize((192, 192)), np.float32)
        glow = (heat / max(float(heat.max()), 1e-6)).repeat(24, 0).repeat(24, 1)[..., None]
        mixed = ground * (0.25 + 0.75 * glow) + np.array([230, 159, 0]) * 0.25 * glow
        st.image(
            mixed.clip(0, 255).astype(np.uint8),
            width=192,
            alt="attention over the picture",
            caption=f"{100 * float(heat.sum()):.0f} % of the attention is on the picture",
        )
    top = [int(i) for i in weights.argsort()[::-1] if words.modality(ids[i]) == "text"][:6]
    st.caption(
        "Words looked at most: "
        + ", ".join(f"{plain(words.label(ids[i]).strip() or '·')} {100 * weights[i]:.0f} %" for i in top)
    )
    st.caption("Mean over layers and heads: a hint at what was used, not a proof.")
