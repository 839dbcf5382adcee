"""A student of the latent U-Net that needs 4 steps and no guidance pass: progressive distillation in one leap.

    python -m training.student --minutes 8

Four guided DDIM steps of the teacher become one of the student (https://arxiv.org/abs/2202.00512, which halves again and
again; guidance baked in as in https://arxiv.org/abs/2210.03142). The student is asked at the four times of its own sampler
only, and its targets are the teacher's own: in few minutes that is learned sooner than consistency, whose target is the
student's answer of before (one minute of it gave 66 % of attributes right).
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import UNet2DConditionModel
from torch import nn

from training import loop
from training.latent_diffusion import FOLDER, PROMPTS, Captions, scheduler, write
from training.text import MODELS

STUDENT = MODELS / "student"
STEPS, LEAP, GUIDANCE = 4, 4, 3.0  # steps of the student; steps of the teacher in each of them; w


def levels(t: torch.Tensor) -> torch.Tensor:
    """alpha_bar (B, 1, 1, 1) at times (B,) in [-1, 999]; before 0 the sampler stays at its first level."""
    return scheduler().alphas_cumprod[t.clamp(min=0)].view(-1, 1, 1, 1)


def clean(v: torch.Tensor, x: torch.Tensor, a: torch.Tensor) -> torch.Tensor:
    """x0 from the velocity: sqrt(a) x - sqrt(1 - a) v."""
    return a.sqrt() * x - (1 - a).sqrt() * v


def moved(v: torch.Tensor, x: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """One DDIM step of x from level a to level b."""
    return b.sqrt() * clean(v, x, a) + (1 - b).sqrt() * (a.sqrt() * v + (1 - a).sqrt() * x)


def leap(x: torch.Tensor, y: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """The velocity whose one DDIM step takes x at level a to y at level b: the inverse of `moved`."""
    ratio = (1 - b).sqrt() / (1 - a).sqrt()
    x0 = (y - ratio * x) / (b.sqrt() - ratio * a.sqrt())
    eps = (x - a.sqrt() * x0) / (1 - a).sqrt()
    return a.sqrt() * eps - (1 - a).sqrt() * x0


@torch.no_grad()
def taught(teacher: Any, x: torch.Tensor, t: torch.Tensor, told: torch.Tensor, empty: torch.Tensor) -> torch.Tensor:
    """Where LEAP guided steps of the teacher take x (B, 4, 16, 16) from times t (B,), as the velocity of one step."""
    width = 1000 // STEPS // LEAP
    both, y = torch.cat([empty.expand_as(told), told]), x
    for i in range(LEAP):
        now = t - i * width
        after = now - width if i + 1 < LEAP else t - 1000 // STEPS
        free, guided = teacher(torch.cat([y, y]), torch.cat([now, now]), encoder_hidden_states=both, return_dict=False)[
            0
        ].chunk(2)
        y = moved(free + GUIDANCE * (guided - free), y, levels(now), levels(after))
    return leap(x, y, levels(t), levels(t - 1000 // STEPS))


def train(minutes: float, lr: float, batch: int) -> None:
    """Squared error of velocities at the student's four times, equally often."""
    teacher = UNet2DConditionModel.from_pretrained(FOLDER / "unet").eval().requires_grad_(False)
    student = UNet2DConditionModel.from_pretrained(FOLDER / "unet")
    data, plan = Captions(empty=0.0, wrong=0.0), scheduler()
    empty, _ = data.read([""])
    plan.set_timesteps(STEPS)
    run = loop.Run("student", student, minutes, lr, batch=batch, ema=0.98)
    for step in run:
        rng, noise = np.random.default_rng([4, step]), loop.generator(step)
        x0, texts = data.batch(batch, rng)
        told, _ = data.read(texts)
        t = plan.timesteps[torch.arange(batch) % STEPS]
        x = plan.add_noise(x0, torch.randn(x0.shape, generator=noise), t)
        wanted = taught(teacher, x, t, told, empty)
        run.update(F.mse_loss(student(x, t, encoder_hidden_states=told, return_dict=False)[0], wanted))
        if run.due("sheet", 1.5):
            save(run.ema)
            run.sheet(sample(run.ema, data))
    save(run.ema)
    run.sheet(sample(run.ema, data))


@torch.no_grad()
def sample(unet: nn.Module, data: Captions) -> np.ndarray:
    """(8, 64, 64, 3) uint8 of the fixed prompts."""
    from diffusers import AutoencoderTiny

    vae: Any = AutoencoderTiny.from_pretrained(MODELS / "autoencoder").eval()
    plan = scheduler()
    plan.set_timesteps(STEPS)
    told, _ = data.read(PROMPTS)
    x = torch.randn(len(PROMPTS), 4, 16, 16, generator=loop.generator(0))
    for t in plan.timesteps:
        x = plan.step(unet(x, t, encoder_hidden_states=told, return_dict=False)[0], t, x).prev_sample
    return loop.to_uint8(vae.decode(x / vae.config.scaling_factor).sample)


def save(unet: nn.Module) -> None:
    """A stock StableDiffusionPipeline folder: run it with 4 steps and guidance_scale 1."""
    from transformers import CLIPTextModel, CLIPTokenizer

    loop.publish(
        STUDENT,
        text_encoder=CLIPTextModel.from_pretrained(FOLDER / "text_encoder", dtype=torch.float32),
        tokenizer=CLIPTokenizer.from_pretrained(FOLDER / "tokenizer"),
    )
    write(unet, STUDENT)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--lr", type=float, default=5e-4)
    parser.add_argument("--batch", type=int, default=12)
    parser.add_argument("--device", default="cpu", choices=["cpu"])
    args = parser.parse_args()
    train(args.minutes, args.lr, args.batch)


if __name__ == "__main__":
    main()
