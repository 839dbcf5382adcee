"""The melody of a hummed, whistled or played line: fundamental frequency by YIN, then notes. NumPy only.

YIN: de Cheveigne and Kawahara 2002, http://audition.ens.fr/adc/pdf/2002_JASA_YIN.pdf
"""

from __future__ import annotations

import numpy as np

from core.audio.dsp import SAMPLE_RATE
from core.errors import BadRequest

NAMES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
HOP, LOWEST, HIGHEST = 320, 70.0, 1100.0  # samples (20 ms); Hz


def track(wave: np.ndarray, threshold: float = 0.15) -> np.ndarray:
    """Mono (samples,) at 16 kHz -> (frames,) Hz every 20 ms, 0 where nothing has a pitch."""
    longest, shortest = int(SAMPLE_RATE / LOWEST), int(SAMPLE_RATE / HIGHEST)
    size = 2 * longest
    padded = np.pad(np.asarray(wave, np.float64), (0, size + HOP))
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[: len(wave) : HOP]  # (F, size)
    n = 2 * size
    power = np.concatenate([np.zeros((len(frames), 1)), np.cumsum(frames**2, 1)], 1)
    head = np.fft.rfft(frames[:, :longest], n)
    cross = np.fft.irfft(np.conj(head) * np.fft.rfft(frames, n), n)[:, : longest + 1]
    lags = np.arange(longest + 1)
    difference = power[:, longest, None] + power[:, lags + longest] - power[:, lags] - 2 * cross  # equation 6
    mean = np.cumsum(difference[:, 1:], 1) / lags[1:]
    normal = difference[:, 1:] / np.maximum(mean, 1e-12)  # equation 8; column i is lag i + 1
    loud = power[:, longest] > 1e-4 * longest * max(1e-9, float(np.max(power[:, longest]) / longest))
    out = np.zeros(len(frames))
    for i, row in enumerate(normal):
        good = np.flatnonzero(row[shortest - 1 :] < threshold)
        if not len(good) or not loud[i]:
            continue
        at = good[0] + shortest - 1
        while at + 1 < len(row) and row[at + 1] < row[at]:
            at += 1
        a, b, c = row[max(at - 1, 0)], row[at], row[min(at + 1, len(row) - 1)]
        shift = 0.5 * (a - c) / (a - 2 * b + c) if a - 2 * b + c > 1e-12 else 0.0  # parabola through three points
        out[i] = SAMPLE_RATE / (at + 1 + shift)
    return out


def melody(wave: np.ndarray, most: int = 64) -> list[int]:
    """Mono at 16 kHz -> MIDI keys of its notes (each held 0.1 s or longer), moved by octaves into C4 to C6.

    Raises BadRequest when no note is heard."""
    hertz = track(wave)
    keys = np.where(hertz > 0, np.round(69 + 12 * np.log2(np.maximum(hertz, 1) / 440)), 0).astype(int)
    notes: list[int] = []
    start = 0
    for i in range(1, len(keys) + 1):
        if i == len(keys) or keys[i] != keys[start]:
            if keys[start] and i - start >= 5:
                notes.append(int(keys[start]))
            start = i
    if not notes:
        raise BadRequest("No melody was heard; hum or whistle one note after the other, close to the microphone.")
    octave = 12 * round((66 - float(np.median(notes))) / 12)
    return [min(96, max(48, k + octave)) for k in notes[:most]]


def written(keys: list[int]) -> str:
    """MIDI keys as the Score workbench takes them, such as "C5 E5 G5"."""
    return " ".join(f"{NAMES[k % 12]}{k // 12 - 1}" for k in keys)
