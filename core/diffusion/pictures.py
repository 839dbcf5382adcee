"""Uploaded pictures: opened with limits, cut square, scaled."""

from __future__ import annotations

import io

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError

from core.errors import BadRequest

MAX_BYTES = 20_000_000
MAX_PIXELS = 50_000_000


def open_picture(data: bytes, size: int) -> np.ndarray:
    """A picture file -> (size, size, 3) uint8, centre-cropped to a square; transparent parts on white.

    Raises BadRequest when it is too big or cannot be read.
    """
    if len(data) > MAX_BYTES:
        raise BadRequest(f"The picture has {len(data) / 1e6:.0f} MB; give one of at most {MAX_BYTES // 10**6} MB.")
    try:
        with Image.open(io.BytesIO(data)) as opened:
            if opened.width * opened.height > MAX_PIXELS:
                raise BadRequest(f"The picture has {opened.width} x {opened.height} pixels; give at most 50 million.")
            rgba = ImageOps.exif_transpose(opened).convert("RGBA")
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise BadRequest("The upload is no picture that can be read; give a PNG, JPEG or WebP file.") from error
    white = Image.new("RGBA", rgba.size, "white")
    rgb = Image.alpha_composite(white, rgba).convert("RGB")
    side = min(rgb.size)
    left, top = (rgb.width - side) // 2, (rgb.height - side) // 2
    square = rgb.crop((left, top, left + side, top + side))
    return np.asarray(square.resize((size, size), Image.Resampling.LANCZOS))


def open_mask(data: bytes, side: int) -> torch.Tensor:
    """A mask file -> (1, 1, side, side) of 0 and 1; 1 (white) is painted anew."""
    grey = open_picture(data, side).mean(axis=2)
    return torch.from_numpy((grey > 127).astype(np.float32))[None, None]


def to_tensor(picture: np.ndarray) -> torch.Tensor:
    """(H, W, 3) uint8 -> (1, 3, H, W) in [-1, 1]."""
    return torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1.0


def png(picture: np.ndarray) -> bytes:
    """(H, W) or (H, W, 3) uint8 -> PNG bytes."""
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "PNG")
    return out.getvalue()
