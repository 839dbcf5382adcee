"""The stage: runs on opening, keeps the old result until the new one is there, stops, fails in one sentence."""

import time

import pytest
from streamlit.testing.v1 import AppTest

from core.runtime.jobs import queue
from tests import fake_pipeline
from tests.app.helpers import ROOT, errors, settle


@pytest.fixture
def app():
    fake_pipeline.GATE.clear()
    yield AppTest.from_file(str(ROOT / "tests/app/stage_app.py"), default_timeout=60)
    fake_pipeline.GATE.set()


def words(at):
    return " ".join(element.value for element in at.markdown)


def test_opening_runs_at_once(app):
    at = settle(app.run())
    assert errors(at) == []
    assert "seed on stage: [0]" in words(at)


def test_a_link_sets_the_controls_and_says_what_it_cannot_use(app):
    app.query_params["seed"] = "5"
    app.query_params["guidance_scale"] = "99"
    app.query_params["scheduler"] = "magic"
    app.query_params["colour"] = "red"
    at = settle(app.run())
    assert "seed on stage: [5]" in words(at)
    said = " ".join(info.value for info in at.info)
    for name in ("guidance_scale", "scheduler", "colour"):
        assert name in said
    assert "seed" not in said.replace("seeds", "")


def test_the_old_result_stays_until_the_new_one_is_there(app):
    at = settle(app.run())
    at.checkbox(key="wait").check()
    at.number_input(key="seed").set_value(8)
    at.run()
    assert "seed on stage: [0]" in words(at)
    fake_pipeline.GATE.set()
    at = settle(at)
    assert "seed on stage: [8]" in words(at)


def test_stop_keeps_the_page(app):
    at = app.run()
    at.checkbox(key="wait").check()
    at.run()
    next(b for b in at.button if b.label == "Stop now").click()
    at.run()
    at = settle(at)
    assert errors(at) == []
    assert next(b for b in at.button if b.label == "Run").disabled is False


def test_a_run_that_is_still_ending_is_not_begun_again(app):
    """The page may be drawn again between Stop and the end of the step that was under way."""
    at = app.run()
    at.checkbox(key="wait").check()
    at.run()
    job = at.session_state["_stage_job"]
    job.stop(after_sample=True)  # it stands still in its sample
    at.run()
    assert job.active and at.session_state["_stage_job"] is job
    fake_pipeline.GATE.set()
    at = settle(at)
    assert job.state == "stopped" and next(b for b in at.button if b.label == "Run").disabled is False


def test_a_failure_is_one_sentence_and_the_old_result_stays(app):
    at = settle(app.run())
    at.checkbox(key="fail").check()
    at = settle(at.run())
    assert len(errors(at)) == 1 and "ZeroDivisionError" in errors(at)[0]
    assert "seed on stage: [0]" in words(at)
    at.checkbox(key="fail").uncheck()
    at = settle(at.run())
    assert errors(at) == []


def test_leaving_old_settings_stops_their_job(app):
    at = app.run()
    at.checkbox(key="wait").check()
    at.run()
    waiting = queue()._running
    at.number_input(key="seed").set_value(3)
    at.run()
    end = time.time() + 20
    while waiting is not None and waiting.active:
        assert time.time() < end
        time.sleep(0.01)
    fake_pipeline.GATE.set()
    assert "seed on stage: [3]" in words(settle(at))
