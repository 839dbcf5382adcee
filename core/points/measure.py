"""How far generated points are from the data: divergences, distances, modes. Plain numpy, a few milliseconds."""

from __future__ import annotations

import numpy as np

from core.points.data import EXTENT


def divergences(real: np.ndarray, fake: np.ndarray, bins: int = 24) -> tuple[float, float]:
    """KL(data || model) and Jensen-Shannon divergence in nats, of histograms over the plot.

    real, fake: (N, 2). JS lies in 0 to ln 2 = 0.693. A thousandth of a point is added to each cell, so KL stays finite.
    """
    p, q = _histogram(real, bins), _histogram(fake, bins)
    middle = (p + q) / 2
    kl = float((p * np.log(p / q)).sum())
    js = float((p * np.log(p / middle)).sum() + (q * np.log(q / middle)).sum()) / 2
    return kl, js


def _histogram(points: np.ndarray, bins: int) -> np.ndarray:
    cell = np.clip(((points + EXTENT) * (bins / (2 * EXTENT))).astype(int), 0, bins - 1)
    counts = np.bincount(cell[:, 0] * bins + cell[:, 1], minlength=bins * bins) + 1e-3
    return counts / counts.sum()


def sliced_wasserstein(real: np.ndarray, fake: np.ndarray, directions: int = 32) -> float:
    """Mean Wasserstein-1 distance over evenly spaced directions, in plot units; real, fake: (N, 2), same N."""
    angle = np.arange(directions) * np.pi / directions
    axes = np.stack([np.cos(angle), np.sin(angle)])  # (2, directions)
    return float(np.abs(np.sort(real @ axes, 0) - np.sort(fake @ axes, 0)).mean())


def mmd(real: np.ndarray, fake: np.ndarray) -> float:
    """Squared maximum mean discrepancy, unbiased, Gaussian kernels of width 0.25 and 1; real, fake: (N, 2)."""

    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        square = (a * a).sum(1)[:, None] + (b * b).sum(1)[None] - 2 * a @ b.T
        wide = np.exp(-0.5 * square)
        return wide + wide**16

    n, m = len(real), len(fake)
    within = (kernel(real, real).sum() - 2 * n) / (n * (n - 1)) + (kernel(fake, fake).sum() - 2 * m) / (m * (m - 1))
    return float(within - 2 * kernel(real, fake).mean())


def modes_covered(fake: np.ndarray, anchors: np.ndarray, radius: float) -> tuple[int, float]:
    """How many modes get at least a fifth of a fair share, and the share of points that are near any mode."""
    distance = np.linalg.norm(fake[:, None] - anchors[None], axis=2)  # (N, K)
    near = distance.min(1) < radius
    counts = np.bincount(distance.argmin(1)[near], minlength=len(anchors))
    return int((counts >= 0.2 * len(fake) / len(anchors)).sum()), float(near.mean())
