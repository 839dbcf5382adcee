"""From logits to the next token, and to the candidates that a reader may want to see."""

from __future__ import annotations

from typing import Any

import torch

from core.chat.vocabulary import Vocabulary

SHOWN = 8  # candidates kept a token


def choose(
    logits: torch.Tensor, allowed: torch.Tensor, *, temperature: float, top_k: int, top_p: float, noise: torch.Generator
) -> tuple[int, torch.Tensor, torch.Tensor]:
    """One token out of `allowed`.

    Args:
        logits: (V,); allowed: (V,) bool, at least one True.
        temperature: 0 takes the likeliest; otherwise logits / temperature.
        top_k: keep the k likeliest (0: all); top_p: keep the smallest set whose probability reaches top_p
            (nucleus sampling, https://arxiv.org/abs/1904.09751).

    Returns: the token, the probabilities (V,) before the cut, and which tokens the cut kept (V,) bool.
    """
    masked = logits.masked_fill(~allowed, float("-inf"))
    probabilities = (masked / max(temperature, 1e-6)).softmax(-1) if temperature else masked.softmax(-1)
    if not temperature:
        kept = torch.zeros_like(allowed)
        kept[masked.argmax()] = True
        return int(masked.argmax()), probabilities, kept
    ranked, order = probabilities.sort(descending=True)
    keep = ranked.cumsum(0) - ranked < top_p  # the first is always kept
    if top_k:
        keep[top_k:] = False
    keep &= ranked > 0
    kept = torch.zeros_like(allowed)
    kept[order[keep]] = True
    drawn = torch.multinomial(ranked[keep], 1, generator=noise)
    return int(order[keep][drawn]), probabilities, kept


def described(
    token: int, probabilities: torch.Tensor, kept: torch.Tensor, words: Vocabulary, **more: Any
) -> dict[str, Any]:
    """Plain data of one step: id, label, modality, probability, and the likeliest candidates (id, label, p, kept)."""
    top = probabilities.topk(min(SHOWN, len(probabilities)))
    candidates = [
        (int(i), words.label(int(i)), float(p), bool(kept[i]))
        for p, i in zip(top.values, top.indices, strict=True)
        if p > 0
    ]
    return {
        "id": token,
        "label": words.label(token),
        "modality": words.modality(token),
        "probability": float(probabilities[token]),
        "candidates": candidates,
        **more,
    }
