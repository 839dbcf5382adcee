"""The Sound page: all three workbenches, their lenses, and bad input, through Home.py."""

from __future__ import annotations

import pytest

from core import catalog
from tests import tiny_musicgen
from tests.app.helpers import errors, open_page, settle, tables

PAGE = "7_Sound.py"


@pytest.fixture(autouse=True)
def room(monkeypatch: pytest.MonkeyPatch):
    """These tests ask what the page does, not what else the test process holds."""
    monkeypatch.setenv("LAB_MEMORY_MB", "4000")


def test_generate_opens_with_a_result_and_shows_its_tokens():
    at = open_page(PAGE, seconds="0.5", lens="Inside")
    assert not errors(at)
    assert any("real-time factor" in c.value for c in at.caption)
    assert any("delay pattern" in m.value for m in at.markdown)
    assert any(s.label == "Frame" for s in at.slider)


def test_an_unknown_word_and_an_empty_prompt_are_said():
    at = open_page(PAGE, seconds="0.5", prompt="a zeppelin")
    assert any("zeppelin" in c.value for c in at.caption)
    at.text_area(key="prompt").set_value(" ").run()
    assert any("prompt is empty" in e for e in errors(settle(at)))


def test_codec_edits_tokens_and_compares_codebooks():
    at = open_page(PAGE, work="Codec", edit="reverse", n_codebooks="2", lens="Compare")
    assert not errors(at)
    assert any("0.8 kbit/s" in c.value for c in at.caption)
    table = next(t for t in tables(at) if "mel distance" in t)
    assert list(table["codebooks"]) == ["1", "2", "3", "4", "5", "6", "Opus"]
    assert float(table["mel distance"][5]) < float(table["mel distance"][0])


def test_one_token_is_set_by_hand_and_kept_in_the_address():
    at = open_page(PAGE, work="Codec", clip="effect-1", lens="Inside")
    at.number_input(key="_token_book").set_value(2).run()
    at.number_input(key="_token_frame").set_value(30).run()
    at.number_input(key="_token_2_30").set_value(17).run()
    next(b for b in at.button if b.label == "Set it and listen").click().run()
    assert not errors(settle(at))
    assert at.text_area(key="tokens").value == "2:30=17"
    assert any("Codebook 2, frame 30 (600 ms) is 17." in c.value for c in at.caption)


def test_speech_speaks_sentence_by_sentence_and_refuses_other_languages():
    at = open_page(PAGE, work="Speech", text="Hello there. This is a test.")
    assert not errors(at)
    table = next(t for t in tables(at) if "sentence" in t)
    assert len(table["sentence"]) == 2 and float(table["to (s)"][0]) <= float(table["from (s)"][1])
    at.text_area(key="text").set_value("你好，世界").run()
    assert any("English only" in e for e in errors(settle(at)))


@pytest.mark.parametrize("lens", ["Break it", "Measure", "Learn"])
def test_lenses_draw(lens: str):
    at = open_page(PAGE, seconds="0.5", lens=lens)
    assert not errors(at)
    assert len(at.markdown) > 2


def test_compare_plays_each_column_loudness_matched():
    at = open_page(PAGE, seconds="1.0", num_inference_steps="2", lens="Compare")
    at = settle(at)
    assert not errors(at)
    table = next(t for t in tables(at) if "guidance" in t)
    columns = list(zip(table["model"], table["guidance"], strict=True))
    if any(c.id == "sound-diffusion" for c in catalog.cards()):
        assert columns == [("music-lm", "3.0"), ("sound-diffusion", "3.0")]
    else:
        assert columns == [("music-lm", "1.0"), ("music-lm", "3.0")]


def test_full_size_says_what_it_would_load_and_runs_nothing_by_itself(tmp_path):
    at = open_page(PAGE, work="Full size")
    assert not errors(at) and any("Choose a checkpoint" in i.value for i in at.info)
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    (tmp_path / "model.safetensors").write_bytes(b"0" * 100)
    at.text_input(key="full").set_value(str(tmp_path)).run()
    assert any("bert" in e for e in errors(at))
    at.text_input(key="full").set_value("/nowhere/at-all").run()
    assert any("/nowhere/at-all" in e for e in errors(at))


def test_a_full_size_melody_checkpoint_follows_a_drawn_line(tmp_path):
    tiny_musicgen.save(tmp_path, 3200, [8, 8], melody=True)
    at = open_page(PAGE, work="Full size", full=str(tmp_path), full_melody="C5 E5 - G5", note_seconds="0.3")
    assert not errors(at) and at.text_input(key="full_melody").value == "C5 E5 - G5"
    next(b for b in at.button if b.label == "Generate").click().run()
    assert not errors(settle(at)) and any("real-time factor" in c.value for c in at.caption)
    at.text_input(key="full_melody").set_value("H9").run()
    assert any("no note" in e for e in errors(at))


def test_full_size_reaches_audiocraft_and_a_remote_voice():
    at = open_page(PAGE, work="Full size", place="remote voice")
    assert not errors(at)
    assert any(b.label == "Generate" for b in at.button)
    at.text_input(key="voice_url_OpenAI").set_value("no address").run()
    assert errors(at)
    at.segmented_control(key="place").set_value("audiocraft").run()
    assert not errors(at) and any("audiocraft" in c.value or "process of its own" in c.value for c in at.caption)


@pytest.mark.skipif(not any(c.id == "sound-diffusion" for c in catalog.cards()), reason="not in the catalog")
def test_diffusion_steps_can_be_looked_at_one_by_one():
    at = open_page(PAGE, model="sound-diffusion", seconds="1.0", num_inference_steps="3", lens="Inside")
    assert not errors(at)
    assert any("Step 3 of 3: 0% noise" in c.value for c in at.caption)
    at.slider(key="_denoise_step").set_value(0).run()
    assert any("Step 0 of 3: 100% noise" in c.value for c in at.caption) and not errors(at)


@pytest.mark.skipif(not any(c.id == "symbolic-music" for c in catalog.cards()), reason="not in the catalog")
def test_a_score_shows_its_notes_and_offers_a_midi_file():
    at = open_page(PAGE, work="Score", score_seconds="4", melody="C5 E5", lens="Inside")
    assert not errors(at)
    assert any("bpm" in c.value and "synthesiser" in c.value for c in at.caption)
    table = next(t for t in tables(at) if "tokens" in t)
    assert any("lead:72" in row for row in table["tokens"])
    at.button(key="_melody_clear").click().run()
    assert at.text_input(key="melody").value == "" and not errors(settle(at))
    at.text_input(key="melody").set_value("H9").run()
    assert any("no note" in e for e in errors(settle(at)))
