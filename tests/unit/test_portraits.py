"""The portrait builder: records and captions are exact, drawn alike each time, and the held-out split is apart."""

import itertools
from collections import Counter

import numpy as np
import pytest

from training import portraits as p


def some(count: int = 1500) -> list[dict]:
    return [p.draw(i)[0] for i in range(count)]


def test_the_same_index_gives_the_same_portrait_and_a_seed_another_set():
    assert p.draw(7) == p.draw(7)
    assert [p.draw(i) for i in range(20)] != [p.draw(i, seed=1) for i in range(20)]


def test_every_value_of_every_attribute_occurs():
    seen = Counter((name, str(r[name])) for r in some() for name in p.ATTRIBUTES)
    for name, values in p.ATTRIBUTES.items():
        words = ["False", "True"] if values == ["no", "yes"] else values
        assert all(seen[name, word] for word in words), name


def test_options_force_what_the_record_says():
    for i in range(300):
        record, options = p.draw(i)
        spec = p.STYLES[record["style"]]
        assert options["backgroundColor"] == [p.BACKGROUNDS[record["background"]]]
        for key in spec["skin_color"]:
            assert options[key] == [p.SKIN_COLORS[record["skin_color"]]]
        if record["hair"] != "bald":
            for key in spec["hair_color"]:
                assert options[key] == [p.HAIR_COLORS[record["hair_color"]]]
        # a part with a probability is never left to chance
        for part in ("glasses", "beard"):
            if part in spec["probability"]:
                assert options[spec["probability"][part]] == (100 if record[part] else 0)
            elif part not in spec:
                assert not record[part]
        drawn = spec["mouth"][record["mouth"]]
        assert any(all(options[key] == value for key, value in choice.items()) for choice in drawn)


def test_heads_that_are_always_black_are_only_labelled_black():
    curly = {r["hair_color"] for r in some() if r["style"] == "open-peeps" and r["hair"] == "curly"}
    assert curly == {"black"}


def test_bald_heads_have_no_hair_colour():
    assert all((r["hair"] == "bald") == (r["hair_color"] == "none") for r in some(400))


def test_captions_name_every_attribute():
    for record in some(200):
        texts = p.captions(record)
        assert len(texts) >= 6 and len(set(texts)) == len(texts)
        for text in texts:
            assert record["style"].replace("-", " ") in text
            assert record["background"] in text and record["skin_color"] in text
            assert p.hair_phrase(record) in text and p.MOUTHS[record["mouth"]] in text
            assert ("glasses" in text.replace("no glasses", "")) == record["glasses"]
            assert ("beard" in text.replace("no beard", "")) == record["beard"]


def test_about_a_tenth_of_the_combinations_is_held_out():
    combinations = itertools.product(p.STYLES, p.ATTRIBUTES["hair_color"], p.BACKGROUNDS, (False, True))
    keys = ("style", "hair_color", "background", "glasses")
    held = [p.is_heldout(dict(zip(keys, c, strict=True))) for c in combinations]
    assert 0.07 < np.mean(held) < 0.14
    record = p.draw(3)[0]
    # mouth and cut do not matter to the split
    assert p.is_heldout(record) == p.is_heldout({**record, "mouth": "sad", "hair": "bun"})


def test_halving_averages_areas():
    images = np.zeros((1, 4, 4, 3), np.uint8)
    images[0, 0, 0] = 200
    images[0, 2:, 2:] = 7
    assert p.halve(images)[0, :, :, 0].tolist() == [[50, 0], [0, 7]]


def test_a_missing_data_set_is_said_in_one_sentence(tmp_path):
    with pytest.raises(SystemExit, match="is missing: run python"):
        p.load("train", folder=tmp_path)
