"""The chat page: it opens on a real answer, streams, branches, shows its tokens and keeps sessions apart."""

import json
import re
import time

from core.chat.history import History, Turn
from core.chat.vocabulary import PICTURE
from tests.app.helpers import errors, open_page, settle
from tests.unit.test_chat_remote import Fake, server

PAGE = "9_Chat.py"
__all__ = ["server"]  # the fixture of a small endpoint


def talk(at) -> History:
    return at.session_state["_chat"]


def test_it_opens_on_an_answer_and_its_tokens():
    at = open_page(PAGE)
    at.run()
    assert errors(at) == []
    turns = talk(at).turns
    assert [t.role for t in turns] == ["user", "bot"] and len(at.chat_message) == 2
    assert turns[1].text or turns[1].picture
    assert "computed now" in turns[1].note
    extras = at.session_state["_chat_extras"][1]
    assert len(extras["tokens"]) >= 2 and all(t["candidates"] for t in extras["tokens"])

    # another candidate of the first token grows a branch that begins with it
    first = extras["tokens"][0]
    other = next(c[0] for c in first["candidates"] if c[0] != first["id"])
    at.button(key=f"_go1_0_{other}").click()
    settle(at.run())
    assert errors(at) == []
    assert talk(at).siblings(1) == [1, 2] and talk(at).path() == [0, 2]
    assert at.session_state["_chat_extras"][2]["tokens"][0]["id"] == other

    # and back to the first version
    at.button(key="_prev2").click().run()
    assert talk(at).path() == [0, 1]


def test_markup_stays_text_and_sessions_stay_apart():
    nasty = "<img src=x onerror=alert(1)> **bold** $x$ :red[red] ![a](http://evil.example/p.png)"
    at, other = open_page(PAGE), open_page(PAGE)
    talk(at).add(Turn("bot", nasty, note=nasty))
    at.run()
    assert errors(at) == []
    assert any(t.value == nasty for t in at.text)  # st.text reads no markup
    for item in [*at.markdown, *at.caption]:
        bare = re.sub(r"\\.", "", item.value)  # what stands behind a backslash is inert
        assert "<img" not in bare and "![a](" not in bare
    assert all(t.value != nasty for t in other.run().text)


def test_a_question_in_words_is_answered_and_can_be_asked_again():
    at = open_page(PAGE)
    at.button(key="_ask6").click()
    settle(at.run())
    assert errors(at) == []
    assert [t.role for t in talk(at).turns] == ["user", "bot", "user", "bot"]
    at.button(key="_again3").click()
    settle(at.run())
    assert talk(at).siblings(3) == [3, 4] and "seed 1" in talk(at).turns[4].note
    assert json.loads(talk(at).to_json())["leaf"] == 4


def test_two_pictures_are_two_turns_and_sound_is_for_remote_models():
    at = open_page(PAGE)
    at.button(key="_ask_two").click()
    settle(at.run())
    assert errors(at) == []
    turns = talk(at).turns
    assert [t.role for t in turns] == ["user", "bot", "user", "user", "bot"]
    assert turns[2].picture and turns[3].picture and not turns[2].text and turns[3].text
    context = at.session_state["_chat_extras"][4]["context"]
    assert context.count(PICTURE) == 2
    talk(at).add(Turn("user", "", media=(("audio", b"RIFF"),)))
    at.run()
    at.button(key="_chat_ask").click().run()
    assert any("Only a remote model" in e for e in errors(at)) and talk(at).sounds(5) == ((5, b"RIFF"),)


def test_the_other_lenses_open():
    for lens in ("Side by side", "Picture tokens", "Limits"):
        assert errors(open_page(PAGE, lens=lens)) == []
    at = open_page(PAGE, lens="Code", code_task="3")
    assert errors(at) == []
    at.button(key="_code_run").click().run()
    assert errors(at) == []
    assert at.metric[0].label == "Tests passed"


def test_rivals_answer_side_by_side_and_a_vote_counts():
    at = open_page(PAGE, lens="Side by side")
    at.button(key="_rivals_ask").click().run()
    for _ in range(400):
        if not any(job.active for _, job in at.session_state["_rival_jobs"]["entries"]):
            break
        time.sleep(0.05)
    at.run()
    assert errors(at) == []
    assert sum("tokens/s" in c.value and c.value.endswith(" MB") for c in at.caption) == 3
    at.button(key="_vote1").click().run()
    assert at.session_state["_tally"] == {"temperature 0.8": 1}


def test_a_remote_endpoint_that_is_not_there_is_one_sentence(monkeypatch):
    from core.chat import remote

    monkeypatch.setattr(remote, "RETRIES", 0)
    at = open_page(PAGE, model="remote")
    at.text_input(key="_remote_url").set_value("http://127.0.0.1:9/v1").run()
    at.text_input(key="_remote_name").set_value("m").run()
    at.button(key="_ask1").click().run()
    job = at.session_state["_chat_pending"]
    for _ in range(200):
        if job is None or not job.job.active:
            break

        time.sleep(0.05)
    at.run()
    assert any("cannot be reached" in e for e in errors(at))
    assert at.session_state["_chat_pending"] is None


def test_what_a_remote_model_asks_for_is_shown(server):
    at = open_page(PAGE, model="remote")
    at.text_input(key="_remote_url").set_value(server).run()
    at.text_input(key="_remote_name").set_value("m").run()
    at.toggle(key="_remote_tools").set_value(True).run()
    Fake.plan = ['call draw {"prompt": "a person with red hair"}', 'call play {"prompt": "a siren"}', "good"]
    at.button(key="_ask1").click().run()
    for _ in range(600):
        if (job := at.session_state["_chat_pending"]) is None or not job.job.active:
            break
        time.sleep(0.05)
    at.run()
    assert errors(at) == []
    turn = talk(at).turns[1]
    assert turn.text == "One two" and turn.picture[:4] == b"\x89PNG" and [kind for kind, _ in turn.media] == ["audio"]
    assert "draw by latent-diffusion" in turn.note and at.get("audio")
    assert History.from_json(talk(at).to_json()).turns[1].media == turn.media


def test_a_full_size_checkpoint_answers_and_shows_its_tokens(tmp_path, monkeypatch):
    from tests.unit.test_chat_full_size import llama

    monkeypatch.setenv("LAB_MEMORY_MB", "8000")
    llama(tmp_path)
    at = open_page(PAGE, model="full-size")
    assert errors(at) == [] and not talk(at).turns  # nothing is loaded unasked
    at.button(key="_ask1").click().run()
    assert any("Name a checkpoint first" in e for e in errors(at))
    at = open_page(PAGE, model="full-size", chat_hub=str(tmp_path), full_max_new_tokens="8")
    assert errors(at) == []
    at.button(key="_ask1").click()
    settle(at.run())
    assert errors(at) == []
    assert [t.role for t in talk(at).turns] == ["user", "bot"] and "seed 0" in talk(at).turns[1].note
    tokens = at.session_state["_chat_extras"][1]["tokens"]
    assert tokens and not any(key.startswith("_go1") for key in (b.key or "" for b in at.button))
