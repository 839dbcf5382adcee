"""The Sound page: all three workbenches, their lenses, and bad input, through Home.py."""

from __future__ import annotations

import pytest

from tests.app.helpers import errors, open_page, settle

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
    table = next(d.value for d in at.dataframe if "mel distance" in d.value.columns)
    assert list(table["codebooks"]) == [1, 2, 3, 4, 5, 6]
    assert table["mel distance"].iloc[-1] < table["mel distance"].iloc[0]


def test_speech_speaks_sentence_by_sentence_and_refuses_other_languages():
    at = open_page(PAGE, work="Speech", text="Hello there. This is a test.")
    assert not errors(at)
    table = next(d.value for d in at.dataframe if "sentence" in d.value.columns)
    assert len(table) == 2 and table["to (s)"].iloc[0] <= table["from (s)"].iloc[1] + 1e-6
    at.text_area(key="text").set_value("你好，世界").run()
    assert any("English only" in e for e in errors(settle(at)))


@pytest.mark.parametrize("lens", ["Break it", "Measure", "Learn"])
def test_lenses_draw(lens: str):
    at = open_page(PAGE, seconds="0.5", lens=lens)
    assert not errors(at)
    assert len(at.markdown) > 2


def test_compare_plays_each_guidance_loudness_matched():
    at = open_page(PAGE, seconds="0.5", lens="Compare")
    at = settle(at)
    assert not errors(at)
    table = next(d.value for d in at.dataframe if "guidance" in d.value.columns)
    assert list(table["guidance"]) == [1.0, 3.0]
