"""The flow playground without a browser: it plays, makes pairs for reflow, and shows another sampler at rest."""

from tests.app.helpers import errors, open_page, settle

PAGE = "6_Flow_playground.py"


def test_it_plays_reflows_and_looks():
    at = open_page(PAGE, limit="200", beside="true")
    assert errors(at) == []
    games = at.session_state["_flow_chain"].data["games"]
    assert [game["step"] for game in games] == [200, 100]
    at = settle(settle(at.button(key="_flow_reflow").click().run()).run())
    assert errors(at) == []
    assert at.session_state["_flow_chain"].data["games"][0]["round"] == 1
    at = settle(settle(at.slider(key="num_inference_steps").set_value(2).run()).run())
    assert errors(at) == []
    assert at.session_state["_flow_chain"].data["games"][0]["paths"].shape == (300, 3, 2)
