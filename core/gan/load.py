"""Read a GAN's folder: config.json, generator.safetensors, discriminator.safetensors, extras.safetensors."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.errors import LabError


@dataclass
class Gan:
    """A loaded pair. extras: labels (N, 8) uint8 of the training set, directions and their names, and the like."""

    id: str
    network: str
    generator: Any
    discriminator: Any
    extras: dict[str, Any] = field(default_factory=dict)
    info: dict[str, Any] = field(default_factory=dict)

    @property
    def conditional(self) -> bool:
        return self.generator.c_dim > 0


def classes(network: str) -> tuple[type, type]:
    """Generator and discriminator class of a network's name in config.json."""
    from core.gan import networks as n
    from core.gan import style as s

    table = {
        "mlp": (n.MLPGenerator, n.MLPDiscriminator),
        "dcgan": (n.DCGANGenerator, n.DCGANDiscriminator),
        "progan": (n.ProGANGenerator, n.ProGANDiscriminator),
        "stylegan": (s.StyleGANGenerator, n.StyleDiscriminator),
        "stylegan2": (s.StyleGAN2Generator, n.StyleDiscriminator),
        "stylegan3": (s.StyleGAN3Generator, n.StyleDiscriminator),
    }
    if network not in table:
        raise LabError(f"config.json names the network “{network}”; known ones are {', '.join(table)}.")
    return table[network]


def load_folder(folder: str | Path) -> Gan:
    """Build both networks from FOLDER, weights to fp32, evaluation mode. Raises LabError when a file is broken."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    folder = Path(folder)
    try:
        info = json.loads((folder / "config.json").read_text())
        make_g, make_d = classes(info["network"])
        with torch.device("cpu"):
            pair = [make_g(**info["generator"]), make_d(**info["discriminator"])]
        for net, name in zip(pair, ("generator", "discriminator"), strict=True):
            net.load_state_dict(
                {
                    k: v.float() if v.is_floating_point() else v
                    for k, v in load_file(folder / f"{name}.safetensors").items()
                }
            )
            net.eval().requires_grad_(False).to(memory_format=torch.channels_last)
        extras_path = folder / "extras.safetensors"
        extras = load_file(extras_path) if extras_path.exists() else {}
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise LabError(
            f"The model folder {folder.name} is broken ({type(error).__name__}: "
            f"{str(error).splitlines()[0][:120]}); restore it with git checkout {folder}."
        ) from error
    return Gan(folder.name, info["network"], pair[0], pair[1], {k: v.numpy() for k, v in extras.items()}, info)


def load(card: Any, device: str) -> Gan:
    """Loader named by the catalog. device: "cpu", "cuda" or "mps"."""
    gan = load_folder(Path(card.folder))
    gan.generator.to(device)
    gan.discriminator.to(device)
    return gan
