"""Films from given frames: which frames each window knows, and what the simple ways do."""

import numpy as np
import pytest

from core.errors import BadRequest
from core.pipeline import Control
from core.result import Step, VideoResult
from core.video import between, scenes
from core.video.between import FilmRequest
from tests.unit.test_video_sample import tiny

FILM = scenes.render(scenes.Scene("star", "red", "right", "night"))


def make(task, film=FILM, keyframes=None, control=None, **fields):
    request = FilmRequest(
        task=task, clip=b"" if task == "keyframes" else film.tobytes(), num_inference_steps=2, **fields
    )
    models = [tiny(residual=True, flow=8)] + ([tiny(frames=4, stride=5, patch_frames=1)] if task == "keyframes" else [])
    items = list(between.generate(request, control or Control(), *models))
    assert all(isinstance(i, Step) for i in items[:-1]) and isinstance(items[-1], VideoResult)
    return items[-1]


def test_a_film_is_filled_between_its_keyframes():
    result = make("fill")
    keys = list(between.KEYS)
    assert (result.frames[keys] == FILM[keys]).all() and result.extras["known"] == between.KEYS
    changed = FILM.copy()
    changed[[1, 2, 3, 4]] = 0  # frames that are not keys are never looked at
    assert (make("fill", changed).frames == result.frames).all()


@pytest.mark.parametrize("length", [8, 11, 16])
def test_twice_the_frame_rate_keeps_every_frame(length):
    result = make("double", FILM[:length])
    assert len(result.frames) == 2 * length - 1 and result.fps == 16
    assert (result.frames[::2] == FILM[:length]).all()


def test_a_film_goes_on_from_its_last_eight_frames():
    result = make("extend", frames=32)
    assert len(result.frames) == 32 and result.extras["windows"] == 2
    assert (result.frames[:16] == FILM).all()
    early = FILM.copy()
    early[:8] = 0
    assert (make("extend", early, frames=32).frames[16:] == result.frames[16:]).all()


def test_keyframes_first_then_what_lies_between():
    result = make("keyframes")
    assert result.frames.shape == (16, 48, 48, 3) and result.steps_run == 5  # two, and three gaps
    assert FilmRequest(task="keyframes").models() == ("video-between", "video-keyframes")


def test_stop_keeps_what_is_there():
    control = Control()
    control.stop()
    result = make("extend", control=control, frames=64)
    assert 16 < len(result.frames) < 64


@pytest.mark.parametrize(
    "fields", [{"task": "fill"}, {"task": "extend", "clip": FILM[:7].tobytes()}, {"task": "double", "clip": b"123"}]
)
def test_bad_requests_are_refused_in_one_sentence(fields):
    with pytest.raises(BadRequest) as caught:
        FilmRequest(**fields)
    assert str(caught.value).endswith(".")


def test_blending_repetition_and_how_they_are_measured():
    known = (0, 4)
    film = np.zeros((6, 2, 2, 3), np.uint8)
    film[4] = 200
    assert between.blend(film, known)[:, 0, 0, 0].tolist() == [0, 50, 100, 150, 200, 200]
    assert between.repeat(film, known)[:, 0, 0, 0].tolist() == [0, 0, 0, 200, 200, 200]
    assert between.psnr(film, film) == 99 and between.psnr(film, film + np.uint8(10)) == pytest.approx(28.13, abs=0.01)
    assert between.motion_error(FILM, FILM) == 0
    late = between.motion_error(between.repeat(FILM, between.KEYS), FILM)
    assert 0.5 < late < 4  # at most two frames behind, 1.7 pixels a frame


def test_the_network_between_adds_to_the_blend_of_the_given_frames():
    import torch

    from core.video import dit, sample
    from core.video.sample import VideoRequest

    has = torch.tensor([[1.0, 0, 0, 0, 1, 0], [0, 0, 0, 0, 0, 0]])
    weights = dit.blend_weights(has)
    assert torch.allclose(weights[0, :, 4], torch.tensor([0, 0.25, 0.5, 0.75, 1, 1]))
    assert torch.allclose(weights[0].sum(1), torch.ones(6)) and weights[1].abs().sum() == 0
    model = tiny(residual=True)
    for last in (model.dit.out, model.dit.near_out):
        last.weight.zero_(), last.bias.zero_()
    request = VideoRequest(clip=FILM.tobytes(), known=between.KEYS, num_inference_steps=2, guidance_scale=1.0)
    *_, result = sample.generate(request, Control(), model)
    assert np.abs(result.frames.astype(int) - between.blend(FILM, between.KEYS)).max() <= 1


def test_untrained_the_flow_blends_and_a_flow_moves_pixels():
    import torch

    from core.video.flow import FlowNet, moved

    frames = torch.rand(2, 2, 3, 48, 48)
    made = FlowNet(8)(*frames, torch.tensor([0.5, 0.25]))
    share = torch.tensor([0.5, 0.25]).view(2, 1, 1, 1)
    assert torch.allclose(made, (1 - share) * frames[0] + share * frames[1], atol=1e-5)
    flow = torch.zeros(2, 2, 48, 48)
    flow[:, 0] = 3  # taken from three pixels further right: the picture moves left
    assert torch.allclose(moved(frames[0], flow)[..., :45], frames[0][..., 3:], atol=1e-4)


def test_the_shipped_network_beats_blending_and_repetition():
    from pathlib import Path

    from core.video import dit

    model = dit.read(Path("assets/models/video-between"))
    known = tuple(range(0, 15, 2))
    film = np.asarray(FILM[:15])
    *_, result = between.generate(FilmRequest(task="double", clip=film[::2].tobytes()), Control(), model)
    hidden = list(range(1, 15, 2))
    near = between.psnr(result.frames[hidden], film[hidden])
    assert near > between.psnr(between.blend(film, known)[hidden], film[hidden]) + 1
    assert near > between.psnr(between.repeat(film, known)[hidden], film[hidden]) + 1
