"""The forward process on pictures: textbook noise schedules, without torch, so that a page can draw it at once."""

from __future__ import annotations

import numpy as np

from core.errors import BadRequest

FORWARD_SCHEDULES = ("linear", "scaled-linear", "cosine", "rectified flow")


def forward_schedule(name: str, steps: int = 1000) -> tuple[np.ndarray, np.ndarray]:
    """(alpha_t, sigma_t), each (steps + 1,), t = 0 .. steps, of a textbook schedule.

    linear: Ho et al. 2020; cosine: Nichol & Dhariwal 2021; scaled-linear: Stable Diffusion; rectified flow: Liu 2022.
    """
    if name not in FORWARD_SCHEDULES:
        raise BadRequest(f"“{name}” is no noise schedule; choose one of {', '.join(FORWARD_SCHEDULES)}.")
    u = np.arange(steps + 1) / steps
    if name == "rectified flow":
        return 1.0 - u, u
    if name == "cosine":
        f = np.cos((u + 0.008) / 1.008 * np.pi / 2) ** 2
        bar = np.concatenate([[1.0], np.cumprod(1.0 - np.clip(1.0 - f[1:] / f[:-1], 0.0, 0.999))])
    else:
        low, high = (1e-4, 0.02) if name == "linear" else (0.00085, 0.012)
        betas = np.linspace(low, high, steps) if name == "linear" else np.linspace(low**0.5, high**0.5, steps) ** 2
        bar = np.concatenate([[1.0], np.cumprod(1.0 - betas)])
    return np.sqrt(bar), np.sqrt(1.0 - bar)


def add_noise(picture: np.ndarray, alpha: float, sigma: float, seed: int) -> np.ndarray:
    """Picture (H, W, 3) uint8 -> noised picture (H, W, 3) uint8 (clipped for display; grey is zero)."""
    x0 = picture.astype(np.float32) / 127.5 - 1.0
    noise = np.random.default_rng(seed).standard_normal(x0.shape).astype(np.float32)
    return to_uint8(alpha * x0 + sigma * noise)


def snr_db(alpha: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """Signal-to-noise ratio alpha^2 / sigma^2 in decibels, within +-60."""
    return 20.0 * np.log10(np.clip(alpha, 1e-3, None) / np.clip(sigma, 1e-3, None))


def to_uint8(x: np.ndarray) -> np.ndarray:
    """[-1, 1] -> uint8, as the stock pipeline rounds."""
    return (np.clip(x / 2 + 0.5, 0, 1) * 255).round().astype(np.uint8)
