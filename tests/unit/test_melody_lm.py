"""MusicGen melody on tiny random weights through the whole path, and written melodies."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

from core import provenance
from core.audio import full_size, melody_lm, music_lm, pitch
from core.audio.music_lm import GenerateRequest
from core.errors import BadRequest, DoesNotFit
from core.pipeline import Control
from tests import tiny_musicgen

RATE = 3200


@pytest.fixture(autouse=True)
def room(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LAB_MEMORY_MB", "100000")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("musicgen-melody")
    tiny_musicgen.save(folder, RATE, [8, 8], melody=True)
    return folder


def play(checkpoint: Path, control: Control | None = None, **values: object):
    request = GenerateRequest(**{"source": str(checkpoint), "prompt": "a siren", "seconds": 0.5, **values})
    return list(music_lm.generate(request, control or Control()))


def test_it_goes_the_whole_path_with_a_written_melody(checkpoint: Path):
    items = play(checkpoint, melody="C5 E5 - G5", seed=4, inspect=True)
    result = items[-1]
    assert items[0].phase == "load" and [i.index for i in items[-4:-1]] == [23, 24, 25]
    assert result.waveform.shape == (1600, 1) and result.sample_rate == RATE and result.complete
    assert np.abs(result.waveform).max() > 0 and len(result.extras["attention"]) == 0
    again = play(checkpoint, melody="C5 E5 - G5", seed=4)[-1]
    assert np.array_equal(again.waveform, result.waveform)
    data = provenance.encode(result, ".wav")
    told = provenance.read(data)["request"]
    assert told["melody"] == "C5 E5 - G5" and told["seed"] == 4
    assert soundfile.info(io.BytesIO(data)).frames == 1600


def test_the_melody_is_heard(checkpoint: Path):
    def codes(**values: object) -> np.ndarray:
        return play(checkpoint, seed=1, guidance_scale=1.0, **values)[-1].extras["codes"]

    none, low, high = codes(), codes(melody="D4"), codes(melody="F#4")
    assert (none != low).any() and (low != high).any()
    out = io.BytesIO()
    soundfile.write(out, pitch.played([62], 0.5), 16_000, format="WAV")
    assert (codes(hummed=out.getvalue()) == low).all()  # the same clip, drawn or hummed


def test_stop_keeps_what_is_whole(checkpoint: Path):
    control = Control()
    last = None
    items = music_lm.generate(GenerateRequest(source=str(checkpoint), prompt="a siren", melody="C5"), control)
    for last in items:
        if getattr(last, "index", 0) == 10:
            control.stop()
    assert not last.complete and last.extras["codes"].shape[1] == 10


def test_our_loop_writes_what_transformers_own_writes(checkpoint: Path):
    import torch

    lm = full_size.open_model(str(checkpoint))
    request = GenerateRequest(
        source=str(checkpoint), prompt="a siren", melody="C5 E5 G5", seconds=0.5, top_k=1, guidance_scale=3.0
    )
    *_, result = music_lm.generate(request, Control())
    features = melody_lm.chroma(music_lm.tune_of(request, RATE), RATE, 1024, 256)
    words = lm.tokenizer("a siren", return_tensors="pt")
    wave = lm.model.generate(
        **words, input_features=torch.from_numpy(features)[None], do_sample=False, guidance_scale=3.0,
        max_new_tokens=25 + 3,
    )[0]  # fmt: skip
    expected = lm.codec.decode(result.extras["codes"])
    assert wave.shape[1] == len(expected)
    assert np.allclose(np.clip(wave[0].numpy(), -1, 1), expected, atol=1e-4)


def test_chroma_names_the_pitch_class_of_each_frame():
    line = pitch.played([60, 69, 67], 1.0)
    classes = melody_lm.chroma(line, 16_000, 4096, 1024).argmax(1)
    assert [int(classes[round(t * 16_000 / 1024)]) for t in (0.5, 1.5, 2.5)] == [0, 9, 7]
    assert melody_lm.chroma(line[:100], 16_000).shape == (5, 12)  # shorter than a window: padded


def test_written_melodies_are_read_back():
    keys = [60, None, 70, 66]
    assert pitch.written(keys) == "C4 - Bb4 F#4" and pitch.read(pitch.written(keys)) == keys
    assert len(pitch.played(keys, 0.25)) == 16_000
    assert np.abs(pitch.played([60, None], 0.5)[-6000:]).max() < 0.01


@pytest.mark.parametrize(
    "values",
    [
        {"melody": "C5"},  # ours takes none
        {"source": "x", "melody": "H9"},
        {"source": "x", "melody": "C9"},
        {"source": "x", "melody": "- -"},
        {"source": "x", "melody": "C5", "hummed": b"1"},
        {"source": "x", "melody": "C5", "note_seconds": 9.0},
    ],
)
def test_what_is_no_melody_is_refused(values: dict):
    with pytest.raises(BadRequest):
        GenerateRequest(**values)


def test_a_checkpoint_without_ears_and_too_little_memory_are_said(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    lm = full_size.open_model(str(checkpoint))
    monkeypatch.setattr(lm, "melodic", False)
    with pytest.raises(BadRequest, match="musicgen-melody"):
        play(checkpoint, melody="C5")
    full_size.shelf.clear()
    monkeypatch.setenv("LAB_MEMORY_MB", "1")
    with pytest.raises(DoesNotFit):
        play(checkpoint)
