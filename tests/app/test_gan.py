"""The GAN playground without a browser: it plays, pauses, keeps its state, takes single steps and second GANs."""

from core.points.presets import PRESETS
from tests.app.helpers import errors, open_page, settle
from ui import points_gan, points_stage

PAGE = "1_GAN_playground.py"


def steps(at):
    return at.session_state["_gan_chain"].step


def test_it_plays_on_opening_and_goes_on_from_where_it_was():
    at = open_page(PAGE, limit="800")
    assert errors(at) == [] and steps(at) == points_stage.CHUNKS["full"]
    at = settle(at.run())
    assert errors(at) == [] and steps(at) == 800
    assert at.session_state["_gan_chain"].mode == "rest"
    assert any("modes" in m.value and "of 8" in m.value for m in at.markdown)


def test_single_steps_and_a_second_gan():
    at = open_page(PAGE, limit="200", beside="true")
    assert errors(at) == []
    games = at.session_state["_gan_chain"].data["games"]
    assert len(games) == 2 and steps(at) == 200
    before = at.session_state["_gan_chain"].states[0]
    at = settle(at.button(key="_gan_discriminator").click().run())
    assert errors(at) == [] and steps(at) == 201
    assert at.session_state["_gan_chain"].states[0] != before


def test_a_learning_setting_changes_on_the_way_and_a_shape_starts_anew():
    at = open_page(PAGE, limit="200")
    at = settle(at.selectbox(key="loss").set_value("hinge").run())
    assert errors(at) == [] and steps(at) == 200
    at = at.selectbox(key="data").set_value("moons").run()
    at = settle(at)
    assert errors(at) == [] and at.session_state["_gan_chain"].data["games"][0]["anchors"] == 16


def test_presets_and_bad_combinations():
    at = open_page(PAGE, limit="200")
    at = settle(at.button(key="_preset_vanishing").click().run())
    assert errors(at) == [] and at.session_state["loss"] == "minimax"
    assert set(PRESETS["vanishing"].settings) <= set(points_gan.CONTROLS)
    at = open_page(PAGE, start="pretrained", width_g="8", limit="200")
    assert any("pretrained GANs have latent size 2" in e for e in errors(at))
