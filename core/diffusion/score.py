"""Figures of single pictures and small sets: what a prompt names, what is right, saturation, diversity, with bands."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np

_BACKGROUNDS = "white|sky[ -]blue|navy|mint[ -]green|mint|yellow|orange|pink|lavender"
_HAIR = "black|brown|blond|red|grey|pink|blue|green"
_STYLES = {
    "avataaars": r"avataaars", "adventurer": r"adventurer", "micah": r"micah", "open-peeps": r"open[ -]peeps",
    "personas": r"personas", "big-smile": r"big[ -]smile(?= (?:style|avatar|character)|$)|as big smile",
    "pixel-art": r"pixel[ -]art", "toon-head": r"toon[ -]head",
}  # fmt: skip
_MOUTHS = {
    "laugh": r"laugh\w*", "sad": r"sad\w*|frown\w*", "open": r"open mouth|surprised|shocked", "neutral": r"neutral",
    "smile": r"(?<!big[ -])smil\w+|(?<!big[ -])\bsmile|grin\w*",
}  # fmt: skip


def plain(prompt: str) -> str:
    """The prompt without its weights, as a judge should read it: "(red:1.5) hair" -> "red hair"."""
    return re.sub(r"\(([^():]+):\s*[0-9]*\.?[0-9]+\)", r"\1", prompt)


def named(prompt: str) -> dict[str, Any]:
    """The attributes a prompt names, in the words of the records: {"hair_color": "blue", "glasses": True, ...}.

    Rules for the phrasings of the captions and near them; what they do not understand is left out, never guessed.
    """
    text = plain(prompt).lower()
    found: dict[str, Any] = {}
    for style, pattern in _STYLES.items():
        if re.search(pattern, text):
            found["style"] = style
            break
    place = re.search(rf"\b({_BACKGROUNDS}) (?:background|backdrop|behind|wall)", text) or re.search(
        rf"\b(?:on|before|in front of) (?:an? |the )?({_BACKGROUNDS})\b(?! (?:hair|bob|bun|mohawk))", text
    )
    if place:
        found["background"] = {"mint": "mint green"}.get(place[1], place[1].replace("-", " "))
    cut = re.search(rf"\b(?:(short|long|curly) )?(?:({_HAIR})[ -])?(?:haired|hair)\b", text)
    shape = re.search(rf"\b(?:({_HAIR}) )?(bob|bun|mohawk)\b", text)
    if re.search(r"\bbald\b|\bno hair\b", text):
        found |= {"hair": "bald"}
    elif shape:
        found |= {"hair": shape[2]} | ({"hair_color": shape[1]} if shape[1] else {})
    elif cut and (cut[1] or cut[2]):
        found |= ({"hair": cut[1]} if cut[1] else {}) | ({"hair_color": cut[2]} if cut[2] else {})
    if skin := re.search(r"(?<!deep )\b(light|tan|brown|dark)[ -]skin", text):
        found["skin_color"] = skin[1]
    for name, words in (("glasses", r"glasses|shades|specs|spectacles|sunglasses"), ("beard", r"beard(?:ed)?")):
        if re.search(rf"\b(?:no|without(?: an?)?) (?:{words})\b", text):
            found[name] = False
        elif re.search(rf"\b(?:{words})\b", text):
            found[name] = True
    if "clean-shaven" in text:
        found["beard"] = False
    for mouth, pattern in _MOUTHS.items():
        if re.search(pattern, text):
            found["mouth"] = mouth
            break
    return found


def right(classifier: Any, images: np.ndarray, prompt: str) -> np.ndarray:
    """Share of the named attributes that each picture (N, H, W, 3) shows, by the held-out classifier: (N,) in [0, 1].

    NaN where the prompt names nothing that the classifier knows.
    """
    wanted = named(prompt)
    seen = classifier.predict(images)
    hits = [seen[name] == _word(value) for name, value in wanted.items() if name in seen]
    return np.mean(hits, axis=0) if hits else np.full(len(images), np.nan)


def _word(value: Any) -> str:
    return ("no", "yes")[value] if isinstance(value, bool) else str(value)


def saturation(images: np.ndarray) -> np.ndarray:
    """Mean colourfulness of each picture, (max - min over the channels) / 255: (N,) in [0, 1]."""
    pictures = images.astype(np.float32)
    return ((pictures.max(-1) - pictures.min(-1)) / 255.0).mean((1, 2))


def clipped(images: np.ndarray) -> np.ndarray:
    """Share of channel values within 2 of black or full, each picture: (N,) in [0, 1]."""
    return ((images <= 2) | (images >= 253)).mean((1, 2, 3))


def spread(images: np.ndarray) -> float:
    """Diversity: mean RMS pixel distance over all pairs of pictures, 0 to 255; 0 for one picture."""
    gaps = _gaps(images)
    return float(gaps[np.triu_indices(len(gaps), 1)].mean()) if len(gaps) > 1 else 0.0


def spread_with_band(images: np.ndarray, rounds: int = 200) -> tuple[float, float, float]:
    """(spread, low, high): 95 % bootstrap over pictures. A picture drawn twice is no pair: its distance 0 says nothing."""
    gaps, rng = _gaps(images), np.random.default_rng(0)
    drawn = []
    for _ in range(rounds):
        rows = rng.integers(0, len(gaps), len(gaps))
        pairs = gaps[np.ix_(rows, rows)][rows[:, None] != rows[None]]
        drawn.append(pairs.mean() if len(pairs) else np.nan)
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    return spread(images), float(low), float(high)


def _gaps(images: np.ndarray) -> np.ndarray:
    """RMS pixel distance of each pair, (N, N)."""
    flat = images.reshape(len(images), -1).astype(np.float32)
    return np.stack([np.sqrt(np.square(flat - one).mean(1)) for one in flat])


def with_band(
    values: np.ndarray, figure: Callable[[np.ndarray], float], rounds: int = 200
) -> tuple[float, float, float]:
    """(figure(values), low, high): the spread of 95 % of bootstrap draws, put around the value.

    Draws with repeats shift a distance between clouds as a whole; only how far they scatter is the error.
    """
    rng = np.random.default_rng(0)
    drawn = np.array([figure(values[rng.integers(0, len(values), len(values))]) for _ in range(rounds)])
    value, middle = figure(values), np.nanmean(drawn)
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    return value, float(value + min(low - middle, 0.0)), float(value + max(high - middle, 0.0))


def matching(
    labels: dict[str, np.ndarray], wanted: dict[str, Any], least: int = 60
) -> tuple[dict[str, str], np.ndarray]:
    """The real portraits most like a prompt: (attributes that could be kept, rows), at least `least` of them.

    labels: {attribute: (M,) str}. Attributes are applied in the order of `wanted` while enough pictures remain.
    """
    kept: dict[str, str] = {}
    rows = np.arange(len(next(iter(labels.values()))))
    for name, value in wanted.items():
        fewer = rows[labels[name][rows] == _word(value)] if name in labels else rows[:0]
        if len(fewer) >= least:
            kept[name], rows = _word(value), fewer
    return kept, rows


def to_real(real: np.ndarray, directions: int = 8) -> Callable[[np.ndarray], float]:
    """Frechet distance from features (N, D) to `real` (M, D) in the main directions of `real`.

    A handful of pictures says nothing about a covariance of 320 x 320; in 8 directions 16 pictures are a cloud.
    """
    from core.metrics.distances import frechet_distance

    middle = real.mean(0)
    _, _, axes = np.linalg.svd(real - middle, full_matrices=False)
    flat = (real - middle) @ axes[:directions].T  # (M, 8)
    return lambda fake: frechet_distance(flat, (fake - middle) @ axes[:directions].T)
