"""Latent diffusion of sound, the shape of Stable Audio: a transformer denoises the codec's latents, the codec plays them.

Stable Audio Open, https://arxiv.org/abs/2407.14358; rectified flow, https://arxiv.org/abs/2209.03003. The latents are the
32 numbers that our codec has 50 times a second before it quantises them. Two frames make one token of the transformer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from core.audio import dsp
from core.audio.music_lm import EXAMPLES
from core.errors import BadRequest, Unavailable
from core.request import Request, flag, integer, number, seed_field, text
from core.result import AudioResult, Result, Step

if TYPE_CHECKING:
    import torch

    from core.audio.codec import Codec
    from core.catalog import Card
    from core.pipeline import Control

PATCH = 2  # frames a token


class Denoiser:
    """A stock StableAudioDiTModel, the caption encoder, and how latents are scaled (mean and scale: (32, 1))."""

    def __init__(self, model: Any, encoder: Any, tokenizer: Any, mean: np.ndarray, scale: np.ndarray):
        import torch

        self.model, self.encoder, self.tokenizer = model, encoder, tokenizer
        self.mean, self.scale = (torch.from_numpy(np.asarray(v, np.float32))[:, None] for v in (mean, scale))

    def condition(self, prompts: list[str]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, list[str]]:
        """Captions -> (states (B, W, 64), mask (B, W), mean state (B, 1, 64), words never read). An empty one is zeros."""
        texts = [" ".join(re.findall(r"[^\W_]+|,", p.lower())) or "," for p in prompts]
        words = self.tokenizer(texts, padding=True, return_tensors="pt")
        states = self.encoder(input_ids=words.input_ids, attention_mask=words.attention_mask).last_hidden_state
        said = words.attention_mask[:, :, None].float()
        said = said * (words.attention_mask.new_tensor([bool(p.strip()) for p in prompts])[:, None, None])
        pooled = (states * said).sum(1, keepdim=True) / words.attention_mask.sum(1)[:, None, None]
        known = set(self.tokenizer.get_vocab())
        return states * said, words.attention_mask, pooled, [w for w in texts[0].split() if w not in known]

    def velocity(
        self, x: torch.Tensor, t: torch.Tensor, states: torch.Tensor, mask: torch.Tensor, pooled: torch.Tensor
    ) -> torch.Tensor:
        """`velocity` by the network held here."""
        return velocity(self.model, x, t, states, mask, pooled)

    def unscale(self, x: torch.Tensor) -> torch.Tensor:
        """Normalised -> the codec's latents."""
        return x * self.scale + self.mean


def velocity(
    model: Any, x: torch.Tensor, t: torch.Tensor, states: torch.Tensor, mask: torch.Tensor, pooled: torch.Tensor
) -> torch.Tensor:
    """x (B, 32, T) at times t (B,) in 0 (sound) .. 1 (noise) -> velocity (B, 32, T). model: a StableAudioDiTModel."""
    b, c, frames = x.shape
    tokens = x.view(b, c, frames // PATCH, PATCH).permute(0, 3, 1, 2).reshape(b, c * PATCH, frames // PATCH)
    out = model(
        tokens,
        t,
        encoder_hidden_states=states,
        global_hidden_states=pooled,
        rotary_embedding=rotary(model.config.attention_head_dim // 2, tokens.shape[2] + 1),
        encoder_attention_mask=mask.bool(),
    ).sample
    return out.view(b, PATCH, c, -1).permute(0, 2, 3, 1).reshape(b, c, frames)


def rotary(width: int, length: int) -> Any:
    """The (cos, sin) tables that StableAudioPipeline gives its transformer."""
    from diffusers.models.embeddings import get_1d_rotary_pos_embed

    return get_1d_rotary_pos_embed(width, length, use_real=True, repeat_interleave_real=False)


def load(card: Card, device: str) -> Denoiser:
    """From assets/models/sound-diffusion: transformer/, text/ and latents.json. Raises Unavailable."""
    import torch
    from diffusers import StableAudioDiTModel
    from transformers import AutoTokenizer, T5EncoderModel

    try:
        folder = card.folder
        model: Any = StableAudioDiTModel.from_pretrained(
            folder / "transformer", torch_dtype=torch.float32, local_files_only=True
        )
        encoder: Any = T5EncoderModel.from_pretrained(folder / "text", dtype=torch.float32, local_files_only=True)
        tokenizer = AutoTokenizer.from_pretrained(folder / "text", local_files_only=True)
        latents = json.loads((folder / "latents.json").read_text())
    except (OSError, ValueError, RuntimeError) as error:
        raise Unavailable(f"{card.title} cannot be read ({str(error).splitlines()[0][:100]}).") from error
    model, encoder = (m.eval().requires_grad_(False) for m in (model, encoder))
    return Denoiser(model, encoder, tokenizer, latents["mean"], latents["scale"])


@dataclass(frozen=True)
class DenoiseRequest(Request):
    """Music or an effect from a caption, by removing noise."""

    PIPELINE = "core.audio.sound_diffusion"

    model: str = "sound-diffusion"
    prompt: str = text(EXAMPLES[0], 300, help="A caption of music or of a sound effect.")
    seconds: float = number(4.0, 1.0, 8.0, help="Length; it was trained on 4 s.", step=0.5)
    num_inference_steps: int = integer(24, 1, 100, help="Steps from noise to sound.")
    guidance_scale: float = number(
        3.0, 0.0, 10.0, help="How much further than without a caption: u + s (c - u). 1 is off."
    )
    seed: int = seed_field()
    inspect: bool = flag(True, help="Keep every step for the diffusion view.")

    def models(self) -> tuple[str, ...]:
        return (self.model, "codec")

    def work(self) -> float:
        """Seconds of sound times steps, for the estimate of time."""
        return self.seconds * self.num_inference_steps / 24

    def check(self) -> None:
        if not self.prompt.strip():
            raise BadRequest("The prompt is empty; describe some music or a sound, such as “a siren”.")


def generate(request: DenoiseRequest, control: Control, net: Denoiser, codec: Codec) -> Iterator[Step | Result]:
    """Yields a step a denoising step (preview: the spectrogram foreseen), then an AudioResult. With `inspect` extras hold
    states and guesses (steps + 1 and steps, 80, 100 * seconds) float16: the log-mel of the latents at each step, and of
    the sound that the network foresees there; sigmas (steps + 1,)."""
    import torch
    from diffusers import FlowMatchEulerDiscreteScheduler

    scheduler: Any = FlowMatchEulerDiscreteScheduler()
    scheduler.set_timesteps(request.num_inference_steps)
    frames = max(PATCH, round(request.seconds * codec.frame_rate / PATCH) * PATCH)
    guided = request.guidance_scale != 1.0

    def mel(x: torch.Tensor) -> np.ndarray:
        return codec.model.decoder(net.unscale(x))[0].numpy()  # (80, 2 * frames)

    with torch.inference_mode():
        # 1. Noise and caption; the second row has none
        generator = torch.Generator().manual_seed(request.seed)
        x = torch.randn((1, net.mean.shape[0], frames), generator=generator)
        states, mask, pooled, unknown = net.condition([request.prompt, ""] if guided else [request.prompt])
        seen: dict[str, list[np.ndarray]] = {"states": [mel(x)] if request.inspect else [], "guesses": []}
        # 2. From noise to sound
        done, guess = 0, x
        for t in scheduler.timesteps:
            time = (t / scheduler.config.num_train_timesteps).repeat(len(states))
            v = net.velocity(x.expand(len(states), -1, -1), time, states, mask, pooled)
            v = v[:1] if not guided else v[1:] + request.guidance_scale * (v[:1] - v[1:])
            guess = x - scheduler.sigmas[done] * v
            x = scheduler.step(v, t, x, return_dict=False)[0]
            done += 1
            picture = mel(guess)
            if request.inspect:
                seen["guesses"].append(picture)
                seen["states"].append(mel(x))
            yield Step("denoise", done, request.num_inference_steps, data={"mel": picture})
            if control.stopped:
                break
        # 3. The codec's decoder and its vocoder; a run that was stopped plays what it foresaw
        complete = done == request.num_inference_steps
        wave = dsp.vocode(mel(x if complete else guess))
    wave = wave[: round(request.seconds * codec.sample_rate)]
    wave = np.pad(wave, (0, round(request.seconds * codec.sample_rate) - len(wave)))
    wave = np.clip(wave * min(1.0, 0.98 / max(1e-6, float(np.abs(wave).max()))), -1, 1)
    extras: dict[str, Any] = {"unknown_words": unknown, "sigmas": scheduler.sigmas.numpy()[: done + 1]}
    if request.inspect:
        extras |= {k: np.stack(v).astype(np.float16) for k, v in seen.items()}
    yield AudioResult(
        request,
        steps_run=done,
        model_calls=done * (1 + guided),
        complete=complete,
        waveform=wave[:, None].astype(np.float32),
        sample_rate=codec.sample_rate,
        seeds=[request.seed],
        extras=extras,
    )
