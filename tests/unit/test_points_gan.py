"""The 2-D GAN: hand-written gradients, losses, resuming, data, measures."""

import numpy as np
import pytest

from core.errors import BadRequest
from core.pipeline import Control
from core.points import data, game, measure
from core.points.gan import GanRequest, begin, generate
from core.points.net import Mlp
from core.points.presets import PRESETS


def numeric(function, flat, picks, step=1e-6):
    """Central differences of `function` at some places of `flat` (float64)."""
    slopes = []
    for i in picks:
        keep = flat[i]
        flat[i] = keep + step
        up = function()
        flat[i] = keep - step
        slopes.append((up - function()) / (2 * step))
        flat[i] = keep
    return np.array(slopes)


@pytest.mark.parametrize("spectral", [False, True])
def test_gradients_of_weights_and_inputs(spectral):
    rng = np.random.default_rng(0)
    net = Mlp((3, 7, 5, 1), rng, np.zeros(3 * 7 + 7 + 7 * 5 + 5 + 5 + 1), spectral=spectral)
    x, target = rng.standard_normal((6, 3)), rng.standard_normal((6, 1))
    for _ in range(200 * spectral):
        net.power_step()  # exact singular vectors: the formula holds at the fixed point

    def loss():
        if spectral:
            net.sigma = [float(np.linalg.norm(w, 2)) for w in net.w]
        return float((net.forward(x)[0] * target).sum())

    picks = rng.choice(net.count, 20, replace=False)
    expected = numeric(loss, net.flat, picks, 1e-3)  # sigma is rounded to float32
    loss()
    _, kept = net.forward(x)
    net.grad[:] = 0
    dx = net.backward(kept, target)
    assert np.allclose(net.grad[picks], expected, rtol=5e-3, atol=5e-4)
    flat_x = x.reshape(-1)
    assert np.allclose(dx.reshape(-1), numeric(loss, flat_x, range(18)), rtol=2e-3, atol=1e-4)


def test_gradient_penalty():
    rng = np.random.default_rng(1)
    net = Mlp((2, 6, 6, 1), rng, np.zeros(2 * 6 + 6 + 36 + 6 + 6 + 1))
    x = rng.standard_normal((5, 2))
    picks = rng.choice(net.count, 20, replace=False)
    expected = numeric(lambda: float((net.input_gradient(x)[0] ** 2).sum() / 2), net.flat, picks)
    g, chain = net.input_gradient(x)
    net.grad[:] = 0
    net.penalty_backward(chain, g)
    assert np.allclose(net.grad[picks], expected, rtol=2e-3, atol=1e-5)


@pytest.mark.parametrize("name", game.LOSSES)
def test_loss_slopes(name):
    rng = np.random.default_rng(2)
    real, fake = rng.standard_normal((4, 1)), rng.standard_normal((4, 1))
    _, dr, df = game.d_loss(name, real, fake)
    assert np.allclose(
        dr.ravel(), numeric(lambda: game.d_loss(name, real, fake)[0], real.reshape(-1), range(4)), atol=1e-6
    )
    assert np.allclose(
        df.ravel(), numeric(lambda: game.d_loss(name, real, fake)[0], fake.reshape(-1), range(4)), atol=1e-6
    )
    _, dg = game.g_loss(name, fake, real)
    assert np.allclose(
        dg.ravel(), numeric(lambda: game.g_loss(name, fake, real)[0], fake.reshape(-1), range(4)), atol=1e-6
    )


@pytest.mark.parametrize("diversity", game.DIVERSITY)
def test_discriminator_slope_at_the_points(diversity):
    g = begin(GanRequest(diversity=diversity, batch=32, width_d=8, r1=0.0))
    points = np.random.default_rng(3).standard_normal((32, 2)).astype(np.float32)
    logit, kept = g.d.forward(points)
    slope = g.d.backward(kept, np.ones_like(logit), add=False)
    expected = numeric(
        lambda: float(g.d.forward(points)[0].sum(dtype=float)), points.reshape(-1), range(0, 64, 5), 1e-3
    )
    assert np.corrcoef(slope.reshape(-1)[::5], expected)[0, 1] > 0.98  # a kink may lie within the step


def test_resumed_run_equals_the_whole_run():
    settings = GanRequest(steps=30, spectral=True, average=0.9, d_steps=2)
    *_, whole = generate(settings, Control())
    *_, half = generate(settings.replace(steps=12), Control())
    *_, rest = generate(settings.replace(steps=18, state=half.extras["states"][0]), Control())
    assert rest.points.tobytes() == whole.points.tobytes()
    assert rest.extras["games"][0]["step"] == 30


def test_second_gan_equals_a_run_of_its_own():
    *_, both = generate(GanRequest(steps=10, rival=(("loss", "hinge"),)), Control())
    *_, alone = generate(GanRequest(steps=10, loss="hinge"), Control())
    assert np.array_equal(both.extras["games"][1]["fake"], alone.extras["games"][0]["fake"])


def test_single_moves_and_slow_motion():
    start = begin(GanRequest())
    g, d = start.g.flat.copy(), start.d.flat.copy()
    start.step("discriminator")
    assert np.array_equal(start.g.flat, g) and not np.array_equal(start.d.flat, d)
    d = start.d.flat.copy()
    start.step("generator")
    assert np.array_equal(start.d.flat, d) and not np.array_equal(start.g.flat, g)
    stop = Control()
    notes = []
    for item in generate(GanRequest(action="slow motion"), stop):
        notes.append(getattr(item, "note", ""))
        if notes[-1]:
            stop.stop()
    assert any("G turns z into fakes" in note for note in notes)


def test_stop_keeps_the_steps_truly_run():
    stop = Control()
    result = None
    for number, item in enumerate(generate(GanRequest(steps=5000), stop)):
        if number == 1:
            stop.stop()
        result = item
    assert 40 < result.steps_run < 200 and result.extras["games"][0]["step"] == result.steps_run


@pytest.mark.parametrize("name", ["ring", "grid", "spiral", "moons", "letters"])
def test_data_lies_in_the_plot_and_covers_its_own_modes(name):
    points = data.sample(name, 2000, np.random.default_rng(0))
    assert points.shape == (2000, 2) and np.abs(points).max() < data.EXTENT
    anchors, radius = data.anchors(name)
    assert measure.modes_covered(points, anchors, radius) == (len(anchors), pytest.approx(1.0, abs=0.01))


def test_measures_know_equal_and_different_sets():
    rng = np.random.default_rng(0)
    a, b = data.sample("ring", 1000, rng), data.sample("ring", 1000, rng)
    far = np.zeros_like(a)
    assert measure.divergences(a, b)[1] < 0.1 < 0.6 < measure.divergences(a, far)[1]
    assert measure.sliced_wasserstein(a, b) < 0.15 and measure.sliced_wasserstein(a, far) > 1
    assert abs(measure.mmd(a, b)) < 0.02 < measure.mmd(a, far)
    assert measure.modes_covered(far, data.RING, 0.4) == (0, 0.0)


@pytest.mark.parametrize(
    "content, words",
    [
        (b"\xff\xfe\x00", "not text"),
        (b"x,y\n1,2\na,b", "Line 3"),
        (b"1,2", "two rows"),
        (b"1,nan\n2,3", "not finite"),
        (b"1\n2", "two numbers"),
        (b"1,2\n" * 6000, "5,000"),
        (b"1" * 1_000_001, "1 MB"),
    ],
)
def test_bad_csv_gets_a_sentence(content, words):
    with pytest.raises(BadRequest, match=words):
        data.read_csv(content)


def test_csv_is_scaled_into_the_plot():
    points = np.array(data.read_csv(b"x;y\n100;200\n300;900\n"))
    assert np.abs(points).max() == pytest.approx(2.2)


def test_bad_settings_get_a_sentence():
    for wrong in ({"points": ((1, 2, 3),)}, {"rival": (("seed", 1),)}, {"lr_g": float("nan")}, {"loss": "x"}):
        with pytest.raises(BadRequest):
            GanRequest(**wrong)
    for wrong in (
        {"data": "own"},
        {"diversity": "minibatch discrimination", "r1": 1.0},
        {"state": b"rubbish"},
        {"start": "pretrained", "width_g": 8},
    ):
        with pytest.raises(BadRequest):
            list(generate(GanRequest(steps=1, **wrong), Control()))


def play(name, seed=0):
    """The history of a preset, from its start: (frames, columns), and the last record."""
    preset = PRESETS[name]
    g = begin(GanRequest(seed=seed, **preset.settings))
    for i in range(preset.steps):
        g.step()
        if (i + 1) % 50 == 0:
            record = g.record()
    return {column: record["history"][:, i] for i, column in enumerate(game.COLUMNS)}, record


def test_presets_lead_into_collapse_and_out_of_it():
    broken, _ = play("collapse")
    cured, _ = play("collapse_cured")
    assert broken["modes"][-5:].mean() <= 2 and broken["js"][-5:].min() > 0.5
    assert cured["modes"][-5:].mean() >= 7 and cured["js"][-1] < 0.4


def test_presets_lead_into_oscillation_and_out_of_it():
    broken, _ = play("oscillation")
    cured, _ = play("oscillation_cured")
    assert np.diff(broken["wasserstein"][-12:]).std() > 5 * np.diff(cured["wasserstein"][-12:]).std()
    assert broken["js"][-12:].mean() > 0.5 > 0.35 > cured["js"][-12:].mean()


def test_presets_lead_into_vanishing_gradients_and_out_of_them():
    broken, dead = play("vanishing")
    cured, alive = play("vanishing_cured")
    assert broken["pull"][-1] < 0.2 and cured["pull"][-1] > 20 * broken["pull"][-1]
    length = [np.linalg.norm(r["arrows"][:, 2:], axis=1) for r in (dead, alive)]
    assert (length[0] < 0.1).mean() > 0.5 > (length[1] < 0.1).mean()


def test_default_finds_all_modes():
    history, _ = play("default", seed=1)
    assert history["modes"][-1] == 8 and history["near"][-1] > 0.6
