"""The inaudible mark: it survives what happens to files, it is quiet, and other sounds do not carry it."""

from __future__ import annotations

import io

import numpy as np
import pytest

from core import provenance
from core.audio import dsp, watermark
from core.audio.music_lm import GenerateRequest
from core.audio.upload import CLIPS, read_clip
from core.result import AudioResult

NAMES = sorted(p.stem for p in CLIPS.glob("*.flac"))


def found(wave: np.ndarray, rate: int = 16_000) -> bool:
    return watermark.strength(wave, rate) > watermark.THRESHOLD


@pytest.mark.parametrize("ending", [".wav", ".flac", ".mp3"])
@pytest.mark.parametrize("name", NAMES)
def test_a_download_carries_the_mark_at_any_volume(name: str, ending: str):
    import soundfile

    result = AudioResult(GenerateRequest(), waveform=read_clip(name, 16_000)[:, None], sample_rate=16_000)
    wave, rate = soundfile.read(io.BytesIO(provenance.encode(result, ending)), dtype="float32")
    assert found(wave, rate) and found(0.1 * wave, rate)
    assert found(wave[7001:], rate)  # cut at the front, so the pattern begins anywhere
    assert found(dsp.resample(wave, rate, 24_000), 24_000)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_quiet_and_clips_nothing(name: str):
    wave = read_clip(name, 16_000)
    marked = watermark.embed(np.stack([wave, wave], 1), 16_000)
    assert marked.shape == (len(wave), 2) and np.abs(marked).max() <= 1.0
    assert np.array_equal(marked[:, 0], marked[:, 1])
    assert dsp.mel_distance(wave, marked[:, 0]) < 0.08  # 1.5 dB are 0.075
    assert abs(dsp.loudness(marked) - dsp.loudness(wave)) < 1.0


def test_other_sounds_do_not_carry_it():
    """200 pieces: real clips, chords with a beat, noise."""
    rng, t = np.random.default_rng(0), np.arange(48_000) / 16_000
    waves = [read_clip(name, 16_000) for name in NAMES]
    for _ in range(97):
        beat = np.exp(-8 * (t % rng.uniform(0.25, 0.9)))
        chord = sum(np.sin(2 * np.pi * f * t) / (i + 1) for i, f in enumerate(rng.uniform(80, 3000, 8)))
        waves += [chord * beat, rng.normal(0, 1, len(t)) * (beat if rng.random() < 0.5 else 1)]
    assert len(waves) == 200
    assert not any(found(w) for w in waves)
    assert watermark.strength(np.zeros(64_000), 16_000) == watermark.strength(np.ones(100), 16_000) == 0.0
