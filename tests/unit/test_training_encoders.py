"""CLIP scores and the loaders' sentences, on random weights."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from core.encoders import Clip, load_autoencoder, load_clip, load_t5
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
    for load in (load_clip, load_t5, load_autoencoder):
        with pytest.raises(Unavailable, match="restore"):
            load(card)


def test_the_picture_tower_comes_to_a_frozen_text_tower():
    import torch
    from transformers import CLIPTextModel

    from training.text import agreement, from_text_tower

    encoder = CLIPTextModel(build_clip(300).config.text_config).eval()
    clip = from_text_tower(encoder).eval()
    assert not any(p.requires_grad for p in clip.text_model.parameters())
    ids = torch.randint(2, 300, (2, 12))
    ids[:, -1] = 1  # the end
    pooled = clip.text_model(input_ids=ids).pooler_output
    assert torch.equal(pooled, encoder(input_ids=ids).pooler_output)
    same = {"hair": "bob", "hair_color": "red", "skin_color": "tan", "glasses": True, "beard": False, "mouth": "smile"}
    records = [same | {"background": b, "style": "micah"} for b in ("navy", "pink", "pink")]
    said = [dict.fromkeys([*same, "background", "style"], name) for name in (True, True, False)]
    said[2]["glasses"] = True  # the third caption names the glasses only, and fits all three
    assert agreement(records, said).tolist() == [[1, 0, 0], [0, 1, 1], [1, 1, 1]]


def test_unet_and_transformer_are_of_one_size():
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from training import dit, latent_diffusion

    unet, transformer = latent_diffusion.build().eval(), dit.build().eval()
    x, words, t = torch.randn(1, 4, 16, 16), torch.randn(1, 48, 128), torch.tensor([500])
    sizes, work = [], []
    with torch.no_grad():
        for model, call in (
            (unet, lambda: unet(x, t, encoder_hidden_states=words)),
            (transformer, lambda: dit.velocity(transformer, x, t, words, torch.ones(1, 48))),
        ):
            with FlopCounterMode(display=False) as counter:
                call()
            sizes.append(sum(p.numel() for p in model.parameters()))
            work.append(counter.get_total_flops())
    assert 0.8 < sizes[1] / sizes[0] < 1.2 and 0.8 < work[1] / work[0] < 1.2


def test_the_student_is_taught_the_teachers_own_way():
    import torch

    from training import student

    torch.manual_seed(0)
    x, v = torch.randn(2, 4, 4, 16, 16)
    t = torch.tensor([999, 749, 499, 249])
    a, b = student.levels(t), student.levels(t - 250)
    assert torch.allclose(student.leap(x, student.moved(v, x, a, b), a, b), v, atol=1e-4)
    # a teacher that always believes in the same clean picture takes any number of steps along one line
    x0 = torch.randn(1, 4, 16, 16)

    def teacher(y, time, **_):
        level = student.levels(time)
        eps = (y - level.sqrt() * x0) / (1 - level).sqrt()
        return (level.sqrt() * eps - (1 - level).sqrt() * x0,)

    words = torch.zeros(4, 3, 8)
    wanted = student.taught(teacher, x, t, words, words[:1])
    assert torch.allclose(student.clean(wanted, x, a), x0.expand_as(x), atol=2e-3)
    plan = student.scheduler()
    plan.set_timesteps(student.STEPS)
    assert plan.timesteps.tolist() == t.tolist()
    stock = plan.step(v[1:2], plan.timesteps[1], x[1:2]).prev_sample
    assert torch.allclose(stock, student.moved(v, x, a, b)[1:2], atol=1e-5)


def test_clip_scores_with_the_words_that_the_unet_reads():
    import torch
    from safetensors.torch import load_file

    from core import catalog

    clip = load_file(catalog.card("clip").folder / "model.safetensors")
    words = load_file(catalog.card("latent-diffusion").folder / "text_encoder/model.safetensors")
    assert words and all(torch.equal(clip["text_model." + k.removeprefix("text_model.")], v) for k, v in words.items())
