"""CLIP scores and the loaders' sentences, on random weights."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from core.encoders import Clip, load_autoencoder, load_clip
from core.errors import Unavailable
from training.text import build_clip, clip_tokenizer


def _tokenizer():
    from training.portraits import captions, draw

    records = [draw(i)[0] for i in range(120)]
    return clip_tokenizer([r | {"captions": captions(r)} for r in records])


def test_scores_are_cosines_and_independent_of_company():
    tokenizer = _tokenizer()
    clip = Clip(build_clip(len(tokenizer)).eval(), tokenizer)
    images = np.random.default_rng(0).integers(0, 256, (3, 96, 96, 3), dtype=np.uint8)
    scores = clip.score(images, ["short red hair", ""])
    assert scores.shape == (3, 2) and np.abs(scores).max() <= 1.0001
    assert np.allclose(clip.score(images[1:2], ["short red hair"]), scores[1:2, :1], atol=1e-4)


def test_the_tokenizer_knows_common_words_whole_and_survives_any_script():
    tokenizer = _tokenizer()
    assert tokenizer.tokenize("glasses") == ["glasses</w>"]
    assert len(tokenizer.tokenize("zebra")) > 1
    assert tokenizer("日本 👩", truncation=True).input_ids[0] == 0
    long = tokenizer(" ".join(["glasses"] * 100), truncation=True).input_ids
    assert len(long) == tokenizer.model_max_length


def test_missing_weights_are_told_in_a_sentence(tmp_path):
    card = SimpleNamespace(folder=tmp_path)
    for load in (load_clip, load_autoencoder):
        with pytest.raises(Unavailable, match="restore"):
            load(card)
