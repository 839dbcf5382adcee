"""Scores as tokens, MIDI and sound; the symbolic transformer on tiny random weights; words read back."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from core.audio import judges, readback, score, symbolic
from core.audio.symbolic import Composer, ScoreRequest
from core.errors import BadRequest, DoesNotFit
from core.pipeline import Control

NOTES = [
    (0.0, 0.25, 0, 64, 100),
    (0.0, 0.5, 1, 48, 60),
    (0.25, 0.25, 0, 67, 100),
    (0.0, 0.1, 9, 36, 90),
    (1.0, 0.5, 2, 36, 92),
]
PLAN = {"tempo": 120, "lead": "guitar", "genre": "rock", "tonic": "C", "mode": "major", "drums": True}
FACTS = PLAN | {"beats": 3}


def flat(notes: list[score.Note], tonic: str = "C") -> list[str]:
    beats = score.to_tokens(notes, PLAN["tempo"], tonic)
    return score.header(PLAN | {"tonic": tonic}) + [t for beat in beats for t in beat]


def test_notes_survive_the_way_through_tokens():
    back, facts = score.to_notes(flat(NOTES))
    assert facts == FACTS
    higher = [(s, d, c, k if c == 9 else k + score.TONICS["G"], v) for s, d, c, k, v in NOTES]
    assert [t for t in flat(higher, "G") if ":" in t] == [t for t in flat(NOTES) if ":" in t]  # one spelling in any key
    assert sorted(n[3] for n in score.to_notes(flat(higher, "G"))[0]) == sorted(n[3] for n in higher)
    kept = {(round(s, 3), c, k) for s, _, c, k, _ in back}
    assert kept == {(round(s, 3), c, k) for s, _, c, k, _ in NOTES}
    assert {k: round(d, 3) for _, d, c, k, _ in back if c == 1} == {48: 0.5}


def test_the_grammar_lets_every_score_through_and_nothing_broken():
    vocabulary = score.vocabulary(["rock"])
    number = {t: i for i, t in enumerate(vocabulary)}
    grammar = score.Grammar(vocabulary)
    assert grammar.mask()[number["tempo=120"]] and not grammar.mask()[number["beat"]]
    for token in flat(NOTES):
        assert grammar.mask()[number[token]], token
        grammar.push(token)
    grammar.push("lead:60")
    assert {vocabulary[i].split("=")[0] for i in np.flatnonzero(grammar.mask())} == {"for"}
    grammar.push("for=3")
    grammar.push("at=6")
    grammar.push("drum:36")
    assert not grammar.mask()[number["at=6"]] and grammar.mask()[number["at=7"]]


def test_the_midi_file_holds_tempo_programs_and_every_note():
    data = score.to_midi(NOTES, FACTS)
    assert data[:4] == b"MThd" and data[14:18] == b"MTrk"
    assert int.from_bytes(data[18:22], "big") == len(data) - 22
    assert b"\xff\x51\x03" + (500_000).to_bytes(3, "big") in data  # 120 BPM
    assert bytes([0xC0, score.LEADS["guitar"]]) in data and data.endswith(b"\xff\x2f\x00")
    for _, _, channel, key, velocity in NOTES:
        assert bytes([0x90 | channel, key, velocity]) in data and bytes([0x80 | channel, key, 0]) in data


def test_a_note_sounds_at_its_pitch_and_the_piece_at_its_length():
    wave = score.render([(0.0, 1.0, 0, 69, 100)], FACTS | {"lead": "flute"}, 1.5)
    assert len(wave) == 1.5 * score.RATE and 0.05 < np.abs(wave).max() <= 0.9
    spectrum = np.abs(np.fft.rfft(wave[4000:12000]))
    assert abs(np.argmax(spectrum) * 2 - 440) <= 12  # bins of 2 Hz; the flute has vibrato
    assert np.abs(wave[int(1.2 * score.RATE) :]).max() < 1e-3


@pytest.fixture(scope="module")
def composer() -> Composer:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    vocabulary = score.vocabulary(["rock", "slow", "with", "drums"])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=len(vocabulary), hidden_size=16, intermediate_size=16, num_hidden_layers=1,
                num_attention_heads=2,
            )
        )  # fmt: skip
    return Composer(model.eval(), vocabulary)


def play(composer: Composer, control: Control | None = None, **values: object):
    request = ScoreRequest(**{"prompt": "slow rock", "seconds": 3.0, "top_k": 0, **values})
    *steps, result = symbolic.generate(request, control or Control(), composer)
    return steps, result


def test_even_a_random_network_writes_a_score_of_the_length_asked(composer: Composer):
    steps, result = play(composer)
    assert result.complete and result.waveform.shape == (3 * score.RATE, 1)
    assert result.extras["facts"]["beats"] == steps[-1].index == steps[-1].total
    grammar = score.Grammar(composer.vocabulary)
    for token in result.extras["tokens"]:
        assert grammar.mask()[composer.number[token]]
        grammar.push(token)
    assert np.array_equal(result.waveform, play(composer)[1].waveform)
    assert result.extras["tokens"] != play(composer, seed=1)[1].extras["tokens"]


def test_a_given_melody_is_what_the_lead_plays(composer: Composer):
    result = play(composer, melody="C5 E5 70")[1]
    lead = [n[3] for n in score.to_notes(result.extras["tokens"])[0] if n[2] == 0]
    assert len(lead) > 3
    assert lead[:6] == [72, 76, 70] * 2


def test_the_context_slides_and_the_piece_goes_on(composer: Composer, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(symbolic, "WINDOW", 60)
    result = play(composer, seconds=20.0)[1]
    assert len(result.extras["tokens"]) > 120 and result.complete
    assert len(result.waveform) == 20 * score.RATE


def test_stop_keeps_the_beats_that_are_there(composer: Composer):
    control, items = Control(), []
    for item in symbolic.generate(ScoreRequest(prompt="rock", seconds=30.0, top_k=0), control, composer):
        items.append(item)
        if getattr(item, "index", 0) == 3:
            control.stop()
    assert not items[-1].complete and items[-1].steps_run == 3
    assert 0 < len(items[-1].waveform) < 30 * score.RATE


@pytest.mark.parametrize(
    "values", [{"prompt": ""}, {"prompt": "x" * 5000}, {"melody": "H2"}, {"melody": "C9"}, {"melody": "C5 " * 500}]
)
def test_what_is_no_caption_or_melody_is_refused(values: dict):
    with pytest.raises(BadRequest):
        ScoreRequest(**values)


LABELS = {
    "lead": ["piano", "violin"],
    "drums": ["no", "yes"],
    "genre": ["rock", "waltz"],
    "mode": ["major", "minor"],
    "effect": ["rain", "sea", "thunder"],
}


def test_what_a_caption_asks_for():
    music = judges.asked("a slow sad waltz piece with piano lead without drums at 70 bpm", LABELS)
    assert music == {"lead": "piano", "genre": "waltz", "mode": "minor", "drums": "no", "tempo": (70, 70)}
    assert judges.asked("fast rock with drums", LABELS) == {"genre": "rock", "drums": "yes", "tempo": (136, 160)}
    assert judges.asked("thunder during a rainstorm", LABELS) == {"effect": ["rain", "thunder"]}
    assert judges.asked("search the season", LABELS) == {}
    heard = {"lead": "piano", "drums": "yes", "genre": "rock", "mode": "minor", "tempo": 75.0, "effect": "rain"}
    assert judges.agrees(heard, music) == {
        "lead": True, "drums": False, "genre": False, "mode": True, "tempo within 8 %": True
    }  # fmt: skip


def test_judges_hear_any_clip_and_turning_the_key_turns_only_the_chroma():
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(0)
        ears = judges.Judges(LABELS).eval()
    wave = np.sin(2 * np.pi * 440 * np.arange(8000) / 16_000).astype(np.float32)
    heard = ears.hear(wave)
    assert set(heard) == {*LABELS, "tempo", "sure"} and 55 < heard["tempo"] < 175
    chroma = judges.chromas(judges.clip_of(wave))
    assert chroma[1].argmax() == 9  # A, in the middle register
    x = torch.from_numpy(chroma)[None]
    with torch.no_grad():
        batch = {"mel": torch.zeros(1, 1, 64, 250), "rhythm": torch.zeros(1, 4, judges.LAGS)}
        a, b = (ears(chroma=c, **batch)["mode"] for c in (x, x.roll(5, 2)))
    assert torch.allclose(a, b, atol=1e-5)


def test_word_errors_count_and_mark_what_differs():
    said, heard = "The old captain found a boat.", "the cold captain found boat"
    assert readback.word_errors(said, heard) == (2, 6)
    text, rate = readback.marked(said, heard)
    assert "~~old~~ **cold**" in text and "~~a~~" in text and rate == pytest.approx(1 / 3)
    assert readback.marked("Same.", "same") == ("same", 0.0)
    assert Counter(readback.words_of("Don't, stop!")) == Counter(["don't", "stop"])


def test_the_recogniser_says_what_it_needs_before_it_is_loaded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(readback, "installed", lambda: True)
    monkeypatch.setenv("LAB_MEMORY_MB", "64")
    with pytest.raises(
        DoesNotFit, match=r"needs about 200 MB and 0 of the 64 MB budget are free; set LAB_MEMORY_MB to"
    ):
        readback.transcribe(np.zeros(16_000, np.float32), 16_000)
