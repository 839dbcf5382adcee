"""The chat page with checkpoints over one vocabulary of words and pictures, and with one that hears."""

import numpy as np

from core.chat.history import History, Turn
from core.provenance import sound
from tests.app.helpers import errors, open_page, settle
from tests.unit.test_chat_full_size import chameleon, janus, omni

PAGE = "9_Chat.py"


def opened(build, folder, monkeypatch):
    monkeypatch.setenv("LAB_MEMORY_MB", "8000")
    build(folder)
    at = open_page(PAGE, model="full-size", chat_hub=str(folder), full_max_new_tokens="4")
    assert errors(at) == []
    return at


def turns(at) -> list:
    history: History = at.session_state["_chat"]
    return history.turns


def test_janus_draws_when_the_switch_is_set(tmp_path, monkeypatch):
    at = opened(janus, tmp_path, monkeypatch)
    at.toggle(key="_full_draw").set_value(True).run()
    at.button(key="_ask1").click()
    settle(at.run())
    assert errors(at) == []
    answer = turns(at)[-1]
    assert answer.role == "bot" and answer.picture[:4] == b"\x89PNG" and f"drawn by {tmp_path.name}" in answer.note
    tokens = at.session_state["_chat_extras"][len(turns(at)) - 1]["tokens"]
    assert len(tokens) == 16  # and the token view shows them


def test_one_that_does_not_draw_says_so_and_lists_what_does(tmp_path, monkeypatch):
    at = opened(chameleon, tmp_path, monkeypatch)
    assert any("words only" in caption.value for caption in at.caption)
    assert any("deepseek" in text.value and "MIT" in text.value for text in at.markdown)
    at.button(key="_ask1").click()
    settle(at.run())
    assert errors(at) == [] and turns(at)[-1].role == "bot"


def test_what_was_said_reaches_a_checkpoint_that_hears(tmp_path, monkeypatch):

    at = opened(omni, tmp_path, monkeypatch)
    said = sound(0.3 * np.sin(np.arange(8000) * 0.05)[:, None].astype(np.float32), 16_000, {})
    history: History = at.session_state["_chat"]
    history.add(Turn("user", "what do you hear?", media=(("audio", said),)))
    at.run()
    at.button(key="_chat_ask").click()
    settle(at.run())
    assert errors(at) == [] and turns(at)[-1].role == "bot" and turns(at)[-1].model == tmp_path.name
