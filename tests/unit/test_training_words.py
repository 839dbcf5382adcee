"""Phrasings say what the record says, and the targets mark what they leave out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from training.portraits import ATTRIBUTES, captions, draw
from training.words import BEARDS, GLASSES, caption, phrase, targets


def _records(count: int) -> list[dict]:
    records = [draw(i)[0] for i in range(count)]
    return [r | {"captions": captions(r)} for r in records]


def test_phrases_are_reproducible_and_marked():
    records = _records(200)
    first = [phrase(r, np.random.default_rng(i)) for i, r in enumerate(records)]
    assert first == [phrase(r, np.random.default_rng(i)) for i, r in enumerate(records)]
    for record, (text, said) in zip(records, first, strict=True):
        if said["glasses"] and not record["glasses"]:
            assert {"no", "not", "without"} & set(text.split())  # a filler may stand between "no" and "glasses"
        if said["beard"] and record["beard"]:
            assert "bearded" in text or any(way.split()[-1] in text for way in BEARDS)
        if not said["glasses"]:
            assert not any(word in text.split() for word in ("glasses", "spectacles", "bespectacled"))
    assert len(GLASSES) > 3


def test_templates_name_everything():
    record = _records(1)[0]
    text, said = caption(record, np.random.default_rng(0), free=0.0)
    assert text in record["captions"]
    assert said["style"] and said["background"] and said["mouth"]


def test_targets_use_the_extra_class_for_what_is_not_named():
    records = _records(4)
    said = [dict.fromkeys(ATTRIBUTES, i % 2 == 0) for i in range(4)]
    rows = targets(records, said)
    assert rows.shape == (4, len(ATTRIBUTES))
    for column, values in enumerate(ATTRIBUTES.values()):
        assert rows[1, column] == len(values) and rows[0, column] < len(values)


def test_free_phrasings_name_known_values():
    rows = json.loads(Path("assets/prompts/free.json").read_text())
    assert len(rows) == 60 and sum(not row["template"] for row in rows) == 30
    for row in rows:
        assert row["prompt"] and row["names"]
        for name, value in row["names"].items():
            assert (("no", "yes")[value] if isinstance(value, bool) else value) in ATTRIBUTES[name]
