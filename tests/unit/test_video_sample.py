"""The network and the sampler, on tiny random weights through the public loader."""

import io
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from core.errors import BadRequest
from core.pipeline import Control
from core.result import Step, VideoResult
from core.video import dit, patches, sample, scenes
from core.video.sample import VideoRequest

PROMPT = "a big red star moves fast right at night"


def tiny(attention="full", **more):
    config = dit.Config(
        words=scenes.vocabulary(), attention=attention, width=40, depth=2, heads=2, mlp=2, codec_width=8, **more
    )
    model = dit.VideoModel(config)
    g = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(0.2 * torch.randn(p.shape, generator=g))
    return model.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def model():
    return tiny()


def run(model, control=None, **fields):
    items = list(
        sample.generate(
            VideoRequest(**{"prompt": PROMPT, "num_inference_steps": 3, **fields}), control or Control(), model
        )
    )
    assert all(isinstance(i, Step) for i in items[:-1]) and isinstance(items[-1], VideoResult)
    return items


def test_patches_come_back(model):
    z = torch.randn(2, 8, 24, 6, 6)
    for frames in (1, 2):
        assert torch.equal(model.dit.unpatch(model.dit.patches(z, frames), 8 // frames) if frames == 2 else z, z)


@pytest.mark.parametrize(
    ("attention", "local", "leaks"),
    [
        ("full", (), True),
        ("slice", (), False),
        ("full", (0, 1, 2), False),
        ("full", (0, 1), True),
        ("full", (0,), True),
        ("factorised", (), True),
        ("factorised", (1, 2), False),
    ],
)
def test_only_temporal_attention_carries_news_between_slices(attention, local, leaks):
    model = tiny(attention)
    z = torch.randn(1, 8, 24, 6, 6)
    other = z.clone()
    other[:, 6:] += 1.0  # the last slice only
    words, t = model.words(PROMPT)[0], torch.tensor([0.5])
    a, b = (model.dit(x, t, words, switches=dit.Switches(local)) for x in (z, other))
    assert torch.allclose(a[:, :6], b[:, :6], atol=1e-5) != leaks


def test_the_masked_and_the_sliced_path_agree():
    model = tiny()
    z, words, t = torch.randn(1, 8, 24, 6, 6), model.words(PROMPT)[0], torch.tensor([0.4])
    switches = dit.Switches((0, 1, 2), record=(0, 1), maps={})
    a, b = model.dit(z, t, words, switches=switches), model.dit(z, t, words, switches=dit.Switches((0, 1, 2)))
    assert (a - b).abs().max() < 1e-4 * a.abs().max()
    assert torch.allclose(switches.maps[1].sum(-1), torch.ones(()), atol=1e-4)


def test_factorised_layers_see_their_slice_then_their_place():
    model = tiny("factorised")
    z, words, t = torch.randn(1, 8, 24, 6, 6), model.words(PROMPT)[0], torch.tensor([0.4])
    switches = dit.Switches(record=(0, 1), maps={})
    a, b = model.dit(z, t, words, switches=switches), model.dit(z, t, words)
    assert (a - b).abs().max() < 1e-4 * a.abs().max()  # masked and batched paths agree
    space, time = (switches.maps[i][:, :, :36].mean(0) for i in (0, 1))
    index = torch.arange(36)
    assert (space[index[:, None] // 9 != index // 9] == 0).all()
    assert (time[index[:, None] % 9 != index % 9] == 0).all() and (time[index[:, None] % 9 == index % 9] > 0).all()


def test_given_frames_are_kept_and_change_the_others(model):
    film = scenes.render(scenes.Scene("ring", "red", "left", "snow"))
    known = (0, 5, 10, 15)
    result = run(model, clip=film.tobytes(), known=known)[-1]
    assert (result.frames[list(known)] == film[list(known)]).all()
    assert result.extras["times"][0] == 1  # the rest starts from pure noise
    other = film.copy()
    other[5] = 0
    again = run(model, clip=other.tobytes(), known=known)[-1].frames
    assert (again[[4, 6]] != result.frames[[4, 6]]).any()
    with pytest.raises(BadRequest, match="frame numbers"):
        VideoRequest(clip=film.tobytes(), known=(16,))
    with pytest.raises(BadRequest, match="give both"):
        VideoRequest(known=(0,))


def test_keyframes_are_every_fifth_frame_of_the_film():
    keys = tiny(frames=4, stride=5, patch_frames=1)
    result = run(keys)[-1]
    assert result.frames.shape == (4, 48, 48, 3) and result.fps == pytest.approx(8 / 5)
    assert result.extras["grid"] == (4, 3, 3)


def test_without_positions_patches_are_a_bag(model):
    z, words, t = torch.randn(1, 8, 24, 6, 6), model.words(PROMPT)[0], torch.tensor([0.4])
    order = [4, 5, 0, 1, 6, 7, 2, 3]  # slices of two frames
    bag = dit.Switches((2,), positions=False)  # the refinement, too, only inside a slice
    a, b = model.dit(z, t, words, switches=bag), model.dit(z[:, order], t, words, switches=bag)
    assert (a[:, order] - b).abs().max() < 1e-4 * a.abs().max()
    c, d = model.dit(z, t, words), model.dit(z[:, order], t, words)
    assert not torch.allclose(c[:, order], d, atol=1e-2)


def test_words_out_of_the_vocabulary_are_named(model):
    ids, known, unknown = model.words("A RED dragon, moves!")
    assert known == ["a", "red", "moves"] and unknown == ["dragon"] and (ids[0] > 0).sum() == 3


def test_a_clip_with_its_steps_previews_and_attention(model):
    items = run(model)
    result = items[-1]
    assert result.frames.shape == (16, 48, 48, 3) and result.frames.dtype == np.uint8
    assert len(items) == 4 and items[0].preview.shape == (8, 48, 48, 3)
    assert result.steps_run == 3 and result.model_calls == 6
    maps = result.extras["attention"]
    assert maps.shape == (3, 2, 72, 72 + len(result.extras["words"]))
    assert np.allclose(maps.astype(np.float32).sum(-1), 1, atol=1e-2)


def test_the_same_request_gives_the_same_bytes_and_another_seed_others(model):
    assert (run(model)[-1].frames == run(model)[-1].frames).all()
    assert (run(model)[-1].frames != run(model, seed=2)[-1].frames).any()


def test_ablations_change_the_clip_and_leave_the_model_alone(model):
    plain = run(model)[-1].frames
    for fields in ({"local_layers": (0, 1, 2)}, {"positions": False}, {"guidance_scale": 1.0}, {"stop_after": 1}):
        assert (run(model, **fields)[-1].frames != plain).any(), fields
    assert (run(model)[-1].frames == plain).all()
    assert run(model, stop_after=1)[-1].steps_run == 1


def test_stop_keeps_the_steps_that_were_run(model):
    control = Control()
    items = []
    for item in sample.generate(VideoRequest(prompt=PROMPT, num_inference_steps=9), control, model):
        items.append(item)
        control.stop()
    assert items[-1].steps_run == 1 and items[-1].frames.shape == (16, 48, 48, 3)


def test_a_first_frame_is_heeded(model):
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(scenes.render(scenes.Scene("ring", "red", "still", "snow"))[0]).resize((90, 60)).save(out, "PNG")
    assert (run(model, first_frame=out.getvalue())[-1].frames != run(model)[-1].frames).any()
    with pytest.raises(BadRequest, match="no readable picture"):
        run(model, first_frame=b"nonsense")


@pytest.mark.parametrize("edit", sample.EDITS)
def test_a_given_clip_is_spoilt_and_denoised(model, edit):
    film = scenes.render(scenes.Scene("ring", "red", "left", "snow"))
    result = run(model, clip=film.tobytes(), edit=edit, strength=0.5)[-1]
    assert result.frames.shape == film.shape
    assert result.extras["times"][0] == pytest.approx(0.5)


@pytest.mark.parametrize(
    "fields",
    [
        {"frames": 15},
        {"clip": b"123"},
        {"local_layers": ("a",)},
        {"num_inference_steps": 0},
        {"seed": -1},
        {"prompt": "x" * 161},
    ],
)
def test_bad_requests_are_refused_in_one_sentence(fields):
    with pytest.raises(BadRequest) as caught:
        VideoRequest(**fields)
    assert str(caught.value).endswith(".")


def test_the_costs_are_those_of_our_network():
    config = dit.Config()
    assert {name: getattr(config, name) for name in patches.OURS} == patches.OURS


def test_noise_levels_fall_from_one_to_zero():
    for start in (1.0, 0.6):
        levels = sample.times(10, 4.0, start)
        assert levels[0] == pytest.approx(start) and levels[-1] == 0 and np.all(np.diff(levels) < 0)


def test_weights_are_read_back_(tmp_path, model):
    model.save(tmp_path)
    again = dit.load(SimpleNamespace(folder=tmp_path), "cpu")
    assert again.config == model.config
    assert (run(again)[-1].frames.astype(int) - run(model)[-1].frames).std() < 12  # fp16 on disk
