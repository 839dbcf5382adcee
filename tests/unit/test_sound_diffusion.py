"""The latent diffusion of sound on tiny random weights: length, seeds, steps, stop, captions."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from core.audio import dsp, sound_diffusion
from core.audio.sound_diffusion import Denoiser, DenoiseRequest
from core.errors import BadRequest
from core.pipeline import Control


@pytest.fixture(scope="module")
def parts():
    """(Denoiser, something with the codec's decoder): 4 latent channels, a linear decoder to log-mels."""
    import torch
    from diffusers import StableAudioDiTModel
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, T5Config, T5EncoderModel

    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = StableAudioDiTModel(
            sample_size=100, in_channels=8, out_channels=8, num_layers=1, attention_head_dim=16, num_attention_heads=2,
            num_key_value_attention_heads=2, cross_attention_dim=32, time_proj_dim=8, global_states_input_dim=16,
            cross_attention_input_dim=16,
        ).eval()  # fmt: skip
        encoder = T5EncoderModel(T5Config(vocab_size=8, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2)).eval()
        up = torch.nn.ConvTranspose1d(4, dsp.CODEC_MELS, 2, stride=2)
    words = Tokenizer(models.WordLevel({"<pad>": 0, "<unk>": 1, "a": 2, "siren": 3}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", unk_token="<unk>")
    codec = SimpleNamespace(model=SimpleNamespace(decoder=up), frame_rate=50.0, sample_rate=16_000)
    return Denoiser(model, encoder, tokenizer, np.zeros(4), np.ones(4)), codec


def play(parts, control: Control | None = None, **values: object):
    request = DenoiseRequest(**{"prompt": "a siren", "seconds": 1.0, "num_inference_steps": 3, **values})
    *steps, result = sound_diffusion.generate(request, control or Control(), *parts)
    return steps, result


def test_every_step_is_kept_and_the_length_is_the_one_asked(parts):
    steps, result = play(parts, seconds=1.5)
    assert [s.index for s in steps] == [1, 2, 3]
    assert result.waveform.shape == (24_000, 1) and 0 < np.abs(result.waveform).max() <= 1
    assert result.extras["states"].shape == (4, 80, 152) and result.extras["guesses"].shape == (3, 80, 152)
    assert list(result.extras["sigmas"]) == sorted(result.extras["sigmas"], reverse=True)
    assert result.extras["sigmas"][-1] == 0


def test_the_last_guess_is_the_last_state(parts):
    extras = play(parts)[1].extras
    assert np.allclose(extras["guesses"][-1], extras["states"][-1], atol=2e-3)  # at no noise, both are the sound


def test_seed_caption_and_guidance_change_the_sound(parts):
    base = play(parts)[1].waveform
    assert np.array_equal(base, play(parts)[1].waveform)
    for values in ({"seed": 1}, {"prompt": "a"}, {"guidance_scale": 1.0}):
        assert not np.array_equal(base, play(parts, **values)[1].waveform)
    assert play(parts, prompt="a zeppelin")[1].extras["unknown_words"] == ["zeppelin"]


def test_guidance_zero_does_not_read_the_caption(parts):
    one, other = (play(parts, prompt=p, guidance_scale=0.0)[1].waveform for p in ("a siren", "a"))
    assert np.allclose(one, other, atol=1e-4)


def test_stop_plays_what_was_foreseen(parts):
    control = Control()
    control.stop()
    result = play(parts, control, num_inference_steps=50)[1]
    assert not result.complete and result.steps_run == 1 and len(result.waveform) == 16_000


def test_patches_go_in_and_out_in_order(parts):
    """With a network that answers its input, the velocity is the input: no frame changes its place."""
    import torch

    net = parts[0]

    class Echo:
        config = net.model.config

        def __call__(self, x, t, **kwargs):
            return SimpleNamespace(sample=x)

    same = Denoiser(Echo(), net.encoder, net.tokenizer, np.zeros(4), np.ones(4))
    x = torch.arange(4 * 6.0).view(1, 4, 6)
    assert torch.equal(same.velocity(x, torch.zeros(1), *net.condition(["a"])[:3]), x)


@pytest.mark.parametrize("prompt", ["", "  ", "x" * 5000])
def test_empty_and_endless_prompts_are_refused(prompt: str):
    with pytest.raises(BadRequest):
        DenoiseRequest(prompt=prompt)
