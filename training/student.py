"""A student of the latent U-Net that needs 4 steps and no guidance pass: latent consistency distillation.

    python -m training.student --minutes 2

The teacher takes one guided DDIM step along a 50-step grid; the student's answer before the step shall equal its
own answer after it (https://arxiv.org/abs/2310.04378, without the guidance embedding: w = 3 is baked in).
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import torch
from diffusers import LCMScheduler, UNet2DConditionModel
from torch import nn

from training import loop
from training.latent_diffusion import FOLDER, PROMPTS, Captions, scheduler, write
from training.text import MODELS

STUDENT = MODELS / "student"
GRID, GUIDANCE = 20, 3.0  # training times between two grid points: 50 of them; w


def clean(v: torch.Tensor, x: torch.Tensor, a: torch.Tensor) -> torch.Tensor:
    """x0 from the velocity: sqrt(a) x - sqrt(1 - a) v."""
    return a.sqrt() * x - (1 - a).sqrt() * v


def few_steps() -> Any:
    """The sampler of the student, on the teacher's schedule."""
    plan = scheduler().config
    return LCMScheduler(
        beta_schedule=plan.beta_schedule,
        beta_start=plan.beta_start,
        beta_end=plan.beta_end,
        prediction_type="v_prediction",
        clip_sample=False,
        set_alpha_to_one=False,
        original_inference_steps=50,
    )


def train(minutes: float, lr: float, batch: int) -> None:
    """Pseudo-Huber distance between the clean latents seen from two neighbouring points of one teacher step."""
    teacher = UNet2DConditionModel.from_pretrained(FOLDER / "unet").eval().requires_grad_(False)
    student = UNet2DConditionModel.from_pretrained(FOLDER / "unet")
    data, plan = Captions(empty=0.0, wrong=0.0), scheduler()
    empty, _ = data.read([""])
    signal = plan.alphas_cumprod  # (1000,)
    run = loop.Run("student", student, minutes, lr, batch=batch, ema=0.98)
    for step in run:
        rng, noise = np.random.default_rng([4, step]), loop.generator(step)
        x0, texts = data.batch(batch, rng)
        told, _ = data.read(texts)
        t = torch.randint(1, 1000 // GRID + 1, (batch,), generator=noise) * GRID - 1
        before = t - GRID  # -1 at the end: clean
        eps = torch.randn(x0.shape, generator=noise)
        x = plan.add_noise(x0, eps, t)
        a = signal[t].view(-1, 1, 1, 1)
        b = torch.where(before >= 0, signal[before.clamp(min=0)], torch.ones(())).view(-1, 1, 1, 1)
        with torch.no_grad():
            free, guided = teacher(
                torch.cat([x, x]),
                torch.cat([t, t]),
                return_dict=False,
                encoder_hidden_states=torch.cat([empty.expand_as(told), told]),
            )[0].chunk(2)
            v = free + GUIDANCE * (guided - free)
            seen = clean(v, x, a)
            moved = b.sqrt() * seen + (1 - b).sqrt() * (a.sqrt() * v + (1 - a).sqrt() * x)  # one DDIM step
            after = student(moved, before.clamp(min=0), encoder_hidden_states=told, return_dict=False)[0]
            target = torch.where((before < 0).view(-1, 1, 1, 1), seen, clean(after, moved, b))
        answer = clean(student(x, t, encoder_hidden_states=told, return_dict=False)[0], x, a)
        loss = ((answer - target).square().mean((1, 2, 3)) + 1e-4).sqrt().mean()
        run.update(loss)
        if run.due("sheet", 1.0):
            run.sheet(sample(run.ema, data))
    save(run.ema)
    run.sheet(sample(run.ema, data))


@torch.no_grad()
def sample(unet: nn.Module, data: Captions, steps: int = 4) -> np.ndarray:
    """(8, 64, 64, 3) uint8 of the fixed prompts."""
    from diffusers import AutoencoderTiny

    vae = AutoencoderTiny.from_pretrained(MODELS / "autoencoder").eval()
    plan, noise = few_steps(), loop.generator(0)
    plan.set_timesteps(steps)
    told, _ = data.read(PROMPTS)
    x = torch.randn(len(PROMPTS), 4, 16, 16, generator=noise)
    for t in plan.timesteps:
        x = plan.step(unet(x, t, encoder_hidden_states=told, return_dict=False)[0], t, x, generator=noise).prev_sample
    return loop.to_uint8(vae.decode(x / vae.config.scaling_factor).sample)


def save(unet: nn.Module) -> None:
    """A stock StableDiffusionPipeline folder with an LCMScheduler: run it with 4 steps and guidance_scale 1."""
    from transformers import CLIPTextModel, CLIPTokenizer

    loop.publish(
        STUDENT,
        text_encoder=CLIPTextModel.from_pretrained(FOLDER / "text_encoder", dtype=torch.float32),
        tokenizer=CLIPTokenizer.from_pretrained(FOLDER / "tokenizer"),
    )
    write(unet, STUDENT)
    loop.publish(STUDENT, scheduler=few_steps())
    index = STUDENT / "model_index.json"
    index.write_text(index.read_text().replace("DDIMScheduler", "LCMScheduler"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=2)
    parser.add_argument("--lr", type=float, default=3e-4)
    parser.add_argument("--batch", type=int, default=12)
    parser.add_argument("--device", default="cpu", choices=["cpu"])
    args = parser.parse_args()
    train(args.minutes, args.lr, args.batch)


if __name__ == "__main__":
    main()
