"""Spacetime patches of any clip: cut, count, and what attention over them costs. Numpy only.

A Transformer layer of width d over n tokens costs, in multiply-adds counted as two operations,
    linear parts   (8 + 4 m) n d^2      query, key, value, output; an MLP of hidden width m d
    attention      4 n^2 d              scores and their use
so doubling the length doubles the first and quadruples the second.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from core.errors import BadRequest

# our network's sizes, as in core.video.dit.Config (which needs torch)
OURS = {"width": 192, "depth": 6, "heads": 6, "mlp": 2}


@dataclass(frozen=True)
class Cost:
    """tokens; operations of one forward pass, split in two; bytes of one layer's attention weights if all are kept."""

    tokens: int
    linear: float
    attention: float
    attention_bytes: float

    @property
    def total(self) -> float:
        return self.linear + self.attention


def tokens(frames: int, height: int, width: int, patch_frames: int, patch: int) -> tuple[int, int, int]:
    """Patches along time, height and width; what is left over is padded to a whole patch."""
    if min(frames, height, width, patch_frames, patch) < 1:
        raise BadRequest("Sizes and patch sizes must be at least 1; give whole numbers from 1.")
    return math.ceil(frames / patch_frames), math.ceil(height / patch), math.ceil(width / patch)


def cost(count: int, width: int, depth: int, heads: int, mlp: float = 4, window: int | None = None) -> Cost:
    """One forward pass over `count` tokens. window: tokens that each one sees (None: all)."""
    seen = count if window is None else min(window, count)
    linear = depth * (8 + 4 * mlp) * count * width**2
    return Cost(count, linear, depth * 4.0 * count * seen * width, 4.0 * heads * count * seen)


def cut(clip: np.ndarray, patch_frames: int, patch: int) -> np.ndarray:
    """(T, H, W, 3) to (S, rows, columns, patch_frames, patch, patch, 3); the last frame and edges repeat to fill."""
    t, h, w, _ = clip.shape
    s, rows, columns = tokens(t, h, w, patch_frames, patch)
    pad = ((0, s * patch_frames - t), (0, rows * patch - h), (0, columns * patch - w), (0, 0))
    full = np.pad(clip, pad, mode="edge")
    return full.reshape(s, patch_frames, rows, patch, columns, patch, 3).transpose(0, 2, 4, 1, 3, 5, 6)


def join(cubes: np.ndarray) -> np.ndarray:
    """Inverse of `cut` (without the trimming of what was padded)."""
    s, rows, columns, pf, p, _, _ = cubes.shape
    return cubes.transpose(0, 3, 1, 4, 2, 5, 6).reshape(s * pf, rows * p, columns * p, 3)


def exploded(clip: np.ndarray, patch_frames: int, patch: int, gap: int = 1) -> list[dict[str, np.ndarray]]:
    """The outside of every patch as coloured squares for a 3-D plot.

    Returns one dict a visible pixel layer: x (frames), y, z (pixels) of the corners and colour; see ui.video_plots.
    The front face of each patch (its first frame) is enough to recognise the film; gaps part the patches.
    """
    cubes = cut(clip, patch_frames, patch)
    s, rows, columns = cubes.shape[:3]
    faces = []
    for i in range(s):
        front = cubes[i, :, :, 0]  # (rows, columns, p, p, 3)
        sheet = np.full((rows * (patch + gap), columns * (patch + gap), 3), 255, np.uint8)
        for r in range(rows):
            for c in range(columns):
                y, x = r * (patch + gap), c * (patch + gap)
                sheet[y : y + patch, x : x + patch] = front[r, c]
        faces.append({"time": np.array(i * patch_frames), "sheet": sheet})
    return faces
