"""The autoencoder every latent model stands on: 64x64x3 pictures to 16x16x4 latents and back.

    python -m training.autoencoder --minutes 20       # train, then encode all portraits to runs/latents
    python -m training.autoencoder --decoder --minutes 3
    python -m training.autoencoder --measure          # held-out PSNR and L1

A stock `AutoencoderTiny` (convolutions only, as TAESD). Chosen by measured speed, training on this CPU at 64 px:
AutoencoderKL 16/32/64 12 img/s, 24/48/64 8 img/s, AutoencoderTiny of 32 channels 25 img/s; half of the
pictures are 32x32 crops (four times cheaper, same convolutions).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderTiny

from training import loop

FOLDER = Path("assets/models/autoencoder")
LATENTS = Path("runs/latents")
CHANNELS = 32


def build() -> Any:
    """4x down, 4 latent channels; no blocks at full resolution, where they would cost the most."""
    return AutoencoderTiny(
        encoder_block_out_channels=(CHANNELS,) * 3,
        decoder_block_out_channels=(CHANNELS,) * 3,
        num_encoder_blocks=(0, 1, 2),
        num_decoder_blocks=(2, 1, 0),
        latent_channels=4,
        upsampling_scaling_factor=2,
        scaling_factor=1.0,
    )


def edges(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Horizontal and vertical differences of (B, C, H, W)."""
    return x[..., 1:] - x[..., :-1], x[..., 1:, :] - x[..., :-1, :]


def picture_loss(y: torch.Tensor, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """L1 with a weight of 1 to 4 near edges (eyes, glasses and mouths are thin), plus L1 of the edges, plus colour."""
    with torch.no_grad():
        dx, dy = edges(x)
        strength = (F.pad(dx.abs(), (0, 1)) + F.pad(dy.abs(), (0, 0, 0, 1))).amax(1, keepdim=True)
        weight = 1 + 3 * F.max_pool2d(strength, 3, 1, 1).clamp(max=1)  # (B, 1, H, W)
    l1 = (y - x).abs()
    edge = sum((a - b).abs().mean() for a, b in zip(edges(y), edges(x), strict=True))
    # L1 alone leaves whole areas in a wrong colour (seen after 2 minutes: green hair came out blue)
    colour = F.mse_loss(F.avg_pool2d(y, 4), F.avg_pool2d(x, 4))
    return (l1 * weight).mean() + 0.5 * edge + 8 * colour, l1.mean()


def crops(pictures: np.ndarray, rng: np.random.Generator, batch: int, size: int) -> torch.Tensor:
    """(batch, 3, size, size) in [-1, 1], cut at multiples of 4 so that latents keep their grid."""
    index = rng.integers(len(pictures), size=batch)
    top, left = rng.integers(0, (pictures.shape[1] - size) // 4 + 1, size=(2, batch)) * 4
    cut = np.stack([pictures[i, t : t + size, s : s + size] for i, t, s in zip(index, top, left, strict=True)])
    return loop.to_tensor(cut).contiguous(memory_format=torch.channels_last)


def train(minutes: float, lr: float) -> Any:
    """Crops for the first 60 %, whole pictures after. Noise on the latents keeps the decoder smooth between them."""
    from training.portraits import load

    pictures, _ = load("train", 64)
    held, _ = load("heldout", 64)
    model = build().to(memory_format=torch.channels_last)
    if (FOLDER / "config.json").exists() and not (loop.RUNS / "autoencoder/last.pt").exists():
        model.load_state_dict(AutoencoderTiny.from_pretrained(FOLDER).state_dict())
    run = loop.Run("autoencoder", model, minutes, lr, batch=8, ema=0.998)
    for step in run:
        rng, noise = np.random.default_rng(step), loop.generator(step)
        size, batch = (32, 12) if run.progress < 0.65 else (64, 4)
        x = crops(pictures, rng, batch, size)
        with loop.autocast():
            z = model.encode(x).latents.float()  # (B, 4, size/4, size/4)
            y = model.decode(z + 0.05 * torch.randn(z.shape, generator=noise)).sample.float()
        loss, l1 = picture_loss(y, x)
        # latents of mean 0 and deviation 1 a channel, so that the diffusion models need no extra scaling
        mean, deviation = z.mean((0, 2, 3)), z.std((0, 2, 3))
        moments = mean.square().mean() + (deviation - 1).square().mean()
        run.update(loss + 0.02 * moments, l1=l1.item(), moments=moments.item())
        if run.due("sheet", 1.0):
            reconstructed = reconstruct(run.ema, held[:24])
            print(f"held-out PSNR {psnr(held[:200], reconstruct(run.ema, held[:200])):.2f} dB", flush=True)
            run.sheet(
                np.concatenate(
                    [np.stack([held[i : i + 8], reconstructed[i : i + 8]]).reshape(16, 64, 64, 3) for i in (0, 8, 16)]
                )
            )
            loop.publish(FOLDER, _=run.ema)
    loop.publish(FOLDER, _=run.ema)
    return run.ema


def train_decoder(minutes: float, lr: float = 7e-4, batch: int = 4) -> None:
    """The decoder alone, on the latents that the other models learned: they stay as they are, pictures get sharper."""
    from training.portraits import load

    pictures, held = load("train", 64)[0], load("heldout", 64)[0]
    latents = encoded()
    model: Any = AutoencoderTiny.from_pretrained(FOLDER).to(memory_format=torch.channels_last)
    model.encoder.requires_grad_(False)
    run = loop.Run("decoder", model, minutes, lr, batch=batch, ema=0.998)
    for step in run:
        index = np.random.default_rng([8, step]).integers(len(latents), size=batch)
        z = torch.from_numpy(latents[index].astype(np.float32))
        z = z + 0.08 * torch.randn(z.shape, generator=loop.generator(step))  # as diffusion models leave them
        x = loop.to_tensor(pictures[index])
        loss, l1 = picture_loss(model.decode(z.contiguous(memory_format=torch.channels_last)).sample, x)
        run.update(loss, l1=l1.item())
        if run.due("sheet", 1.0):
            print(f"held-out PSNR {psnr(held[:200], reconstruct(run.ema, held[:200])):.2f} dB", flush=True)
    for user in ("latent-diffusion", "student", "latent-dit"):
        if (FOLDER.parent / user / "vae").exists():
            loop.publish(FOLDER.parent / user / "vae", _=run.ema)
    loop.publish(FOLDER, _=run.ema)
    run.sheet(reconstruct(run.ema, held[:32]))


@torch.no_grad()
def reconstruct(model: Any, pictures: np.ndarray) -> np.ndarray:
    """(N, 64, 64, 3) uint8 through the latents and back."""
    parts = [
        loop.to_uint8(model.decode(model.encode(loop.to_tensor(pictures[i : i + 50])).latents).sample)
        for i in range(0, len(pictures), 50)
    ]
    return np.concatenate(parts)


def psnr(x: np.ndarray, y: np.ndarray) -> float:
    """Mean over pictures of the peak signal-to-noise ratio in dB of (N, H, W, 3) uint8."""
    error = np.square(x.astype(np.float32) - y).mean((1, 2, 3)).clip(1e-3)
    return float(np.mean(10 * np.log10(255**2 / error)))


def encoded() -> np.ndarray:
    """Latents of the training portraits, (N, 4, 16, 16) fp16, made by the shipped autoencoder where they are missing."""
    if not (LATENTS / "train.npy").exists():
        encode_all()
    return np.load(LATENTS / "train.npy", mmap_mode="r")


@torch.no_grad()
def encode_all() -> None:
    """Latents of all portraits, both splits: runs/latents/{train,heldout}.npy, (N, 4, 16, 16) fp16."""
    from training.portraits import load

    model = AutoencoderTiny.from_pretrained(FOLDER).eval()
    LATENTS.mkdir(parents=True, exist_ok=True)
    for split in ("train", "heldout"):
        pictures, _ = load(split, 64)
        latents = np.concatenate(
            [
                model.encode(loop.to_tensor(pictures[i : i + 100])).latents.numpy().astype(np.float16)
                for i in range(0, len(pictures), 100)
            ]
        )
        np.save(LATENTS / f"{split}.npy", latents)
        print(
            split,
            latents.shape,
            "mean",
            latents.mean((0, 2, 3), dtype=np.float32),
            "std",
            latents.std((0, 2, 3), dtype=np.float32),
            flush=True,
        )


def measure() -> dict[str, float]:
    """Held-out PSNR and L1 (0 to 1) of the shipped weights."""
    from training.portraits import load

    held, _ = load("heldout", 64)
    again = reconstruct(AutoencoderTiny.from_pretrained(FOLDER).eval(), held)
    return {
        "psnr": round(psnr(held, again), 2),
        "l1": round(float(np.abs(held.astype(np.float32) - again).mean() / 255), 4),
        "pictures": len(held),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--lr", type=float, default=1.5e-3)
    parser.add_argument("--device", default="cpu", choices=["cpu"])
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("--decoder", action="store_true", help="go on with the decoder alone, latents unchanged")
    args = parser.parse_args()
    if args.decoder:
        train_decoder(args.minutes)
    elif not args.measure:
        train(args.minutes, args.lr)
        encode_all()
    print(measure())


if __name__ == "__main__":
    main()
