"""Full-size pipelines on tiny random weights: load, steps, stop, picture; remote pictures against a server of our own."""

from __future__ import annotations

import base64
import http.server
import io
import json
import threading

import numpy as np
import pytest
from PIL import Image

from core import catalog, provenance
from core.diffusion import full_size
from core.diffusion.full_size import FullSizeRequest
from core.diffusion.remote import RemoteImageRequest
from core.errors import BadRequest, DoesNotFit, LabError, Unavailable
from core.pipeline import Control


def _vae(levels=2):
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=(8, 16, 16, 16)[:levels], down_block_types=["DownEncoderBlock2D"] * levels,
        up_block_types=["UpDecoderBlock2D"] * levels,
        latent_channels=4, norm_num_groups=4, layers_per_block=1, sample_size=32, shift_factor=0.0,
    )  # fmt: skip


def _vocabulary(path):
    """A tokenizer of single letters, in CLIP's form."""
    from transformers import CLIPTokenizer

    letters = [*map(chr, range(33, 127))]
    pieces = ["<|startoftext|>", "<|endoftext|>", *letters, *[f"{letter}</w>" for letter in letters]]
    path.mkdir(parents=True, exist_ok=True)
    (path / "vocab.json").write_text(json.dumps({piece: i for i, piece in enumerate(pieces)}))
    (path / "merges.txt").write_text("#version: 0.2\n")
    return CLIPTokenizer(str(path / "vocab.json"), str(path / "merges.txt"), model_max_length=16)


def _clip(projection=False):
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    config = CLIPTextConfig(
        vocab_size=200, hidden_size=16, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=16, bos_token_id=0, eos_token_id=1, pad_token_id=1, projection_dim=16,
    )  # fmt: skip
    return (CLIPTextModelWithProjection if projection else CLIPTextModel)(config).eval()


def stable_diffusion(path):
    from diffusers import DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel

    unet = UNet2DConditionModel(
        sample_size=16, block_out_channels=(8, 16), layers_per_block=1, norm_num_groups=4, attention_head_dim=2,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=16,
    )  # fmt: skip
    return StableDiffusionPipeline(
        vae=_vae(), text_encoder=_clip(), tokenizer=_vocabulary(path), unet=unet, scheduler=DDIMScheduler(),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip


def stable_diffusion_xl(path):
    from diffusers import EulerDiscreteScheduler, StableDiffusionXLPipeline, UNet2DConditionModel

    unet = UNet2DConditionModel(
        sample_size=16, block_out_channels=(8, 16), layers_per_block=1, norm_num_groups=4, attention_head_dim=2,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=32, addition_embed_type="text_time", addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=16 + 6 * 8,
    )  # fmt: skip
    words = _vocabulary(path)
    return StableDiffusionXLPipeline(
        vae=_vae(), text_encoder=_clip(), text_encoder_2=_clip(True), tokenizer=words, tokenizer_2=words, unet=unet,
        scheduler=EulerDiscreteScheduler(), add_watermarker=False,
    )  # fmt: skip


def stable_diffusion_3(path):
    from diffusers import FlowMatchEulerDiscreteScheduler, SD3Transformer2DModel, StableDiffusion3Pipeline

    transformer = SD3Transformer2DModel(
        sample_size=16, patch_size=2, in_channels=4, num_layers=1, attention_head_dim=8, num_attention_heads=2,
        caption_projection_dim=16, joint_attention_dim=32, pooled_projection_dim=32, out_channels=4,
    )  # fmt: skip
    words = _vocabulary(path)
    return StableDiffusion3Pipeline(
        vae=_vae(), text_encoder=_clip(True), text_encoder_2=_clip(True), text_encoder_3=None, tokenizer=words,
        tokenizer_2=words, tokenizer_3=None, transformer=transformer, scheduler=FlowMatchEulerDiscreteScheduler(),
    )  # fmt: skip


def _t5(chat=False):
    """A tiny T5 encoder with the pieces of ours."""
    from transformers import PreTrainedTokenizerFast, T5Config, T5EncoderModel

    words = PreTrainedTokenizerFast.from_pretrained(catalog.card("t5").folder / "tokenizer")
    config = T5Config(vocab_size=len(words), d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
    if chat:
        words.chat_template = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
    return words, T5EncoderModel(config).eval()


def _flow():
    from diffusers import FlowMatchEulerDiscreteScheduler

    return FlowMatchEulerDiscreteScheduler()


def pixart_sigma(_):
    from diffusers import DPMSolverMultistepScheduler, PixArtSigmaPipeline, PixArtTransformer2DModel

    words, encoder = _t5()
    transformer = PixArtTransformer2DModel(
        num_attention_heads=2, attention_head_dim=8, in_channels=4, out_channels=8, num_layers=1, cross_attention_dim=16,
        sample_size=32, patch_size=2, caption_channels=16, use_additional_conditions=False,
    )  # fmt: skip
    return PixArtSigmaPipeline(
        tokenizer=words, text_encoder=encoder, vae=_vae(4), transformer=transformer,
        scheduler=DPMSolverMultistepScheduler(),
    )  # fmt: skip


def flux(path):
    from diffusers import FluxPipeline, FluxTransformer2DModel

    words, encoder = _t5()
    transformer = FluxTransformer2DModel(
        patch_size=1, in_channels=16, num_layers=1, num_single_layers=1, attention_head_dim=16, num_attention_heads=2,
        joint_attention_dim=16, pooled_projection_dim=16, axes_dims_rope=(4, 4, 8), guidance_embeds=True,
    )  # fmt: skip
    return FluxPipeline(
        vae=_vae(), text_encoder=_clip(), tokenizer=_vocabulary(path), text_encoder_2=encoder, tokenizer_2=words,
        transformer=transformer, scheduler=_flow(),
    )  # fmt: skip


def sana(_):
    from diffusers import AutoencoderDC, SanaPipeline, SanaTransformer2DModel
    from transformers import Gemma2Config, Gemma2Model

    words, _ = _t5()
    encoder = Gemma2Model(
        Gemma2Config(
            vocab_size=len(words), hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
            num_key_value_heads=2, head_dim=8,
        )
    ).eval()  # fmt: skip
    vae = AutoencoderDC(
        latent_channels=4, attention_head_dim=2, encoder_block_out_channels=(4,) * 6, decoder_block_out_channels=(4,) * 6,
        encoder_block_types=("ResBlock",) * 6, decoder_block_types=("ResBlock",) * 6,
        encoder_layers_per_block=(1,) * 6, decoder_layers_per_block=(1,) * 6, encoder_qkv_multiscales=((),) * 6,
        decoder_qkv_multiscales=((),) * 6, scaling_factor=1.0,
    )  # fmt: skip
    transformer = SanaTransformer2DModel(
        in_channels=4, out_channels=4, num_attention_heads=2, attention_head_dim=8, num_layers=1,
        num_cross_attention_heads=2, cross_attention_head_dim=8, cross_attention_dim=16, caption_channels=16, sample_size=16,
    )  # fmt: skip
    return SanaPipeline(tokenizer=words, text_encoder=encoder, vae=vae, transformer=transformer, scheduler=_flow())


def z_image(_):
    from diffusers import ZImagePipeline, ZImageTransformer2DModel
    from transformers import Qwen3Config, Qwen3Model

    words, _ = _t5(chat=True)
    encoder = Qwen3Model(
        Qwen3Config(
            vocab_size=len(words), hidden_size=16, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2,
            num_key_value_heads=2, head_dim=8,
        )
    ).eval()  # fmt: skip
    transformer = ZImageTransformer2DModel(
        in_channels=4, dim=32, n_layers=1, n_refiner_layers=1, n_heads=2, n_kv_heads=2, cap_feat_dim=16,
        axes_dims=[4, 4, 8], axes_lens=[256, 32, 32],
    )  # fmt: skip
    return ZImagePipeline(scheduler=_flow(), vae=_vae(), text_encoder=encoder, tokenizer=words, transformer=transformer)


ARCHITECTURES = [
    # builder, side asked for (0: its own, where a pipeline knows only certain sizes), side of the picture
    (stable_diffusion, 32, 32), (stable_diffusion_xl, 32, 32), (stable_diffusion_3, 32, 32), (flux, 32, 32),
    (z_image, 32, 32), (pixart_sigma, 0, 256), (sana, 0, 1024),
]  # fmt: skip


@pytest.fixture
def room(monkeypatch):
    monkeypatch.setenv("LAB_MEMORY_MB", "20000")
    yield
    full_size.shelf.clear()


@pytest.mark.parametrize(("build", "asked", "side"), ARCHITECTURES, ids=lambda x: getattr(x, "__name__", str(x)))
def test_each_architecture_goes_the_whole_path(build, asked, side, tmp_path, room):
    import torch

    torch.manual_seed(0)
    folder = tmp_path / "model"
    build(tmp_path / "words").save_pretrained(folder)
    request = FullSizeRequest(
        folder=str(folder),
        prompt="red hair",
        num_inference_steps=3,
        seed=4,
        width=asked,
        height=asked,
        guidance_scale=2.0,
    )
    items = list(full_size.generate(request, Control()))
    result = items[-1]
    assert [item.index for item in items[1:-1]] == [1, 2, 3]
    assert result.images.shape == (1, side, side, 3) and result.steps_run == 3 and result.complete
    assert result.extras["pipeline"] == type(full_size.open_pipeline(str(folder))).__name__
    assert result.images.std() > 0
    meta = provenance.read(provenance.encode(result, ".png"))
    assert meta["ai_generated"] and provenance.restore(meta) == request
    again = list(full_size.generate(request, Control()))[-1]
    assert np.array_equal(again.images, result.images)
    control = Control()
    last = None
    for last in full_size.generate(request.replace(num_inference_steps=40), control):
        if last.__class__.__name__ == "Step" and last.index == 2:
            control.stop()
    assert last.steps_run < 40 and not last.complete


def test_what_cannot_be_loaded_gets_a_sentence(tmp_path, monkeypatch):
    with pytest.raises(Unavailable, match=r"model_index\.json"):
        full_size.open_pipeline(str(tmp_path))
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "X", "unet": ["my_code", "Net"]}))
    with pytest.raises(BadRequest, match="not run here"):
        full_size.open_pipeline(str(tmp_path))
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "StableDiffusionPipeline"}))
    header = json.dumps({"x": {"dtype": "F16", "shape": [1], "data_offsets": [0, 2]}}).encode()
    with (tmp_path / "x.safetensors").open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(3_000_000_000)  # a hole: nothing is read before the size is judged
    monkeypatch.setenv("LAB_MEMORY_MB", "690")
    with pytest.raises(DoesNotFit, match="LAB_MEMORY_MB"):
        full_size.open_pipeline(str(tmp_path))
    with pytest.raises(BadRequest, match="multiples of 8"):
        FullSizeRequest(width=100)


@pytest.fixture
def endpoint():
    """An images endpoint that answers as it is told."""
    told = {"status": 200, "body": b""}
    seen = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            seen.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(told["status"])
            self.send_header("content-type", "application/json")
            self.end_headers()
            self.wfile.write(told["body"])

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1", told, seen
    server.shutdown()


def test_a_remote_picture_and_its_faults(endpoint):
    from core.diffusion.remote import generate

    url, told, seen = endpoint
    out = io.BytesIO()
    Image.new("RGB", (8, 8), (10, 20, 30)).save(out, "PNG")
    told["body"] = json.dumps(
        {"created": 1, "data": [{"b64_json": base64.b64encode(out.getvalue()).decode()}]}
    ).encode()
    request = RemoteImageRequest(base_url=url, name="m", prompt="red hair", size="512x512")
    result = list(generate(request, Control()))[-1]
    assert result.images[0, 0, 0].tolist() == [10, 20, 30]
    assert seen[0]["prompt"] == "red hair" and seen[0]["size"] == "512x512"
    for status, body, words in (
        (401, b"{}", "key"),
        (200, b'{"data": []}', "no answer"),
        (200, b"{", "answer|cannot be reached|fault"),
    ):
        told.update(status=status, body=body)
        with pytest.raises(LabError, match=words):
            list(generate(request, Control()))
    with pytest.raises(BadRequest):
        RemoteImageRequest(base_url="ftp://x", name="m", prompt="p")
