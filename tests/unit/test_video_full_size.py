"""Full-size video pipelines on tiny random weights: load, steps, stop, clip, what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from core import provenance
from core.diffusion import full_size as loader
from core.errors import BadRequest
from core.pipeline import Control
from core.video import full_size
from core.video.full_size import FullVideoRequest
from tests.unit.test_diffusion_full_size import _clip, _vae, _vocabulary


def _t5():
    """A T5 encoder 16 wide and its tokenizer of single letters."""
    from transformers import T5Config, T5EncoderModel, T5Tokenizer

    letters = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -9.0), ("▁", -2.0), *[(chr(c), -3.0) for c in range(33, 127)]]
    config = T5Config(vocab_size=200, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
    return T5EncoderModel(config).eval(), T5Tokenizer(vocab=letters, extra_ids=0, model_max_length=32)


def cogvideox(_):
    from diffusers import (
        AutoencoderKLCogVideoX,
        CogVideoXDDIMScheduler,
        CogVideoXPipeline,
        CogVideoXTransformer3DModel,
    )

    text, words = _t5()
    vae = AutoencoderKLCogVideoX(
        block_out_channels=(8, 8, 8, 8), latent_channels=4, layers_per_block=1, norm_num_groups=2,
        down_block_types=("CogVideoXDownBlock3D",) * 4, up_block_types=("CogVideoXUpBlock3D",) * 4,
        temporal_compression_ratio=4,
    )  # fmt: skip
    net = CogVideoXTransformer3DModel(
        num_attention_heads=2, attention_head_dim=16, in_channels=4, out_channels=4, time_embed_dim=4,
        text_embed_dim=16, num_layers=1, sample_width=4, sample_height=4, sample_frames=9, max_text_seq_length=226,
    )  # fmt: skip
    return CogVideoXPipeline(words, text, vae, net, CogVideoXDDIMScheduler())


def wan(_):
    from diffusers import AutoencoderKLWan, FlowMatchEulerDiscreteScheduler, WanPipeline, WanTransformer3DModel
    from transformers import UMT5Config, UMT5EncoderModel

    text = UMT5EncoderModel(UMT5Config(vocab_size=200, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2)).eval()
    vae = AutoencoderKLWan(base_dim=4, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1)
    net = WanTransformer3DModel(
        num_attention_heads=2, attention_head_dim=12, text_dim=16, freq_dim=16, ffn_dim=16, num_layers=1,
    )  # fmt: skip
    return WanPipeline(
        tokenizer=_t5()[1], text_encoder=text, vae=vae, scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        transformer=net,
    )  # fmt: skip


def ltx(_):
    from diffusers import (
        AutoencoderKLLTXVideo,
        FlowMatchEulerDiscreteScheduler,
        LTXPipeline,
        LTXVideoTransformer3DModel,
    )

    text, words = _t5()
    vae = AutoencoderKLLTXVideo(
        latent_channels=8, block_out_channels=(8, 8, 8, 8), decoder_block_out_channels=(8, 8, 8, 8),
        layers_per_block=(1, 1, 1, 1, 1), decoder_layers_per_block=(1, 1, 1, 1, 1),
    )  # fmt: skip
    net = LTXVideoTransformer3DModel(
        in_channels=8, out_channels=8, num_attention_heads=2, attention_head_dim=8, cross_attention_dim=16,
        num_layers=1, caption_channels=16,
    )  # fmt: skip
    return LTXPipeline(FlowMatchEulerDiscreteScheduler(), vae, text, words, net)


def mochi(_):
    from diffusers import AutoencoderKLMochi, FlowMatchEulerDiscreteScheduler, MochiPipeline, MochiTransformer3DModel

    text, words = _t5()
    vae = AutoencoderKLMochi(
        latent_channels=12, encoder_block_out_channels=(32, 32, 32, 32), decoder_block_out_channels=(32, 32, 32, 32),
        layers_per_block=(1, 1, 1, 1, 1),
    )  # fmt: skip
    net = MochiTransformer3DModel(
        num_attention_heads=2, attention_head_dim=8, num_layers=2, pooled_projection_dim=16, text_embed_dim=16,
        time_embed_dim=4,
    )  # fmt: skip
    return MochiPipeline(FlowMatchEulerDiscreteScheduler(), vae, text, words, net)


def hunyuan(path):
    """Two text encoders: a Llama that reads the caption inside a template of 95 tokens, and CLIP."""
    from diffusers import (
        AutoencoderKLHunyuanVideo,
        FlowMatchEulerDiscreteScheduler,
        HunyuanVideoPipeline,
        HunyuanVideoTransformer3DModel,
    )
    from diffusers.pipelines.hunyuan_video.pipeline_hunyuan_video import DEFAULT_PROMPT_TEMPLATE
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import CLIPTextConfig, CLIPTextModel, LlamaConfig, LlamaModel, PreTrainedTokenizerFast

    split = pre_tokenizers.Whitespace()  # the template is 99 such pieces before the caption, its crop 95
    pieces = [piece for piece, _ in split.pre_tokenize_str(DEFAULT_PROMPT_TEMPLATE["template"].format("a cat dog"))]
    numbers = {piece: i for i, piece in enumerate(dict.fromkeys(["<pad>", "<unk>", *pieces]))}
    words = Tokenizer(models.WordLevel(numbers, unk_token="<unk>"))
    words.pre_tokenizer = split
    llama = LlamaConfig(
        vocab_size=200, hidden_size=16, intermediate_size=16, num_hidden_layers=3, num_attention_heads=2, head_dim=8
    )
    clip = CLIPTextConfig(
        vocab_size=200, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        bos_token_id=0, eos_token_id=1, pad_token_id=1,
    )  # fmt: skip
    vae = AutoencoderKLHunyuanVideo(
        latent_channels=4, block_out_channels=(8, 8, 8, 8), layers_per_block=1, norm_num_groups=2,
        mid_block_add_attention=False,
    )  # fmt: skip
    net = HunyuanVideoTransformer3DModel(
        in_channels=4, out_channels=4, num_attention_heads=2, attention_head_dim=12, num_layers=1, num_single_layers=1,
        num_refiner_layers=1, text_embed_dim=16, pooled_projection_dim=16, rope_axes_dim=(4, 4, 4),
    )  # fmt: skip
    return HunyuanVideoPipeline(
        text_encoder=LlamaModel(llama).eval(),
        tokenizer=PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", unk_token="<unk>"),
        transformer=net,
        vae=vae,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=7.0),
        text_encoder_2=CLIPTextModel(clip).eval(),
        tokenizer_2=_vocabulary(path),
    )


def latte(_):
    from diffusers import DDIMScheduler, LattePipeline, LatteTransformer3DModel

    text, words = _t5()
    net = LatteTransformer3DModel(
        num_attention_heads=2, attention_head_dim=8, in_channels=4, out_channels=8, num_layers=1, sample_size=8,
        patch_size=2, caption_channels=16, norm_type="ada_norm_single", attention_bias=True, num_embeds_ada_norm=1000,
        cross_attention_dim=16, norm_elementwise_affine=False,
    )  # fmt: skip
    return LattePipeline(words, text, _vae(4), net, DDIMScheduler())


def animatediff(path):
    from diffusers import AnimateDiffPipeline, DDIMScheduler, MotionAdapter, UNet2DConditionModel

    unet = UNet2DConditionModel(
        sample_size=8, block_out_channels=(8, 8), layers_per_block=1, norm_num_groups=2, cross_attention_dim=16,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
    )  # fmt: skip
    motion = MotionAdapter(
        block_out_channels=(8, 8), motion_layers_per_block=1, motion_norm_num_groups=2, motion_num_attention_heads=2
    )
    return AnimateDiffPipeline(_vae(4), _clip(), _vocabulary(path), unet, motion, DDIMScheduler())


@pytest.fixture
def room(monkeypatch):
    monkeypatch.setenv("LAB_MEMORY_MB", "20000")
    yield
    loader.shelf.clear()


@pytest.mark.parametrize("build", [cogvideox, wan, ltx, hunyuan, mochi, latte, animatediff])
def test_each_architecture_goes_the_whole_path(build, tmp_path, room):
    import torch

    torch.manual_seed(0)
    folder = tmp_path / "model"
    build(tmp_path / "words").save_pretrained(folder)
    size = {"width": 64, "height": 64} if build in (wan, ltx) else {"width": 32, "height": 32}
    request = FullVideoRequest(
        folder=str(folder), prompt="a cat", num_inference_steps=3, seed=4, frames=8, guidance_scale=2.0, **size
    )
    items = list(full_size.generate(request, Control()))
    result = items[-1]
    name = full_size.family(result.extras["pipeline"])
    assert [item.index for item in items[1:-1]] == [1, 2, 3]
    assert result.frames.shape == (full_size.packable(8, name), size["height"], size["width"], 3)
    assert result.frames.dtype == np.uint8 and result.fps == full_size.FAMILIES[name][0] and result.complete
    again = list(full_size.generate(request, Control()))[-1]
    assert np.array_equal(again.frames, result.frames)
    data = provenance.encode(result, ".mp4")
    assert provenance.read(data)["request"]["seed"] == 4
    control = Control()
    last = None
    for last in full_size.generate(request.replace(num_inference_steps=40), control):
        if last.__class__.__name__ == "Step" and last.index == 2:
            control.stop()
    assert last.steps_run < 40 and not last.complete


def test_hunyuan_reads_the_caption_behind_its_template(tmp_path):
    pipe = hunyuan(tmp_path / "words")
    cat, dog = (pipe.encode_prompt(words)[0] for words in ("a cat", "a dog"))
    changed = (cat != dog).any(2)[0]  # (tokens,), the template's 95 cut off
    assert changed.nonzero()[0].item() == 5 and cat.shape == (1, 256, 16)


@pytest.mark.parametrize(
    "name", ["StableDiffusionPipeline", "WanImageToVideoPipeline", "CogVideoXVideoToVideoPipeline"]
)
def test_pipelines_that_make_no_film_from_words_are_refused(name):
    with pytest.raises(BadRequest, match="from words alone"):
        full_size.family(name)


def test_frames_are_rounded_to_what_a_codec_packs():
    assert [full_size.packable(n, "LTX") for n in (1, 8, 16, 161)] == [1, 9, 17, 161]
    assert full_size.packable(8, "Latte") == 16 and full_size.packable(10, "AnimateDiff") == 10
    with pytest.raises(BadRequest, match="multiples of 16"):
        FullVideoRequest(width=100)
