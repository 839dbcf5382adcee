"""The 2-D diffusion and flow models: what they predict, samplers, optimal transport, reflow, resuming."""

import numpy as np
import pytest

from core.errors import BadRequest
from core.pipeline import Control
from core.points import flow
from core.points.flow import COLUMNS, FlowRequest, Model, generate


def trained(steps, **settings):
    model = Model(FlowRequest(**settings))
    for _ in range(steps):
        model.step()
    return model


def figures(model, **settings):
    model.s = model.s.replace(**settings)
    return dict(zip(COLUMNS, model.record()["history"][-1], strict=True))


@pytest.mark.parametrize("target", [*flow.TARGETS, "velocity"])
def test_every_prediction_names_the_same_points(target):
    method = "flow matching" if target == "velocity" else "diffusion"
    model = Model(FlowRequest(method=method, target=target if target != "velocity" else "epsilon"))
    rng = np.random.default_rng(0)
    x0, noise = rng.standard_normal((50, 2)), rng.standard_normal((50, 2))
    for t in (0.1, 0.5, 0.9):
        a, s, da, ds = flow.schedule(method, np.float64(t))
        answer = {
            "epsilon": noise,
            "x0": x0,
            "v": a * noise - s * x0,
            "score": -noise / s,
            "velocity": da * x0 + ds * noise,
        }
        model.net.forward = lambda x, answer=answer[target]: (answer, None)
        seen = model.guess(a * x0 + s * noise, t)
        assert np.allclose(seen[0], x0) and np.allclose(seen[1], noise)
        assert np.allclose(model.velocity(a * x0 + s * noise, t), da * x0 + ds * noise)


@pytest.mark.parametrize("target", flow.TARGETS)
def test_diffusion_learns_the_ring(target):
    steps = 1200 if target in ("epsilon", "score") else 500  # these two see the data late
    now = figures(trained(steps, method="diffusion", target=target, batch=128, width=64))
    assert now["modes"] >= 6 and now["wasserstein"] < 0.4


def test_reflow_makes_one_step_enough():
    model = trained(700)
    before = figures(model, num_inference_steps=1)
    model.reflow()
    for _ in range(400):
        model.step()
    after = figures(model, num_inference_steps=1)
    assert before["near"] < 0.2 and after["near"] > before["near"] + 0.2
    assert figures(model, num_inference_steps=20)["bend"] < 1.05


def test_optimal_transport_straightens():
    bent = figures(trained(400, batch=128))
    straight = figures(trained(400, batch=128, coupling="optimal transport"))
    assert straight["bend"] + 1e-4 >= 1.0 and straight["bend"] < bent["bend"] - 0.05
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((128, 2)), rng.standard_normal((128, 2))
    near = flow.matched(a, b)
    assert np.array_equal(np.sort(near, 0), np.sort(b, 0)) and ((near - a) ** 2).sum() < ((b - a) ** 2).sum()


def test_samplers_agree_where_they_must():
    model = trained(500, batch=128)
    noise = np.random.default_rng(0).standard_normal((200, 2))
    ends = [
        model.sample(noise, s, n, np.random.default_rng(1))[:, -1]
        for s, n in (("Euler", 60), ("Heun", 60), ("Heun", 20))
    ]
    assert np.median(np.linalg.norm(ends[0] - ends[1], axis=1)) < 0.1
    assert np.median(np.linalg.norm(ends[2] - ends[1], axis=1)) < 0.1
    assert model.sample(noise, "ancestral", 20, np.random.default_rng(1)).shape == (200, 21, 2)


def test_resumed_run_equals_the_whole_run_and_a_gan_trains_beside():
    settings = FlowRequest(steps=12, batch=32, width=16, beside=True, num_inference_steps=3)
    *_, whole = generate(settings, Control())
    *_, half = generate(settings.replace(steps=6), Control())
    a, b = half.extras["states"]
    *_, rest = generate(settings.replace(steps=6, state=a, rival_state=b), Control())
    assert rest.points.tobytes() == whole.points.tobytes()
    assert np.array_equal(rest.extras["games"][1]["fake"], whole.extras["games"][1]["fake"])
    assert [g["step"] for g in rest.extras["games"]] == [12, 6]


def test_looking_trains_nothing_and_reflow_needs_a_flow():
    *_, seen = generate(FlowRequest(action="look", width=16, num_inference_steps=2), Control())
    assert seen.extras["games"][0]["step"] == 0 and seen.extras["games"][0]["paths"].shape == (300, 3, 2)
    with pytest.raises(BadRequest):
        FlowRequest(action="reflow", method="diffusion")
    with pytest.raises(BadRequest):
        list(generate(FlowRequest(state=b"rubbish"), Control()))
