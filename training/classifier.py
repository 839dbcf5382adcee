"""Two attribute classifiers of the portraits, of different design.

python -m training.classifier b --minutes 5     # attributes-b: convolutions, the yardstick
python -m training.classifier a --minutes 3     # attributes-a: MLP-Mixer, for losses
python -m training.classifier b --measure       # accuracy on the held-out combinations, as in the card
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from core.metrics.attributes import AttributeClassifier, label, load_folder
from training import portraits
from training.loop import Run, generator, to_tensor

MODELS = Path("assets/models")
DESIGNS: dict[str, dict[str, Any]] = {
    "b": {"body": "conv", "width": 24, "lr": 4e-3, "title": "Attribute classifier B (convolutions)"},
    "a": {"body": "mixer", "width": 96, "lr": 2e-3, "title": "Attribute classifier A (MLP-Mixer)"},
}


def targets(records: list[dict[str, Any]], values: dict[str, list[str]]) -> dict[str, Tensor]:
    """{attribute: class indices (N,) int64}."""
    return {name: torch.tensor([words.index(label(r[name])) for r in records]) for name, words in values.items()}


def augment(x: Tensor, g: torch.Generator) -> Tensor:
    """Shift, blur, noise, contrast of (N, 3, 64, 64): generated pictures are softer and noisier than rendered ones.

    The second half of the batch stays sharp: a mouth of three pixels does not survive a blur, its label would.
    """
    dy, dx = torch.randint(-1, 2, (2,), generator=g).tolist()
    x = torch.roll(x, (dy, dx), (2, 3))
    n = len(x)
    quarter, half = n // 4, n // 2
    side = int(torch.randint(24, 57, (1,), generator=g))
    soft = F.interpolate(F.interpolate(x[:quarter], (side, side), mode="area"), (64, 64), mode="bilinear")
    x = torch.cat([soft, x[quarter:]])
    x = x * (1 + 0.1 * torch.randn(n, 1, 1, 1, generator=g)) + 0.05 * torch.randn(n, 3, 1, 1, generator=g)
    noise = 0.15 * torch.rand(half, 1, 1, 1, generator=g).square() * torch.randn(half, 3, 64, 64, generator=g)
    return torch.cat([x[:half] + noise, x[half:]])


def train(name: str, minutes: float) -> None:
    design = DESIGNS[name]
    images, records = portraits.load("train")
    g = generator(1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = AttributeClassifier(portraits.ATTRIBUTES, design["body"], design["width"])
    folder = MODELS / f"attributes-{name}"
    if (folder / "model.safetensors").is_file():  # a checkpoint of this run, when there is one, goes before it
        model.load_state_dict(load_folder(folder).state_dict())
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    wanted = targets(records, portraits.ATTRIBUTES)
    run = Run(f"attributes-{name}", model, minutes, design["lr"], batch=64, ema=0.995, weight_decay=0.02)
    for _ in run:
        rows = torch.randint(len(images), (64,), generator=g)
        logits = model(augment(to_tensor(images[rows.numpy()]), g))
        losses = {k: F.cross_entropy(v, wanted[k][rows], label_smoothing=0.02) for k, v in logits.items()}
        run.update(torch.stack(list(losses.values())).sum(), mouth=float(losses["mouth"].detach()))
    publish(name, run)


def accuracy(model: AttributeClassifier) -> dict[str, float]:
    """Share of right labels on the held-out combinations, an attribute."""
    images, records = portraits.load("heldout")
    return {k: round(v, 4) for k, v in model.adherence(images, records).items()}


def publish(name: str, run: Run) -> None:
    """Write weights (fp16), config and card of assets/models/attributes-NAME."""
    folder, design = MODELS / f"attributes-{name}", DESIGNS[name]
    folder.mkdir(parents=True, exist_ok=True)
    model = run.ema
    state = {k: (v.half() if v.is_floating_point() else v).contiguous() for k, v in model.state_dict().items()}
    save_file(state, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(model.config) + "\n")
    scores = accuracy(load_folder(folder))
    print(scores)
    parameters = sum(p.numel() for p in model.parameters())
    # attributes-b had two stretches: 5 minutes before it got its fine path, the rest with it
    later = " after a first stretch of 5 without the fine 16x16 path" if name == "b" else ""
    (folder / "README.md").write_text(f"""---
id: attributes-{name}
title: {design["title"]}
role: metric
family: classifier
modality: image
year: {2015 if name == "b" else 2021}
paper: {"https://arxiv.org/abs/1512.03385" if name == "b" else "https://arxiv.org/abs/2105.01601"}
source: embedded
licence: MIT
data: DiceBear portraits (CC0, CC BY 4.0 and avataaars' free licence, see NOTICE.md)
recipe: python -m training.classifier {name} --minutes {run.minutes:g}
steps: {run.step}
parameters: {parameters}
bytes: {(folder / "model.safetensors").stat().st_size}
memory_mb: 5
quality: {{{", ".join(f"{k}: {v}" for k, v in scores.items())}}}
measured: python -m training.classifier {name} --measure
---
Reads style, hair cut, hair colour, skin colour, background, glasses, beard and mouth from a portrait of 64 px.
The figures are accuracies on the held-out split, whose combinations of style, hair colour, background and glasses
were never trained on. Trained {run.minutes:g} CPU minutes{later} with shifts, blur and noise, so that soft
generated pictures are judged by what they show. It always answers: on a picture that is no portrait its labels mean nothing.
Mouths are its weak side: in some styles they are three or four pixels wide.
""")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("which", choices=sorted(DESIGNS))
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--device", choices=["cpu"], default="cpu")
    parser.add_argument("--measure", action="store_true", help="only measure the shipped weights")
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.measure:
        for key, value in accuracy(load_folder(MODELS / f"attributes-{args.which}")).items():
            print(f"{key:12} {value:.4f}")
    else:
        train(args.which, args.minutes)


if __name__ == "__main__":
    main()
