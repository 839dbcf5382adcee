"""The 2013 shape: fully connected encoder and decoder around a Gaussian latent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from core.errors import LabError


class VAE(nn.Module):
    """Pictures (B, 3, side, side) in [-1, 1] to a Gaussian over z (B, latent) and back.

    Two hidden layers each way; small weights make it quick: side 32, hidden 320, latent 16 is 2.2 million parameters.
    """

    def __init__(self, side: int = 32, hidden: int = 320, latent: int = 16) -> None:
        super().__init__()
        self.config = {"side": side, "hidden": hidden, "latent": latent}
        self.side, self.latent = side, latent
        pixels = 3 * side * side
        self.encoder = nn.Sequential(
            nn.Flatten(), nn.Linear(pixels, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU()
        )
        self.moments = nn.Linear(hidden, 2 * latent)
        self.decoder = nn.Sequential(
            nn.Linear(latent, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(),
            nn.Linear(hidden, pixels), nn.Tanh(),
        )  # fmt: skip

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q(z|x), each (B, latent)."""
        mean, log_variance = self.moments(self.encoder(x)).chunk(2, 1)
        return mean, log_variance.clamp(-12, 6)

    def decode(self, z: Tensor) -> Tensor:
        """z (B, latent) -> pictures (B, 3, side, side) in [-1, 1]."""
        return self.decoder(z).view(-1, 3, self.side, self.side)


def load_folder(folder: Path) -> VAE:
    """The VAE in FOLDER (config.json, model.safetensors), fp32, eval mode. Raises LabError."""
    from safetensors.torch import load_file

    try:
        model = VAE(**json.loads((folder / "config.json").read_text()))
        model.load_state_dict({k: v.float() for k, v in load_file(folder / "model.safetensors").items()})
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        reason = str(error).splitlines()[0][:120]
        raise LabError(f"The VAE in {folder.name} cannot be read ({reason}); restore its files.") from error
    return model.eval().requires_grad_(False)


def load(card: Any, device: str = "cpu") -> VAE:
    """The catalog's loader."""
    return load_folder(card.folder).to(torch.device(device))
