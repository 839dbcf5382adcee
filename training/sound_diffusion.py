"""The latent diffusion model of sound: a stock StableAudioDiTModel at tiny size on the codec's latents.

    python -m training.sound_diffusion --minutes 11

Rectified flow (https://arxiv.org/abs/2209.03003), times drawn logit-normal, 12 % of the captions empty for guidance. Codec
(training.codec) and caption encoder (training.sound_text) come first and stay frozen; the latents are those of
training.music_lm.tokens: the same clips and captions as the codec language model, which has about the same size.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import StableAudioDiTModel
from transformers import EncodecModel

from core.audio.sound_diffusion import PATCH, Denoiser, velocity
from training.loop import RUNS, Run, autocast, publish
from training.music_lm import CODEC, tokens
from training.sound_text import opened

FOLDER = Path("assets/models/sound-diffusion")


def build(channels: int, words: int, heads: int = 4, size: int = 32, layers: int = 5) -> StableAudioDiTModel:
    """Width 128, 5 layers: about 1.6 M parameters."""
    return StableAudioDiTModel(
        sample_size=100,
        in_channels=channels * PATCH,
        out_channels=channels * PATCH,
        num_layers=layers,
        attention_head_dim=size,
        num_attention_heads=heads,
        num_key_value_attention_heads=heads,
        cross_attention_dim=heads * size,
        time_proj_dim=64,
        global_states_input_dim=words,
        cross_attention_input_dim=words,
    )


def scaling(latents: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(mean, scale), each (32,): channels come nearer to one size, but the quiet ones, which one hardly hears, stay quiet."""
    x = latents[::8].astype(np.float32)
    mean, spread = x.mean((0, 2)), x.std((0, 2))
    return mean, np.sqrt(spread * spread.max())


def loss_of(
    net: Denoiser, model: Any, x: torch.Tensor, captions: list[str], generator: torch.Generator
) -> torch.Tensor:
    """x (B, 32, T) normalised latents -> mean squared error of the velocity."""
    with torch.no_grad():
        states, mask, pooled, _ = net.condition(captions)
    t = torch.sigmoid(torch.randn(len(x), generator=generator))
    noise = torch.randn(x.shape, generator=generator)
    mixed = x + t[:, None, None] * (noise - x)
    with autocast():
        v = velocity(model, mixed, t, states, mask, pooled)
    return (v.float() - (noise - x)).pow(2).mean()


def save(run: Run, net: Denoiser, held: torch.Tensor, captions: list[str]) -> None:
    """Publishes the mean weights and prints the held-out loss."""
    with torch.no_grad():
        loss = loss_of(net, run.ema, held, captions, torch.Generator().manual_seed(0))
    print(f"step {run.step} held-out {float(loss):.4f}", flush=True)
    publish(FOLDER, transformer=run.ema, text=net.encoder)
    net.tokenizer.save_pretrained(FOLDER / "text")
    values = {"mean": net.mean[:, 0].tolist(), "scale": net.scale[:, 0].tolist()}
    (FOLDER / "latents.json").write_text(json.dumps(values) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=11)
    parser.add_argument("--device", default="cpu", choices=["cpu"])
    parser.add_argument("--batch", type=int, default=24)
    options = parser.parse_args()
    torch.manual_seed(0)
    data = tokens(EncodecModel.from_pretrained(CODEC, dtype=torch.float32))
    encoder, tokenizer = opened()
    mean, scale = scaling(data["latents"])
    model: Any = build(data["latents"].shape[1], encoder.config.d_model)
    if (FOLDER / "transformer").exists() and not (RUNS / "sound-diffusion" / "last.pt").exists():
        model = StableAudioDiTModel.from_pretrained(FOLDER / "transformer", torch_dtype=torch.float32)  # warm start
        stored = json.loads((FOLDER / "latents.json").read_text())
        mean, scale = np.asarray(stored["mean"], np.float32), np.asarray(stored["scale"], np.float32)
    net = Denoiser(model, encoder.eval().requires_grad_(False), tokenizer, mean, scale)
    run = Run("sound-diffusion", model, options.minutes, lr=1e-3, batch=options.batch, ema=0.997, betas=(0.9, 0.98))

    def normal(codes: np.ndarray) -> torch.Tensor:
        return (torch.from_numpy(codes.astype(np.float32)) - net.mean) / net.scale

    held = normal(data["heldout_latents"])
    words = [r["captions"][0] for r in data["heldout_records"]]
    rng = np.random.default_rng(run.step)
    generator = torch.Generator().manual_seed(run.step)
    for _ in run:
        pick = rng.integers(len(data["latents"]), size=options.batch)
        said = [str(rng.choice(data["records"][i]["captions"])) if rng.random() > 0.12 else "" for i in pick]
        run.update(loss_of(net, run.model, normal(data["latents"][pick]), said, generator))
        if run.due("publish", 3.0):
            save(run, net, held, words)
    save(run, net, held, words)


if __name__ == "__main__":
    main()
