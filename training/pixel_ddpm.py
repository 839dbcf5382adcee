"""Diffusion on pixels, without words: a stock UNet2DModel on 32 px portraits, to be set beside the latent models.

    python -m training.pixel_ddpm --minutes 7
    python -m training.pixel_ddpm --measure

https://arxiv.org/abs/2006.11239 with v in place of the noise: at t = 999 next to nothing of the picture is left, where
predicted noise says nothing about colours. The folder is a stock DDPMPipeline.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import DDIMScheduler, DDPMScheduler, UNet2DModel
from torch import nn

from training import loop
from training.latent_diffusion import begin_still, times
from training.text import MODELS

FOLDER = MODELS / "pixel-ddpm"
SIDE = 32


def build(**changes: Any) -> Any:
    """32x32 of 16 channels, 16x16 of 48, 8x8 of 96 with attention: most of the work at the coarse levels."""
    config = {
        "sample_size": SIDE,
        "in_channels": 3,
        "out_channels": 3,
        "layers_per_block": 1,
        "block_out_channels": (16, 48, 96),
        "down_block_types": ("DownBlock2D", "DownBlock2D", "AttnDownBlock2D"),
        "up_block_types": ("AttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
        "attention_head_dim": 24,
        "norm_num_groups": 8,
        "resnet_time_scale_shift": "scale_shift",
        **changes,
    }
    return begin_still(UNet2DModel(**config), "conv2", "to_out.0")


def scheduler() -> Any:
    """The schedule of Ho et al.; predicted pictures are clipped to the range of pixels."""
    return DDPMScheduler(prediction_type="v_prediction", timestep_spacing="trailing")


def halved(pictures: np.ndarray) -> np.ndarray:
    """(N, 64, 64, 3) uint8 -> (N, 32, 32, 3) uint8, means of 2x2."""
    n = len(pictures)
    means = pictures.reshape(n, SIDE, 2, SIDE, 2, 3).mean((2, 4), dtype=np.float32)
    return means.round().astype(np.uint8)


def train(minutes: float, lr: float, batch: int) -> None:
    """Velocity v = sqrt(a) eps - sqrt(1 - a) x0 at `times`."""
    from training.portraits import load

    pictures, _ = load("train", 64)
    unet, plan = build(), scheduler()
    print(sum(p.numel() for p in unet.parameters()), "parameters", flush=True)
    run = loop.Run("pixel-ddpm", unet, minutes, lr, batch=batch, ema=0.995)
    for step in run:
        rng, noise = np.random.default_rng([8, step]), loop.generator(step)
        x = loop.to_tensor(halved(pictures[np.sort(rng.integers(len(pictures), size=batch))]))
        t = (times(batch, noise, shift=0.0) * plan.config.num_train_timesteps).long()
        eps = torch.randn(x.shape, generator=noise)
        v = unet(plan.add_noise(x, eps, t), t, return_dict=False)[0]
        run.update(F.mse_loss(v, plan.get_velocity(x, eps, t)))
        if run.due("sheet", 1.5):
            write(run.ema)
            run.sheet(sample(run.ema))
    write(run.ema)
    run.sheet(sample(run.ema, 24, steps=50))


def write(unet: nn.Module) -> None:
    """A stock DDPMPipeline, fp16."""
    loop.publish(FOLDER, unet=unet, scheduler=scheduler())
    index = {
        "_class_name": "DDPMPipeline",
        "_diffusers_version": "0.42.1",
        "scheduler": ["diffusers", "DDPMScheduler"],
        "unet": ["diffusers", "UNet2DModel"],
    }
    (FOLDER / "model_index.json").write_text(json.dumps(index, indent=2) + "\n")


@torch.no_grad()
def sample(unet: Any, count: int = 16, steps: int = 20, seed: int = 0) -> np.ndarray:
    """(count, 32, 32, 3) uint8 by DDIM, which needs fewer steps than the DDPM sampler."""
    plan = DDIMScheduler.from_config(scheduler().config)
    plan.set_timesteps(steps)
    x = torch.randn(count, 3, SIDE, SIDE, generator=loop.generator(seed))
    for t in plan.timesteps:
        x = plan.step(unet(x, t, return_dict=False)[0], t, x).prev_sample
    return loop.to_uint8(x)


def measure(count: int = 500) -> dict[str, Any]:
    """Frechet distance and attribute coverage of DDIM samples against training portraits, both halved; near-copies."""
    from core.metrics import distances, features
    from core.metrics.attributes import coverage, load_folder
    from training.measure_images import copies
    from training.portraits import load

    unet = UNet2DModel.from_pretrained(FOLDER / "unet").eval()
    drawn = np.concatenate([sample(unet, 50, steps=50, seed=i) for i in range(count // 50)])
    loop.save_sheet(drawn[:64], loop.RUNS / "measure-pixel-ddpm.png", columns=16)
    real = halved(np.asarray(load("train", 64)[0][: 4 * count : 4]))
    twice = [x.repeat(2, 1).repeat(2, 2) for x in (drawn, real)]  # the networks look at 64 px
    network, classifier = features.load(), load_folder(MODELS / "attributes-b")
    found = [network.features(x) for x in twice]
    near, near_real = copies(twice[0])
    return {
        "pictures": len(drawn),
        "frechet": round(distances.frechet_distance(found[1], found[0]), 1),
        "attribute_coverage": round(coverage(classifier.predict(twice[0]), classifier.predict(twice[1])), 4),
        "near_copies": near,
        "near_copies_real": near_real,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=7)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--device", default="cpu", choices=["cpu"])
    parser.add_argument("--measure", action="store_true")
    args = parser.parse_args()
    if args.measure:
        print(json.dumps(measure(), indent=1))
    else:
        train(args.minutes, args.lr, args.batch)


if __name__ == "__main__":
    main()
