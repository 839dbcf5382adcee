"""The video page without a browser."""

import pytest

from tests.app.helpers import errors, open_page, settle

PAGE = "8_Video.py"
FAST = {"num_inference_steps": "2"}


def test_it_opens_with_a_film_and_its_figures():
    at = open_page(PAGE, **FAST)
    assert errors(at) == []
    film = at.session_state["_video_last"]
    assert film.frames.shape == (16, 48, 48, 3) and film.steps_run == 2
    assert any("16 frames of 48 x 48 pixels" in c.value for c in at.caption)
    at.text_input(key="prompt").set_value("a big blue dragon falls on grass").run()
    settle(at)
    assert errors(at) == []
    assert any("Words it never saw: dragon" in c.value for c in at.caption)


@pytest.mark.parametrize("lens", ["Frames", "Patches", "Attention", "Break it", "Learn"])
def test_lenses_draw(lens):
    at = open_page(PAGE, lens=lens, **FAST)
    assert errors(at) == []


@pytest.mark.parametrize(
    ("lens", "key"), [("Ablate", "_ablate_last"), ("Side by side", "_twin_last"), ("Costs", "_picture_last")]
)
def test_lenses_that_run_the_network_show_what_they_ran(lens, key):
    at = settle(open_page(PAGE, lens=lens, **FAST))
    assert errors(at) == []
    film, other = at.session_state["_video_last"], at.session_state[key]
    if lens == "Costs":
        assert len(other.frames) == 2
    else:
        assert other.frames.shape == film.frames.shape and (other.frames != film.frames).any()
    if lens == "Side by side":
        assert other.request.model == "video-dit-frames" and other.request.seed == film.request.seed
    assert len(at.dataframe) >= 1


def test_a_word_can_be_followed():
    at = open_page(PAGE, lens="Attention", follow="a word", **FAST)
    assert errors(at) == []
    assert any("listens to" in c.value for c in at.caption)


def test_a_drawn_scene_is_cut_and_its_tokens_are_spoilt():
    at = settle(open_page(PAGE, lens="Patches", film="a drawn scene", patch_frames="4", patch_pixels="8", **FAST))
    assert errors(at) == []
    assert any("4 x 6 x 6 = **144 tokens**" in m.value for m in at.markdown)
    at.selectbox(key="edit").set_value("shuffle time").run()
    at.button(key="_edit_runbutton").click().run()
    settle(at)
    assert errors(at) == []
    assert at.session_state["_edit_last"].request.edit == "shuffle time"
