"""Train the image tokenizer on the portraits, its decoder on emoji too.

    python -m training.image_tokenizer --minutes 6
    python -m training.image_tokenizer --minutes 4 --decoder-only   # portraits and emoji; the codes stay as they are

Loss: L1 and squared error, the middle of the picture counting up to three times (mouths and glasses are a few pixels
there), L1 of the picture's gradients (edges), a small head that reads the attributes off the quantised latents (it is
thrown away: it only makes the codes carry what the questions ask for), and what classifier A reads off the result.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F

from core.catalog import MODELS_DIR
from core.chat.image_tokenizer import ImageTokenizer
from core.metrics.attributes import AttributeClassifier, load_folder
from training import emoji, portraits
from training.loop import RUNS, Run, autocast, publish, to_tensor, to_uint8

FOLDER = Path("assets/models/image-tokenizer")
NAMES = list(portraits.ATTRIBUTES)
_far = (torch.arange(64)[:, None] - 37) ** 2 + (torch.arange(64)[None] - 32) ** 2
FACE = 1 + 2 * torch.exp(-_far / (2 * 12**2))  # (64, 64): what a pixel counts, most where faces have their mouths


def labels(records: list[dict[str, Any]]) -> torch.Tensor:
    """(N, 8) indices of each record's attribute values."""

    def index(record: dict[str, Any], name: str) -> int:
        value = record[name]
        return int(value) if isinstance(value, bool) else portraits.ATTRIBUTES[name].index(value)

    return torch.tensor([[index(record, name) for name in NAMES] for record in records])


class WithHead(nn.Module):
    """The tokenizer and the attribute head that helps to train it."""

    def __init__(self) -> None:
        super().__init__()
        self.tokenizer = ImageTokenizer()
        self.sizes = [len(values) for values in portraits.ATTRIBUTES.values()]
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(256, 192), nn.GELU(), nn.Linear(192, sum(self.sizes)))

    def losses(self, x: torch.Tensor, y: torch.Tensor) -> dict[str, torch.Tensor]:
        """Parts of the loss of pictures (B, 3, 64, 64) in [-1, 1] with labels (B, 8)."""
        with autocast():
            z = self.tokenizer.encoder(x)
        q = self.tokenizer.quantizer(z.float())
        with autocast():
            out = self.tokenizer.decoder(q)
        out = out.float()
        off = out - x
        edges = (FACE[1:] * off.diff(dim=2).abs()).mean() + (FACE[:, 1:] * off.diff(dim=3).abs()).mean()
        guesses = self.head(q).split(self.sizes, 1)
        head = sum(F.cross_entropy(g, y[:, i]) for i, g in enumerate(guesses)) / len(NAMES)
        return {
            "l1": (FACE * off.abs()).mean(),
            "edges": edges,
            "mse": (FACE * off**2).mean(),
            "head": head,
            "out": out,
        }


def seen(judge: AttributeClassifier, out: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of what classifier A reads off the decoded pictures, mean over attributes."""
    logits = judge(out)
    return torch.stack([F.cross_entropy(logits[name], y[:, i]) for i, name in enumerate(NAMES)]).mean()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=6.0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--decoder-only", action="store_true", help="keep every picture's codes as they are")
    options = parser.parse_args()
    torch.manual_seed(0)
    images, records = portraits.load("train", 64)
    held = np.array(portraits.load("heldout", 64)[0][:16])
    y = labels(records)
    model = WithHead()
    judge = load_folder(MODELS_DIR / "attributes-a").requires_grad_(False)
    name = "image-tokenizer-decoder" if options.decoder_only else "image-tokenizer"
    shipped = FOLDER / "model.safetensors"
    if shipped.exists() and not (RUNS / name / "last.pt").exists():
        weights = {key: value.float() for key, value in load_file(shipped).items()}
        model.tokenizer.load_state_dict(weights)
    if options.decoder_only:  # the codes stay what they are, and with them the any-to-any model
        model.tokenizer.encoder.requires_grad_(False)
        objects, _ = emoji.load("train")
        held = np.concatenate([held[:8], emoji.load("heldout")[0][::75][:8]])
        unknown = torch.full((3 * options.batch // 8, len(NAMES)), -100)
    run = Run(name, model, options.minutes, lr=1e-3 if options.decoder_only else 2e-3, batch=options.batch, ema=0.995)
    rng = np.random.default_rng(run.step)
    for _ in run:
        rows = rng.integers(0, len(images), options.batch)
        batch, known = images[rows], y[rows]
        if options.decoder_only:  # three pictures in eight are emoji
            others = objects[rng.integers(0, len(objects), len(unknown))]
            batch = np.concatenate([batch[len(others) :], others])
            known = torch.cat([known[len(others) :], unknown])
        parts = model.losses(to_tensor(batch), known)
        parts["seen"] = seen(judge, parts.pop("out"), known)
        loss = parts["l1"] + parts["edges"] + parts["mse"] + 0.05 * parts["head"] + 0.03 * parts["seen"]
        run.update(loss, **{name: float(part.detach()) for name, part in parts.items()})
        if run.due("sheet", 1.0):
            run.sheet(compare(run.ema.tokenizer, held))
    size = publish(FOLDER, _=run.ema.tokenizer)
    run.sheet(compare(run.ema.tokenizer, held))
    print(f"{run.step} steps, {sum(p.numel() for p in model.tokenizer.parameters()):,} parameters, {size:,} bytes")


@torch.no_grad()
def compare(tokenizer: ImageTokenizer, pictures: np.ndarray) -> np.ndarray:
    """Pictures, then what is left of them after 64 codes."""
    return np.concatenate([pictures, to_uint8(tokenizer.decode(tokenizer.encode(to_tensor(pictures))))])


if __name__ == "__main__":
    main()
