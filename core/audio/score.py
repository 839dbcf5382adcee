"""A score as tokens, as a MIDI file and as sound by a small synthesiser of ours. NumPy only.

Notes are (start s, duration s, channel, key, velocity); channels: 0 lead, 1 chords, 2 bass, 9 drums (General MIDI).
Tokens of a piece: its plan `tempo=150 lead=guitar genre=rock tonic=D mode=major drums=yes`, then for each beat `beat`, and
inside it `at=6` (twelfths of the beat), `lead:64 for=6` (key, twelfths), `chord:48 for=5`, `bass:36 for=11`, `drum:42`.
Keys are written as if the tonic were C: one tune has one spelling in every key. What has no `at` is on the beat.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

Note = tuple[float, float, int, int, int]
GRID = 12  # steps a beat: halves, thirds and quarters
CHANNELS = {"lead": 0, "chord": 1, "bass": 2, "drum": 9}
NAMES = {v: k for k, v in CHANNELS.items()}
TONICS = {"C": 0, "D": 2, "F": 5, "G": 7, "A": 9}  # semitones above C
PLAN = ("tempo", "lead", "genre", "tonic", "mode", "drums")  # the tokens that a piece begins with, in this order
LEADS = {"piano": 0, "violin": 40, "flute": 73, "trumpet": 56, "guitar": 24, "organ": 16}  # General MIDI programs
CHORDS = {"rock": 29, "jazz": 26, "waltz": 48, "ambient": 89}
BASSES = {"rock": 33, "jazz": 32, "waltz": 32, "ambient": 38}
DRUMS = (36, 38, 42, 51)  # kick, snare, hi-hat, ride
VELOCITIES = {"lead": 104, "chord": 60, "bass": 92, "drum": 90}
RATE = 16_000


def vocabulary(words: Sequence[str]) -> list[str]:
    """Every token, the caption's `words` first after <pad>, <start>, <score> and <end>."""
    keys = {"lead": range(39, 97), "chord": range(31, 90), "bass": range(15, 70), "drum": DRUMS}
    return [
        *("<pad>", "<start>", "<score>", "<end>", "<unk>"),
        *words,
        *(f"tempo={t}" for t in range(60, 172, 4)),
        *(f"lead={v}" for v in LEADS),
        *(f"genre={v}" for v in CHORDS),
        *(f"tonic={v}" for v in TONICS),
        *("mode=major", "mode=minor", "drums=yes", "drums=no"),
        "beat",
        *(f"at={i}" for i in range(1, GRID)),
        *(f"{name}:{key}" for name, span in keys.items() for key in span),
        *(f"for={i}" for i in range(1, 4 * GRID + 1)),
    ]


def header(record: dict[str, Any]) -> list[str]:
    """The plan of a piece as its first tokens; the tempo to the nearest 4 BPM, drums True or False."""
    told = record | {"tempo": int(np.clip(4 * round(record["tempo"] / 4), 60, 168))}
    told["drums"] = "yes" if record["drums"] else "no"
    return [f"{name}={told[name]}" for name in PLAN]


def to_tokens(notes: Sequence[Note], tempo: float, tonic: str = "C") -> list[list[str]]:
    """Notes -> for each beat its tokens, "beat" first."""
    step, down = 60.0 / tempo / GRID, TONICS[tonic]
    placed = sorted(
        (round(s / step), list(CHANNELS.values()).index(c), k - down * (c != 9), max(1, round(d / step)))
        for s, d, c, k, _ in notes
    )
    beats: list[list[str]] = [["beat"] for _ in range(placed[-1][0] // GRID + 1 if placed else 0)]
    last = [0] * len(beats)
    for at, order, key, length in placed:
        i, inside = divmod(at, GRID)
        if inside != last[i]:
            beats[i].append(f"at={inside}")
            last[i] = inside
        name = list(CHANNELS)[order]
        beats[i] += [f"{name}:{key}"] if name == "drum" else [f"{name}:{key}", f"for={min(length, 4 * GRID)}"]
    return beats


def to_notes(tokens: Sequence[str]) -> tuple[list[Note], dict[str, Any]]:
    """The inverse: (notes, the plan's facts and "beats"). Broken rests of a note are left out."""
    facts: dict[str, Any] = {"tempo": 120, "lead": "piano", "genre": "ambient", "tonic": "C", "mode": "major"}
    facts["drums"] = False
    notes: list[Note] = []
    at, beat, open_note = 0, -1, None
    for token in tokens:
        kind, _, value = token.replace("=", ":").partition(":")
        step = 60.0 / facts["tempo"] / GRID
        if kind in PLAN and "=" in token:
            facts[kind] = int(value) if kind == "tempo" else value == "yes" if kind == "drums" else value
        elif token == "beat":
            beat, at, open_note = beat + 1, 0, None
        elif kind == "at":
            at = int(value)
        elif kind == "for" and open_note is not None:
            start, name, key = open_note
            notes.append((start, int(value) * step, CHANNELS[name], key, VELOCITIES[name]))
            open_note = None
        elif kind in CHANNELS:
            start = (max(beat, 0) * GRID + at) * step
            if kind == "drum":
                notes.append((start, step, 9, int(value), VELOCITIES[kind]))
            else:
                open_note = (start, kind, int(value) + TONICS[facts["tonic"]])
    return notes, facts | {"beats": beat + 1}


class Grammar:
    """Which tokens may come next, so that every sequence is a score: `mask(vocab)` after each `push(token)`."""

    def __init__(self, vocabulary: Sequence[str]):
        kinds = np.array([t.replace("=", ":").split(":")[0] + ("=" if "=" in t else "") for t in vocabulary])
        self.kinds, self.at = kinds, np.array([int(t[3:]) if t.startswith("at=") else 0 for t in vocabulary])
        self.note = np.isin(kinds, list(CHANNELS))
        self.order = [*(f"{name}=" for name in PLAN), "beat"]  # what must come first
        self.inside, self.last = 0, ""

    def push(self, token: str) -> None:
        if self.order:
            self.order.pop(0)
        self.last = token
        if token == "beat":
            self.inside = 0
        elif token.startswith("at="):
            self.inside = int(token[3:])

    def mask(self) -> np.ndarray:
        """(V,) bool."""
        if self.order:
            return self.kinds == self.order[0]
        if ":" in self.last and not self.last.startswith("drum"):
            return self.kinds == "for="
        if self.last.startswith("at="):
            return self.note
        return self.note | (self.kinds == "beat") | (self.at > self.inside)


def to_midi(notes: Sequence[Note], facts: dict[str, Any]) -> bytes:
    """A standard MIDI file, format 0, 480 ticks a beat. https://midi.org/standard-midi-files"""
    ticks = 480

    def variable(n: int) -> bytes:
        out = [n & 127]
        while n := n >> 7:
            out.insert(0, n & 127 | 128)
        return bytes(out)

    lead, genre = facts["lead"], facts["genre"]
    micros = round(60e6 / facts["tempo"])
    text = b"AI-generated by the Generative AI Lab (symbolic-music)"
    events = [
        (0, 0, b"\xff\x01" + variable(len(text)) + text),
        (0, 0, b"\xff\x51\x03" + struct.pack(">I", micros)[1:]),
        (0, 0, bytes([0xC0, LEADS[lead]])),
        (0, 0, bytes([0xC1, CHORDS[genre]])),
        (0, 0, bytes([0xC2, BASSES[genre]])),
    ]
    for start, length, channel, key, velocity in notes:
        a, b = (round(x * facts["tempo"] / 60 * ticks) for x in (start, start + length))
        events += [(a, 2, bytes([0x90 | channel, key, velocity])), (max(b, a + 1), 1, bytes([0x80 | channel, key, 0]))]
    body, now = b"", 0
    for tick, _, data in sorted(events, key=lambda e: e[:2]):
        body += variable(tick - now) + data
        now = tick
    body += b"\x00\xff\x2f\x00"
    return struct.pack(">4sIHHH4sI", b"MThd", 6, 0, 1, ticks, b"MTrk", len(body)) + body


# --- the synthesiser ----------------------------------------------------------------------------------------------

# name: (strengths of the harmonics, attack s, decay s (0: holds), vibrato in semitones, drive)
VOICES: dict[str, tuple[tuple[float, ...], float, float, float, float]] = {
    "piano": ((1, 0.5, 0.28, 0.2, 0.1, 0.06, 0.03), 0.004, 0.5, 0.0, 0.0),
    "violin": ((1, 0.7, 0.55, 0.45, 0.35, 0.28, 0.2, 0.15), 0.06, 0.0, 0.18, 0.0),
    "flute": ((1, 0.25, 0.08, 0.02), 0.04, 0.0, 0.12, 0.0),
    "trumpet": ((0.6, 0.9, 1, 0.8, 0.6, 0.45, 0.3, 0.2), 0.03, 0.0, 0.05, 0.0),
    "guitar": ((1, 0.6, 0.5, 0.25, 0.2, 0.1), 0.003, 0.35, 0.0, 0.0),
    "organ": ((1, 0.8, 0.6, 0.5, 0.0, 0.3, 0.0, 0.25), 0.01, 0.0, 0.0, 0.0),
    "rock": ((1, 0.7, 0.6, 0.4, 0.3), 0.004, 0.9, 0.0, 3.0),
    "jazz": ((1, 0.4, 0.15, 0.05), 0.004, 0.3, 0.0, 0.0),
    "waltz": ((1, 0.6, 0.4, 0.3, 0.2), 0.05, 0.0, 0.1, 0.0),
    "ambient": ((1, 0.3, 0.12), 0.25, 0.0, 0.05, 0.0),
    "bass": ((1, 0.5, 0.2, 0.08), 0.005, 0.6, 0.0, 0.0),
}


def tone(voice: str, key: int, seconds: float) -> np.ndarray:
    """One note by adding harmonics: (samples,) float32 about 1 high, with 60 ms of release after `seconds`."""
    harmonics, attack, decay, vibrato, drive = VOICES[voice]
    t = np.arange(int((seconds + 0.06) * RATE)) / RATE
    hertz = 440.0 * 2 ** ((key - 69) / 12 + vibrato / 12 * np.sin(2 * np.pi * 5.5 * t) * np.minimum(t / 0.3, 1))
    phase = 2 * np.pi * np.cumsum(hertz) / RATE
    top = 440.0 * 2 ** ((key - 69) / 12)
    parts = [g * np.sin(h * phase) for h, g in enumerate(harmonics, 1) if h * top < 0.45 * RATE]
    wave = np.sum(parts, 0) / sum(harmonics[: len(parts)] or (1,)) ** 0.7
    envelope = np.minimum(t / attack, 1) * (np.exp(-t / decay) if decay else 1)
    envelope = envelope * np.clip((seconds + 0.06 - t) / 0.06, 0, 1)
    wave = wave * envelope
    return (np.tanh(drive * wave) / drive * 1.5 if drive else wave).astype(np.float32)


def drum(key: int) -> np.ndarray:
    """Kick, snare, hi-hat or ride from a sine and seeded noise: (samples,) float32."""
    t = np.arange(int(0.35 * RATE)) / RATE
    noise = np.random.default_rng(key).normal(0, 1, len(t))
    bright = np.diff(noise, prepend=0)
    if key == 36:
        wave = 1.4 * np.sin(2 * np.pi * (55 * t + 6 * (1 - np.exp(-t / 0.03)))) * np.exp(-t / 0.09)
    elif key == 38:
        wave = 0.45 * noise * np.exp(-t / 0.06) + 0.5 * np.sin(2 * np.pi * 185 * t) * np.exp(-t / 0.05)
    else:
        wave = 0.22 * bright * np.exp(-t / (0.025 if key == 42 else 0.12))
    return wave.astype(np.float32)


def render(notes: Sequence[Note], facts: dict[str, Any], seconds: float) -> np.ndarray:
    """(samples,) float32 at 16 kHz, exactly `seconds` long, peak at most 0.9."""
    total = round(seconds * RATE)
    out = np.zeros(total + RATE, np.float32)
    gains = {0: 0.5, 1: 0.16, 2: 0.42, 9: 0.45}
    for start, length, channel, key, velocity in notes:
        at = int(start * RATE)
        if at >= total:
            continue
        voice = {0: facts["lead"], 1: facts["genre"], 2: "bass"}.get(channel, "")
        wave = drum(key) if channel == 9 else tone(voice, key, min(length, seconds))
        wave = wave[: len(out) - at] * (gains[channel] * velocity / 100)
        out[at : at + len(wave)] += wave
    out = np.tanh(out[:total])
    out[-80:] *= np.linspace(1, 0, 80, dtype=np.float32)[-min(80, total) :]
    return out * min(1.0, 0.9 / max(1e-6, float(np.abs(out).max(initial=0))))
