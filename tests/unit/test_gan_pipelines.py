"""GAN pipelines on small random weights, read through the public loader."""

import io
import json

import numpy as np
import pytest
import torch
from PIL import Image

from core.errors import BadRequest, LabError
from core.gan import growth, mix, move, project, sample, walk
from core.gan.labels import ATTRIBUTES, C_DIM
from core.gan.latent import draw, rows_that, slerp
from core.gan.load import classes, load_folder
from core.gan.request import SLIDES, GrowthRequest, MixRequest, MoveRequest, ProjectRequest, SampleRequest, WalkRequest
from core.pipeline import Control

torch.set_num_threads(1)


def folder_of(path, network, name):
    """A folder as training/gan.py writes it, with random weights."""
    from safetensors.torch import save_file

    folder = path / name
    folder.mkdir()
    make_g, make_d = classes(network)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        g, d = make_g(c_dim=C_DIM), make_d(c_dim=C_DIM)
    for net, part in ((g, "generator"), (d, "discriminator")):
        save_file(
            {k: v.half() if v.is_floating_point() else v for k, v in net.state_dict().items()},
            folder / f"{part}.safetensors",
        )
    rng = np.random.default_rng(0)
    labels = np.stack([rng.integers(0, len(v), 40) for v in ATTRIBUTES.values()], 1).astype(np.uint8)
    extras = {"labels": torch.from_numpy(labels)}
    if g.has_w:
        extras |= {"components": torch.randn(6, g.w_dim), "slides": torch.randn(len(SLIDES), g.w_dim)}
    save_file(extras, folder / "extras.safetensors")
    (folder / "config.json").write_text(
        json.dumps({"network": network, "generator": {"z_dim": 64, "c_dim": C_DIM}, "discriminator": {"c_dim": C_DIM}})
    )
    return folder


@pytest.fixture(scope="module")
def gans(tmp_path_factory):
    path = tmp_path_factory.mktemp("gans")
    return {
        name: load_folder(folder_of(path, network, name))
        for name, network in (
            ("stylegan2", "stylegan2"),
            ("stylegan3", "stylegan3"),
            ("progan", "progan"),
            ("dcgan", "dcgan"),
        )
    }


def last(module, request, gan, control=None):
    return list(module.generate(request, control or Control(), gan))[-1]


def png(picture):
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "PNG")
    return out.getvalue()


@pytest.mark.parametrize("name", ["stylegan2", "dcgan"])
def test_a_sample_is_the_same_alone_and_among_others(gans, name):
    many = last(sample, SampleRequest(model=name, seed=5, count=6), gans[name])
    alone = last(sample, SampleRequest(model=name, seed=8, count=1), gans[name])
    assert np.array_equal(many.images[3], alone.images[0])
    assert many.seeds[3] == 8 and many.extras["scores"][3] == alone.extras["scores"][0]
    assert many.images.shape == (6, 64, 64, 3) and len(np.unique(many.extras["scores"])) == 6


def test_truncation_zero_is_the_centre(gans):
    result = last(sample, SampleRequest(count=3, truncation_psi=0.0, noise=False), gans["stylegan2"])
    assert np.array_equal(result.images[0], result.images[1]) and np.allclose(result.extras["w"], 0)


def test_wanted_attributes_are_kept_and_the_rest_varies(gans):
    result = last(sample, SampleRequest(count=12, style="micah", glasses="yes"), gans["stylegan2"])
    assert {r["style"] for r in result.extras["labels"]} == {"micah"}
    assert {r["glasses"] for r in result.extras["labels"]} == {"yes"}
    assert len({r["background"] for r in result.extras["labels"]}) > 1


def test_labels_never_seen_together_are_made_to_fit(gans):
    wanted = {k: v[-1] for k, v in ATTRIBUTES.items()}
    rows = rows_that(gans["stylegan2"], wanted)
    assert (rows == [len(v) - 1 for v in ATTRIBUTES.values()]).all()


def test_sliders_move_w_and_need_a_mapping_network(gans):
    still = last(sample, SampleRequest(count=1), gans["stylegan2"])
    moved = last(sample, SampleRequest(count=1, component_2=1.5, slide_beard=-1.0), gans["stylegan2"])
    extras = gans["stylegan2"].extras
    want = 1.5 * extras["components"][1] - extras["slides"][SLIDES.index("beard")]
    assert np.allclose(moved.extras["w"] - still.extras["w"], want, atol=1e-3)
    with pytest.raises(BadRequest, match="mapping network"):
        SampleRequest(model="dcgan", component_1=1.0)


def test_stop_keeps_what_is_done(gans):
    control = Control()
    steps = []
    for item in sample.generate(SampleRequest(count=20), control, gans["stylegan2"]):
        steps.append(item)
        control.stop()
    assert steps[-1].steps_run == len(steps[-1].images) < 20 and not steps[-1].complete


def test_slerp_keeps_the_length():
    rng = torch.Generator().manual_seed(0)
    a, b = torch.randn(1, 64, generator=rng), torch.randn(1, 64, generator=rng)
    a, b = a / a.norm(), b / b.norm()
    middle = slerp(a, b, 0.5)
    assert abs(float(middle.norm()) - 1) < 1e-5 and torch.allclose(slerp(a, b, 1.0), b, atol=1e-5)
    assert abs(float((middle * a).sum() - (middle * b).sum())) < 1e-5


@pytest.mark.parametrize("path", ["interpolation", "circle"])
@pytest.mark.parametrize("space", ["z", "w"])
def test_walks_loop_without_a_jump(gans, path, space):
    result = last(walk, WalkRequest(path=path, space=space, stops=2, frames=12), gans["stylegan2"])
    assert result.frames.shape == (12, 64, 64, 3)
    steps = np.linalg.norm(np.diff(np.vstack([result.extras["w"], result.extras["w"][:1]]), axis=0), axis=1)
    assert 0 < steps.max() < 4 * np.median(steps)


def test_mixing_takes_only_the_chosen_layers(gans):
    gan = gans["stylegan2"]
    count = gan.generator.num_ws
    result = last(mix, MixRequest(rows=2, columns=2, first_layer=0, last_layer=8, noise=False), gan)
    assert count == 9 and np.array_equal(result.images[0], result.extras["columns"][0])
    partly = last(mix, MixRequest(rows=2, columns=2, first_layer=7, last_layer=8, noise=False), gan)
    assert not np.array_equal(partly.images[0], partly.extras["rows"][0])
    with pytest.raises(BadRequest, match="layers 0 to 5"):
        last(mix, MixRequest(model="stylegan3", first_layer=7, last_layer=8), gans["stylegan3"])


def test_projection_comes_nearer_to_a_picture_of_the_model(gans):
    gan = gans["stylegan2"]
    target = last(sample, SampleRequest(count=1, seed=77, noise=False), gan).images[0]
    result = last(project, ProjectRequest(picture=png(target), num_inference_steps=20), gan)
    assert result.extras["losses"].min() < result.extras["losses"][0] and result.steps_run == 20
    assert result.images.shape == (1, 64, 64, 3) and np.array_equal(result.extras["target"], target)
    with pytest.raises(BadRequest, match="no picture"):
        last(project, ProjectRequest(picture=b"not a picture"), gan)


def test_growth_goes_from_8_to_64(gans):
    result = last(growth, GrowthRequest(count=2, frames=9), gans["progan"])
    assert result.frames.shape == (9, 64, 128, 3) and result.extras["level"][0] == 0 and result.extras["level"][-1] == 3
    assert {k: v.shape for k, v in result.extras["levels"].items()} == {
        side: (2, side, side, 3) for side in (8, 16, 32, 64)
    }


def test_stylegan3_is_far_more_equivariant(gans):
    assert move.eq_t(gans["stylegan3"], 4) > move.eq_t(gans["stylegan2"], 4) + 10
    clip = last(move, MoveRequest(frames=8, amount=4), gans["stylegan3"])
    assert clip.frames.shape == (8, 64, 64, 3) and np.allclose(clip.extras["offsets"][[0, 2, 6]], [0, 4, -4])
    turned = last(move, MoveRequest(frames=8, motion="rotation"), gans["stylegan3"])
    assert np.array_equal(turned.frames[0], clip.frames[0]) and not np.array_equal(turned.frames[2], clip.frames[2])


def test_drawing_uses_no_global_state(gans):
    rows = rows_that(gans["stylegan2"], {})
    before = torch.random.get_rng_state()
    first, again = draw(gans["stylegan2"], 4, rows), draw(gans["stylegan2"], 4, rows)
    assert torch.equal(first[0], again[0]) and torch.equal(before, torch.random.get_rng_state())


def test_a_broken_folder_is_named(tmp_path):
    folder = folder_of(tmp_path, "dcgan", "broken")
    (folder / "generator.safetensors").write_bytes(b"rubbish")
    with pytest.raises(LabError, match="broken"):
        load_folder(folder)
