"""Melodies: of a hummed, whistled or played line (fundamental frequency by YIN, then notes), and written ones. NumPy only.

YIN: de Cheveigne and Kawahara 2002, http://audition.ens.fr/adc/pdf/2002_JASA_YIN.pdf
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from core.audio.dsp import SAMPLE_RATE
from core.errors import BadRequest

NAMES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
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


def written(keys: Sequence[int | None]) -> str:
    """MIDI keys as text, such as "C5 E5 - G5"; None is a rest, "-"."""
    return " ".join("-" if k is None else f"{NAMES[k % 12]}{k // 12 - 1}" for k in keys)


def read(melody: str) -> list[int | None]:
    """ "C5 D5 - E5" or "60 62 - 64" -> MIDI keys (48 to 96), None for a rest. Raises BadRequest."""
    keys: list[int | None] = []
    for word in melody.replace(",", " ").split():
        note = re.fullmatch(r"([A-Ga-g])([#b]?)(\d)", word)
        if word == "-":
            keys.append(None)
            continue
        if note:
            key = STEPS[note[1].upper()] + {"#": 1, "b": -1, "": 0}[note[2]] + 12 * (int(note[3]) + 1)
        elif word.isdecimal() and len(word) <= 3:
            key = int(word)
        else:
            raise BadRequest(
                f"“{word[:12]}” is no note; write notes like C5 F#4 Bb5, MIDI numbers like 60 62, and - for a rest."
            )
        if not 48 <= key <= 96:
            raise BadRequest(f"The note {word[:12]} is outside C3 to C7; move the melody by octaves.")
        keys.append(key)
    return keys


def played(keys: Sequence[int | None], seconds: float) -> np.ndarray:
    """The line on a plain flute, each note or rest `seconds` long: (samples,) float32 at 16 kHz, peak at most 0.9."""
    from core.audio import score

    notes = [(i * seconds, seconds * 0.95, 0, key, 100) for i, key in enumerate(keys) if key is not None]
    return score.render(notes, {"lead": "flute", "genre": "waltz"}, len(keys) * seconds)
