"""Train the code model: a decoder that completes a short Python function from its signature and docstring.

    python -m training.code_model --minutes 6

Tasks are made on the fly by core.chat.tasks (one structure in ten is held out), so no task is seen twice by plan.
The weights are a stock Qwen3ForCausalLM (RMSNorm, RoPE, SwiGLU, QK-norm), so transformers loads the folder as it is.
Matrices are trained by Muon (https://kellerjordan.github.io/posts/muon/).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy
from torch.optim import _muon

from core.chat import tasks
from core.chat.vocabulary import END, PAD, START, Vocabulary
from training.loop import RUNS, Run, native_bf16, publish

FOLDER = Path("assets/models/code-lm")


def decoder(size: int, width: int, layers: int, heads: int, context: int, theta: float = 10000.0) -> Any:
    """A random Qwen3ForCausalLM with tied embeddings, of `size` tokens; theta: the base of the rotary positions."""
    from transformers import Qwen3Config, Qwen3ForCausalLM

    config = Qwen3Config(
        vocab_size=size,
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        head_dim=width // heads,
        max_position_embeddings=context,
        tie_word_embeddings=True,
        initializer_range=0.03,
        bos_token_id=START,
        eos_token_id=END,
        pad_token_id=PAD,
        use_cache=True,
        rope_parameters={"rope_type": "default", "rope_theta": theta},
    )
    model = Qwen3ForCausalLM(config)
    for part in model.model.layers.modules():
        if type(part) is torch.nn.Linear:
            part.__class__ = QuickLinear
    return model


class Bf16Product(torch.autograd.Function):
    """x (..., I) times w (O, I) transposed, multiplied in bf16 and summed in fp32; all else stays fp32.

    Where the processor multiplies bf16 itself this takes half the time; torch.autocast would gain little, since it
    also moves the cheap steps between the products to bf16.
    """

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        x16, w16 = x.bfloat16(), w.bfloat16()
        ctx.save_for_backward(x16, w16)
        return (x16 @ w16.T).float()

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x16, w16 = ctx.saved_tensors
        g16 = grads[0].bfloat16()
        return (g16 @ w16).float(), (g16.flatten(0, -2).T @ x16.flatten(0, -2)).float()


class QuickLinear(torch.nn.Linear):
    """A linear layer without bias whose products are bf16."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return product(input, self.weight)


def product(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    """x @ w.T, in training by Bf16Product where the processor has it."""
    quick = torch.is_grad_enabled() and native_bf16()
    result: torch.Tensor = Bf16Product.apply(x, w) if quick else x @ w.T
    return result


def zeroth_power(grad: torch.Tensor, coefficients: tuple[float, float, float], steps: int, eps: float) -> torch.Tensor:
    """Muon's Newton-Schulz iteration in fp32. torch's own multiplies in bf16, which takes twenty times as long where the
    processor lacks it: two thirds of a training step."""
    a, b, c = coefficients
    tall = grad.shape[0] > grad.shape[1]
    x = grad.T if tall else grad
    x = x / x.norm().clamp(min=eps)
    for _ in range(steps):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if tall else x


class MuonAndAdam:
    """Muon for the matrices of the layers, AdamW for embeddings, norms and heads; used like one optimizer."""

    def __init__(self, model: torch.nn.Module, lr: float) -> None:
        inner = [p for name, p in model.named_parameters() if ".layers." in name and p.ndim == 2]
        known = {id(p) for p in inner}
        if not native_bf16():
            _muon._zeropower_via_newtonschulz = zeroth_power  # type: ignore[assignment]
        rest = [p for p in model.parameters() if id(p) not in known]
        self.parts: list[torch.optim.Optimizer] = [
            torch.optim.Muon(inner, lr=lr, weight_decay=0.02, adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW(rest, lr=lr, betas=(0.9, 0.98), weight_decay=0.01),
        ]

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        return [group for part in self.parts for group in part.param_groups]

    def zero_grad(self, set_to_none: bool = True) -> None:
        for part in self.parts:
            part.zero_grad(set_to_none)

    def step(self) -> None:
        for part in self.parts:
            part.step()

    def state_dict(self) -> list[dict[str, Any]]:
        return [part.state_dict() for part in self.parts]

    def load_state_dict(self, states: list[dict[str, Any]]) -> None:
        for part, state in zip(self.parts, states, strict=True):
            part.load_state_dict(state)


def answer_loss(model: Any, ids: torch.Tensor, weights: torch.Tensor, z_loss: float = 1e-4) -> torch.Tensor:
    """Cross-entropy of each next token, weighted; ids, weights: (B, T), weights[t] is that of predicting ids[t].

    Logits are computed only where the weight is not zero. z-loss: z_loss * log(Z)^2 (PaLM, section 5).
    """
    hidden = model.model(input_ids=ids[:, :-1]).last_hidden_state  # (B, T-1, D)
    wanted = weights[:, 1:] > 0
    logits = product(hidden[wanted], model.lm_head.weight)  # (N, V)
    each = cross_entropy(logits, ids[:, 1:][wanted], reduction="none")
    each = each + z_loss * logits.logsumexp(-1) ** 2
    share = weights[:, 1:][wanted]
    return (each * share).sum() / share.sum()


def pad(rows: list[tuple[list[int], list[float]]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows of (ids, weights) to two (B, T) tensors, padded on the right."""
    length = max(len(ids) for ids, _ in rows)
    ids = torch.full((len(rows), length), PAD)
    weights = torch.zeros(len(rows), length)
    for i, (tokens, share) in enumerate(rows):
        ids[i, : len(tokens)] = torch.tensor(tokens)
        weights[i, : len(share)] = torch.tensor(share)
    return ids, weights


def warm_start(model: Any, folder: Path, name: str, words: Vocabulary) -> bool:
    """Start from the shipped weights when the run has no checkpoint; pieces that their vocabulary lacks begin at random,
    picture codes keep their rows."""
    from safetensors.torch import load_file

    shipped = folder / "vocabulary.json"
    if (RUNS / name / "last.pt").exists() or not shipped.exists():
        return False
    weights = {key: value.float() for key, value in load_file(folder / "model.safetensors").items()}
    before, key = Vocabulary.load(shipped), "model.embed_tokens.weight"
    rows = {label: i for i, label in enumerate(before.labels)}
    table = model.model.embed_tokens.weight.detach().clone()
    for i, label in enumerate(words.labels):
        if label in rows:
            table[i] = weights[key][rows[label]]
    if words.codes == before.codes:
        table[words.first_code :] = weights[key][before.first_code :]
    weights[key] = table
    model.load_state_dict(weights, strict=False)  # the output layer is tied to the embeddings
    return True


def vocabulary(count: int = 6000) -> Vocabulary:
    """Every piece that occurs at least 8 times in `count` tasks."""
    from collections import Counter

    from core.chat.vocabulary import SPLIT

    rng = np.random.default_rng(1)
    seen: Counter[str] = Counter()
    for _ in range(count):
        task = tasks.make(rng)
        seen.update(SPLIT.findall(task.prompt + task.solution))
    return Vocabulary(sorted(p for p, n in seen.items() if n >= 8 and len(p) > 1))


def row(task: tasks.Task, words: Vocabulary) -> tuple[list[int], list[float]]:
    """Ids and weights of one task; the answer counts, the prompt a little."""
    prompt, answer = words.encode(task.prompt), words.encode(task.solution)
    return [START, *prompt, *answer, END], [0.0] * (1 + len(prompt)) + [1.0] * (len(answer) + 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=6.0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=16)
    options = parser.parse_args()
    torch.manual_seed(0)
    words = vocabulary()
    model = decoder(words.size, width=128, layers=4, heads=4, context=256)
    warm_start(model, FOLDER, "code-lm", words)
    rate = 2e-3
    run = Run("code-lm", model, options.minutes, rate, batch=options.batch, ema=0.995,
              optimizer=MuonAndAdam(model, rate))  # fmt: skip
    rng = np.random.default_rng(run.step + 2)
    for _ in run:
        rows: list[tuple[list[int], list[float]]] = []
        while len(rows) < options.batch:
            task = tasks.make(rng)
            if not task.held_out:
                rows.append(row(task, words))
        ids, weights = pad(rows)
        run.update(answer_loss(model, ids, weights), tokens=float(ids.numel()))
    size = publish(FOLDER, _=run.ema)
    words.save(FOLDER / "vocabulary.json")
    print(f"{run.step} steps, {sum(p.numel() for p in model.parameters()):,} parameters, {size:,} bytes")


if __name__ == "__main__":
    main()
