"""The neural codec: a stock EncodecModel at small size, 16 kHz, 50 frames a second, 6 codebooks of 256 (2.4 kbit/s).

    python -m training.codec --minutes 8

EnCodec (https://arxiv.org/abs/2210.13438) with two changes that make it trainable in minutes on one CPU core.
What enters and leaves the network is not the waveform but its log-mel spectrum (80 channels, 100 a second); phases
come back by the fast Griffin-Lim algorithm (core.audio.dsp.vocode), so there is no discriminator and no token is spent
on phase. And the network starts as the best linear codec: its layers are set so that they compute the principal
components of two log-mel frames and their inverse; training then improves on that.
Residual quantisation: k-means start, running-mean codebooks, dead codes restarted, a random number of codebooks used.
One clip in eight skips the quantiser, so that the decoder also plays the continuous latents of training.sound_diffusion.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F
from transformers import EncodecConfig, EncodecModel

from core.audio.dsp import CODEC_FFT, CODEC_HOP, CODEC_MELS, codec_features, mel_matrix
from training.loop import Run, publish
from training.sound_data import load

CODEBOOKS, SIZE = 6, 256
FOLDER = Path("assets/models/codec")


def build() -> EncodecModel:
    """A fresh codec: 80 channels at 100 Hz, x2 down to 50 frames a second."""
    config = EncodecConfig(
        sampling_rate=16_000 // CODEC_HOP,
        audio_channels=CODEC_MELS,
        num_filters=96,
        upsampling_ratios=[2],
        hidden_size=32,
        num_lstm_layers=1,
        use_causal_conv=False,
        use_conv_shortcut=False,
        codebook_size=SIZE,
        target_bandwidths=[0.4 * (i + 1) for i in range(CODEBOOKS)],
    )
    model = EncodecModel(config)
    assert config.num_quantizers == CODEBOOKS
    return model


@torch.no_grad()
def linear_start(model: Any, mels: np.ndarray) -> None:
    """Set the layers so that encoder and decoder are the first 32 principal components of two frames and their inverse.

    mels: (N, 80, T). Activations are kept above 0, where ELU is the identity, by biases that the next layer takes off.
    """
    n, c, t = mels.shape
    pairs = (
        mels.astype(np.float64).reshape(n, c, t // 2, 2).transpose(0, 2, 3, 1).reshape(-1, 2 * c)
    )  # frame 1, frame 2
    mean = torch.from_numpy(pairs.mean(0)).float()
    basis = np.linalg.eigh(np.cov(pairs.T))[1][:, ::-1][:, : model.config.hidden_size].copy()
    v = torch.from_numpy(basis).float()  # (160, 32), orthonormal
    d, scale, up, lift = v.shape[1], 0.1, 2.0, 3.0  # latent = scale * component; biases before the two ELUs

    def set_conv(layer: Any, weight: torch.Tensor, bias: torch.Tensor) -> None:
        noise = 1e-5 * torch.randn(layer.conv.weight.shape)  # weight norm wants no zero rows
        layer.conv.weight = noise + weight
        layer.conv.bias.copy_(bias)

    def eye(layer: Any, size: int, bias: float) -> None:
        weight, shift = torch.zeros(layer.conv.weight.shape), torch.zeros(layer.conv.bias.shape)
        weight[range(size), range(size), 3] = 1.0  # the middle of 7 taps
        shift[:size] = bias
        set_conv(layer, weight, shift)

    down: Any = model.encoder.layers
    upward: Any = model.decoder.layers
    for stack in (down, upward):
        for layer in stack:
            if hasattr(layer, "lstm"):  # its candidate gate at zero: the recurrent branch adds nothing at first
                for name, value in layer.lstm.named_parameters():
                    hidden = layer.lstm.hidden_size
                    value[2 * hidden : 3 * hidden] *= 1e-3 if "weight" in name else 0.0
            if hasattr(layer, "block"):
                layer.block[-1].conv.weight = 1e-3 * layer.block[-1].conv.weight
                layer.block[-1].conv.bias.zero_()
    # encoder: +2, components of two frames +3, -3
    eye(down[0], c, up)
    weight, bias = torch.zeros(down[3].conv.weight.shape), torch.zeros(down[3].conv.bias.shape)
    weight[:d, :c, 1:3] = scale * v.view(2, c, d).permute(2, 1, 0)
    bias[:d] = lift - scale * (v * (up + mean)[:, None]).sum(0)
    set_conv(down[3], weight, bias)
    eye(down[6], d, -lift)
    # decoder: +3 and a constant 1, two frames from the components +2, -2
    eye(upward[0], d, lift)
    upward[0].conv.bias[d] = 1.0
    weight = torch.zeros(upward[3].conv.weight.shape)  # (in, out, taps)
    weight[:d, :c, 1:3] = v.view(2, c, d).permute(2, 1, 0) / scale
    weight[d, :c, 1:3] = (mean + up - lift / scale * v.sum(1)).view(2, c).T
    set_conv(upward[3], weight, torch.zeros(upward[3].conv.bias.shape))
    eye(upward[6], c, -up)


class Quantiser:
    """Trains the stock codebooks (buffers of the model) by running means; see van den Oord et al., 1711.00937, A.1."""

    def __init__(self, model: Any, generator: torch.Generator, decay: float = 0.98):
        self.books: list[Any] = [layer.codebook for layer in model.quantizer.layers]
        self.generator, self.decay = generator, decay

    def start(self, latents: torch.Tensor) -> None:
        """k-means, one codebook after the other on what is left. latents: (N, D)."""
        from sklearn.cluster import KMeans

        residual = latents
        for book in self.books:
            means = KMeans(SIZE, n_init=1, max_iter=15, random_state=0).fit(residual.numpy()).cluster_centers_
            book.embed.copy_(torch.from_numpy(means))
            book.embed_avg.copy_(book.embed)
            book.cluster_size.fill_(1.0)
            residual = residual - book.decode(book.quantize(residual))

    def __call__(self, latents: torch.Tensor, books: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, D, T) latents, (B,) codebooks to use -> quantised (B, D, T), straight-through, and commitment loss.
        More codebooks than there are: the latents stay as they are."""
        b, d, t = latents.shape
        flat = latents.transpose(1, 2).reshape(-1, d)  # (B*T, D)
        use = books.repeat_interleave(t)
        residual, total, commit = flat, torch.zeros_like(flat), flat.new_zeros(())
        for i, book in enumerate(self.books):
            with torch.no_grad():
                index = book.quantize(residual)
                code = book.decode(index)
                self.learn(book, residual, index)
            active = (use > i).float()[:, None]
            commit = commit + (active * (residual - code).pow(2)).mean()
            total = total + active * code
            residual = residual - code
        total = torch.where((use > len(self.books))[:, None], flat, total)
        out = flat + (total - flat).detach()
        return out.view(b, t, d).transpose(1, 2), commit

    @torch.no_grad()
    def learn(self, book: Any, x: torch.Tensor, index: torch.Tensor) -> None:
        """One running-mean update; a code used less than 0.1 times a batch is moved to a random input."""
        hot = F.one_hot(index, SIZE).float()  # (N, SIZE)
        book.cluster_size.mul_(self.decay).add_(hot.sum(0), alpha=1 - self.decay)
        book.embed_avg.mul_(self.decay).add_(hot.t() @ x, alpha=1 - self.decay)
        book.embed.copy_(book.embed_avg / book.cluster_size.clamp_min(1e-3)[:, None])
        dead = (book.cluster_size < 0.1).nonzero()[:, 0]
        if len(dead):
            pick = x[torch.randint(len(x), (len(dead),), generator=self.generator)]
            book.embed[dead] = pick
            book.embed_avg[dead] = pick
            book.cluster_size[dead] = 1.0


def many_features(clips: np.ndarray) -> np.ndarray:
    """core.audio.dsp.codec_features of (N, samples) clips by torch, four times as fast: (N, 80, T) float16."""
    filters, window = torch.from_numpy(mel_matrix(CODEC_MELS, CODEC_FFT)), torch.hann_window(CODEC_FFT)
    out = []
    for part in np.array_split(clips, -(-len(clips) // 32)):
        x = torch.from_numpy(part)
        power = torch.stft(x, CODEC_FFT, CODEC_HOP, window=window, pad_mode="constant", return_complex=True)
        mel = (filters @ power.abs()).clamp_min(1e-3).log10()[:, :, : clips.shape[1] // CODEC_HOP]
        out.append(((mel + 1.0) / 1.5).half().numpy())
    return np.concatenate(out)


def features() -> list[np.ndarray]:
    """Log-mels of 7,600 training clips: music, effects and speech, each (N, 80, 400) float16; computed once."""
    path, counts = Path("runs/data/mels.npz"), {"music": 5000, "effects": 1600, "speech": 1000}
    if not path.exists():
        chosen = {n: load(n, split="train")[0][:count] for n, count in counts.items()}
        np.savez(path, **{n: many_features(c) for n, c in chosen.items()})  # type: ignore[arg-type]
    stored = np.load(path)
    return [stored[n] for n in counts]


def crops(sets: list[np.ndarray], rng: np.random.Generator, batch: int, frames: int = 128) -> torch.Tensor:
    """(batch, 80, frames): half music, a third speech, the rest effects, at random gains of -12 to 3 dB."""
    out = np.empty((batch, CODEC_MELS, frames), np.float32)
    for i in range(batch):
        pool = sets[(0, 2, 0, 1, 0, 2)[i % 6]]
        at = int(rng.integers(pool.shape[2] - frames + 1))
        out[i] = pool[rng.integers(len(pool)), :, at : at + frames]
        out[i] = np.maximum(out[i] + rng.uniform(-12, 3) / 20 / 1.5, -4 / 3)  # a gain is a shift of the log
    return torch.from_numpy(out)


def sheet(model: Any, mels: torch.Tensor) -> np.ndarray:
    """(2 N, 80, frames, 3) uint8: each held-out log-mel and its reconstruction."""
    with torch.no_grad():
        back = model.decoder(model.quantizer.decode(model.quantizer.encode(model.encoder(mels))))
    tiles = [x.numpy()[::-1] for pair in zip(mels, back, strict=True) for x in pair]
    return np.stack([np.repeat(np.clip((t + 1.3) / 3 * 255, 0, 255).astype(np.uint8)[:, :, None], 3, 2) for t in tiles])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--device", default="cpu", choices=["cpu"])
    parser.add_argument("--batch", type=int, default=12)
    options = parser.parse_args()

    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    sets = features()
    held = [codec_features(w) for n in ("music", "effects", "speech") for w in load(n, split="heldout")[0][:2]]
    shown = torch.from_numpy(np.stack(held))
    model: Any = build()
    resumed = Path("runs/codec/last.pt").exists()
    shipped: Any = (FOLDER / "model.safetensors").exists() and EncodecConfig.from_pretrained(FOLDER)
    shipped = bool(shipped) and shipped.num_quantizers == CODEBOOKS
    if shipped and not resumed:
        model = EncodecModel.from_pretrained(FOLDER, dtype=torch.float32)  # warm start
    elif not resumed:
        linear_start(model, np.concatenate([m[::2].astype(np.float32) for m in sets]))
    run = Run("codec", model, options.minutes, lr=5e-4, batch=options.batch, ema=0.99, betas=(0.8, 0.99))
    rng = np.random.default_rng(run.step)
    quantiser = Quantiser(model, generator)
    if not (shipped or resumed):
        with torch.no_grad():
            x = model.encoder(crops(sets, rng, 160))  # (160, 32, 64)
        quantiser.start(x.transpose(1, 2).reshape(-1, x.shape[1]))
        run.ema.load_state_dict(model.state_dict())
        run.sheet(sheet(run.ema, shown), columns=4)
        publish(FOLDER, _=run.ema)

    for _ in run:
        mels = crops(sets, rng, options.batch)
        latents = model.encoder(mels)  # (B, 32, 64)
        books = torch.where(
            torch.rand(options.batch, generator=generator) < 0.5,
            torch.randint(1, CODEBOOKS + 1, (options.batch,), generator=generator),
            CODEBOOKS + (torch.rand(options.batch, generator=generator) < 0.25),
        )
        latents, commit = quantiser(latents, books)
        error = model.decoder(latents) - mels
        l1, l2 = error.abs().mean(), error.pow(2).mean()
        run.update(l1 + l2 + commit, l1=l1.item(), commit=commit.item())
        if run.due("sheet", 0.2):
            run.sheet(sheet(run.ema, shown), columns=4)
            publish(FOLDER, _=run.ema)
    run.sheet(sheet(run.ema, shown), columns=4)
    publish(FOLDER, _=run.ema)


if __name__ == "__main__":
    main()
