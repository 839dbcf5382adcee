"""Two variational autoencoders to sample from: 16 latent numbers, and 2 for a map.

    python -m training.vae vae --minutes 1
    python -m training.vae vae-2d --minutes 4

Fully connected, 32 px: some 1,000 portraits a second here, and blurry by nature, which is the point beside the
other families. Squared error is the Gaussian likelihood with one learned variance, so that the KL needs no weight.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from core.vae.network import VAE, load_folder
from training import loop
from training.autoencoder import psnr
from training.text import MODELS


def small(pictures: np.ndarray) -> np.ndarray:
    """(N, 64, 64, 3) uint8 to (N, 32, 32, 3) by areas."""
    halves = [
        pictures[i : i + 500].reshape(-1, 32, 2, 32, 2, 3).astype(np.uint16).sum((2, 4)) + 2
        for i in range(0, len(pictures), 500)
    ]
    return (np.concatenate(halves) // 4).astype(np.uint8)


def train(name: str, minutes: float, lr: float = 2e-3, batch: int = 100) -> None:
    """Maximise the evidence lower bound."""
    from training.portraits import load

    pictures = small(load("train", 64)[0])
    model = VAE(latent=2 if name == "vae-2d" else 16)
    if (MODELS / name / "model.safetensors").exists() and not (loop.RUNS / name / "last.pt").exists():
        model.load_state_dict(load_folder(MODELS / name).state_dict())
    run = loop.Run(name, model, minutes, lr, batch=batch, ema=0.995)
    for step in run:
        rng, noise = np.random.default_rng([6, step]), loop.generator(step)
        x = loop.to_tensor(pictures[rng.integers(len(pictures), size=batch)])
        mean, log_variance = model.encode(x)
        z = mean + (log_variance / 2).exp() * torch.randn(mean.shape, generator=noise)
        error = (model.decode(z) - x).square().mean()
        kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean()
        # -log p(x|z) with the best variance is D/2 log(error); warm the KL up over the first tenth
        loss = 0.5 * torch.log(error) + min(1.0, 10 * run.progress) * kl / (3 * 32 * 32)
        run.update(loss, error=error.item(), kl=kl.item())
    save(run.ema, name)
    run.sheet(loop.to_uint8(run.ema.decode(torch.randn(32, model.latent, generator=loop.generator(0)))))


def save(model: Any, name: str) -> None:
    """config.json and model.safetensors (fp16)."""
    folder = MODELS / name
    folder.mkdir(parents=True, exist_ok=True)
    save_file({k: v.half().contiguous() for k, v in model.state_dict().items()}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(model.config) + "\n")


@torch.no_grad()
def measure(name: str) -> dict[str, float]:
    """Held-out PSNR at 32 px through the mean of q(z|x), and the KL in nats."""
    from training.portraits import load

    model, held = load_folder(MODELS / name), small(load("heldout", 64)[0])
    mean, log_variance = model.encode(loop.to_tensor(held))
    kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean()
    return {
        "psnr": round(psnr(held, loop.to_uint8(model.decode(mean))), 2),
        "kl_nats": round(float(kl), 2),
        "pictures": len(held),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["vae", "vae-2d"])
    parser.add_argument("--minutes", type=float, default=1)
    parser.add_argument("--device", default="cpu", choices=["cpu"])
    args = parser.parse_args()
    train(args.what, args.minutes)
    print(measure(args.what))


if __name__ == "__main__":
    main()
