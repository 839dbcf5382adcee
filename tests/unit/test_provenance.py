"""Files say what they are, can be read back, and are never half-written."""

import io
import os

import numpy as np
import pytest
from PIL import Image

from core import provenance
from core.errors import BadRequest, Unavailable
from core.result import AudioResult, ImageResult, TextResult, VideoResult
from tests.fake_pipeline import FakeRequest

REQUEST = FakeRequest(seed=11, prompt="grüße, 你好")


def results():
    rng = np.random.default_rng(0)
    yield ".png", ImageResult(REQUEST, images=rng.integers(0, 255, (1, 8, 8, 3), np.uint8), seeds=[11])
    yield ".gif", ImageResult(REQUEST, images=rng.integers(0, 255, (3, 8, 8, 3), np.uint8), seeds=[11, 12, 13])
    yield ".mp4", VideoResult(REQUEST, frames=rng.integers(0, 255, (5, 32, 32, 3), np.uint8), fps=8)
    yield ".gif", VideoResult(REQUEST, frames=rng.integers(0, 255, (5, 32, 32, 3), np.uint8), fps=8)
    for ending in (".wav", ".flac", ".mp3"):
        yield ending, AudioResult(REQUEST, waveform=rng.uniform(-1, 1, (1600, 1)).astype("float32"), sample_rate=16000)
    for ending in (".txt", ".md", ".py"):
        yield ending, TextResult(REQUEST, text="print('hello')")


@pytest.mark.parametrize("ending, result", results(), ids=lambda v: v if isinstance(v, str) else type(v).__name__)
def test_every_kind_of_file_carries_its_record(ending, result):
    data = provenance.encode(result, ending)
    meta = provenance.read(data)
    assert meta["ai_generated"] is True
    assert meta["request"]["seed"] == 11 and meta["request"]["prompt"] == "grüße, 你好"
    assert provenance.encode(result, ending) == data  # same request, same bytes


def test_pictures_survive_exactly():
    image = np.random.default_rng(1).integers(0, 255, (4, 8, 8, 3), np.uint8)
    data = provenance.encode(ImageResult(REQUEST, images=image), ".png")
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(data))), provenance.contact_sheet(image))


@pytest.mark.parametrize("data", [b"", b"junk", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WAVE"])
def test_foreign_files_get_one_sentence(data):
    with pytest.raises(BadRequest, match="no record"):
        provenance.read(data)


def test_a_foreign_class_is_not_imported():
    with pytest.raises(BadRequest):
        provenance.restore({"request_class": "os:system", "request": {}})
    with pytest.raises(BadRequest):
        provenance.restore({"request_class": "core.catalog:Card", "request": {}})


def test_wrong_ending():
    with pytest.raises(BadRequest, match="does not hold image"):
        provenance.encode(ImageResult(REQUEST, images=np.zeros((1, 4, 4, 3), np.uint8)), ".wav")


def test_write_leaves_nothing_behind_when_it_fails(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(Unavailable, match="No space left"):
        provenance.write(tmp_path / "a.png", b"data")
    assert list(tmp_path.iterdir()) == []
