"""What one may ask of a VAE; imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from core.request import Request, choice, integer, number, seed_field


@dataclass(frozen=True)
class VAERequest(Request):
    """Pictures drawn from the prior, on a walk between two of them, or on a grid of a two-dimensional latent."""

    PIPELINE: ClassVar[str] = "core.vae.sample"

    model: str = choice("vae", ("vae", "vae-2d"), help="vae has 16 latent numbers, vae-2d has two.")
    view: str = choice("samples", ("samples", "walk", "map"), help="Prior samples, a walk, or the map of two numbers.")
    count: int = integer(16, 1, 225, help="How many pictures; the map uses the next square number.")
    seed: int = seed_field()
    seed_to: int = integer(1, 0, 2**32 - 1, help="Where the walk ends.")
    temperature: float = number(1.0, 0.0, 2.0, help="Scale of z: 0 is the mean picture, 1 the prior, 2 beyond it.")
    reach: float = number(2.5, 0.5, 4.0, help="The map covers z from -reach to +reach.")
