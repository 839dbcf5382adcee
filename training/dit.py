"""The same task in the SD 3 / FLUX shape: a diffusion transformer with a T5 encoder, trained by flow matching.

    python -m training.dit --minutes 8        # after python -m training.text t5

A stock PixArtTransformer2DModel (64 tokens of 2x2 latents, cross-attention, shared adaLN), the parameters and
compute of the U-Net within 20 %, on the same pairs. x_s = (1 - s) x0 + s eps, the network predicts eps - x0 (https://arxiv.org/abs/2403.03206),
s mostly logit-normal. The folder is a stock PixArtSigmaPipeline; call it with use_resolution_binning=False.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import (
    AutoencoderTiny,
    DPMSolverMultistepScheduler,
    FlowMatchEulerDiscreteScheduler,
    PixArtTransformer2DModel,
)
from torch import nn
from transformers import PreTrainedTokenizerFast, T5EncoderModel

from training import loop
from training.latent_diffusion import PROMPTS, Captions, times
from training.text import MODELS

FOLDER = MODELS / "latent-dit"
T5 = MODELS / "t5"


def build(**changes: Any) -> Any:
    """7 layers of width 128 over 8x8 tokens: 2.04 M parameters and 232 MFLOP a call beside the U-Net's 2.33 M and 195.

    A token pays for every weight, a convolution at 4x4 for few: at equal parameters a transformer computes more, so
    the size lies between, both within 20 % (tests/unit/test_training_encoders.py).
    """
    config = {
        "num_attention_heads": 4,
        "attention_head_dim": 32,
        "in_channels": 4,
        "out_channels": 4,
        "num_layers": 7,
        "cross_attention_dim": 128,
        "sample_size": 16,
        "patch_size": 2,
        "caption_channels": 128,
        "use_additional_conditions": False,
        **changes,
    }
    model: Any = PixArtTransformer2DModel(**config)
    nn.init.zeros_(model.proj_out.weight)  # the first prediction is 0, and every layer begins near the identity
    for block in model.transformer_blocks:
        nn.init.zeros_(block.attn2.to_out[0].weight)
    return model


def captions() -> Captions:
    """Training pairs read by the T5 encoder."""
    return Captions(
        T5EncoderModel.from_pretrained(T5, dtype=torch.float32),
        PreTrainedTokenizerFast.from_pretrained(T5 / "tokenizer"),
    )


def velocity(model: Any, x: torch.Tensor, t: torch.Tensor, embeds: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """eps - x0 as the model sees it; x (B, 4, 16, 16), t (B,) in [0, 1000]."""
    return model(
        x,
        encoder_hidden_states=embeds,
        encoder_attention_mask=mask,
        timestep=t,
        added_cond_kwargs={"resolution": None, "aspect_ratio": None},
        return_dict=False,
    )[0]


def train(minutes: float, lr: float, batch: int) -> None:
    """Flow matching at logit-normal times, captions dropped for guidance."""
    model = build()
    if (FOLDER / "transformer/config.json").exists() and not (loop.RUNS / "latent-dit/last.pt").exists():
        model = PixArtTransformer2DModel.from_pretrained(FOLDER / "transformer")
    print(sum(p.numel() for p in model.parameters()), "parameters", flush=True)
    data = captions()
    run = loop.Run("latent-dit", model, minutes, lr, batch=batch, ema=0.995)
    for step in run:
        rng, noise = np.random.default_rng([5, step]), loop.generator(step)
        x, texts = data.batch(batch, rng)
        embeds, mask = data.read(texts)
        s = times(batch, noise, shift=0.0)  # (B,)
        eps = torch.randn(x.shape, generator=noise)
        mix = s.view(-1, 1, 1, 1)
        v = velocity(model, (1 - mix) * x + mix * eps, s * 1000, embeds, mask)
        run.update(F.mse_loss(v, eps - x))
        if run.due("sheet", 1.5):
            save(run.ema, data)
            run.sheet(sample(run.ema, data))
    save(run.ema, data)
    run.sheet(sample(run.ema, data, steps=20))


@torch.no_grad()
def sample(model: Any, data: Captions, steps: int = 12, guidance: float = 3.0) -> np.ndarray:
    """(8, 64, 64, 3) uint8 of the fixed prompts: Euler steps with classifier-free guidance."""
    vae: Any = AutoencoderTiny.from_pretrained(MODELS / "autoencoder").eval()
    plan: Any = FlowMatchEulerDiscreteScheduler()
    plan.set_timesteps(steps)
    told, free = data.read(PROMPTS), data.read([""] * len(PROMPTS))
    x = torch.randn(len(PROMPTS), 4, 16, 16, generator=loop.generator(0))
    for t in plan.timesteps:
        without, guided = (velocity(model, x, t.expand(len(x)), e, m) for e, m in (free, told))
        x = plan.step(without + guidance * (guided - without), t, x).prev_sample
    return loop.to_uint8(vae.decode(x / vae.config.scaling_factor).sample)


def save(model: Any, data: Captions) -> None:
    """A stock PixArtSigmaPipeline, fp16. It steps flows with DPM-Solver only; the page offers flow-match Euler and Heun."""
    vae = AutoencoderTiny.from_pretrained(MODELS / "autoencoder")
    plan = DPMSolverMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=1.0, algorithm_type="dpmsolver++"
    )
    loop.publish(
        FOLDER, transformer=model, vae=vae, scheduler=plan, text_encoder=data.encoder, tokenizer=data.tokenizer
    )
    index = {
        "_class_name": "PixArtSigmaPipeline",
        "_diffusers_version": "0.42.1",
        "scheduler": ["diffusers", "DPMSolverMultistepScheduler"],
        "text_encoder": ["transformers", "T5EncoderModel"],
        "tokenizer": ["transformers", "PreTrainedTokenizerFast"],
        "transformer": ["diffusers", "PixArtTransformer2DModel"],
        "vae": ["diffusers", "AutoencoderTiny"],
    }
    (FOLDER / "model_index.json").write_text(json.dumps(index, indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--device", default="cpu", choices=["cpu"])
    args = parser.parse_args()
    train(args.minutes, args.lr, args.batch)


if __name__ == "__main__":
    main()
