"""What can be heard in a clip: tempo, key, spectral balance. NumPy only.

Used by the page's table and by training.measure_sound.
"""

from __future__ import annotations

import numpy as np

from core.audio.dsp import SAMPLE_RATE, log_mel

NAMES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
# Krumhansl and Kessler's key profiles (1982)
MAJOR = np.array([6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88])
MINOR = np.array([6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17])


def onset_envelope(wave: np.ndarray, rate: int = SAMPLE_RATE) -> tuple[np.ndarray, float]:
    """((frames,) rise of the log-mel spectrum, frames a second)."""
    hop = rate // 100
    mel = log_mel(wave, 40, 1024, hop, rate)
    rise = np.maximum(np.diff(mel, axis=1), 0).mean(0)
    return np.maximum(rise - np.convolve(rise, np.ones(40) / 40, "same"), 0), rate / hop


def tempo(wave: np.ndarray, rate: int = SAMPLE_RATE) -> float:
    """Beats a minute, 55 to 175, by autocorrelation of onsets with harmonics; 0.0 when nothing repeats."""
    envelope, fps = onset_envelope(wave, rate)
    if len(envelope) < fps or envelope.max() <= 0:
        return 0.0
    x = envelope - envelope.mean()
    size = 1 << int(np.ceil(np.log2(2 * len(x))))
    correlation = np.fft.irfft(np.abs(np.fft.rfft(x, size)) ** 2)[: len(x)]
    correlation /= np.arange(len(x), 0, -1)
    grid = np.arange(55.0, 175.5, 0.5)
    at = 60 * fps / grid  # lag of one beat in frames
    lags = np.arange(len(x))
    score = sum(
        w * np.interp(m * at, lags, correlation, right=0.0) for m, w in ((0.5, 0.5), (1, 1.0), (2, 0.6), (3, 0.3))
    )
    score = np.asarray(score) * np.exp(-0.5 * (np.log2(grid / 108) / 0.7) ** 2)  # people tap near 108
    return float(grid[int(np.argmax(score))]) if score.max() > 0 else 0.0


def chroma(wave: np.ndarray, rate: int = SAMPLE_RATE) -> np.ndarray:
    """(12,) share of energy of each pitch class, 60 to 2000 Hz, C first."""
    size = 8192
    padded = np.pad(wave, (0, max(0, size - len(wave))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[:: size // 4]
    power = (np.abs(np.fft.rfft(frames * np.hanning(size))) ** 2).mean(0)
    hertz = np.fft.rfftfreq(size, 1 / rate)
    keep = (hertz > 60) & (hertz < 2000)
    pitch = np.round(12 * np.log2(hertz[keep] / 261.6256)).astype(int) % 12
    out = np.bincount(pitch, np.sqrt(power[keep]), 12)
    return out / max(out.sum(), 1e-9)


def key(wave: np.ndarray, rate: int = SAMPLE_RATE) -> tuple[str, str]:
    """(tonic, "major" or "minor") by correlation with the key profiles."""
    c = chroma(wave, rate)
    fits = [
        (np.corrcoef(np.roll(p, t), c)[0, 1], NAMES[t], mode)
        for t in range(12)
        for p, mode in ((MAJOR, "major"), (MINOR, "minor"))
    ]
    _, tonic, mode = max(fits)
    return tonic, mode


def features(wave: np.ndarray, rate: int = SAMPLE_RATE) -> np.ndarray:
    """(192,) mean, deviation and mean change of 64 log-mel bands after loudness is taken out: for small classifiers."""
    mel = log_mel(wave / max(1e-4, float(np.sqrt(np.mean(wave**2)))) * 0.1, 64, 1024, 256, rate)
    mel = np.maximum(mel, -3)
    return np.concatenate([mel.mean(1), mel.std(1), np.abs(np.diff(mel, axis=1)).mean(1)]).astype(np.float32)
