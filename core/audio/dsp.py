"""Plain signal processing in NumPy: mel spectra, loudness, resampling, delay pattern. No torch here."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

SAMPLE_RATE = 16_000


@lru_cache(maxsize=16)
def mel_matrix(n_mels: int, n_fft: int, sample_rate: int = SAMPLE_RATE) -> np.ndarray:
    """Triangular mel filters of unit area on the HTK scale, (n_mels, n_fft // 2 + 1) float32."""
    top = 2595.0 * np.log10(1 + sample_rate / 2 / 700.0)
    edges = 700.0 * (10 ** (np.linspace(0, top, n_mels + 2) / 2595.0) - 1)  # Hz
    bins = np.linspace(0, sample_rate / 2, n_fft // 2 + 1)
    left, mid, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    weights = np.maximum(0, np.minimum((bins - left) / (mid - left), (right - bins) / (right - mid)))
    return (weights / np.maximum(weights.sum(1, keepdims=True), 1e-8)).astype(np.float32)


def log_mel(
    wave: np.ndarray, n_mels: int = 64, n_fft: int = 1024, hop: int = 256, sample_rate: int = SAMPLE_RATE
) -> np.ndarray:
    """Mono (samples,) -> log10 mel magnitude (n_mels, frames), floor 1e-5. Hann window, centred frames."""
    padded = np.pad(np.asarray(wave, np.float32), (n_fft // 2, n_fft // 2))
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[::hop]  # (frames, n_fft)
    magnitude = np.abs(np.fft.rfft(frames * np.hanning(n_fft + 1)[:-1].astype(np.float32)))
    return np.log10(np.maximum(mel_matrix(n_mels, n_fft, sample_rate) @ magnitude.T, 1e-5)).astype(np.float32)


def mel_distance(a: np.ndarray, b: np.ndarray, sample_rate: int = SAMPLE_RATE) -> float:
    """Multi-resolution log-mel distance of two clips of one length: mean |difference| of log10 mels over
    windows of 512, 1024 and 2048 samples with 64 mels (Descript Audio Codec, https://arxiv.org/abs/2306.06546)."""
    n = min(len(a), len(b))
    return float(
        np.mean(
            [
                np.abs(log_mel(a[:n], 64, w, w // 4, sample_rate) - log_mel(b[:n], 64, w, w // 4, sample_rate)).mean()
                for w in (512, 1024, 2048)
            ]
        )
    )


def loudness(wave: np.ndarray) -> float:
    """Root mean square level in dB relative to full scale."""
    return float(10 * np.log10(np.mean(np.square(wave, dtype=np.float64)) + 1e-10))


def match_loudness(wave: np.ndarray, target: float = -20.0) -> np.ndarray:
    """Scales to `target` dB RMS, lower where the peak would pass 0.95."""
    gain = 10 ** ((target - loudness(wave)) / 20)
    return (wave * min(gain, 0.95 / max(1e-6, float(np.abs(wave).max())))).astype(np.float32)


def resample(wave: np.ndarray, rate: int, to: int = SAMPLE_RATE) -> np.ndarray:
    """(samples, ...) at `rate` Hz -> the same sound at `to` Hz (polyphase filter)."""
    if rate == to:
        return np.asarray(wave, np.float32)
    from math import gcd

    from scipy.signal import resample_poly

    g = gcd(rate, to)
    return resample_poly(wave, to // g, rate // g, axis=0).astype(np.float32)


def delay_codes(codes: np.ndarray, pad: int) -> np.ndarray:
    """(K, T) codes -> (K, T + K) with codebook k shifted right by k + 1: column 0 is the start token
    (the delay pattern of MusicGen, https://arxiv.org/abs/2306.05284)."""
    k, t = codes.shape
    out = np.full((k, t + k), pad, codes.dtype)
    for i in range(k):
        out[i, i + 1 : i + 1 + t] = codes[i]
    return out


def undelay_codes(delayed: np.ndarray) -> np.ndarray:
    """The inverse: (K, T + K) -> (K, T)."""
    k, total = delayed.shape
    return np.stack([delayed[i, i + 1 : i + 1 + total - k] for i in range(k)])


# The codec's features: 80 log-mel bands of 64 ms windows, 100 a second, scaled to about -1..1.
CODEC_FFT, CODEC_HOP, CODEC_MELS = 1024, 160, 80


def codec_features(wave: np.ndarray) -> np.ndarray:
    """(samples,) at 16 kHz -> (80, samples // 160) float32."""
    mel = log_mel(wave, CODEC_MELS, CODEC_FFT, CODEC_HOP)[:, : len(wave) // CODEC_HOP]
    return (np.maximum(mel, -3) + 1.0) / 1.5


@lru_cache(maxsize=1)
def _unmel() -> np.ndarray:
    """(513, 80): pseudo-inverse of the mel filters."""
    return np.linalg.pinv(mel_matrix(CODEC_MELS, CODEC_FFT).astype(np.float64)).astype(np.float32)


def vocode(features: np.ndarray, iterations: int = 24, seed: int = 0) -> np.ndarray:
    """The way back, (80, T) -> (160 T,) float32: mel to linear magnitudes by non-negative least squares, phases by
    the fast Griffin-Lim algorithm (Perraudin, Balazs and Sondergaard 2013) from seeded random phases.
    Codec and language model never see phase.
    """
    t = features.shape[1]
    mel = 10 ** (np.asarray(features, np.float32) * 1.5 - 1.0)  # (80, T)
    mel = np.where(features <= -1.32, 0, mel)  # the floor is silence
    magnitude = unmel(mel, mel_matrix(CODEC_MELS, CODEC_FFT), _unmel())  # (513, T)
    return griffin_lim(np.concatenate([magnitude, magnitude[:, -1:]], 1), CODEC_HOP, iterations, seed)[: t * CODEC_HOP]


def unmel(mel: np.ndarray, filters: np.ndarray, inverse: np.ndarray) -> np.ndarray:
    """Mel magnitudes (M, T) -> linear magnitudes (F, T) by non-negative least squares, multiplicative steps.
    filters: (M, F); inverse: (F, M), where to start."""
    magnitude = np.maximum(inverse @ mel, 1e-6)
    for _ in range(8):
        magnitude *= (filters.T @ mel) / np.maximum(filters.T @ (filters @ magnitude), 1e-8)
    return magnitude


def griffin_lim(magnitude: np.ndarray, hop: int, iterations: int = 24, seed: int = 0) -> np.ndarray:
    """(n_fft // 2 + 1, frames) magnitudes of centred Hann windows -> ((frames - 1) * hop,) float32, from seeded phases.
    Fast Griffin-Lim: Perraudin, Balazs and Sondergaard 2013. The peak may pass 1."""
    magnitude, size = magnitude.T, 2 * (magnitude.shape[0] - 1)  # (frames, bins)
    frames = len(magnitude)
    window = np.hanning(size + 1)[:-1].astype(np.float32)
    total = (frames - 1) * hop + size
    weight = np.zeros(total, np.float32)
    for i in range(frames):
        weight[i * hop : i * hop + size] += window**2
    weight = np.maximum(weight, 1e-3)

    def synthesis(spectrum: np.ndarray) -> np.ndarray:
        parts = np.fft.irfft(spectrum, size).astype(np.float32) * window
        out = np.zeros(total, np.float32)
        for i in range(frames):
            out[i * hop : i * hop + size] += parts[i]
        return out / weight

    def analysis(wave: np.ndarray) -> np.ndarray:
        return np.fft.rfft(np.lib.stride_tricks.sliding_window_view(wave, size)[::hop] * window)

    phase = np.exp(2j * np.pi * np.random.default_rng(seed).random(magnitude.shape)).astype(np.complex64)
    last = np.zeros_like(phase)
    for _ in range(iterations):
        consistent = analysis(synthesis(magnitude * phase)).astype(np.complex64)
        fast = consistent + 0.9 * (consistent - last)
        last = consistent
        phase = fast / np.maximum(np.abs(fast), 1e-8)
    return synthesis(magnitude * phase)[size // 2 : size // 2 + (frames - 1) * hop]
