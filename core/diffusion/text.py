"""Prompts: tokens, words the model does not know, embeddings, weights such as "(red:1.5)"."""

from __future__ import annotations

import re
from typing import Any

import torch

from core.diffusion.load import Diffusion
from core.errors import BadRequest

_WEIGHT = re.compile(r"\(([^():]+):\s*([0-9]*\.?[0-9]+)\)")
_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")


def pieces(model: Diffusion, prompt: str) -> list[str]:
    """The tokenizer's pieces as the model sees them, start, end and padding left out; shortened to what it reads."""
    if model.tokenizer is None:
        return []
    plain = plain_prompt(prompt)
    tokenizer = model.tokenizer
    whole = (tokenizer.convert_tokens_to_string([piece]) for piece in tokenizer.tokenize(plain))
    shown = [piece.replace("</w>", "").strip(" ▁\ufffd") or "·" for piece in whole]
    return shown[: limit(model)]


def first_position(model: Diffusion) -> int:
    """Where the first piece of a prompt sits in the encoded sequence (1 after a start token, else 0)."""
    return 1 if model.tokenizer is not None and "CLIP" in type(model.tokenizer).__name__ else 0


def limit(model: Diffusion) -> int:
    """How many pieces of a prompt the model reads."""
    return int(model.tokenizer.model_max_length) - (1 + first_position(model)) if model.tokenizer is not None else 0


def too_long(model: Diffusion, prompt: str) -> int:
    """How many pieces at the end of the prompt are cut off."""
    if model.tokenizer is None:
        return 0
    return max(0, len(model.tokenizer.tokenize(plain_prompt(prompt))) - limit(model))


def unknown_words(model: Diffusion, prompt: str) -> list[str]:
    """Words that the vocabulary does not hold as one piece: the model never learned them as words."""
    if model.tokenizer is None:
        return []
    unknown = []
    for word in dict.fromkeys(_WORD.findall(plain_prompt(prompt).lower())):
        for part in re.findall(r"\d|[^\W\d_]+", word):  # as tokenizers cut them: "3d" is "3" and "d"
            found = model.tokenizer.tokenize(part)
            if len(found) != 1 or (found[0] == model.tokenizer.unk_token and model.tokenizer.eos_token != found[0]):
                unknown.append(word)
                break
    return unknown


def plain_prompt(prompt: str) -> str:
    """The prompt without its weights: "(red:1.5) hair" -> "red hair"."""
    return _WEIGHT.sub(r"\1", prompt)


@torch.no_grad()
def encode(model: Diffusion, prompt: str) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Prompt -> (embeddings (1, T, D), attention mask (1, T) or None), as the stock pipelines encode it.

    A weight w on a word scales how far its embedding lies from that of the empty prompt: e + (w - 1)(e - e_empty).
    Raises BadRequest when a weight is out of [0, 3].
    """
    if model.tokenizer is None or model.text_encoder is None:
        raise BadRequest("This model takes no prompt; leave it empty.")
    embeddings, mask = _encode_plain(model, plain_prompt(prompt))
    weights = _token_weights(model, prompt, embeddings.shape[1])
    if weights is not None:
        empty, _ = _encode_plain(model, "")
        embeddings = embeddings + (weights - 1.0)[None, :, None] * (embeddings - empty)
    return embeddings, mask


def _encode_plain(model: Diffusion, prompt: str) -> tuple[torch.Tensor, torch.Tensor | None]:
    tokenizer: Any = model.tokenizer
    inputs = tokenizer(
        prompt, padding="max_length", max_length=tokenizer.model_max_length, truncation=True, return_tensors="pt"
    )
    encoder: Any = model.text_encoder
    masked = "T5" in type(encoder).__name__ or getattr(encoder.config, "use_attention_mask", False)
    mask = inputs.attention_mask.to(model.device) if masked else None
    embeddings = encoder(inputs.input_ids.to(model.device), attention_mask=mask)[0]
    return embeddings, mask


def _token_weights(model: Diffusion, prompt: str, length: int) -> torch.Tensor | None:
    """(T,) weights of the encoded sequence, or None when the prompt has none."""
    if not _WEIGHT.search(prompt):
        return None
    weights = torch.ones(length)
    position, last = first_position(model), 0
    for match in [*_WEIGHT.finditer(prompt), None]:
        before = prompt[last : match.start()] if match else prompt[last:]
        position += len(model.tokenizer.tokenize(before)) if before.strip() else 0
        if match is None:
            break
        value = float(match.group(2))
        if value > 3:
            raise BadRequest(f"The weight {value:g} of “{match.group(1)}” is too large; give one from 0 to 3.")
        count = len(model.tokenizer.tokenize(match.group(1)))
        weights[position : position + count] = value
        position, last = position + count, match.end()
    return weights


def blend(first: torch.Tensor, second: torch.Tensor, amount: float) -> torch.Tensor:
    """Between two embeddings or noises (same shape), along the sphere they lie on (slerp; linear when parallel)."""
    a, b = first.flatten(), second.flatten()
    cosine = torch.clamp(torch.dot(a, b) / (a.norm() * b.norm() + 1e-12), -1, 1)
    angle = torch.arccos(cosine)
    if float(angle) < 1e-3:
        return torch.lerp(first, second, amount)
    s = torch.sin(angle)
    return torch.sin((1 - amount) * angle) / s * first + torch.sin(amount * angle) / s * second
