"""The emoji builder: labels are exact, pictures come out alike each time, held-out pairs are apart."""

import json

import numpy as np
import pytest
from PIL import Image

from training import emoji as e
from training.portraits import BACKGROUNDS, NODE

RECORD = {
    "label": "octopus", "group": "animal", "tags": ["squid-like"], "hexcode": "1f419", "style": "noto",
    "background": "orange",
}  # fmt: skip


def test_captions_name_concept_style_and_background():
    for style in e.STYLES:
        texts = e.captions(RECORD | {"style": style})
        assert len(texts) == len(set(texts)) == 8
        assert all("octopus" in t and style in t and "orange" in t for t in texts)
    assert "an octopus" in e.captions(RECORD)[0] and "an orange background" in e.captions(RECORD)[0]


def test_a_concept_has_at_most_one_held_out_style_and_four_in_ten_have_one():
    held = [sum(e.is_heldout(f"{code:x}", style) for style in e.STYLES) for code in range(0x1F400, 0x1F600)]
    assert set(held) == {0, 1} and 0.33 < np.mean(held) < 0.47


def test_chosen_labels_are_all_different():
    labels = [label for line in e.CONCEPTS.values() for label in line.split("; ")]
    assert len(labels) == len(set(labels)) and 300 <= len(labels) <= 600


def test_a_transparent_picture_lies_on_the_plain_background(tmp_path):
    Image.new("RGBA", (20, 20), (255, 0, 0, 255)).save(tmp_path / "1f419.webp", lossless=True)
    white, navy = e.render_webp(tmp_path / "1f419.webp", [BACKGROUNDS["white"], BACKGROUNDS["navy"]], 64)
    assert white[0, 0].tolist() == [255, 255, 255] and navy[0, 0].tolist() == [0x1F, 0x2F, 0x66]
    assert (white[32, 32] == navy[32, 32]).all() and white[32, 32, 0] > 250 > 5 > white[32, 32, 1]


def test_an_alias_is_followed_and_the_margin_is_around_the_drawing():
    icons = {"width": 88, "icons": {"a": {"body": "<path/>"}}, "aliases": {"b": {"parent": "a"}}}
    assert e.svg_of(icons, "b") == e.svg_of(icons, "a")
    assert 'viewBox="-6 -6 100 100"' in e.svg_of(icons, "a")


@pytest.mark.skipif(
    not (NODE / "node_modules/emojibase-data").is_dir(), reason="python -m training.emoji was never run"
)
def test_a_small_build_is_complete_and_the_same_twice(tmp_path):
    records = e.build(tmp_path / "a", count=5)
    e.build(tmp_path / "b", count=5)
    assert (tmp_path / "a/emoji-64.npy").read_bytes() == (tmp_path / "b/emoji-64.npy").read_bytes()
    assert (tmp_path / "a/emoji.jsonl").read_bytes() == (tmp_path / "b/emoji.jsonl").read_bytes()
    images, read = e.load("all", tmp_path / "a")
    assert len(images) == len(records) == 5 * 4 * 8 and len({json.dumps(r) for r in read}) == len(read)
    train, held = e.load("train", tmp_path / "a")[1], e.load("heldout", tmp_path / "a")[1]
    pairs = [{(r["hexcode"], r["style"]) for r in part} for part in (train, held)]
    assert pairs[1] and not pairs[0] & pairs[1] and {r["hexcode"] for r in held} <= {r["hexcode"] for r in train}
    corners = {r["background"]: images[i, 0, 0] for i, r in enumerate(read)}
    for name, value in BACKGROUNDS.items():
        assert abs(corners[name].astype(int) - list(bytes.fromhex(value))).max() <= 1
    assert images.reshape(len(images), -1).std(1).min() > 5  # every picture shows something


def test_missing_data_are_said_in_one_sentence(tmp_path):
    with pytest.raises(SystemExit, match=r"run python -m training\.emoji"):
        e.load("train", tmp_path)
