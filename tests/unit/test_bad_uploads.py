"""Uploads and weights that are no good: one clear sentence each, nothing raised that a page would not expect."""

import io
import shutil

import numpy as np
import pytest
from PIL import Image

from core import catalog
from core.errors import BadRequest, LabError
from core.runtime import models
from ui.controls import read_picture


def picture(kind, size=(40, 30), mode="RGB", **options):
    out = io.BytesIO()
    Image.new(mode, size, options.pop("color", 128)).save(out, kind, **options)
    return out.getvalue()


WHOLE = picture("PNG", (300, 200))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 1000,
        b"just text",
        b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        b"%PDF-1.7 fake",
        WHOLE[:40],
        WHOLE[: len(WHOLE) // 2],
        WHOLE[:8] + b"\xff" * 200,
        picture("JPEG", (300, 300))[:300],
        b"GIF89a",
        b"RIFF\x00\x00\x00\x00WEBPVP8 ",
    ],
    ids=lambda data: repr(data[:12]),
)
def test_unreadable_pictures(data):
    with pytest.raises(BadRequest, match="no readable picture") as error:
        read_picture(data, 64)
    assert "\n" not in str(error.value)


def test_a_huge_picture_is_refused_before_it_is_decoded():
    with pytest.raises(BadRequest, match="50 million pixels"):
        read_picture(picture("PNG", (9000, 6000), "1"), 64)


@pytest.mark.parametrize(
    "data",
    [
        picture("PNG", (1, 1)),
        picture("PNG", (3, 900)),
        picture("PNG", mode="I;16"),
        picture("PNG", mode="LA", color=(9, 9)),
        picture("PNG", mode="P"),
        picture("JPEG", mode="CMYK", color=(1, 2, 3, 4)),
        picture("GIF"),
        picture("WEBP"),
        picture("BMP"),
        picture("TIFF"),
    ],
    ids=range(10),
)
def test_odd_but_whole_pictures_are_read(data):
    image = read_picture(data, 64)
    assert image.shape == (64, 64, 3) and image.dtype == np.uint8


@pytest.fixture
def broken_shelf(tmp_path, monkeypatch):
    """A copy of one real model that a test may damage."""
    card = catalog.cards(modality="image", role="generator", source="embedded")[0]
    folder = tmp_path / card.id
    shutil.copytree(card.folder, folder)
    monkeypatch.setattr(catalog, "MODELS_DIR", tmp_path)
    models.release_all()
    catalog.reload()
    yield card.id, folder
    models.release_all()
    catalog.reload()


@pytest.mark.parametrize("damage", ["truncated", "zeros", "empty", "gone", "folder gone"])
def test_damaged_weights(broken_shelf, damage):
    model, folder = broken_shelf
    for path in folder.rglob("*.safetensors"):
        if damage == "truncated":
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        elif damage == "zeros":
            path.write_bytes(b"\0" * path.stat().st_size)
        elif damage == "empty":
            path.write_bytes(b"")
        else:
            path.unlink()
    if damage == "folder gone":
        shutil.rmtree(folder)
    with pytest.raises(LabError) as error, models.lease(model):
        pass
    assert "\n" not in str(error.value) and len(str(error.value)) < 400
