"""Train the frame codec, the spacetime transformer and its frame-by-frame twin.

    python -m training.video_dit codec --minutes 1     # frames to latents and back
    python -m training.video_dit full --minutes 8      # assets/models/video-dit
    python -m training.video_dit slice --minutes 1 --lr 5e-4   # assets/models/video-dit-frames, from the full one
Minutes are CPU minutes of the process. Runs resume from runs/NAME/last.pt. The latents need only the codec's fitted
blocks, so its correction may be trained before or after; `publish` puts the parts together.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from core.video import scenes
from core.video.dit import Codec, Config, VideoModel, read
from training import video_data
from training.loop import RUNS, Run, generator, save_sheet, to_tensor, to_uint8

MODELS = Path("assets/models")
FOLDERS = {"full": MODELS / "video-dit", "slice": MODELS / "video-dit-frames"}


def fitted_codec() -> Codec:
    """The codec with its blocks fitted and, once `codec` has run, its trained correction."""
    config = Config()
    codec = Codec(config.codec_width, config.latent)
    path = RUNS / "video_codec/last.pt"
    blocks = RUNS / "data/video-blocks.pt"
    if not blocks.exists():
        blocks.parent.mkdir(parents=True, exist_ok=True)
        codec.fit(to_tensor(video_data.single_frames(np.random.default_rng(1), 1500)))
        torch.save({k: v for k, v in codec.state_dict().items() if not k.startswith("fix")}, blocks)
    codec.load_state_dict(torch.load(blocks, weights_only=True), strict=False)
    codec.freeze()
    if path.exists():
        codec.load_state_dict(torch.load(path, map_location="cpu", weights_only=True)["ema"])
    return codec


def train_codec(minutes: float) -> None:
    codec = fitted_codec()
    run = Run("video_codec", codec, minutes, lr=2e-3, batch=16, ema=0.995)
    rng, noise = np.random.default_rng(run.step + 1), generator(run.step + 1)
    test = to_tensor(video_data.single_frames(np.random.default_rng(0), 16))
    for _ in run:
        x = to_tensor(video_data.single_frames(rng, run.batch))
        with torch.no_grad():
            z = codec.encode(x)
            # half of the latents are spoilt a little: the decoder must forgive what is not quite right
            size = 0.1 * z.std() * torch.rand(len(z), 1, 1, 1, generator=noise).sub(0.5).clamp(min=0) * 2
            z = z + size * torch.randn(z.shape, generator=noise)
            edge = F.max_pool2d((codec.decode(z) - x).abs().amax(1, keepdim=True), 3, stride=1, padding=1)
        y = codec.decode(z)
        weight = 0.5 + 4 * edge.clamp(max=1)  # where it errs most: edges
        l1, l2 = (weight * (y - x).abs()).mean(), F.mse_loss(y, x)
        run.update(l1 + 4 * l2, l1=float(l1.detach()), db=float(-10 * (l2.detach() / 4).log10()))
        if run.due("sheet", 1.0) or run.progress >= 1:
            with torch.no_grad():
                back = run.ema.decode(run.ema.encode(test))
            run.sheet(np.concatenate([to_uint8(test[:8]), to_uint8(back[:8]), to_uint8(test[8:]), to_uint8(back[8:])]))


def latents(count: int, split: str = "train", seed: int = 1) -> tuple[Tensor, list[scenes.Scene], Config]:
    """Standardised latents (count, 16, 16, 6, 6) fp16 of drawn clips, made once; the config with their statistics."""
    chosen = video_data.scene_list(split, count, seed)
    path = RUNS / "data" / f"video-latents-{split}-{count}.npy"
    config = Config()
    codec = fitted_codec()
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        drawn = np.empty((count, scenes.FRAMES, config.latent, config.grid, config.grid), np.float16)
        with torch.no_grad():
            for i, scene in enumerate(chosen):
                drawn[i] = codec.encode(to_tensor(scenes.render(scene))).numpy()
        np.save(path, drawn)
    raw = torch.from_numpy(np.load(path))
    sample = raw[:1000].float().transpose(1, 2).transpose(0, 1).flatten(1)  # (C, many)
    # the square root of the deviation: later components keep a smaller voice in loss and noise
    mean, std = sample.mean(1), sample.std(1).sqrt()
    std = std * ((sample - mean[:, None]) / std[:, None]).std()
    config = replace(
        config,
        latent_mean=tuple(round(v, 4) for v in mean.tolist()),
        latent_std=tuple(round(v, 4) for v in std.tolist()),
        words=scenes.vocabulary(),
    )
    shape = (1, 1, -1, 1, 1)
    for part in raw.split(500):  # in place: the set is large
        part.copy_(
            (part.float() - torch.tensor(config.latent_mean).view(shape)) / torch.tensor(config.latent_std).view(shape)
        )
    return raw, chosen, config


def train_dit(
    attention: str, minutes: float, clips: int, lr: float, batch: int, name: str, sizes: dict[str, Any]
) -> None:
    z, chosen, config = latents(clips)
    config = replace(config, attention=attention, **sizes)
    model = VideoModel(config)
    model.codec = fitted_codec()
    full = RUNS / "video_full/last.pt"
    if attention == "slice" and full.exists():  # the twin starts as a copy of the full network
        model.dit.load_state_dict(torch.load(full, map_location="cpu", weights_only=True)["ema"])
    run = Run(name, model.dit, minutes, lr=lr, batch=batch, ema=0.997, weight_decay=0.01)
    print(f"{sum(p.numel() for p in model.dit.parameters())} parameters, {len(z)} clips")
    rng, noise = np.random.default_rng(run.step + 7), generator(run.step + 7)
    for _ in run:
        # 1. a batch of clips with fresh phrasings; one caption in ten is empty, for guidance
        index = rng.integers(len(z), size=batch)
        x = z[index].float()  # (B, 16, 16, 6, 6)
        prompts = ["" if rng.random() < 0.1 else scenes.caption(chosen[i], rng, drop=0.1) for i in index]
        words = torch.cat([model.words(p)[0] for p in prompts])
        first = torch.where(torch.rand(batch, 1, 1, 1, generator=noise) < 0.15, x[:, 0], torch.nan)
        # 2. noise level: logit-normal, shifted towards noise, since a clip says everything many times
        u = torch.sigmoid(1.2 * torch.randn(batch, generator=noise))
        s = config.noise_shift
        t = s * u / (1 + (s - 1) * u)
        e = torch.randn(x.shape, generator=noise)
        tb = t.view(-1, 1, 1, 1, 1)
        # 3. predict x; the weight 1 / t^2 makes it the loss of the velocity, bounded near t = 0
        guess = model.dit((1 - tb) * x + tb * e, t, words, first)
        mse = (guess - x).square().flatten(1).mean(1)
        loss = (mse / t.clamp(min=0.3) ** 2).mean()
        run.update(loss, mse=float(mse.detach().mean()))
        if run.due("sheet", 2.0):
            publish(model, run.ema, FOLDERS[attention])
            sheet(read(FOLDERS[attention]), run)
    publish(model, run.ema, FOLDERS[attention])
    sheet(read(FOLDERS[attention]), run)
    print(f"{run.step} steps")


def publish(model: VideoModel, ema: torch.nn.Module, folder: Path) -> None:
    done = VideoModel(model.config)
    done.codec.load_state_dict(model.codec.state_dict())
    done.dit.load_state_dict(ema.state_dict())
    done.save(folder)


@torch.no_grad()
def sheet(model: VideoModel, run: Run, guidance: float = 2.5, steps: int = 16) -> None:
    """Eight held-out prompts, every second frame."""
    chosen = video_data.scene_list("heldout", 8, seed=5)
    words = torch.cat([model.words(scenes.caption(s))[0] for s in chosen])
    z = torch.randn(8, 16, 16, 6, 6, generator=generator(0))
    both = torch.cat([words, torch.zeros_like(words)])
    s = model.config.noise_shift
    u = torch.linspace(1, 0, steps + 1)
    ts = (s * u / (1 + (s - 1) * u)).tolist()
    for t, after in pairwise(ts):
        c, n = model.dit(torch.cat([z, z]), torch.full((16,), t), both).chunk(2)
        x = n + guidance * (c - n)
        z = x + after / t * (z - x)
    frames = to_uint8(model.decode(z[:, ::2].flatten(0, 1)))
    save_sheet(frames, run.folder / f"sheet-{run.seconds / 60:05.1f}.png", columns=8)
    for scene in chosen:
        print("  ", scenes.caption(scene), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["codec", "full", "slice"])
    parser.add_argument("--minutes", type=float, default=12)
    parser.add_argument("--clips", type=int, default=2500)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--device", default="cpu", choices=["cpu"])
    parser.add_argument("--name", default="")
    parser.add_argument("--sizes", nargs="*", default=[], help="fields of Config, as width=96")
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.what == "codec":
        train_codec(args.minutes)
    else:
        train_dit(
            args.what,
            args.minutes,
            args.clips,
            args.lr,
            args.batch,
            args.name or f"video_{args.what}",
            {k: int(v) for k, v in (pair.split("=") for pair in args.sizes)},
        )


if __name__ == "__main__":
    main()
