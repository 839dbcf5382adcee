"""Looking into, and weakening, the attention of a denoiser, unchanged when nobody looks.

The hooks are put on once, at load, and act only for the thread that asks (`watch`, `weaken`): two browser sessions
share a model and never see each other's settings.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from core.runtime.lean import lean_libraries

lean_libraries()  # before diffusers is imported for the first time

from diffusers.models.attention import BasicTransformerBlock  # noqa: E402
from diffusers.models.attention_processor import AttnProcessor2_0  # noqa: E402

_local = threading.local()


class Watched(AttnProcessor2_0):
    """The stock attention, which also tells the cross-attention probabilities to whoever watches in this thread."""

    def __init__(self, name: str, cross: bool) -> None:
        super().__init__()
        self.name, self.cross = name, cross

    def __call__(
        self, attn: Any, hidden_states: Any, encoder_hidden_states: Any = None, *args: Any, **kwargs: Any
    ) -> Any:
        if not self.cross and getattr(_local, "identity", False):  # perturbed attention: every place sees only itself
            return attn.to_out[0](attn.to_v(hidden_states))
        maps = getattr(_local, "maps", None)
        if self.cross and maps is not None:
            maps[self.name] = _probabilities(attn, hidden_states, encoder_hidden_states, kwargs.get("attention_mask"))
        return super().__call__(attn, hidden_states, encoder_hidden_states, *args, **kwargs)


def _probabilities(attn: Any, hidden: torch.Tensor, text: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """softmax(Q K^T / sqrt(d)) of the last sample in the batch (the conditional one), mean over heads: (hw, T)."""
    q = attn.to_q(hidden[-1:])  # (1, hw, inner)
    k = attn.to_k(text[-1:])  # (1, T, inner)
    q = q.view(q.shape[1], attn.heads, -1).transpose(0, 1)  # (heads, hw, d)
    k = k.view(k.shape[1], attn.heads, -1).transpose(0, 1)  # (heads, T, d)
    scores = q @ k.transpose(1, 2) * q.shape[-1] ** -0.5
    if mask is not None:
        scores = scores + mask[-1:]  # (1, 1, T): minus a large number where the prompt is padding
    return torch.softmax(scores, dim=-1).mean(0)


def install(denoiser: Any) -> list[str]:
    """Put the hooks on every BasicTransformerBlock; returns the names of the cross-attention layers in order."""
    names = []
    for path, block in denoiser.named_modules():
        if not isinstance(block, BasicTransformerBlock):
            continue
        block.register_forward_hook(_block_hook)
        name = path.replace(".transformer_blocks", "").replace(".attentions", "")
        self_attention: Any = block.attn1
        cross_attention: Any = block.attn2
        if self_attention is not None and isinstance(self_attention.processor, AttnProcessor2_0):
            self_attention.set_processor(Watched(name, cross=False))
        if cross_attention is not None and isinstance(cross_attention.processor, AttnProcessor2_0):
            cross_attention.set_processor(Watched(name, cross=True))
            names.append(name)
    return names


def _block_hook(block: Any, args: tuple[Any, ...], output: torch.Tensor) -> torch.Tensor | None:
    if getattr(_local, "skip", False):  # skip-layer guidance: the block hands its input through
        return args[0] if args else None
    drop: tuple[float, torch.Generator] | None = getattr(_local, "drop", None)
    if drop is not None:  # autoguidance: a worse version of the same model, by dropout
        rate, generator = drop
        keep = (torch.rand(output.shape, generator=generator) >= rate).to(output)
        return output * keep / (1.0 - rate)
    return None


@contextmanager
def watch() -> Iterator[dict[str, torch.Tensor]]:
    """Cross-attention maps by layer name, each (hw, T), filled by the next denoiser call of this thread."""
    maps: dict[str, torch.Tensor] = {}
    _local.maps = maps
    try:
        yield maps
    finally:
        _local.maps = None


@contextmanager
def weaken(how: str, rate: float = 0.1, generator: torch.Generator | None = None) -> Iterator[None]:
    """Run the denoiser weakened in this thread: "identity" (self-attention), "skip" (transformer blocks), "drop"."""
    name, value = {"identity": ("identity", True), "skip": ("skip", True), "drop": ("drop", (rate, generator))}[how]
    setattr(_local, name, value)
    try:
        yield
    finally:
        setattr(_local, name, None)


def stack(maps: list[dict[str, torch.Tensor]], side: int) -> torch.Tensor:
    """Maps of S calls, of different resolution -> (S, layers, T, side, side), each resized to the latent's side."""
    resized = []
    for name in maps[0]:
        probs = torch.stack([of_call[name] for of_call in maps])  # (S, hw, T)
        h = round(probs.shape[1] ** 0.5)
        grid = probs.transpose(1, 2).unflatten(2, (h, h))  # (S, T, h, h)
        resized.append(torch.nn.functional.interpolate(grid, (side, side), mode="bilinear", align_corners=False))
    return torch.stack(resized, dim=1)
