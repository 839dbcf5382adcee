"""Loaders of encoders that other models stand on: the autoencoder of the latent models, CLIP and T5."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from core.errors import Unavailable


@dataclass
class Clip:
    """Both towers and the tokenizer."""

    model: Any
    tokenizer: Any

    def score(self, images: np.ndarray, prompts: list[str]) -> np.ndarray:
        """Cosine between pictures (N, H, W, 3) uint8 and prompts (M): (N, M) float32 in [-1, 1].

        Pictures are scaled to 64x64 by areas. https://arxiv.org/abs/2103.00020
        """
        import torch
        from torch.nn import functional as F

        x = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float() / 127.5 - 1
        if x.shape[-2:] != (64, 64):
            x = F.interpolate(x, (64, 64), mode="area")
        words = self.tokenizer(prompts, padding=True, truncation=True, return_tensors="pt")
        with torch.inference_mode():
            out = self.model(input_ids=words.input_ids, pixel_values=x)
        return (out.image_embeds @ out.text_embeds.T).numpy()


def load_clip(card: Any, device: str = "cpu") -> Clip:
    """The catalog's loader of "clip". Raises Unavailable when files are missing or broken."""
    import torch
    from transformers import CLIPModel, CLIPTokenizer

    try:
        model: Any = CLIPModel.from_pretrained(card.folder, dtype=torch.float32, local_files_only=True)
        tokenizer = CLIPTokenizer.from_pretrained(card.folder / "tokenizer", local_files_only=True)
    except (OSError, ValueError, RuntimeError) as error:
        raise Unavailable(
            f"CLIP cannot be read ({str(error).splitlines()[0][:120]}); restore {card.folder}."
        ) from error
    return Clip(model.to(device).eval().requires_grad_(False), tokenizer)


def load_autoencoder(card: Any, device: str = "cpu") -> Any:
    """The catalog's loader of "autoencoder": a stock AutoencoderTiny. Raises Unavailable."""
    import torch
    from diffusers import AutoencoderTiny

    try:
        model: Any = AutoencoderTiny.from_pretrained(card.folder, torch_dtype=torch.float32, local_files_only=True)
    except (OSError, ValueError, RuntimeError) as error:
        message = str(error).splitlines()[0][:120]
        raise Unavailable(f"The autoencoder cannot be read ({message}); restore {card.folder}.") from error
    return model.to(device).eval().requires_grad_(False)


def load_t5(card: Any, device: str = "cpu") -> Any:
    """The catalog's loader of "t5": a stock T5EncoderModel. Raises Unavailable when files are missing or broken."""
    import torch
    from transformers import T5EncoderModel

    try:
        model: Any = T5EncoderModel.from_pretrained(card.folder, dtype=torch.float32, local_files_only=True)
    except (OSError, ValueError, RuntimeError) as error:
        raise Unavailable(f"T5 cannot be read ({str(error).splitlines()[0][:120]}); restore {card.folder}.") from error
    return model.to(device).eval().requires_grad_(False)
