"""The two diffusion pages through Home.py: a run, every lens, bad input."""

import pytest

from core import catalog
from core.runtime.jobs import queue
from tests.app.helpers import errors, open_page, settle, tables

FEW = {"num_inference_steps": "2", "seed": "5"}
STEPS, CFG = "3_Diffusion_steps.py", "4_CFG_explorer.py"


def last(at, kind):
    """Results of finished jobs of the wanted kind of request."""
    return [job.result for job in queue()._jobs.values() if job.result is not None and kind(job.request)]


def test_a_run_is_recorded_and_the_lenses_open():
    at = open_page(STEPS, **FEW, lens="Inside")
    assert errors(at) == []
    result = last(at, lambda r: getattr(r, "record", False))[0]
    assert result.steps_run == 2 and result.request.seed == 5
    for lens in (
        "Words",
        "Forward",
        "Branch",
        "Poke",
        "Paint",
        "Walk",
        "Schedulers",
        "Pixel or latent",
        "Nearest",
        "Break it",
        "Learn",
    ):
        at.session_state["lens"] = lens
        settle(at.run())
        settle(at)
        assert errors(at) == [], lens
    branched = last(at, lambda r: bool(getattr(r, "latents", b"")))
    assert len(branched) >= 2  # the branch and the poke went on from a kept state


def test_the_strip_computes_each_guidance_once():
    at = open_page(CFG, **FEW, scales="0, 3", lens="Learn")
    assert errors(at) == []
    mine = lambda r: getattr(r, "seed", 0) == 5 and not getattr(r, "record", True)  # noqa: E731
    results = last(at, mine)
    assert sorted(r.request.guidance_scale for r in results) == [0.0, 3.0]
    before = {id(r) for r in results}
    at.text_input(key="scales").set_value("0, 3, 6").run()
    settle(at)
    after = last(at, mine)
    assert sorted(r.request.guidance_scale for r in after) == [0.0, 3.0, 6.0]
    assert before <= {id(r) for r in after}  # the two that were there were kept


@pytest.mark.parametrize("lens", ["Why it works", "Guiders", "Presets", "Trade-off", "X/Y/Z grid"])
def test_each_lens_of_guidance_opens(lens):
    at = open_page(CFG, **FEW, scales="0, 3", lens=lens)
    settle(at)
    assert errors(at) == []


def test_bad_lists_get_a_sentence_and_the_strip_stands():
    at = open_page(CFG, **FEW, scales="one, two", lens="Learn")
    assert any("no list of numbers" in error for error in errors(at))
    at = open_page(CFG, **FEW, scales="3, 99", lens="Learn")
    assert any("from 0 to 30" in error for error in errors(at))


def test_strange_prompts_run():
    words = "curly blue hair, " * 24 + "👩‍🎤 портрет"
    at = open_page(STEPS, **FEW, prompt=words[:600], lens="Learn")
    assert errors(at) == []
    assert any("never learned" in caption.value for caption in at.caption)
    at = open_page(STEPS, **FEW, prompt="", lens="Learn")
    assert errors(at) == []


def test_the_shipped_folder_is_stock():
    assert (catalog.card("latent-diffusion").folder / "model_index.json").is_file()


def test_the_trade_off_has_every_figure_and_a_prompt_without_names_stands():
    at = open_page(CFG, **FEW, scales="1, 3", lens="Trade-off", sweep_n="4")
    at.toggle(key="sweep_on").set_value(True).run()
    settle(at)
    settle(at)
    assert errors(at) == []
    kept = list(at.session_state["_sweep_figures"].values())
    assert len(kept) == 2
    for figures in kept:
        assert {"attributes_right", "spread", "saturation", "frechet"} <= set(figures)
        assert all(low <= value <= high for value, low, high in figures.values())
    at = open_page(STEPS, **FEW, prompt="an astronaut", lens="Schedulers")
    at.toggle(key="schedulers_on").set_value(True).run()
    for _ in range(3):
        settle(at)
    assert errors(at) == [] and len([t for t in tables(at) if "scheduler" in t]) == 1


def test_training_portraits_are_destroyed_too():
    at = open_page(STEPS, **FEW, lens="Forward")
    at.session_state["forward_source"] = "training portrait"
    settle(at.run())
    assert errors(at) == [] and at.number_input(key="forward_number").value == 0
