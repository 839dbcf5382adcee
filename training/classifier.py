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
    """Shift, blur, noise, contrast of (N, 3, 64, 64): generated pictures are softer and noisier than rendered ones."""
    dy, dx = torch.randint(-3, 4, (2,), generator=g).tolist()
    x = torch.roll(x, (dy, dx), (2, 3))
    n = len(x)
    third = n // 3
    side = int(torch.randint(24, 57, (1,), generator=g))
    soft = F.interpolate(F.interpolate(x[:third], (side, side), mode="area"), (64, 64), mode="bilinear")
    x = torch.cat([soft, x[third:]])
    x = x * (1 + 0.1 * torch.randn(n, 1, 1, 1, generator=g)) + 0.05 * torch.randn(n, 3, 1, 1, generator=g)
    return x + 0.15 * torch.rand(n, 1, 1, 1, generator=g).square() * torch.randn(x.shape, generator=g)


def train(name: str, minutes: float) -> None:
    design = DESIGNS[name]
    images, records = portraits.load("train")
    g = generator(1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = AttributeClassifier(portraits.ATTRIBUTES, design["body"], design["width"])
    wanted = targets(records, portraits.ATTRIBUTES)
    run = Run(f"attributes-{name}", model, minutes, design["lr"], batch=64, ema=0.995, weight_decay=0.02)
    for _ in run:
        rows = torch.randint(len(images), (64,), generator=g)
        logits = model(augment(to_tensor(images[rows.numpy()]), g))
        losses = {k: F.cross_entropy(v, wanted[k][rows], label_smoothing=0.02) for k, v in logits.items()}
        run.update(torch.stack(list(losses.values())).sum(), mouth=float(losses["mouth"]))
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
    state = {k: v.half() if v.is_floating_point() else v for k, v in model.state_dict().items()}
    save_file(state, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(model.config) + "\n")
    scores = accuracy(load_folder(folder))
    print(scores)
    parameters = sum(p.numel() for p in model.parameters())
    (folder / "README.md").write_text(f"""---
id: attributes-{name}
title: {design['title']}
role: metric
family: classifier
modality: image
year: {2015 if name == 'b' else 2021}
paper: {'https://arxiv.org/abs/1512.03385' if name == 'b' else 'https://arxiv.org/abs/2105.01601'}
source: embedded
licence: MIT
data: DiceBear portraits (CC0, CC BY 4.0 and avataaars' free licence, see NOTICE.md)
recipe: python -m training.classifier {name} --minutes {run.minutes:g}
steps: {run.step}
parameters: {parameters}
bytes: {(folder / 'model.safetensors').stat().st_size}
memory_mb: 12
quality: {{{', '.join(f'{k}: {v}' for k, v in scores.items())}}}
measured: python -m training.classifier {name} --measure
---
Reads style, hair cut, hair colour, skin colour, background, glasses, beard and mouth from a portrait of 64 px.
The figures are accuracies on the held-out split, whose combinations of style, hair colour, background and glasses
were never trained on. Trained {run.minutes:g} CPU minutes with shifts, blur and noise, so that soft generated
pictures are judged by what they show. It always answers: on a picture that is no portrait its labels mean nothing.
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
