"""Stock diffusers folders (model_index.json) loaded part by part, so that only the classes in use are imported."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from core.diffusion.schedule import is_flow
from core.errors import Unavailable

DENOISERS = ("unet", "transformer")
PARTS = (*DENOISERS, "vae", "text_encoder", "tokenizer", "scheduler")
SMALL = 5_000_000  # parameters of an autoencoder that may be held twice


@dataclass
class Diffusion:
    """One text-to-image model. `scheduler` holds the trained schedule and is never stepped: every run makes its own.

    latent shape (C, h, w); picture side in pixels; `flow`: velocity of a straight path (SD 3, FLUX) instead of a
    variance-preserving diffusion; `default_steps` / `default_guidance`: what the model is meant to be run with.
    """

    folder: Path
    denoiser: Any
    scheduler: Any
    vae: Any = None
    text_encoder: Any = None
    tokenizer: Any = None
    device: str = "cpu"
    extras: dict[str, Any] = field(default_factory=dict)

    @property
    def flow(self) -> bool:
        return is_flow(self.scheduler)

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        config = self.denoiser.config
        side = config.sample_size if isinstance(config.sample_size, int) else config.sample_size[0]
        return (config.in_channels, side, side)

    @property
    def size(self) -> int:
        """Side of the picture in pixels."""
        return self.latent_shape[1] * self.vae_scale

    @property
    def vae_scale(self) -> int:
        """Pixels a latent cell covers along one side."""
        if self.vae is None:
            return 1
        config = self.vae.config
        blocks = getattr(config, "block_out_channels", None) or config.decoder_block_out_channels
        return 2 ** (len(blocks) - 1)

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Latents (B, C, h, w) -> pictures (B, 3, H, W) in [-1, 1] (not clipped)."""
        return self._decoded(latents, self.vae)

    @torch.no_grad()
    def _decoded(self, latents: torch.Tensor, vae: Any) -> torch.Tensor:
        if vae is None:
            return latents
        latents = latents / vae.config.scaling_factor
        if self.flow and getattr(vae.config, "shift_factor", None):
            latents = latents + vae.config.shift_factor
        return vae.decode(latents, return_dict=False)[0]

    @torch.no_grad()
    def encode(self, pictures: torch.Tensor) -> torch.Tensor:
        """Pictures (B, 3, H, W) in [-1, 1] -> latents (B, C, h, w): the mean of the posterior, so no noise is drawn."""
        if self.vae is None:
            return pictures
        config = self.vae.config
        encoded = self.vae.encode(pictures)
        latents = encoded.latent_dist.mode() if hasattr(encoded, "latent_dist") else encoded.latents
        if self.flow and getattr(config, "shift_factor", None):
            latents = latents - config.shift_factor
        return latents * config.scaling_factor

    def predict(self, x: torch.Tensor, t: torch.Tensor, embeds: Any, mask: Any = None) -> torch.Tensor:
        """The raw output of the denoiser for x (B, C, h, w) at time t, same shape: noise, v, x_0 or velocity."""
        kind = type(self.denoiser).__name__
        if kind == "UNet2DModel":
            return self.denoiser(x, t, return_dict=False)[0]
        if kind == "PixArtTransformer2DModel":
            output = self.denoiser(
                x, encoder_hidden_states=embeds, encoder_attention_mask=mask, timestep=t.expand(x.shape[0]),
                added_cond_kwargs={"resolution": None, "aspect_ratio": None}, return_dict=False,
            )[0]  # fmt: skip
            return output.chunk(2, dim=1)[0] if output.shape[1] == 2 * x.shape[1] else output
        return self.denoiser(x, t, encoder_hidden_states=embeds, return_dict=False)[0]

    def quick(self, latents: torch.Tensor) -> torch.Tensor:
        """Decode for live views and records, (B, C, h, w) -> (B, 3, H, W) in [-1, 1].

        A small autoencoder has a copy with its channels last: a quarter less time, 2e-6 off, so never the picture that
        a stock pipeline must match byte for byte.
        """
        if "quick" not in self.extras:
            small = self.vae is not None and sum(p.numel() for p in self.vae.parameters()) < SMALL
            self.extras["quick"] = copy.deepcopy(self.vae).to(memory_format=torch.channels_last) if small else self.vae
        return self._decoded(latents.to(memory_format=torch.channels_last), self.extras["quick"])


def load_folder(folder: Path, device: str = "cpu") -> Diffusion:
    """Load a folder written by `DiffusionPipeline.save_pretrained`, fp32, eval mode.

    Raises Unavailable when a file is missing or broken.
    """
    folder = Path(folder)
    index_file = folder / "model_index.json"
    if not index_file.is_file():
        raise Unavailable(f"{folder.name} has no model_index.json; restore the folder {folder} and try again.")
    try:
        index = json.loads(index_file.read_text())
        parts = {name: _part(folder, name, index[name], device) for name in PARTS if index.get(name, [None])[0]}
    except (OSError, ValueError, KeyError, RuntimeError, AttributeError) as error:
        reason = str(error).strip().splitlines()[0][:160] if str(error).strip() else type(error).__name__
        raise Unavailable(f"{folder.name} cannot be read ({reason}); restore {folder} and try again.") from error
    denoiser = next((parts.pop(name) for name in DENOISERS if name in parts), None)
    if denoiser is None or "scheduler" not in parts:
        raise Unavailable(f"{folder.name} holds no unet, transformer or scheduler; give a diffusers folder.")
    from core.diffusion import attention

    model = Diffusion(folder=folder, denoiser=denoiser, device=device, **parts)
    model.extras["layers"] = attention.install(denoiser)
    return model


def load(card: Any, device: str = "cpu") -> Diffusion:
    """The catalog's loader: `card.folder` is a stock diffusers folder."""
    return load_folder(card.folder, device)


def _part(folder: Path, name: str, spec: list[str], device: str) -> Any:
    library, class_name = spec
    if library not in ("diffusers", "transformers"):  # no code from the folder itself is ever run
        raise ValueError(f"{name} comes from {library}, which is not allowed")
    cls = getattr(import_module(library), class_name)
    options = {} if name in ("tokenizer", "scheduler") else {"torch_dtype": torch.float32, "local_files_only": True}
    if library == "transformers" and options:
        options = {"dtype": torch.float32, "local_files_only": True}
    part = cls.from_pretrained(str(folder / name), **options)
    if isinstance(part, torch.nn.Module):
        part = part.to(device).eval().requires_grad_(False)
    return part
