"""Codec, language model and voice through their public loaders, on tiny random weights and on what ships."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.audio import codec as codec_module
from core.audio import full_size, music_lm
from core.audio.codec import CodecRequest, edit_codes
from core.audio.music_lm import GenerateRequest, sample
from core.audio.speech import SpeechRequest, with_output
from core.errors import BadRequest, DoesNotFit, Unavailable
from core.pipeline import Control
from tests import tiny_musicgen


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random MusicGen of 32 channels with a waveform codec, saved as a checkpoint folder."""
    folder = tmp_path_factory.mktemp("musicgen")
    tiny_musicgen.save(folder, 800, [4, 4])
    return folder


@pytest.fixture(scope="module")
def lm(tiny: Path) -> music_lm.MusicLM:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAB_MEMORY_MB", "100000")  # the test process itself may be large
        return full_size.open_model(str(tiny))


def play(lm: music_lm.MusicLM, **values: object):
    *steps, result = music_lm.generate(
        GenerateRequest(**{"prompt": "a siren", "seconds": 0.5, **values}), Control(), lm
    )
    return steps, result


def test_a_full_size_checkpoint_folder_runs_through_the_same_loop(lm: music_lm.MusicLM):
    steps, result = play(lm)
    assert lm.codec.sample_rate == 800 and lm.codec.frame_rate == 50
    assert result.waveform.shape == (400, 1) and result.complete
    assert len(steps) == 28 and steps[-1].index == 25  # 25 frames and three columns of delay
    assert ((result.extras["codes"] >= 0) & (result.extras["codes"] < 16)).all()
    grid = result.extras["grid"]
    assert (grid[3, :4] == 16).all() and (grid[0, -3:] == 16).all()


def test_same_seed_same_sound_and_another_seed_another(lm: music_lm.MusicLM):
    first, again, other = (play(lm, seed=s)[1].extras["codes"] for s in (1, 1, 2))
    assert (first == again).all() and (first != other).any()


def test_guidance_of_one_leaves_the_empty_caption_out(lm: music_lm.MusicLM):
    plain = play(lm, guidance_scale=1.0)[1]
    guided = play(lm, guidance_scale=6.0)[1]
    assert plain.model_calls == guided.model_calls
    assert (plain.extras["codes"] != guided.extras["codes"]).any()


def test_view_shows_the_probabilities_that_were_drawn_from(lm: music_lm.MusicLM):
    extras = play(lm, top_k=1)[1].extras
    assert extras["top_probabilities"].shape == (4, 25, 8)
    assert (
        extras["top_tokens"][:, :, 0] == extras["codes"]
    ).all()  # top-k 1 draws the likeliest, aligned through the delay
    assert np.allclose(extras["entropy"], 0, atol=1e-5)


def test_continuation_keeps_what_was_heard(lm: music_lm.MusicLM):
    import soundfile

    out = io.BytesIO()
    soundfile.write(out, 0.3 * np.sin(np.arange(800)), 800, format="WAV")
    result = play(lm, continuation=out.getvalue(), overlap=0.4)[1]
    assert result.extras["prompt_frames"] == 20
    assert len(result.waveform) == 800 + 400
    heard = lm.encode(np.float32(0.3 * np.sin(np.arange(800)))[-320:])
    assert (result.extras["codes"][:, :20] == heard).mean() > 0.9


def test_positions_in_beats_are_added_to_what_the_network_does_itself(lm: music_lm.MusicLM):
    import torch

    decoder = lm.model.decoder
    grid = torch.randint(0, 16, (2, 4, 30), generator=torch.Generator().manual_seed(0))
    states = torch.randn(2, 3, 32, generator=torch.Generator().manual_seed(1))

    def logits(**given: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return decoder(**given, encoder_hidden_states=states, use_cache=False).logits

    plain = logits(input_ids=grid.reshape(8, -1))
    assert torch.allclose(logits(inputs_embeds=music_lm.embedded(decoder, grid, [0, 0], 0, 50.0)), plain, atol=1e-4)
    beats = logits(inputs_embeds=music_lm.embedded(decoder, grid, [120, 0], 0, 50.0))
    assert not torch.allclose(beats[:4], plain[:4], atol=1e-2) and torch.allclose(beats[4:], plain[4:], atol=1e-4)
    whole = music_lm.embedded(decoder, grid, [120, 90], 0, 50.0)
    own = decoder.model.decoder.embed_positions.weights
    step = music_lm.embedded(decoder, grid[:, :, 7:8], [120, 90], 7, 50.0)  # one column, as with a cache
    assert torch.allclose(step[:, 0] + own[7], whole[:, 7] + own[0], atol=1e-4)
    long = torch.zeros(1, 4, 120, dtype=torch.long)
    wave = music_lm.embedded(decoder, long, [120], 0, 50.0) - music_lm.embedded(decoder, long, [0], 0, 50.0)
    assert torch.allclose(wave[0, 1, 3:5], wave[0, 26, 3:5], atol=1e-4)  # a beat of 120 BPM is 25 frames
    assert not torch.allclose(wave[0, 1, 3:5], wave[0, 14, 3:5], atol=0.1)


@pytest.mark.parametrize(
    ("prompt", "tempo"),
    [("rock at 150 BPM", (150, 150)), ("slow waltz", (66, 80)), ("fast, slowly", (136, 160)), ("a siren", None)],
)
def test_the_tempo_that_a_caption_asks_for(prompt: str, tempo: tuple[int, int] | None):
    assert music_lm.tempo_of(prompt) == tempo


def test_stop_keeps_the_frames_that_are_whole(lm: music_lm.MusicLM):
    control = Control()
    items = []
    for item in music_lm.generate(GenerateRequest(prompt="a siren", seconds=0.5), control, lm):
        items.append(item)
        if getattr(item, "index", 0) == 10:
            control.stop()
    assert not items[-1].complete and items[-1].extras["codes"].shape[1] == 10
    assert items[-1].steps_run == 13


def test_top_p_and_top_k_leave_only_the_likeliest():
    logits = np.log(np.array([[0.5, 0.3, 0.15, 0.05]]))
    rng = np.random.default_rng(0)
    for values, left in (
        ({"top_k": 2}, 2),
        ({"top_k": 0, "top_p": 0.7}, 2),
        ({"top_k": 0, "top_p": 0.05}, 1),
        ({"top_k": 0}, 4),
    ):
        _, p = sample(logits, GenerateRequest(**values), rng)
        assert (p > 0).sum() == left and abs(p.sum() - 1) < 1e-9


def test_a_missing_folder_is_one_sentence():
    with pytest.raises(Unavailable) as caught:
        full_size.open_model("/nowhere/at-all")
    assert "/nowhere/at-all" in str(caught.value)


def test_memory_is_judged_before_a_checkpoint_is_loaded(tiny: Path, monkeypatch: pytest.MonkeyPatch):
    disk, need = full_size.describe(str(tiny))
    assert 0 < disk <= need < 5
    full_size.shelf.clear()
    monkeypatch.setenv("LAB_MEMORY_MB", "1")
    with pytest.raises(DoesNotFit):
        full_size.open_model(str(tiny))


def test_another_architecture_is_refused(tmp_path: Path):
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(BadRequest):
        full_size.describe(str(tmp_path))


def test_a_source_needs_no_model_of_the_catalog(tiny: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LAB_MEMORY_MB", "100000")
    request = GenerateRequest(prompt="a siren", source=str(tiny), seconds=0.5)
    assert request.models() == ()
    *_, result = music_lm.generate(request, Control())
    assert result.waveform.shape == (400, 1)


@pytest.mark.parametrize("prompt", ["", "   ", "x" * 5000])
def test_empty_and_endless_prompts_are_refused(prompt: str):
    with pytest.raises(BadRequest):
        GenerateRequest(prompt=prompt)


def test_edits_change_only_their_codebook_and_frames():
    codes = np.arange(40).reshape(2, 20)
    request = CodecRequest(edit="mute", codebook=2, start=5, length=5)
    muted = edit_codes(codes, request)
    assert (muted[1, 5:10] == -1).all() and (muted[0] == codes[0]).all() and (muted[1, 10:] == codes[1, 10:]).all()
    assert (edit_codes(codes, replace(request, edit="reverse", codebook=0))[:, 5:10] == codes[:, 9:4:-1]).all()
    assert (edit_codes(codes, replace(request, edit="repeat", amount=2))[1, 5:10] == [25, 26, 25, 26, 25]).all()
    assert (edit_codes(codes, replace(request, edit="shift", amount=3))[1] == np.roll(codes[1], 3)).all()
    assert (edit_codes(codes, replace(request, edit="splice"), codes + 100)[1, 5:10] == codes[1, :5] + 100).all()
    assert sorted(edit_codes(codes, replace(request, edit="scramble"))[1, 5:10]) == list(codes[1, 5:10])
    assert (edit_codes(codes, CodecRequest()) == codes).all()


def test_single_tokens_are_set_after_every_other_edit():
    codes = np.arange(24).reshape(2, 12) % 8
    request = CodecRequest(edit="reverse", codebook=1, start=0, length=12, tokens="1:0=7, 2:11=-1")
    out = edit_codes(codes, request, None)
    assert out[0, 0] == 7 and out[1, 11] == -1
    assert np.array_equal(out[0, 1:], codes[0, ::-1][1:]) and np.array_equal(out[1, :11], codes[1, :11])
    assert codec_module.written(codec_module.set_tokens("1:0=7") | {(2, 11): -1}) == "1:0=7, 2:11=-1"


@pytest.mark.parametrize("tokens", ["x", "1:2", "9:0=1", "1:0=999", "0:0=1", "1:0=-2", "1:0=1," * 400])
def test_a_token_that_cannot_be_is_refused(tokens: str):
    with pytest.raises(BadRequest):
        CodecRequest(tokens=tokens)


def test_muting_every_codebook_but_the_first_equals_decoding_one(lm: music_lm.MusicLM):
    codes = np.random.default_rng(0).integers(0, 16, (4, 12))
    muted = codes.copy()
    muted[1:] = -1
    assert np.allclose(lm.codec.decode(muted), lm.codec.decode(codes, 1), atol=1e-6)
    assert codec_module.EDITS[0] == "none"


@pytest.mark.parametrize("text", ["", "...", "你好，世界", "y" * 5000])
def test_what_the_voice_cannot_say_is_refused(text: str):
    with pytest.raises(BadRequest):
        SpeechRequest(text=text)


def test_appended_output_is_a_mergeable_protobuf_field():
    assert with_output(b"model", b"/x") == b"model" + bytes([0x3A, 6, 0x62, 4, 0x0A, 2]) + b"/x"
