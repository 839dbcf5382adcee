"""Full-size sound on tiny random weights of each architecture; remote speech against a server of our own."""

from __future__ import annotations

import http.server
import io
import json
import threading
from pathlib import Path

import numpy as np
import pytest

from core.audio import full_sound, remote
from core.audio.full_sound import FullSoundRequest
from core.audio.remote import RemoteSpeechRequest
from core.chat.remote import keep_key
from core.errors import BadRequest, DoesNotFit, Unavailable
from core.pipeline import Control


@pytest.fixture(autouse=True)
def room(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LAB_MEMORY_MB", "100000")


def vits(folder: Path) -> None:
    from transformers import VitsConfig, VitsModel, VitsTokenizer

    config = VitsConfig(
        vocab_size=30, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, ffn_dim=8, flow_size=8,
        spectrogram_bins=9, duration_predictor_num_flows=1, duration_predictor_filter_channels=8,
        prior_encoder_num_flows=1, prior_encoder_num_wavenet_layers=1, posterior_encoder_num_wavenet_layers=1,
        upsample_initial_channel=16, upsample_rates=[4, 4], upsample_kernel_sizes=[8, 8], wavenet_dilation_rate=1,
        resblock_kernel_sizes=[3], resblock_dilation_sizes=[[1]], depth_separable_num_layers=1, sampling_rate=4000,
    )  # fmt: skip
    VitsModel(config).save_pretrained(folder)
    (folder / "vocab.json").write_text(json.dumps({c: i for i, c in enumerate(" abcdefghijklmnopqrstuvwxyz'-")}))
    VitsTokenizer(str(folder / "vocab.json"), pad_token=" ", unk_token=" ", phonemize=False).save_pretrained(folder)


def speecht5(folder: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, SpeechT5Config, SpeechT5ForTextToSpeech

    config = SpeechT5Config(
        vocab_size=30, hidden_size=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, speech_decoder_prenet_units=16,
        speech_decoder_prenet_layers=1, speech_decoder_postnet_units=16, speech_decoder_postnet_layers=1,
        speaker_embedding_dim=8, max_speech_positions=200, num_conv_pos_embedding_groups=2, num_conv_pos_embeddings=4,
    )  # fmt: skip
    SpeechT5ForTextToSpeech(config).save_pretrained(folder)
    letters = Tokenizer(models.WordLevel({"<pad>": 0, "<unk>": 1, "hello": 2, "there": 3}, unk_token="<unk>"))
    letters.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(tokenizer_object=letters, pad_token="<pad>", unk_token="<unk>").save_pretrained(folder)


def dia(folder: Path) -> None:
    from transformers import (
        DacConfig,
        DacModel,
        DiaConfig,
        DiaDecoderConfig,
        DiaEncoderConfig,
        DiaFeatureExtractor,
        DiaForConditionalGeneration,
        DiaTokenizer,
    )

    heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8, "num_hidden_layers": 1}
    config = DiaConfig(
        encoder_config=DiaEncoderConfig(hidden_size=16, intermediate_size=16, **heads),
        decoder_config=DiaDecoderConfig(
            hidden_size=16, intermediate_size=16, cross_num_attention_heads=2, cross_head_dim=8,
            cross_num_key_value_heads=1, cross_hidden_size=16, **heads,
        ),
    )  # fmt: skip
    DiaForConditionalGeneration(config).save_pretrained(folder)
    DiaTokenizer().save_pretrained(folder)
    DiaFeatureExtractor(sampling_rate=80, hop_length=4).save_pretrained(folder)
    codec = DacConfig(
        encoder_hidden_size=4, decoder_hidden_size=8, downsampling_ratios=[2, 2], upsampling_ratios=[2, 2],
        n_codebooks=9, codebook_dim=2, hidden_size=16, sampling_rate=80,
    )  # fmt: skip
    DacModel(codec).save_pretrained(folder / "dac")


def kokoro(folder: Path) -> None:
    """A graph with Kokoro's inputs whose sound is sin((mean of tokens + style) * speed), written as ONNX protobuf by
    hand: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto."""

    def varint(n: int) -> bytes:
        return bytes([n]) if n < 128 else bytes([n & 127 | 128]) + varint(n >> 7)

    def field(number: int, value: int | str | bytes) -> bytes:
        if isinstance(value, int):
            return varint(number << 3) + varint(value)
        data = value.encode() if isinstance(value, str) else value
        return varint(number << 3 | 2) + varint(len(data)) + data

    def node(kind: str, inputs: list[str], output: str, attribute: bytes = b"") -> bytes:
        names = b"".join(field(1, i) for i in inputs) + field(2, output) + field(4, kind)
        return field(1, names + (field(5, attribute) if attribute else b""))

    def tensor(name: str, kind: int, shape: list[int | str]) -> bytes:
        dims = b"".join(field(1, field(1 if isinstance(d, int) else 2, d)) for d in shape)
        return field(1, name) + field(2, field(1, field(1, kind) + field(2, dims)))

    def number(name: str, value: int) -> bytes:
        return field(1, name) + field(3, value) + field(20, 2)

    graph = (
        node("Cast", ["input_ids"], "ids", number("to", 1))
        + node("ReduceMean", ["ids"], "mean", number("keepdims", 1))
        + node("Add", ["mean", "style"], "phase")
        + node("Mul", ["phase", "speed"], "paced")
        + node("Sin", ["paced"], "waveform")
        + field(2, "kokoro")
        + field(11, tensor("input_ids", 7, [1, "n"]))
        + field(11, tensor("style", 1, [1, 256]))
        + field(11, tensor("speed", 1, [1]))
        + field(12, tensor("waveform", 1, [1, 256]))
    )
    (folder / "onnx").mkdir()
    (folder / "voices").mkdir()
    (folder / "onnx" / "model.onnx").write_bytes(field(1, 9) + field(8, field(2, 17)) + field(7, graph))
    for i, name in enumerate(("af_one", "am_two")):
        np.random.default_rng(i).normal(size=(100, 256)).astype("<f4").tofile(folder / "voices" / f"{name}.bin")
    (folder / "config.json").write_text('{"model_type": "style_text_to_speech_2"}')


def stable_audio(folder: Path) -> None:
    from diffusers import (
        AutoencoderOobleck,
        EDMDPMSolverMultistepScheduler,
        StableAudioDiTModel,
        StableAudioPipeline,
        StableAudioProjectionModel,
    )
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, T5Config, T5EncoderModel

    words = Tokenizer(models.WordLevel({"<pad>": 0, "<unk>": 1, "a": 2, "siren": 3}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    pipe = StableAudioPipeline(
        vae=AutoencoderOobleck(
            encoder_hidden_size=6, downsampling_ratios=[1, 2], decoder_channels=3, decoder_input_channels=3,
            audio_channels=2, channel_multiples=[2, 4], sampling_rate=100,
        ),
        text_encoder=T5EncoderModel(T5Config(vocab_size=8, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2)),
        projection_model=StableAudioProjectionModel(text_encoder_dim=16, conditioning_dim=16, min_value=0, max_value=32),
        tokenizer=PreTrainedTokenizerFast(
            tokenizer_object=words, pad_token="<pad>", unk_token="<unk>", model_max_length=8
        ),
        transformer=StableAudioDiTModel(
            sample_size=64, in_channels=3, num_layers=1, attention_head_dim=4, num_attention_heads=2,
            num_key_value_attention_heads=2, out_channels=3, cross_attention_dim=16, time_proj_dim=8,
            global_states_input_dim=32, cross_attention_input_dim=16,
        ),
        scheduler=EDMDPMSolverMultistepScheduler(solver_order=2, prediction_type="v_prediction", sigma_data=1.0),
    )  # fmt: skip
    pipe.save_pretrained(folder, safe_serialization=True)
    index = (folder / "model_index.json").read_text()  # as the published checkpoint says, which needs torchsde
    (folder / "model_index.json").write_text(index.replace("EDMDPM", "CosineDPM"))


def play(folder: Path, control: Control | None = None, **values: object):
    request = FullSoundRequest(**{"folder": str(folder), "prompt": "hello there", **values})
    *steps, result = full_sound.generate(request, control or Control())
    return steps, result


@pytest.fixture(scope="module", params=[vits, speecht5, dia, kokoro], ids=lambda f: f.__name__)
def voice(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch

    folder = tmp_path_factory.mktemp(request.param.__name__)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        request.param(folder)
    return folder


def test_a_voice_speaks_the_same_for_the_same_seed(voice: Path):
    first, again, other = (play(voice, seed=s)[1].waveform for s in (1, 1, 2))
    assert len(first) > 0 and np.abs(first).max() <= 1
    assert np.array_equal(first, again)
    assert first.shape != other.shape or not np.array_equal(first, other)


@pytest.fixture(scope="module")
def denoiser(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch

    folder = tmp_path_factory.mktemp("stable-audio")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        stable_audio(folder)
    return folder


def test_stable_audio_counts_its_steps_and_keeps_its_length(denoiser: Path):
    steps, result = play(denoiser, prompt="a siren", num_inference_steps=3, seconds=0.5, guidance_scale=3.0)
    assert [s.index for s in steps if s.phase == "denoise"] == [1, 2, 3]
    assert result.sample_rate == 100 and result.waveform.shape[1] == 2 and result.complete
    assert len(result.waveform) == 50


def test_stop_ends_a_pipeline_within_a_step(denoiser: Path):
    control = Control()
    control.stop()
    with pytest.raises(Unavailable):
        play(denoiser, control, prompt="a siren", num_inference_steps=50, seconds=0.5)


def test_what_cannot_run_is_one_sentence(tmp_path: Path, denoiser: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(Unavailable):
        play(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(BadRequest) as caught:
        play(tmp_path)
    assert "bert" in str(caught.value) and "vits" in str(caught.value)
    full_sound.shelf.clear()
    monkeypatch.setenv("LAB_MEMORY_MB", "1")
    with pytest.raises(DoesNotFit):
        play(denoiser)


@pytest.fixture
def endpoint():
    """A speech endpoint that answers what it is told to; yields (address, told, seen)."""
    told: dict = {"status": 200, "body": b""}
    seen: list = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            seen.append((self.path, self.headers["authorization"], body))
            self.send_response(told["status"])
            self.send_header("content-type", "audio/wav")
            self.end_headers()
            self.wfile.write(told["body"])

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1", told, seen
    server.shutdown()


def test_remote_speech_and_its_faults(endpoint):
    import soundfile

    url, told, seen = endpoint
    out = io.BytesIO()
    soundfile.write(out, 0.3 * np.sin(np.arange(24_000) * 0.1), 24_000, format="WAV")
    told["body"] = out.getvalue()
    request = RemoteSpeechRequest(base_url=url, name="m", voice="v", text="Hello.", key=keep_key("secret-key"))
    result = list(remote.generate(request, Control()))[-1]
    assert result.waveform.shape == (24_000, 1) and result.sample_rate == 24_000
    path, key, body = seen[0]
    assert path.endswith("/audio/speech") and key == "Bearer secret-key"
    assert body["input"] == "Hello." and body["voice"] == "v"
    assert "secret-key" not in repr(request.to_dict())
    told["body"] = b"not a sound"
    with pytest.raises(Unavailable):
        list(remote.generate(request, Control()))
    told["status"] = 401
    with pytest.raises(Unavailable) as caught:
        list(remote.generate(request, Control()))
    assert "not a sound" not in str(caught.value)


def test_remote_speech_needs_text_and_names():
    with pytest.raises(BadRequest):
        RemoteSpeechRequest(name="m", text=" ")
    with pytest.raises(BadRequest):
        RemoteSpeechRequest(name="", text="Hello.")
