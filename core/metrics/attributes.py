"""Attribute classifiers of portraits: two networks of different design with one head for each attribute.

"attributes-b" (convolutions) is the yardstick for adherence and coverage. "attributes-a" (MLP-Mixer,
https://arxiv.org/abs/2105.01601) may serve inside losses, so that no model is judged by what it was trained on.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.errors import LabError

Values = dict[str, list[str]]


class Conv(nn.Sequential):
    """3x3 convolution, batch norm, SiLU."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__(nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.SiLU())


class Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = Conv(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x)


class ConvNet(nn.Module):
    """Four stride-2 stages. The heads see places, not means, since mouths and glasses have theirs: the coarse 4x4
    grid and a thin 16x16 one, for mouths are a few pixels wide."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.near = nn.Sequential(
            Conv(3, width, 2),  # (N, w, 32, 32)
            Conv(width, 2 * width, 2),
            Residual(2 * width),  # (N, 2w, 16, 16)
        )
        self.far = nn.Sequential(
            Conv(2 * width, 4 * width, 2),
            Residual(4 * width),  # (N, 4w, 8, 8)
            Conv(4 * width, 6 * width, 2),  # (N, 6w, 4, 4)
            nn.Conv2d(6 * width, 64, 1),
            nn.SiLU(),
            nn.Flatten(),
        )
        self.fine = nn.Sequential(nn.Conv2d(2 * width, 8, 1), nn.SiLU(), nn.Flatten())
        self.features = 64 * 16 + 8 * 256

    def forward(self, x: Tensor) -> Tensor:
        h = self.near(x)
        return torch.cat([self.far(h), self.fine(h)], 1)


class MixerBlock(nn.Module):
    def __init__(self, tokens: int, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.across = nn.Sequential(nn.Linear(tokens, 2 * tokens), nn.GELU(), nn.Linear(2 * tokens, tokens))
        self.within = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x: Tensor) -> Tensor:  # (N, tokens, width)
        x = x + self.across(self.norm1(x).transpose(1, 2)).transpose(1, 2)
        return x + self.within(self.norm2(x))


class Mixer(nn.Module):
    """MLP-Mixer over 8x8 patches."""

    def __init__(self, width: int, depth: int = 4) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, 8, 8)
        self.blocks = nn.Sequential(*[MixerBlock(64, width) for _ in range(depth)])
        self.squeeze = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 16), nn.GELU(), nn.Flatten())
        self.features = 64 * 16

    def forward(self, x: Tensor) -> Tensor:
        return self.squeeze(self.blocks(self.patches(x).flatten(2).transpose(1, 2)))


class AttributeClassifier(nn.Module):
    """One linear head an attribute over a shared body ("conv" or "mixer").

    forward: pictures (N, 3, H, W) float in [-1, 1], resized to 64x64 by area -> {attribute: logits (N, values)}.
    """

    def __init__(self, values: Values, body: str = "conv", width: int = 24) -> None:
        super().__init__()
        self.values, self.config = values, {"values": values, "body": body, "width": width}
        self.body = ConvNet(width) if body == "conv" else Mixer(width)
        self.heads = nn.ModuleDict({k: nn.Linear(self.body.features, len(v)) for k, v in values.items()})

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        if x.shape[-2:] != (64, 64):
            x = F.interpolate(x, (64, 64), mode="area")
        h = self.body(x)
        return {name: head(h) for name, head in self.heads.items()}

    @torch.inference_mode()
    def predict(self, images: np.ndarray, batch: int = 64) -> dict[str, np.ndarray]:
        """Pictures (N, H, W, 3) uint8 -> {attribute: labels (N,) str}; "yes" and "no" for glasses and beard."""
        rows: dict[str, list[np.ndarray]] = {name: [] for name in self.values}
        for i in range(0, len(images), batch):
            x = torch.from_numpy(np.ascontiguousarray(images[i : i + batch])).permute(0, 3, 1, 2).float() / 127.5 - 1
            for name, logits in self(x).items():
                rows[name].append(logits.argmax(1).numpy())
        empty = np.zeros(0, int)
        return {
            name: np.asarray(self.values[name])[np.concatenate(parts) if parts else empty]
            for name, parts in rows.items()
        }

    def adherence(self, images: np.ndarray, records: list[dict[str, Any]]) -> dict[str, float]:
        """Share of `images` (N, H, W, 3) uint8 that show what `records` ask, for each attribute that any record
        names (values as in portraits.jsonl, True and False for glasses and beard), and their mean as "mean".

        Raises ValueError when the counts differ or no record names a known attribute.
        """
        if len(images) != len(records):
            raise ValueError(f"{len(images)} pictures but {len(records)} records")
        seen = self.predict(images)
        shares = {}
        for name in self.values:
            pairs = [(label(r[name]), s) for r, s in zip(records, seen[name], strict=True) if name in r]
            if pairs:
                shares[name] = float(np.mean([a == b for a, b in pairs]))
        if not shares:
            raise ValueError("no record names an attribute that the classifier knows")
        return {**shares, "mean": float(np.mean(list(shares.values())))}


def label(value: Any) -> str:
    """The classifier's word for a record's value: "yes" and "no" for True and False."""
    return ("no", "yes")[value] if isinstance(value, bool) else str(value)


def load_folder(folder: Path) -> AttributeClassifier:
    """The classifier in FOLDER (config.json, model.safetensors), fp32, eval mode. Raises LabError."""
    from safetensors.torch import load_file

    try:
        model = AttributeClassifier(**json.loads((folder / "config.json").read_text()))
        model.load_state_dict(
            {k: v.float() if v.is_floating_point() else v for k, v in load_file(folder / "model.safetensors").items()}
        )
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        reason = str(error).splitlines()[0][:120]
        raise LabError(f"The classifier in {folder.name} cannot be read ({reason}); restore its files.") from error
    return model.eval().requires_grad_(False)


def load(card: Any, device: str = "cpu") -> AttributeClassifier:
    """Loader of the catalog."""
    return load_folder(Path(card.folder)).to(device)


def coverage(generated: dict[str, np.ndarray], real: dict[str, np.ndarray], least: float = 0.002) -> float:
    """Attribute coverage in [0, 1]: share of the pairs of attribute values seen in the real set (each in at
    least `least` of its pictures) that the generated set shows too, relative to what its size allows.

    Both arguments as from `predict`. A generated set of n pictures can miss a rare pair by chance, so the number
    of pairs is compared with what n pictures drawn from the real set show in the mean (8 fixed draws).
    """
    common = {key for key, share in _pairs(real).items() if share >= least}
    count = len(next(iter(generated.values())))
    if not common or not count:
        return 0.0
    found = len(common & _pairs(generated).keys())
    total, allowed = len(next(iter(real.values()))), []
    for draw in range(8):
        rows = np.random.default_rng(draw).choice(total, count, replace=count > total)
        allowed.append(len(common & _pairs({k: v[rows] for k, v in real.items()}).keys()))
    return min(1.0, found / float(np.mean(allowed)))


def _pairs(labels: dict[str, np.ndarray]) -> dict[tuple[str, str, str, str], float]:
    """{(attribute, value, attribute, value): share of pictures} of all pairs that occur."""
    names, shares = sorted(labels), {}
    for i, a in enumerate(names):
        for b in names[i + 1 :]:
            both = np.stack([labels[a].astype(str), labels[b].astype(str)])
            keys, counts = np.unique(both, axis=1, return_counts=True)
            for (x, y), n in zip(keys.T, counts, strict=True):
                shares[a, str(x), b, str(y)] = n / len(labels[a])
    return shares
