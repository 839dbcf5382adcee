"""Sound effects by synthesis with exact captions, and speech by the borrowed hibari voice.

    python -m training.sound_data            # runs/data/effects-16k.npy, effects.jsonl, speech-16k.npy, speech.jsonl

Each clip is 4 s of mono sound at 16 kHz. Two effects may sound together ("thunder during a rainstorm"); a held-out
clip has a pair that no training clip has. Every effect is a function (rng) -> (64000,) float array.
"""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.signal import butter, fftconvolve, sosfilt

from training.music_data import DATA, SAMPLE_RATE, level

N = 4 * SAMPLE_RATE
T = np.arange(N) / SAMPLE_RATE  # (64000,) seconds


def band(x: np.ndarray, low: float, high: float, order: int = 2) -> np.ndarray:
    """Butterworth band-pass; low 0 means low-pass, high 0 means high-pass. Frequencies in Hz."""
    kind, freqs = ("lowpass", high) if low == 0 else ("highpass", low) if high == 0 else ("bandpass", (low, high))
    return sosfilt(butter(order, freqs, kind, fs=SAMPLE_RATE, output="sos"), x)


def slow(rng: np.random.Generator, hz: float, depth: float) -> np.ndarray:
    """A smooth random gain around 1 that changes about `hz` times a second."""
    points = rng.normal(0, 1, int(4 * hz) + 4)
    curve = np.interp(T * hz, np.arange(len(points)), points)
    return np.clip(1 + depth * curve, 0.05, 3)


def hits(times: np.ndarray, sound: np.ndarray, gains: np.ndarray) -> np.ndarray:
    """Puts one short sound at several times (s)."""
    train = np.zeros(N)
    np.add.at(train, np.clip((times * SAMPLE_RATE).astype(int), 0, N - 1), gains)
    return fftconvolve(train, sound)[:N]


def decay(seconds: float, tau: float) -> np.ndarray:
    return np.exp(-np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE / tau)


def rain(rng: np.random.Generator, heavy: bool) -> np.ndarray:
    drops = 2400 if heavy else 260
    tick = band(rng.normal(0, 1, 400), 2500, 7000) * decay(0.025, 0.004)
    wash = band(rng.normal(0, 1, N), 600 if heavy else 2500, 7600) * (0.5 if heavy else 0.04)
    return wash + hits(rng.uniform(0, 4, drops), tick, rng.exponential(0.5, drops))


def thunder(rng: np.random.Generator, near: bool) -> np.ndarray:
    start = rng.uniform(0.2, 1.0)
    after = np.maximum(T - start, 0)
    rumble = band(rng.normal(0, 1, N), 0, 160 if near else 90) * 6 * slow(rng, 5, 0.6)
    rumble *= (start < T) * np.minimum(after / (0.02 if near else 0.5), 1) * np.exp(-after / (1.1 if near else 1.6))
    crack = band(rng.normal(0, 1, N), 200, 5000) * (start < T) * np.exp(-after / 0.12) * slow(rng, 40, 0.8)
    return rumble + (1.2 * crack if near else 0)


def wind(rng: np.random.Generator) -> np.ndarray:
    low, high = (band(rng.normal(0, 1, N), a, b) for a, b in ((150, 500), (500, 1100)))
    gust = slow(rng, 1.2, 0.6)
    return low * gust + high * gust**2 * 0.5


def sea(rng: np.random.Generator) -> np.ndarray:
    swell = 0.5 + 0.5 * np.sin(2 * np.pi * (T * rng.uniform(0.2, 0.35) + rng.random()))
    return band(rng.normal(0, 1, N), 200, 3500, 1) * (0.12 + swell**2) + band(rng.normal(0, 1, N), 0, 250) * 0.4


def fire(rng: np.random.Generator) -> np.ndarray:
    count = int(rng.integers(50, 90))
    pop = band(rng.normal(0, 1, 300), 1200, 6500) * decay(0.01875, 0.003)
    return band(rng.normal(0, 1, N), 80, 700, 1) * 0.25 + hits(
        rng.uniform(0, 4, count), pop, rng.exponential(1.2, count)
    )


def birds(rng: np.random.Generator) -> np.ndarray:
    out, t = np.zeros(N), rng.uniform(0, 0.4)
    while t < 3.7:
        for _ in range(int(rng.integers(2, 5))):
            length = rng.uniform(0.06, 0.14)
            k = np.arange(int(length * SAMPLE_RATE)) / SAMPLE_RATE
            freq = rng.uniform(2600, 4200) + rng.uniform(-9000, 9000) * k
            chirp = np.sin(2 * np.pi * np.cumsum(freq) / SAMPLE_RATE) * np.hanning(len(k))
            at = int(t * SAMPLE_RATE)
            out[at : at + len(k)] += chirp[: max(0, N - at)]
            t += length + 0.03
        t += rng.uniform(0.2, 0.6)
    return out


def siren(rng: np.random.Generator) -> np.ndarray:
    sweep = np.sin(2 * np.pi * (T * rng.uniform(0.3, 0.6) + rng.random()))
    phase = 2 * np.pi * np.cumsum(rng.uniform(800, 950) + 350 * sweep) / SAMPLE_RATE
    return np.sin(phase) + 0.4 * np.sin(2 * phase) + 0.2 * np.sin(3 * phase)


def bell(rng: np.random.Generator) -> np.ndarray:
    base, out = rng.uniform(380, 620), np.zeros(N)
    for start in np.arange(rng.uniform(0.05, 0.4), 3.4, rng.uniform(1.3, 1.8)):
        after = np.maximum(T - start, 0)
        for ratio, gain, tau in (
            (0.5, 0.4, 1.5),
            (1, 1, 1.2),
            (1.19, 0.6, 0.9),
            (1.5, 0.4, 0.7),
            (2, 0.6, 0.6),
            (2.74, 0.3, 0.4),
        ):
            out += (start < T) * gain * np.exp(-after / tau) * np.sin(2 * np.pi * base * ratio * after)
    return out


def footsteps(rng: np.random.Generator, ground: str) -> np.ndarray:
    times = np.arange(rng.uniform(0.1, 0.4), 4, rng.uniform(0.48, 0.6))
    if ground == "wood":
        k = np.arange(1600) / SAMPLE_RATE
        step = np.sin(2 * np.pi * 170 * k) * np.exp(-k / 0.02) + 0.3 * rng.normal(0, 1, 1600) * np.exp(-k / 0.004)
    elif ground == "gravel":
        step = band(rng.normal(0, 1, 3200), 1500, 6500) * np.repeat(rng.random(64) ** 2, 50) * decay(0.2, 0.08)
    else:
        step = band(rng.normal(0, 1, 3200), 300, 1600) * np.hanning(3200)
    return hits(times, step, rng.uniform(0.8, 1.2, len(times))) + 0.003 * rng.normal(0, 1, N)


def engine(rng: np.random.Generator) -> np.ndarray:
    rate = np.cumsum(rng.uniform(22, 34) * slow(rng, 1, 0.04)) / SAMPLE_RATE
    saw = sum(np.sin(2 * np.pi * rate * h + h) / h for h in range(1, 14))
    return band(np.asarray(saw), 0, 900) + 0.15 * band(rng.normal(0, 1, N), 100, 1200) * (1 + np.sin(2 * np.pi * rate))


def clock(rng: np.random.Generator) -> np.ndarray:
    k = np.arange(800) / SAMPLE_RATE
    tick = (np.sin(2 * np.pi * rng.uniform(2200, 2900) * k) + 0.5 * rng.normal(0, 1, 800)) * np.exp(-k / 0.006)
    times = np.arange(rng.uniform(0.05, 0.4), 4, 0.5)
    return hits(times, tick, np.where(np.arange(len(times)) % 2, 0.6, 1.0)) + 0.002 * rng.normal(0, 1, N)


# caption -> (class, function)
EFFECTS: dict[str, tuple[str, Callable[[np.random.Generator], np.ndarray]]] = {
    "light rain": ("rain", lambda g: rain(g, False)),
    "heavy rain": ("rain", lambda g: rain(g, True)),
    "near thunder": ("thunder", lambda g: thunder(g, True)),
    "distant thunder": ("thunder", lambda g: thunder(g, False)),
    "wind blowing": ("wind", wind),
    "sea waves": ("sea", sea),
    "a fire crackling": ("fire", fire),
    "birds singing": ("birds", birds),
    "a siren": ("siren", siren),
    "a bell ringing": ("bell", bell),
    "footsteps on wood": ("footsteps", lambda g: footsteps(g, "wood")),
    "footsteps on gravel": ("footsteps", lambda g: footsteps(g, "gravel")),
    "footsteps on snow": ("footsteps", lambda g: footsteps(g, "snow")),
    "an engine running": ("engine", engine),
    "a clock ticking": ("clock", clock),
}
BACKGROUNDS = ("light rain", "heavy rain", "wind blowing", "sea waves")
FOREGROUNDS = ("near thunder", "distant thunder", "birds singing", "a bell ringing", "a siren", "a clock ticking")
HELD_OUT = {("sea waves", "a bell ringing"), ("heavy rain", "a siren"), ("wind blowing", "birds singing")}


def effect(rng: np.random.Generator, heldout: bool) -> tuple[np.ndarray, dict]:
    """One clip and its record. Two thirds are single effects, one third a background with a foreground."""
    pairs = [(b, f) for b in BACKGROUNDS for f in FOREGROUNDS if ((b, f) in HELD_OUT) == heldout]
    if heldout or rng.random() < 0.33:
        back, front = pairs[rng.integers(len(pairs))]
        wave = 0.35 * level(EFFECTS[back][1](rng)) + level(EFFECTS[front][1](rng))
        captions = [f"{front} with {back}", f"{front} and {back}", f"{back} and {front}"]
        if "thunder" in front and "rain" in back:
            captions.append("thunder during a rainstorm")
        classes = [EFFECTS[back][0], EFFECTS[front][0]]
    else:
        name = list(EFFECTS)[rng.integers(len(EFFECTS))]
        wave, classes = EFFECTS[name][1](rng), [EFFECTS[name][0]]
        captions = [name, f"the sound of {name}", f"{name} alone"]
    return level(wave), {
        "kind": "effect",
        "classes": classes,
        "captions": captions,
        "split": "heldout" if heldout else "train",
    }


SUBJECTS = (
    "The old captain",
    "My neighbour",
    "A small robot",
    "The music teacher",
    "Our train",
    "The quiet river",
    "Every student",
    "Doctor Brown",
)
VERBS = ("found", "painted", "carried", "watched", "forgot", "described", "followed", "measured")
OBJECTS = (
    "a blue umbrella",
    "seven golden coins",
    "the northern lights",
    "a broken violin",
    "the longest bridge",
    "fresh orange juice",
    "her first letter",
    "thirty white horses",
)
PLACES = (
    "near the harbour",
    "before breakfast",
    "in the museum garden",
    "under heavy snow",
    "on Thursday morning",
    "without any warning",
    "for the third time",
)


def speech(rng: np.random.Generator, voice: Any, heldout: bool) -> tuple[np.ndarray, dict]:
    """One spoken sentence by hibari at a random pace, cut or padded to 4 s. Held out: the last subject.

    Two training clips in three speak random words of the voice's dictionary: the grammar has too few sounds in it."""
    if not heldout and rng.random() < 0.67:
        text = " ".join(rng.choice(words(voice), int(rng.integers(4, 8)))) + "."
    else:
        subjects = SUBJECTS[-1:] if heldout else SUBJECTS[:-1]
        text = " ".join(str(rng.choice(part)) for part in (subjects, VERBS, OBJECTS, PLACES)) + "."
    wave = voice(text, speed=float(rng.uniform(0.85, 1.25)), seed=int(rng.integers(1 << 30)))
    wave = resample(wave, 24_000)[:N]
    return level(np.pad(wave, (0, N - len(wave)))), {
        "kind": "speech",
        "text": text,
        "captions": [],
        "split": "heldout" if heldout else "train",
    }


@functools.cache
def words(voice: Any) -> list[str]:
    """The plain lower-case words of 3 to 9 letters in the voice's dictionary."""
    return sorted(
        w for w in voice.g2p.lexicon.golds.d if w.isascii() and w.isalpha() and w.islower() and 2 < len(w) < 10
    )


def resample(wave: np.ndarray, rate: int) -> np.ndarray:
    """(samples,) at `rate` Hz -> (samples * 16000 / rate,)."""
    from math import gcd

    from scipy.signal import resample_poly

    g = gcd(rate, SAMPLE_RATE)
    return resample_poly(wave, SAMPLE_RATE // g, rate // g).astype(np.float32)


def write(name: str, pairs: list[tuple[np.ndarray, dict]], folder: Path = DATA) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / f"{name}-16k.npy", np.stack([(w * 32767).astype(np.int16) for w, _ in pairs]))
    (folder / f"{name}.jsonl").write_text("".join(json.dumps(r) + "\n" for _, r in pairs))
    sys.stdout.write(f"{name}: {len(pairs)} clips\n")


def load(*names: str, split: str) -> tuple[np.ndarray, list[dict]]:
    """(clips (N, 64000) float32, records) of one split of the named sets ("music", "effects", "speech")."""
    clips, records = [], []
    for name in names:
        rows = [json.loads(line) for line in (DATA / f"{name}.jsonl").read_text().splitlines()]
        keep = [i for i, r in enumerate(rows) if r["split"] == split]
        clips.append(np.load(DATA / f"{name}-16k.npy", mmap_mode="r")[keep].astype(np.float32) / 32767)
        records += [rows[i] for i in keep]
    return np.concatenate(clips), records


def main() -> None:
    from hibari import Hibari

    rng = np.random.default_rng(7)
    write("effects", [effect(rng, i >= 2400) for i in range(2460)])
    voice = Hibari()
    write("speech", [speech(rng, voice, i >= 1000) for i in range(1060)])


if __name__ == "__main__":
    main()
