"""A decoder-only transformer that reads the folder of a stock Qwen3ForCausalLM, with a cache and without transformers.

RMSNorm, rotary positions, QK-norm, SwiGLU, tied embeddings (https://arxiv.org/abs/2505.09388). Importing transformers
costs 160 MB and seconds; these lines do the same sums, and a test holds them equal to transformers' own.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F

from core.chat.vocabulary import Vocabulary
from core.errors import Unavailable


@dataclass
class Memory:
    """Keys and values of what was read so far: one (1, H, T, hd) pair a layer."""

    keys: list[torch.Tensor] = field(default_factory=list)
    values: list[torch.Tensor] = field(default_factory=list)
    position: int = 0  # of the next token

    @property
    def length(self) -> int:
        return self.keys[0].shape[2] if self.keys else 0


class Decoder:
    """Weights and their use. `read(ids, memory)` appends ids to the memory and gives the next token's logits."""

    def __init__(self, config: dict[str, Any], weights: dict[str, torch.Tensor], words: Vocabulary) -> None:
        self.words = words
        self.layers, self.heads = config["num_hidden_layers"], config["num_attention_heads"]
        self.head = config["head_dim"]
        self.eps, self.context = config["rms_norm_eps"], config["max_position_embeddings"]
        rope = config.get("rope_parameters") or {}
        theta = rope.get("rope_theta", config.get("rope_theta", 10000.0))
        half = torch.arange(0, self.head, 2) / self.head
        angles = torch.arange(self.context)[:, None] / theta**half  # (T, hd / 2)
        self.cos, self.sin = (torch.cat([f(angles)] * 2, -1) for f in (torch.cos, torch.sin))  # (T, hd)
        self.embed = weights["model.embed_tokens.weight"]  # (V, D), also the output layer
        self.norm = weights["model.norm.weight"]
        self.blocks = []
        for i in range(self.layers):
            w = {
                k.removeprefix(f"model.layers.{i}."): v
                for k, v in weights.items()
                if k.startswith(f"model.layers.{i}.")
            }
            qkv = torch.cat([w[f"self_attn.{n}_proj.weight"] for n in "qkv"])
            gate_up = torch.cat([w["mlp.gate_proj.weight"], w["mlp.up_proj.weight"]])
            self.blocks.append(
                (
                    w["input_layernorm.weight"],
                    qkv,
                    w["self_attn.q_norm.weight"],
                    w["self_attn.k_norm.weight"],
                    w["self_attn.o_proj.weight"],
                    w["post_attention_layernorm.weight"],
                    gate_up,
                    w["mlp.down_proj.weight"],
                )
            )

    @property
    def parameters(self) -> int:
        return self.embed.numel() + self.norm.numel() + sum(w.numel() for block in self.blocks for w in block)

    def _rms(self, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return F.rms_norm(x, (x.shape[-1],), weight, self.eps)

    def _turn(self, x: torch.Tensor, start: int) -> torch.Tensor:
        """Rotary positions on (1, H, T, hd), the first at `start`."""
        cos, sin = (t[start : start + x.shape[2]] for t in (self.cos, self.sin))
        a, b = x.chunk(2, -1)
        return x * cos + torch.cat([-b, a], -1) * sin

    @torch.inference_mode()
    def read(
        self, ids: list[int], memory: Memory, look: bool = False, at: int | None = None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Logits (V,) after the last id, and with `look` its attention (layers, H, T) over all that was read.

        at: rotary position of the first id (default: the one after the last).
        Raises ValueError when the positions would grow beyond the context.
        """
        start, count = memory.length, len(ids)
        at = memory.position if at is None else at
        memory.position = at + count
        if memory.position > self.context:
            raise ValueError(f"{memory.position} positions do not fit the context of {self.context}")
        x = self.embed[torch.tensor(ids)][None]  # (1, T, D)
        seen = []
        for i, (norm1, qkv, q_norm, k_norm, out, norm2, gate_up, down) in enumerate(self.blocks):
            mixed = F.linear(self._rms(x, norm1), qkv).view(1, count, 3, self.heads, self.head)
            q, k, v = mixed.permute(2, 0, 3, 1, 4)  # each (1, H, T, hd)
            q, k = self._turn(self._rms(q, q_norm), at), self._turn(self._rms(k, k_norm), at)
            if start:
                k, v = torch.cat([memory.keys[i], k], 2), torch.cat([memory.values[i], v], 2)
                memory.keys[i], memory.values[i] = k, v
            else:
                memory.keys.append(k)
                memory.values.append(v)
            mask = None
            if count > 1:
                mask = torch.ones(count, start + count, dtype=torch.bool).tril(start)
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)  # (1, H, T, hd)
            if look:
                seen.append((q[0, :, -1:] @ k[0].transpose(1, 2) / self.head**0.5).softmax(-1)[:, 0])  # (H, T)
            x = x + F.linear(y.transpose(1, 2).reshape(1, count, -1), out)
            gate, up = F.linear(self._rms(x, norm2), gate_up).chunk(2, -1)
            x = x + F.linear(F.silu(gate) * up, down)
        logits = self.embed @ self._rms(x[0, -1], self.norm)  # (V,)
        return logits, torch.stack(seen) if look else None


def load(card: Any, device: str = "cpu") -> Decoder:
    """The decoder of a folder with config.json, model.safetensors and vocabulary.json, fp32.

    Raises Unavailable when the folder holds another architecture.
    """
    from safetensors.torch import load_file

    folder = Path(card.folder)
    config = json.loads((folder / "config.json").read_text())
    if config.get("architectures") != ["Qwen3ForCausalLM"] or not config.get("tie_word_embeddings"):
        raise Unavailable(f"{folder.name} is no Qwen3ForCausalLM with tied embeddings; restore its folder from git.")
    weights = {k: v.float() for k, v in load_file(folder / "model.safetensors").items()}
    return Decoder(config, weights, Vocabulary.load(folder / "vocabulary.json"))
