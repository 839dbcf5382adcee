"""Vocabulary, decoder, picture codes, the grammar of answers, histories: on tiny random weights."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
import torch
from PIL import Image

from core.chat import chat, code, history, tasks
from core.chat.decoder import Memory, load
from core.chat.image_tokenizer import ImageTokenizer, Quantizer
from core.chat.vocabulary import BOT, END, PICTURE, PICTURE_END, START, Vocabulary
from core.errors import BadRequest, Unavailable
from core.pipeline import Control
from core.result import TextResult


class Card:
    def __init__(self, folder):
        self.folder = folder


@pytest.fixture(scope="module")
def words():
    return Vocabulary([" hair", " is", " red", "The", "\n    ", "draw"], 1000)


@pytest.fixture(scope="module")
def folder(words, tmp_path_factory):
    from transformers import Qwen3Config, Qwen3ForCausalLM

    path = tmp_path_factory.mktemp("tiny")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = Qwen3Config(vocab_size=words.size, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
                             num_attention_heads=2, num_key_value_heads=2, head_dim=16, max_position_embeddings=512,
                             tie_word_embeddings=True, initializer_range=0.2)  # fmt: skip
        Qwen3ForCausalLM(config).save_pretrained(path)
    words.save(path / "vocabulary.json")
    return path


@pytest.fixture(scope="module")
def model(folder):
    return load(Card(folder))


@pytest.fixture(scope="module")
def tokenizer():
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return ImageTokenizer(width=16, blocks=1).eval()


def picture(color=(200, 40, 40), kind="PNG"):
    out = io.BytesIO()
    Image.new("RGB", (90, 70), color).save(out, kind)
    return out.getvalue()


def last(items) -> TextResult:
    *_, result = items
    assert isinstance(result, TextResult)
    return result


@pytest.mark.parametrize("text", ["The hair is red.", "x == 12 ** 3 // 4,  {}\n    return\n\n        y", "zebra's ~`|"])
def test_texts_survive_the_vocabulary(words, text):
    assert words.decode(words.encode(text)) == text


def test_what_is_not_ascii_becomes_a_question_mark(words):
    assert words.decode(words.encode("naïve\t☃")) == "na?ve ?"


def test_the_decoder_does_what_transformers_does(folder, model, words):
    from transformers import Qwen3ForCausalLM

    ids = np.random.default_rng(0).integers(0, words.size, 30).tolist()
    memory = Memory()
    model.read(ids[:12], memory)
    model.read(ids[12:20], memory)
    for token in ids[20:]:
        ours, seen = model.read([token], memory, look=True)
    with torch.inference_mode():
        theirs = Qwen3ForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()(torch.tensor([ids])).logits[0, -1]
    assert torch.allclose(ours, theirs, atol=1e-4)
    assert seen.shape == (2, 2, 30) and torch.allclose(seen.sum(-1), torch.ones(2, 2), atol=1e-4)


def test_another_architecture_is_refused(folder, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"architectures": ["LlamaForCausalLM"]}))
    with pytest.raises(Unavailable, match="Qwen3ForCausalLM"):
        load(Card(tmp_path))


def test_every_code_survives_the_quantiser():
    quantizer = Quantizer()
    codes = torch.arange(1000).view(1, 25, 40)
    assert torch.equal(quantizer.to_codes(quantizer.from_codes(codes)), codes)
    z = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0)) * 3
    q = quantizer(z)
    assert torch.allclose(quantizer.from_codes(quantizer.to_codes(q)), q, atol=1e-5)
    z.requires_grad_()
    quantizer(z).sum().backward()
    assert z.grad.abs().sum() > 0  # gradients cross the rounding


def test_pictures_become_64_codes_and_half_of_them_half_a_picture(tokenizer):
    codes = chat.to_codes(chat.read_picture(picture()), tokenizer)
    assert len(codes) == 64
    half = chat.from_codes(codes[:32], tokenizer)
    assert half.shape == (64, 64, 3) and (half[32:] == 160).all() and not (half[:32] == 160).all()


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"<svg onload=alert(1)>", picture()[:60]])
def test_what_is_no_picture_is_refused(data):
    with pytest.raises(BadRequest):
        chat.read_picture(data)


def test_answers_keep_the_grammar_and_repeat_exactly(model, tokenizer, words):
    request = chat.ChatRequest(conversation=(("user", "draw", b""),), start=(PICTURE,), temperature=1.0, seed=3)
    result = last(chat.generate(request, Control(), model, tokenizer))
    ids = [t["id"] for t in result.extras["tokens"]]
    assert len(result.extras["codes"]) == 64 and result.complete and result.extras["guided"]
    assert ids[0] == PICTURE and ids[73] == PICTURE_END and ids[-1] == END
    assert [ids[1 + 9 * row] for row in range(8)] == list(range(words.first_row, words.first_row + 8))
    assert last(chat.generate(request, Control(), model, tokenizer)).extras["codes"] == result.extras["codes"]
    other = last(chat.generate(request.replace(seed=4), Control(), model, tokenizer))
    assert other.extras["codes"] != result.extras["codes"]


def test_an_edit_stands_at_the_same_distance_from_its_source_however_long_the_wish(words):
    codes = tuple(range(64))
    for wish in ("red", "make the hair red please"):
        ids = [*chat.context([("user", wish, codes)], words), PICTURE]
        places = chat.positions(ids)
        first, second = (i for i, token in enumerate(ids) if token == PICTURE)
        assert places[second] - places[first] == chat.AHEAD and places[:second] == list(range(second))
    assert chat.positions([START, 3, PICTURE, 9, 3, PICTURE]) == list(range(6))  # two pictures of the user's


def test_cells_about_which_a_wish_tells_nothing_keep_their_codes(model, tokenizer):
    codes = tuple(int(c) for c in np.random.default_rng(0).integers(0, 1000, 64))
    request = chat.ChatRequest(conversation=(("user", "draw it again", codes),), start=(PICTURE,), keep=20.0)
    kept = last(chat.generate(request, Control(), model, tokenizer)).extras["codes"]
    free = last(chat.generate(request.replace(keep=0.0), Control(), model, tokenizer)).extras["codes"]
    same = [sum(a == b for a, b in zip(drawn, codes, strict=True)) for drawn in (kept, free)]
    assert same[0] > 55 > same[1]  # the wish is the plain one itself, so it tells nothing


def test_an_answer_goes_on_from_the_chosen_token(model, tokenizer, words):
    request = chat.ChatRequest(conversation=(("user", "hair", picture()),), temperature=0.0)
    first = last(chat.generate(request, Control(), model, tokenizer)).extras["tokens"]
    other = next(c[0] for c in first[0]["candidates"] if c[0] not in (first[0]["id"], PICTURE))
    second = last(chat.generate(request.replace(start=(other,)), Control(), model, tokenizer)).extras["tokens"]
    assert second[0]["id"] == other
    assert sum(p for _, _, p, _ in first[0]["candidates"]) <= 1.0001
    assert len(first[0]["attention"]) == 81  # start, user, 74 of the picture, "hair" in four letters, bot


def test_stop_keeps_what_was_written(model, tokenizer):
    control = Control()
    items = []
    for item in chat.generate(chat.ChatRequest(conversation=(("user", "x", b""),), temperature=1.0, start=(PICTURE,)),
                              control, model, tokenizer):  # fmt: skip
        items.append(item)
        if len(items) == 20:
            control.stop()
    assert items[-1].steps_run == 20 and not items[-1].complete and items[-1].extras["codes"] == ()


def test_the_context_keeps_the_newest_picture(words):
    codes = tuple(range(64))
    turns = [("user", "look", codes), ("bot", "The hair is red.", ()), *[("user", "hair is red " * 9, ())] * 20]
    ids = chat.context(turns, words)
    assert ids[0] == START and ids[-1] == BOT and words.first_code + 63 in ids
    assert len(ids) <= 512 - chat.WRITTEN
    assert chat.context([("user", "z" * 4000, codes)], words)[-1] == BOT


def test_two_pictures_in_a_row_are_both_read(words):
    one, two = tuple(range(64)), tuple(range(100, 164))
    ids = chat.context([("user", "", one), ("user", "compare the hair", two)], words)
    assert all(words.first_code + c in ids for c in (*one, *two))
    later = chat.context([("user", "", one), ("user", "compare", two), ("bot", "The", ()), ("user", "hair", ())], words)
    assert words.first_code in later and later.count(PICTURE) == 2
    third = chat.context([("user", "", one), ("bot", "The", ()), ("user", "look", two)], words)
    assert third.count(PICTURE) == 1 and words.first_code + 100 in third


@pytest.mark.parametrize("bad", [(), (("bot", "x", b""),), (("user", "x", (1, 2)),), (("user", "x" * 5000, b""),),
                                 (("user", "x"),), (("system", "x", b""), ("user", "x", b""))])  # fmt: skip
def test_bad_conversations_are_one_sentence(bad):
    with pytest.raises(BadRequest):
        chat.ChatRequest(conversation=bad)


def test_the_code_model_stays_within_text(model, words):
    result = last(code.generate(code.CodeRequest(temperature=1.0, max_new_tokens=30), Control(), model))
    assert all(t["modality"] == "text" or t["id"] == END for t in result.extras["tokens"])
    assert result.extras["code"].startswith("def f(xs):")


def test_tasks_run_and_hold_out_structures():
    rng = np.random.default_rng(0)
    drawn = [tasks.make(rng) for _ in range(300)]
    assert {t.kind for t in drawn} == set(tasks.KINDS)
    for task in drawn:
        assert len(tasks.expected(task)) >= 5
    assert 0.03 < np.mean([t.held_out for t in drawn]) < 0.2


def test_histories_branch_and_travel():
    talk = history.History()
    talk.add(history.Turn("user", "one", picture()))
    talk.add(history.Turn("bot", "<b>two</b>", tuple(range(64)), model="m"))
    talk.add(history.Turn("user", "three", media=(("audio", b"RIFF"),)), parent=1)
    branch = talk.add(history.Turn("user", "other"), parent=1)
    assert talk.path() == [0, 1, 3] and talk.siblings(branch) == [2, 3]
    talk.show(2)
    assert talk.path() == [0, 1, 2] and [t[1] for t in talk.conversation(1)] == ["one", "<b>two</b>"]
    again = history.History.from_json(talk.to_json())
    assert again == talk and again.turns[0].picture == picture()
    assert "data:image/png;base64," in talk.to_markdown() and "[audio](data:audio/wav;" in talk.to_markdown()
    shelf = history.Shelf(size=1)
    shelf.put("a", talk)
    copy = shelf.take("a")
    copy.add(history.Turn("user", "mine"))
    assert len(shelf.take("a").turns) == 4
    shelf.put("b", talk)
    assert shelf.take("a") is None


FOREIGN = (
    "",
    "{}",
    "[]",
    '{"format": "generative-lab-chat", "version": 1, "leaf": 5, "turns": []}',
    '{"format": "generative-lab-chat", "version": 1, "leaf": 0, "turns": [{"role": "user", "text": "x", "picture": "",'
    ' "parent": 0, "model": "", "note": ""}]}',
)


@pytest.mark.parametrize("data", FOREIGN)
def test_foreign_files_are_refused(data):
    with pytest.raises(BadRequest):
        history.History.from_json(data)
