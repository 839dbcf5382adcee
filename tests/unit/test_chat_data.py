"""The dialogues that the any-to-any model learns from: exact, balanced, held out, and marked where facts stand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from core.chat.vocabulary import END, PICTURE, PICTURE_END, Vocabulary
from training import any_to_any, chat_data, portraits
from training.chat_data import Picture
from training.code_model import MuonAndAdam, decoder, product, warm_start, zeroth_power
from training.measure_chat import facts, text_of

library = torch.optim._muon._zeropower_via_newtonschulz  # taken before a recipe replaces it
SMALL = {"width": 32, "layers": 4, "heads": 2}


@pytest.fixture(scope="module")
def words():
    return chat_data.vocabulary(count=300)


@pytest.fixture(scope="module")
def seen():
    rng = np.random.default_rng(0)
    return [Picture(rng.integers(0, 1000, 64), portraits.draw(i, 5)[0]) for i in range(60)]


@pytest.fixture(scope="module")
def pairs(seen):
    _, made = any_to_any.edit_pairs(30)
    return [(p[0], p[1], seen[i], Picture(seen[i].codes, p[3])) for i, p in enumerate(made)]


@pytest.fixture(scope="module")
def objects():
    rng = np.random.default_rng(1)
    backgrounds = list(portraits.BACKGROUNDS)
    return [
        Picture(
            rng.integers(0, 1000, 64),
            {"label": label, "group": "food", "style": style, "background": backgrounds[i % 8]},
        )
        for i, (label, style) in enumerate(itertools.product(("dog face", "lemon"), ("3d", "noto")))
    ]


def test_a_change_changes_one_attribute_and_stays_in_its_split():
    for held in (False, True):
        rows, pairs = any_to_any.edit_pairs(40, held=held, seed=11)
        drawn = [d for i in range(rows[-1] * 12 + 400) if portraits.is_heldout((d := portraits.draw(i))[0]) == held]
        for row, (name, value, before, after, options) in zip(rows, pairs, strict=True):
            assert drawn[row][0] == before  # the row is that of the portrait of the split
            assert [k for k in before if before[k] != after[k]] == [name] and after[name] == value
            assert portraits.is_heldout(before) == held and (held or not portraits.is_heldout(after))
            assert options != drawn[row][1]


def test_marks_say_where_facts_can_be_known(words, seen):
    talk = chat_data.edit("background", "navy", seen[0], seen[1], np.random.default_rng(0))
    ids, weights, marks = chat_data.rows(talk, words)
    assert len(ids) == len(weights) and ids[-1] == END
    assert [ids[place] for place, sort, _ in marks if sort == 0] == [PICTURE]  # only the answer was asked for
    assert [ids[place] for place, sort, _ in marks if sort == 1] == [PICTURE_END] * 2
    assert marks[-1][2] == chat_data.labels(seen[1].record)
    first = len(ids) - 2 - 73  # the answer's <picture>
    assert ids[first] == PICTURE and weights[first + 2] == 1.5  # a changed code
    copied = Picture(seen[0].codes, seen[1].record)
    assert chat_data.rows(chat_data.edit("", None, seen[0], copied, np.random.default_rng(0)), words)[1][-70] == 0.5
    wish = chat_data.draw(seen[2], np.random.default_rng(3))
    named = [y for _, sort, y in chat_data.rows(wish, words)[2] if sort == 0]
    for label, name in zip(named[0] if named else [], chat_data.SLOTS, strict=False):
        assert label in (-100, chat_data.labels(seen[2].record)[chat_data.SLOTS.index(name)])


def test_yes_and_no_are_balanced_and_follow_from_the_fact():
    rng = np.random.default_rng(0)
    yes = []
    for i in range(600):
        record = portraits.draw(i, 5)[0]
        asked, answer = chat_data.question("yes/no", record, rng)
        said = text_of(answer)
        yes.append(said.endswith("so yes."))
        value = said.split(" is ")[1].split(",")[0]
        assert yes[-1] == asked.endswith(value) or value in asked
    assert 0.44 < np.mean(yes) < 0.56


def test_descriptions_are_read_back_whole():
    for i in range(80):
        record = portraits.draw(i, 5)[0]
        found = dict(facts(chat_data.description(record)))
        assert found["background"] == record["background"] and found["mouth"] == record["mouth"]
        assert found["glasses"] == ("yes" if record["glasses"] else "no")


def test_comparisons_state_both_and_the_verdict():
    one, two = portraits.draw(0, 5)[0], portraits.draw(1, 5)[0]
    for name in chat_data.SLOTS:
        same = text_of(chat_data.compared(name, one, one, np.random.default_rng(0))[1])
        assert same.endswith("so the same.")
        said = text_of(chat_data.compared(name, one, two, np.random.default_rng(0))[1])
        assert said.endswith("so not the same.") == (said.split(" in the first")[0].split(" is ")[-1].split(" are ")[-1]
                                                     != said.split(" and ")[1].split(" in the second")[0])  # fmt: skip


def test_what_is_held_out_is_never_said_in_training():
    rng = np.random.default_rng(0)
    said = {chat_data.apart(rng, False)[0] for _ in range(3000)}
    assert not any(topic in text for topic in chat_data.FAR_TOPICS for text in said)
    held = [text.split("{}")[0] for text in chat_data.FAR[-5:]]
    assert not any(text.startswith(tuple(held)) for text in said if not text.startswith("show me"))


def test_training_learns_a_few_dialogues_by_heart(words, seen, pairs, objects):
    rng = np.random.default_rng(0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = any_to_any.AnyToAny(words, **SMALL)
    stream = any_to_any.batches(lambda: any_to_any.dialogue(seen, pairs, objects, rng), words, 4, rng)
    batch = next(stream)
    optimizer = MuonAndAdam(model, 5e-3)
    first = None
    for _ in range(25):
        parts = model.losses(*batch)
        loss = parts["text"] + 0.5 * parts["picture"] + 0.3 * (parts["seen"] + parts["wanted"])
        first = first or float(loss.detach())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.6 * first
    states = optimizer.state_dict()
    again = MuonAndAdam(model, 5e-3)
    again.load_state_dict(states)  # a run can be resumed
    assert len(again.param_groups) == 2

    # the merged model is the same function
    ids = torch.tensor([[1, 3, *words.encode("draw a face"), 4]])
    with torch.inference_mode():
        ours = model.decoder.model(inputs_embeds=model.table()[ids]).last_hidden_state
        merged = model.merged().model(input_ids=ids).last_hidden_state
    assert torch.allclose(ours, merged, atol=1e-5)


def test_a_longer_vocabulary_keeps_the_rows_of_the_shipped_one(tmp_path, monkeypatch):
    monkeypatch.setattr("training.code_model.RUNS", tmp_path)
    small, large = Vocabulary([" hair", " red"], 1000), Vocabulary([" hair", " red", " lemon"], 1000)
    before, after = (decoder(v.size, width=16, layers=1, heads=2, context=64) for v in (small, large))
    before.save_pretrained(tmp_path / "shipped")
    small.save(tmp_path / "shipped" / "vocabulary.json")
    assert warm_start(after, tmp_path / "shipped", "none", large)
    old, new = (m.model.embed_tokens.weight for m in (before, after))
    assert torch.equal(new[: small.first_code], old[: small.first_code])
    assert torch.equal(new[large.first_code :], old[small.first_code :])


def test_muon_in_fp32_is_torchs_own():
    grad = torch.randn(12, 20, generator=torch.Generator().manual_seed(0))
    for g in (grad, grad.T):
        assert (
            zeroth_power(g, (3.4445, -4.775, 2.0315), 5, 1e-7) - library(g, (3.4445, -4.775, 2.0315), 5, 1e-7)
        ).abs().max() < 0.03


def test_emoji_dialogues_are_exact(objects):
    rng = np.random.default_rng(0)
    record = objects[0].record
    for kind in ("is", "sort"):
        for _ in range(40):
            asked, answer = chat_data.emoji_question(kind, record, rng)
            wanted = "a dog" if kind == "is" else "a food"
            assert text_of(answer).endswith("so yes.") == asked.endswith(wanted)
    talk = [text for _ in range(60) for role, parts in chat_data.see_emoji(objects[0], rng) if role == "bot"
            for text in [text_of(parts)]]  # fmt: skip
    assert chat_data.NO_PERSON_ANSWER in talk and "It is a dog." in talk and "The group is food." in talk
    wish, named = chat_data.emoji_wish(record, rng, keep={"background"})
    assert record["background"] in wish and record["style"] not in wish and named == {"background"}


def test_products_in_bf16_have_the_gradients_of_products(monkeypatch):
    noise = torch.Generator().manual_seed(0)
    x, w = torch.randn(2, 5, 16, generator=noise), torch.randn(8, 16, generator=noise)
    results = []
    for quick in (False, True):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda quick=quick: quick)
        a, b = x.clone().requires_grad_(), w.clone().requires_grad_()
        y = product(a, b)
        (y * torch.arange(8)).sum().backward()
        results.append((y.detach(), a.grad, b.grad))
    for exact, close in zip(*results, strict=True):
        assert close.dtype == torch.float32 and (exact - close).abs().max() < 0.03 * exact.abs().max()
