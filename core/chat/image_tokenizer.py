"""A picture as 64 whole numbers and back: a small convolutional autoencoder with finite scalar quantisation.

FSQ (Mentzer et al. 2023, https://arxiv.org/abs/2309.15505): every latent channel is bounded and rounded to a few
levels (here 8, 5, 5, 5), so a cell of the 8 x 8 grid is one of 1,000 codes and there is no codebook to collapse.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

LEVELS = (8, 5, 5, 5)
GRID, SIDE = 8, 64  # codes a side, pixels a side


class Quantizer(nn.Module):
    """FSQ: (B, len(levels), H, W) real numbers to the nearest of prod(levels) points, gradient passed through."""

    levels: torch.Tensor
    basis: torch.Tensor

    def __init__(self, levels: tuple[int, ...] = LEVELS) -> None:
        super().__init__()
        self.codes = int(torch.tensor(levels).prod())
        self.register_buffer("levels", torch.tensor(levels), persistent=False)
        self.register_buffer("basis", torch.tensor([1, *levels[:-1]]).cumprod(0), persistent=False)

    def _shape(self, values: torch.Tensor) -> torch.Tensor:
        return values.view(1, -1, 1, 1)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Quantised latents in [-1, 1], same shape as z."""
        levels = self._shape(self.levels)
        half = (levels - 1) * (1 + 1e-3) / 2
        offset = torch.where(levels % 2 == 0, 0.5, 0.0)  # even counts have no level at zero
        bounded = torch.tanh(z + torch.atanh(offset / half)) * half - offset
        rounded = bounded + (bounded.round() - bounded).detach()  # straight-through
        return rounded / (levels // 2)

    def to_codes(self, q: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) quantised latents to (B, H, W) codes in [0, codes)."""
        digits = (q * self._shape(self.levels // 2)).round().long() + self._shape(self.levels // 2)
        return (digits * self._shape(self.basis)).sum(1)

    def from_codes(self, codes: torch.Tensor) -> torch.Tensor:
        """(B, H, W) codes to (B, C, H, W) latents in [-1, 1]."""
        digits = codes[:, None] // self._shape(self.basis) % self._shape(self.levels)
        return (digits - self._shape(self.levels // 2)) / self._shape(self.levels // 2)


class Block(nn.Module):
    """x + conv1x1(gelu(conv3x3(norm(x))))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8, width)
        self.conv = nn.Conv2d(width, width, 3, padding=1)
        self.mix = nn.Conv2d(width, width, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.mix(F.gelu(self.conv(self.norm(x))))


class ImageTokenizer(nn.Module):
    """Pictures (B, 3, 64, 64) in [-1, 1] to (B, 8, 8) codes and back."""

    def __init__(self, width: int = 128, blocks: int = 3) -> None:
        super().__init__()
        self.config = {"width": width, "blocks": blocks}
        fine = width // 2
        self.quantizer = Quantizer()
        self.encoder = nn.Sequential(
            nn.PixelUnshuffle(8),
            nn.Conv2d(192, width, 3, padding=1),  # (B, width, 8, 8)
            *(Block(width) for _ in range(blocks - 1)),
            nn.GroupNorm(8, width),
            nn.Conv2d(width, len(LEVELS), 1),
        )
        self.decoder = nn.Sequential(
            nn.Conv2d(len(LEVELS), width, 3, padding=1),
            *(Block(width) for _ in range(blocks)),
            nn.Conv2d(width, 4 * fine, 1),
            nn.PixelShuffle(2),  # (B, fine, 16, 16)
            Block(fine),
            Block(fine),
            nn.GroupNorm(8, fine),
            nn.Conv2d(fine, 128, 1),
            nn.PixelShuffle(2),
            nn.GELU(),
            nn.Conv2d(32, 12, 3, padding=1),
            nn.PixelShuffle(2),
        )  # (B, 3, 64, 64)

    def encode(self, pictures: torch.Tensor) -> torch.Tensor:
        """(B, 3, 64, 64) in [-1, 1] to codes (B, 8, 8)."""
        return self.quantizer.to_codes(self.quantizer(self.encoder(pictures)))

    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        """Codes (B, 8, 8) to (B, 3, 64, 64) in [-1, 1]."""
        return self.decoder(self.quantizer.from_codes(codes).float()).clamp(-1, 1)

    def save_pretrained(self, folder: str | Path) -> None:
        """config.json and model.safetensors."""
        from safetensors.torch import save_file

        Path(folder).mkdir(parents=True, exist_ok=True)
        (Path(folder) / "config.json").write_text(json.dumps(self.config) + "\n")
        save_file({k: v.contiguous() for k, v in self.state_dict().items()}, Path(folder) / "model.safetensors")


def load(card: Any, device: str = "cpu") -> ImageTokenizer:
    """The tokenizer of a folder with config.json and model.safetensors, fp32, eval mode."""
    from safetensors.torch import load_file

    model = ImageTokenizer(**json.loads((card.folder / "config.json").read_text()))
    model.load_state_dict({k: v.float() for k, v in load_file(card.folder / "model.safetensors").items()})
    return model.eval().requires_grad_(False).to(device)
