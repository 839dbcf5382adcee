"""Each member of the lineage has the parts that its paper is known for."""

import math

import pytest
import torch

from core.gan import networks as n
from core.gan import style as s
from core.gan.labels import ATTRIBUTES, C_DIM, one_hot, row_of
from core.gan.load import classes
from core.gan.move import shift_by

torch.set_num_threads(1)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def make(cls, **more):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return cls(**more).eval().requires_grad_(False)


def batch(count=2):
    rows = torch.tensor([[i % len(v) for v in ATTRIBUTES.values()] for i in range(count)])
    return torch.randn(count, 64, generator=rng(1)), one_hot(rows)


@pytest.mark.parametrize("network", ["mlp", "dcgan", "progan", "stylegan", "stylegan2", "stylegan3"])
def test_shapes_of_every_pair(network):
    make_g, make_d = classes(network)
    g, d = make(make_g, c_dim=C_DIM), make(make_d, c_dim=C_DIM)
    z, c = batch()
    noise = [torch.randn(2, 1, side, side, generator=rng()) for side in g.noise_sizes()]
    x = g(z, c, noise or None)
    assert x.shape == (2, 3, 64, 64) and torch.isfinite(x).all()
    assert d(x, c).shape == (2, 1)
    assert len(g.layer_sizes()) == g.num_ws
    assert not torch.equal(x[0], x[1])


def test_labels_are_one_of_each_group():
    record = {
        "style": "micah",
        "hair": "bob",
        "hair_color": "red",
        "skin_color": "tan",
        "background": "navy",
        "glasses": True,
        "beard": False,
        "mouth": "sad",
        "captions": [],
    }
    row = row_of(record)
    assert [ATTRIBUTES[k][i] for k, i in zip(ATTRIBUTES, row, strict=True)] == [
        "micah",
        "bob",
        "red",
        "tan",
        "navy",
        "yes",
        "no",
        "sad",
    ]
    hot = one_hot([row])
    assert hot.shape == (1, C_DIM) and hot.sum() == len(ATTRIBUTES)


def test_dcgan_is_transposed_convolutions_with_batch_norm():
    g = make(n.DCGANGenerator)
    kinds = [type(m) for m in g.modules()]
    assert kinds.count(torch.nn.ConvTranspose2d) == 5 and kinds.count(torch.nn.BatchNorm2d) == 4
    assert torch.nn.Linear not in kinds
    assert all(m.stride == (2, 2) for m in (*g.ups, g.out))


def test_equalised_learning_rate_scales_at_run_time():
    layer = make(n.Dense, inputs=400, outputs=300)
    assert abs(float(layer.weight.std()) - 1) < 0.05
    y = layer(torch.randn(200, 400, generator=rng(5)))
    assert abs(float(y.std()) - 1) < 0.1


def test_progan_pixel_norm_and_fade_in():
    x = torch.randn(2, 8, 4, 4, generator=rng()) * 7
    assert torch.allclose(n.pixel_norm(x).square().mean(1), torch.ones(2, 4, 4), atol=1e-4)
    g = make(n.ProGANGenerator, c_dim=C_DIM)
    ws = g.mapping(*batch()).unsqueeze(1)
    small, large = g.synthesis(ws, level=1.0), g.synthesis(ws, level=2.0)
    assert [g.synthesis(ws, level=k).shape[-1] for k in (0.0, 1.0, 2.0, 3.0)] == [8, 16, 32, 64]
    half = g.synthesis(ws, level=1.5)
    doubled = torch.nn.functional.interpolate(small, scale_factor=2)
    assert torch.allclose(half, (doubled + large) / 2, atol=1e-5)


def test_progan_discriminator_fades_at_the_same_level():
    d = make(n.ProGANDiscriminator, c_dim=C_DIM)
    _, c = batch(4)
    x = torch.randn(4, 3, 32, 32, generator=rng())
    d.level = 2.0
    full = d(x, c)
    d.level = 1.0 + 1e-6  # the new block has just begun to fade in
    begun = d(x, c)
    d.level = 1.0
    small = d(torch.nn.functional.avg_pool2d(x, 2), c)
    assert torch.allclose(begun, small, atol=1e-3) and not torch.allclose(full, small, atol=1e-3)


def test_minibatch_deviation_sees_missing_variety():
    same = torch.ones(4, 3, 4, 4)
    assert n.minibatch_stddev(same)[:, -1].max() < 1e-3
    assert n.minibatch_stddev(torch.randn(4, 3, 4, 4, generator=rng()))[:, -1].min() > 0.5


def test_mapping_ignores_the_length_of_z_and_uses_labels():
    m = make(n.Mapping, z_dim=64, c_dim=C_DIM, w_dim=32)
    z, c = batch()
    assert torch.allclose(m(z, c), m(z * 5, c), atol=1e-4)
    assert not torch.allclose(m(z, c), m(z, c.flip(0)))


def test_adain_sets_mean_and_deviation_from_the_style():
    layer = make(s.AdaIN, w_dim=16, channels=5)
    w = torch.randn(3, 16, generator=rng())
    y = layer(torch.randn(3, 5, 12, 12, generator=rng()) * 9 + 4, w)
    scale, shift = layer.style(w).chunk(2, 1)
    assert torch.allclose(y.mean((2, 3)), shift, atol=1e-4)
    assert torch.allclose(y.std((2, 3), unbiased=False), (1 + scale).abs(), atol=1e-3)


@pytest.mark.parametrize("cls", [s.StyleGANGenerator, s.StyleGAN2Generator])
def test_noise_enters_each_layer_with_its_strength(cls):
    g = make(cls, c_dim=C_DIM)
    z, c = batch(1)
    noise = [torch.randn(1, 1, side, side, generator=rng(i)) for i, side in enumerate(g.noise_sizes())]
    assert torch.allclose(g(z, c, noise), g(z, c), atol=1e-4)  # strengths start at zero
    for number in range(len(noise)):
        torch.nn.init.constant_(g.strength[number], 0.5)
        assert not torch.allclose(g(z, c, noise), g(z, c), atol=1e-3), f"noise {number} has no effect"
        torch.nn.init.zeros_(g.strength[number])


@pytest.mark.parametrize("up", [False, True])
def test_demodulation_equals_the_papers_weight_form(up):
    layer = make(s.ModulatedConv, inputs=6, outputs=5, kernel=4 if up else 3, w_dim=16, up=up)
    x, w = torch.randn(1, 6, 8, 8, generator=rng()), torch.randn(1, 16, generator=rng())
    style = layer.style(w)[0]
    weight = layer.conv.weight * layer.conv.scale
    if up:
        weight = weight * style[:, None, None, None]  # (in, out, 4, 4)
        weight = weight / (weight.square().sum((0, 2, 3), keepdim=True) / 4).sqrt()
        want = torch.nn.functional.conv_transpose2d(x, weight, stride=2, padding=1)
    else:
        weight = weight * style[None, :, None, None]  # (out, in, 3, 3)
        weight = weight / weight.square().sum((1, 2, 3), keepdim=True).sqrt()
        want = torch.nn.functional.conv2d(x, weight, padding=1)
    got = layer(x, w, torch.zeros(1, 5, 1, 1))
    assert torch.allclose(got, want * math.sqrt(2), atol=1e-4)


def test_resampler_keeps_slow_waves_and_removes_fast_ones():
    def wave(cycles, rate, margin):
        t = (torch.arange(rate + 2 * margin) - margin + 0.5) / rate
        return torch.sin(2 * math.pi * cycles * t)

    up = s.resampler(32, 8, 64, 8, cutoff=14.0)
    assert (up @ wave(5, 32, 8) - wave(5, 64, 8))[16:-16].abs().max() < 0.03
    down = s.resampler(64, 16, 32, 4, cutoff=14.0)
    assert (down @ wave(5, 64, 16) - wave(5, 32, 4))[8:-8].abs().max() < 0.03
    assert (down @ wave(26, 64, 16))[8:-8].abs().max() < 0.03  # would alias to 6 cycles


def test_stylegan3_moves_with_its_fourier_input_and_stylegan2_does_not():
    errors = []
    for cls in (s.StyleGAN2Generator, s.StyleGAN3Generator):
        g = make(cls, c_dim=C_DIM)
        z, c = batch(1)
        ws = g.mapping(z, c).unsqueeze(1).expand(-1, g.num_ws, -1)
        still, moved = g.synthesis(ws), g.synthesis(ws, move=shift_by(4 / 64, 0.0))
        gap = (moved[..., 12:52, 12:52] - still[..., 12:52, 8:48]).square().mean()
        errors.append(float(gap / still.var()))
    assert errors[1] < 0.02 and 10 * errors[1] < errors[0]
