"""The video page without a browser."""

import pytest

from tests.app.helpers import errors, open_page, settle, tables

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
    ("lens", "key"), [("Ablate", "_ablate_last"), ("Between frames", "_between_last"), ("Costs", "_picture_last")]
)
def test_lenses_that_run_the_network_show_what_they_ran(lens, key):
    at = settle(open_page(PAGE, lens=lens, **FAST))
    assert errors(at) == []
    film, other = at.session_state["_video_last"], at.session_state[key]
    if lens == "Costs":
        assert len(other.frames) == 2
    else:
        assert other.frames.shape == film.frames.shape and (other.frames != film.frames).any()
    assert any("film" in t for t in tables(at))


def test_every_way_to_make_a_film_stands_beside_the_stage():
    at = settle(open_page(PAGE, lens="Side by side", **FAST))
    assert errors(at) == []
    twin = at.session_state["_twin-video-dit-frames_job"].result
    film = at.session_state["_video_last"]
    assert twin.request.seed == film.request.seed and (twin.frames != film.frames).any()
    at.get("button_group")[-1].set_value(["video-dit-factorised", "video-between"]).run()
    settle(at)
    assert errors(at) == []
    rows = tables(at)[-1]["film"]
    assert rows == ["full attention", "factorised", "keyframes, then between"]


@pytest.mark.parametrize(("task", "frames", "given"), [("fill", 16, 4), ("double", 31, 16), ("extend", 32, 16)])
def test_films_from_given_frames(task, frames, given):
    at = settle(open_page(PAGE, lens="Between frames", task=task, **FAST))
    assert errors(at) == []
    made = at.session_state["_between_last"]
    assert made.request.task == task and len(made.frames) == frames and len(made.extras["known"]) == given
    if task == "fill":
        assert tables(at)[-1]["film"] == ["network", "blending", "repetition"]


def test_full_size_asks_for_a_checkpoint_and_refuses_what_makes_no_film(tmp_path):
    (tmp_path / "model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}')
    (tmp_path / "model.safetensors").write_bytes(b"12345678")
    at = open_page(PAGE, lens="Full size", video_full=str(tmp_path), **FAST)
    assert any("this page runs CogVideoX, Wan" in e.value for e in at.error)


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
