"""An inaudible mark in every sound that leaves the lab, which is found again in the sound alone.

Spread spectrum on the spectrogram: 48 bands from 300 to 7000 Hz, each a little louder or softer (1.5 dB) for 96 ms at a time,
after a fixed pseudo-random pattern that repeats every 3 s. To find it, the band levels are freed of what changes
slowly and correlated with the pattern at every offset: the mark makes one offset stand out. Levels in dB, so a change of
volume takes nothing away; bands and blocks are so broad that MP3 keeps them. It is no secret and no proof: whoever wants
to can remove it. It needs about 2 s of sound that is not silence; what is shorter is marked but not found.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

BANDS, BLOCKS, FRAMES = 48, 31, 6  # bands; blocks of the pattern; frames of 16 ms a block
DECIBELS, CLIP = 1.5, 3.0  # how much; what stands out more counts no more
THRESHOLD = 5.0  # standard deviations above the other offsets


@lru_cache(maxsize=1)
def pattern() -> np.ndarray:
    """(48, 186): +1 or -1 for each band and frame."""
    signs = np.random.default_rng(2026).choice([-1.0, 1.0], (BANDS, BLOCKS))
    return signs.repeat(FRAMES, 1)


@lru_cache(maxsize=8)
def _bands(rate: int) -> tuple[int, int, np.ndarray]:
    """(samples a window of 64 ms, samples a hop of 16 ms, (bins,) band of each bin or -1)."""
    hop = round(0.016 * rate)
    edges = np.geomspace(300, 7000, BANDS + 1)
    hertz = np.fft.rfftfreq(4 * hop, 1 / rate)
    band = np.searchsorted(edges, hertz, "right") - 1
    return 4 * hop, hop, np.where((band < 0) | (band >= BANDS), -1, band)


def _frames(wave: np.ndarray, size: int, hop: int) -> np.ndarray:
    """(samples,) -> (frames, bins) complex: centred Hann windows."""
    padded = np.pad(wave, (size, size + -len(wave) % hop))
    window = np.sin(np.pi * np.arange(size) / size) ** 2
    return np.fft.rfft(np.lib.stride_tricks.sliding_window_view(padded, size)[::hop] * window)


def embed(waveform: np.ndarray, rate: int) -> np.ndarray:
    """(samples, channels) float32 -> the same with the mark, softer where its peak would pass 1."""
    size, hop, band = _bands(rate)
    out = np.empty_like(waveform, np.float32)
    for c, wave in enumerate(waveform.T):
        spectra = _frames(wave, size, hop)
        signs = np.resize(pattern().T, (len(spectra), BANDS))[:, np.maximum(band, 0)]
        spectra = spectra * np.where(band >= 0, 10 ** (DECIBELS / 20 * signs), 1.0)
        pieces = np.fft.irfft(spectra, size)
        total = np.zeros((len(pieces) + 3) * hop)
        for k in range(4):  # Hann windows at a quarter of their length add up to 2
            total[k * hop : k * hop + len(pieces) * hop] += pieces[:, k * hop : (k + 1) * hop].reshape(-1)
        out[:, c] = total[size : size + len(wave)] / 2
    return out / max(1.0, float(np.abs(out).max(initial=0)))


def strength(wave: np.ndarray, rate: int) -> float:
    """Mono (samples,) -> how far the best offset of the pattern stands above the others, in standard deviations;
    0 for less than half a second or silence. The mark is there above THRESHOLD."""
    size, hop, band = _bands(rate)
    if len(wave) < 0.5 * rate or np.abs(wave).max() < 1e-4:
        return 0.0
    power = np.abs(_frames(wave / np.abs(wave).max(), size, hop)) ** 2
    level = np.zeros((len(power), BANDS))
    for b in range(BANDS):
        if (band == b).any():
            level[:, b] = power[:, band == b].mean(1)
    x = 10 * np.log10(level + 1e-6)  # (frames, 48) dB
    x = x - np.apply_along_axis(lambda v: np.convolve(v, np.ones(17) / 17, "same"), 0, x)
    x = x - (np.roll(x, 1, 1) + np.roll(x, -1, 1) + np.roll(x, 2, 1) + np.roll(x, -2, 1)) / 4
    x = np.clip(x, -CLIP, CLIP)
    period = BLOCKS * FRAMES
    folded = np.zeros((period, BANDS))
    for i in range(0, len(x), period):
        folded[: len(x[i : i + period])] += x[i : i + period]
    match = np.fft.ifft(np.fft.fft(folded, axis=0) * np.conj(np.fft.fft(pattern().T, axis=0)), axis=0).real.sum(1)
    best = int(match.argmax())
    apart = np.abs((np.arange(period) - best + period // 2) % period - period // 2) > FRAMES
    rest = match[apart]
    return float((match[best] - rest.mean()) / max(rest.std(), 1e-9))
