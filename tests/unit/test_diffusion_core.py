"""Diffusion: the same bytes as the stock pipeline, whatever else is recorded, branched or guided around it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from core.diffusion import score
from core.diffusion.forward import FORWARD_SCHEDULES, add_noise, forward_schedule, snr_db
from core.diffusion.request import GUIDERS, DiffusionRequest
from core.errors import BadRequest, Unavailable
from core.pipeline import Control

PROMPT = "a portrait of a man with red hair"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A StableDiffusionPipeline of tiny random weights, saved as diffusers saves it."""
    import torch
    from diffusers import AutoencoderTiny, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    path = tmp_path_factory.mktemp("tiny-diffusion")
    letters = [*map(chr, range(33, 127))]
    words = ["a", "portrait", "of", "man", "with", "red", "blue", "hair", "no", "glasses"]
    vocab: dict[str, int] = {}
    merges = []
    for piece in ["<|startoftext|>", "<|endoftext|>", *letters, *[f"{letter}</w>" for letter in letters]]:
        vocab.setdefault(piece, len(vocab))
    for word in words:
        so_far = word[0]
        for i, letter in enumerate(word[1:], 1):
            following = letter + ("</w>" if i == len(word) - 1 else "")
            merges.append(f"{so_far} {following}")
            so_far += following
            vocab.setdefault(so_far, len(vocab))
    (path / "vocab.json").write_text(json.dumps(vocab))
    (path / "merges.txt").write_text("#version: 0.2\n" + "\n".join(dict.fromkeys(merges)) + "\n")
    tokenizer = CLIPTokenizer(str(path / "vocab.json"), str(path / "merges.txt"), model_max_length=16)
    torch.manual_seed(0)
    text_encoder = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(vocab), hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
            max_position_embeddings=16, bos_token_id=0, eos_token_id=1, pad_token_id=1,
        )
    )  # fmt: skip
    vae = AutoencoderTiny(
        encoder_block_out_channels=(8, 8, 8), decoder_block_out_channels=(8, 8, 8), num_encoder_blocks=(0, 1, 1),
        num_decoder_blocks=(1, 1, 0), latent_channels=4, upsampling_scaling_factor=2, scaling_factor=1.0,
    )  # fmt: skip
    unet = UNet2DConditionModel(
        sample_size=8, block_out_channels=(8, 16), layers_per_block=1, norm_num_groups=4, attention_head_dim=2,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=16,
    )  # fmt: skip
    scheduler = DDIMScheduler(
        beta_schedule="scaled_linear", clip_sample=False, set_alpha_to_one=False, prediction_type="v_prediction",
        timestep_spacing="trailing",
    )  # fmt: skip
    StableDiffusionPipeline(
        vae=vae, text_encoder=text_encoder, tokenizer=tokenizer, unet=unet, scheduler=scheduler, safety_checker=None,
        feature_extractor=None, requires_safety_checker=False,
    ).save_pretrained(path / "model")  # fmt: skip
    return path / "model"


@pytest.fixture(scope="module")
def model(folder):
    from core.diffusion.load import load_folder

    return load_folder(folder)


def run(model, **settings):
    from core.diffusion.sample import generate

    settings = {"prompt": PROMPT, "seed": 3, "num_inference_steps": 4, **settings}
    return list(generate(DiffusionRequest(**settings), Control(), model))[-1]


def far(a, b) -> int:
    return int(np.abs(a.images.astype(int) - b.images.astype(int)).max())


@pytest.mark.parametrize("name", ["model", "Euler ancestral"])
def test_same_bytes_as_the_stock_pipeline(folder, model, name):
    import torch
    from diffusers import DiffusionPipeline, EulerAncestralDiscreteScheduler

    pipe = DiffusionPipeline.from_pretrained(str(folder))
    pipe.set_progress_bar_config(disable=True)
    if name != "model":
        pipe.scheduler = EulerAncestralDiscreteScheduler.from_config(pipe.scheduler.config)
    stock = pipe(
        PROMPT, negative_prompt="glasses", num_inference_steps=4, guidance_scale=4.0, output_type="np",
        generator=torch.Generator("cpu").manual_seed(3),
    ).images[0]  # fmt: skip
    expected = (stock * 255).round().astype(np.uint8)
    settings = {"scheduler": name, "guidance_scale": 4.0, "negative_prompt": "glasses"}
    assert np.array_equal(run(model, **settings).images[0], expected)
    assert np.array_equal(run(model, **settings, record=True).images[0], expected)


def test_sample_two_can_be_made_alone(model):
    both = run(model, count=2)
    alone = run(model, seed=4)
    assert both.seeds == [3, 4] and not np.array_equal(both.images[0], both.images[1])
    assert np.array_equal(both.images[1], alone.images[0])


@pytest.mark.parametrize(("name", "most"), [("DDIM", 0), ("Euler", 1), ("Heun", 1)])
def test_a_branch_without_a_change_ends_at_the_same_picture(model, name, most):
    whole = run(model, scheduler=name, record=True)
    record = whole.extras["records"][0]
    at = 2 * (2 if name == "Heun" else 1)
    again = run(model, scheduler=name, latents=record["x"][at].tobytes(), start_time=float(record["times"][at]))
    assert far(whole, again) <= most
    assert again.steps_run == len(record["times"]) - at


def test_the_record_holds_together(model):
    record = run(model, record=True, guidance_scale=5.0).extras["records"][0]
    x, x0, eps = record["x"], record["x0"], record["eps"]
    alpha, sigma = record["alpha"][:, None, None, None], record["sigma"][:, None, None, None]
    assert np.allclose(x, alpha * x0 + sigma * eps, atol=1e-4)
    assert np.allclose(eps, record["uncond"] + 5.0 * (record["cond"] - record["uncond"]), atol=1e-3)
    steps, layers, tokens, h, w = record["attention"].shape
    assert (steps, layers, tokens, h, w) == (4, len(record["layers"]), 16, 8, 8)
    assert np.allclose(record["attention"].astype(np.float32).sum(2), 1.0, atol=0.02)
    assert record["x0_pictures"].shape == (4, 32, 32, 3)


def test_stopping_keeps_the_true_number_of_steps(model):
    from core.diffusion.sample import generate

    control = Control()
    request = DiffusionRequest(prompt=PROMPT, num_inference_steps=10, count=3)
    result = None
    for item in generate(request, control, model):
        if getattr(item, "index", 0) == 2:
            control.stop()
        result = item
    assert result.steps_run == 2 and len(result.images) == 1 and not result.complete


def test_every_guider_runs_and_guidance_has_its_meaning(model):
    plain = run(model, guidance_scale=1.0)
    assert plain.model_calls == 4
    empty = run(model, prompt="", guidance_scale=1.0)
    assert far(run(model, guidance_scale=0.0), empty) == 0  # w = 0: the prompt has no say
    pictures = {}
    for name in GUIDERS:
        result = run(model, guider=name, guidance_scale=6.0, record=True)
        pictures[name] = result.images.tobytes()
        assert result.model_calls > 4
    assert len(set(pictures.values())) >= len(GUIDERS) - 2
    inside = run(model, guidance_scale=6.0, guidance_start=0.25, guidance_stop=0.75)
    assert inside.model_calls == 6  # two of four steps are guided


def test_watching_one_run_leaves_no_trace_on_the_next(model):
    before = run(model, guidance_scale=6.0)
    run(model, guider="perturbed attention", guidance_scale=6.0)
    run(model, guider="autoguidance", guidance_scale=6.0)
    assert far(before, run(model, guidance_scale=6.0)) == 0


def test_image_to_image_and_inpainting(model):
    import torch

    from core.diffusion.pictures import png, to_tensor

    given = np.random.default_rng(0).integers(0, 255, (32, 32, 3)).astype(np.uint8)
    half = run(model, image=png(given), strength=0.5)
    assert half.steps_run == 2
    black, white = png(np.zeros((32, 32), np.uint8)), png(np.full((32, 32), 255, np.uint8))
    kept = run(model, image=png(given), mask=black, strength=1.0)
    with torch.no_grad():
        there_and_back = model.decode(model.encode(to_tensor(given)))[0].permute(1, 2, 0).numpy()
    expected = (np.clip(there_and_back / 2 + 0.5, 0, 1) * 255).round()
    assert np.abs(kept.images[0].astype(int) - expected).max() <= 1
    assert far(run(model, image=png(given), mask=white, strength=1.0), run(model)) == 0


def test_prompt_mix_and_noise_circle_end_where_they_should(model):
    assert far(run(model, prompt_to="blue hair", prompt_mix=1.0), run(model, prompt="blue hair")) <= 1
    assert far(run(model, seed_to=8, noise_angle=90.0), run(model, seed=8)) <= 1
    assert far(run(model, noise_angle=360.0), run(model)) <= 1


def test_words_weights_and_what_is_cut(model):
    from core.diffusion import text

    assert text.unknown_words(model, "a portrait of xyzzy, red hair") == ["xyzzy"]
    assert text.pieces(model, "a red hair") == ["a", "red", "hair"]
    assert text.too_long(model, "a " * 40) == 40 - 14
    plain, _ = text.encode(model, "red hair")
    heavy, _ = text.encode(model, "(red:1.5) hair")
    gap = (heavy - plain).abs().sum(-1)[0]
    assert gap[1] > 0 and float(gap[2:].max()) == 0  # only the weighted word moves
    with pytest.raises(BadRequest, match="from 0 to 3"):
        text.encode(model, "(red:9) hair")
    run(model, prompt="👩‍🎤 портрет 肖像 " * 10, num_inference_steps=1)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"guidance_scale": float("nan")}, "guidance_scale"),
        ({"num_inference_steps": 0}, "num_inference_steps"),
        ({"prompt": "x" * 601}, "shorten"),
        ({"mask": b"x"}, "needs a picture"),
        ({"guidance_start": 0.5, "guidance_stop": 0.4}, "ends before it begins"),
    ],
)
def test_a_bad_request_gets_a_sentence(settings, words):
    with pytest.raises(BadRequest, match=words):
        DiffusionRequest(**settings)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"image": b"no picture"}, "no picture that can be read"),
        ({"latents": b"1234"}, "another model"),
        ({"scheduler": "Flow Euler"}, "does not fit"),
    ],
)
def test_what_only_the_model_can_judge_gets_a_sentence(model, settings, words):
    with pytest.raises(BadRequest, match=words):
        run(model, **settings)


def test_broken_and_missing_folders(folder, tmp_path):
    import shutil

    from core.diffusion.load import load_folder

    with pytest.raises(Unavailable, match=r"model_index\.json"):
        load_folder(tmp_path)
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    (copy / "unet" / "diffusion_pytorch_model.safetensors").write_bytes(b"broken")
    with pytest.raises(Unavailable, match="cannot be read"):
        load_folder(copy)
    index = json.loads((copy / "model_index.json").read_text())
    (copy / "model_index.json").write_text(json.dumps({**index, "unet": ["os", "system"]}))
    with pytest.raises(Unavailable, match="not allowed"):  # no code of the folder's choice is run
        load_folder(copy)


def test_a_flow_transformer_goes_through_the_same_request():
    import torch
    from diffusers import FlowMatchEulerDiscreteScheduler, PixArtTransformer2DModel

    from core.diffusion import attention
    from core.diffusion.load import Diffusion
    from core.diffusion.sample import generate

    torch.manual_seed(0)
    denoiser = PixArtTransformer2DModel(
        num_attention_heads=2, attention_head_dim=8, in_channels=3, out_channels=3, num_layers=1, cross_attention_dim=16,
        sample_size=8, patch_size=2, caption_channels=16, use_additional_conditions=False,
    ).eval()  # fmt: skip

    class Words:
        model_max_length = 4

        def __call__(self, prompt, **_):
            return type(
                "Batch", (), {"input_ids": torch.zeros(1, 4, dtype=torch.long), "attention_mask": torch.ones(1, 4)}
            )

        def tokenize(self, prompt):
            return prompt.split()

        def convert_tokens_to_string(self, tokens):
            return " ".join(tokens)

        unk_token = eos_token = "</s>"

    class T5Stand(torch.nn.Module):
        config = type("Config", (), {})()

        def forward(self, ids, attention_mask=None):
            return (torch.ones(1, 4, 16),)

    model = Diffusion(
        folder=None,
        denoiser=denoiser,
        scheduler=FlowMatchEulerDiscreteScheduler(),
        text_encoder=T5Stand(),
        tokenizer=Words(),
    )
    model.extras["layers"] = attention.install(denoiser)
    settings = {"prompt": "red hair", "num_inference_steps": 3, "record": True}
    result = list(generate(DiffusionRequest(**settings), Control(), model))[-1]
    record = result.extras["records"][0]
    sigma = record["sigma"][:, None, None, None]
    assert np.allclose(record["x"], (1 - sigma) * record["x0"] + sigma * record["eps"], atol=1e-4)
    at = record["x"][1].tobytes()
    again = list(
        generate(DiffusionRequest(**settings, latents=at, start_time=float(record["times"][1])), Control(), model)
    )[-1]
    assert far(result, again) <= 1
    heun = list(generate(DiffusionRequest(**settings, scheduler="Flow Heun"), Control(), model))[-1]
    assert heun.model_calls > result.model_calls


def test_levels_take_apart_and_put_together():
    import torch
    from diffusers import DDIMScheduler, FlowMatchEulerDiscreteScheduler

    from core.diffusion.schedule import Levels

    schedulers = [DDIMScheduler(prediction_type=kind) for kind in ("epsilon", "v_prediction", "sample")]
    x, output = torch.randn(2, 1, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    for scheduler in [*schedulers, FlowMatchEulerDiscreteScheduler()]:
        levels = Levels(scheduler)
        for t in (20.0, 500.5, 900.0):
            x0, eps = levels.split(output, x, t)
            assert torch.allclose(levels.mix(x0, eps, t), x, atol=1e-4)
            assert torch.allclose(levels.join(x0, x, t), output, atol=1e-3)


@pytest.mark.parametrize("name", FORWARD_SCHEDULES)
def test_forward_schedules_run_from_picture_to_noise(name):
    alpha, sigma = forward_schedule(name)
    assert alpha[0] == 1 and sigma[0] == 0 and alpha[-1] < 0.08 and sigma[-1] > 0.99
    assert np.all(np.diff(snr_db(alpha, sigma)) <= 1e-9)
    if name != "rectified flow":
        assert np.allclose(alpha**2 + sigma**2, 1)
    picture = np.full((8, 8, 3), 200, np.uint8)
    assert np.array_equal(add_noise(picture, 1.0, 0.0, 0), picture)


def test_prompts_are_read_as_they_are_meant():
    assert score.named("a toon head character with long grey hair, no glasses and a sad mouth, yellow background") == {
        "style": "toon-head", "background": "yellow", "hair": "long", "hair_color": "grey", "glasses": False, "mouth": "sad",
    }  # fmt: skip
    assert score.named("a pink bob on mint green, clean-shaven") == {
        "background": "mint green", "hair": "bob", "hair_color": "pink", "beard": False,
    }  # fmt: skip
    assert score.named("an astronaut riding a horse") == {}


def test_figures_of_sets_of_pictures():
    grey, red = np.full((2, 4, 4, 3), 128, np.uint8), np.zeros((2, 4, 4, 3), np.uint8)
    red[..., 0] = 255
    assert score.saturation(grey).tolist() == [0, 0] and score.saturation(red).tolist() == [1, 1]
    assert score.clipped(red).tolist() == [1, 1] and score.spread(grey) == 0
    assert score.spread(np.stack([grey[0], grey[0] + 10])) == pytest.approx(10)
    rng = np.random.default_rng(0)
    value, low, high = score.spread_with_band(rng.integers(0, 256, (6, 4, 4, 3), dtype=np.uint8))
    assert low <= value <= high and low > 50  # repeats in a draw do not count as pairs without distance


def test_real_portraits_like_a_prompt_and_the_distance_to_them():
    rng = np.random.default_rng(0)
    labels = {"style": np.array(["micah", "toon-head"] * 100), "glasses": np.array(["yes"] * 20 + ["no"] * 180)}
    kept, rows = score.matching(labels, {"style": "micah", "glasses": True, "tail": "long"})
    assert kept == {"style": "micah"} and len(rows) == 100  # ten with glasses are too few, tails are not known
    assert score.matching(labels, {})[1].tolist() == list(range(200))
    real = rng.standard_normal((200, 20)) * np.linspace(3, 0.1, 20)
    distance = score.to_real(real)
    near, far_off = distance(real[:60]), distance(real[:60] + 2.0 * np.linspace(3, 0.1, 20))
    assert 0 <= near < 5 < far_off
    value, low, high = score.with_band(np.arange(50.0), lambda v: float(v.mean()))
    assert low < value == 24.5 < high
    assert score.plain("(Red:1.5) hair") == "Red hair" and score.named("a (bald:1.2) man")["hair"] == "bald"


def test_pixels_cost_more_than_latents_of_the_same_network(model):
    from core.diffusion.cost import CostRequest, generate, seconds_a_picture

    found = list(generate(CostRequest(rounds=1), Control(), model))[-1].extras
    assert found["side"] == 32 and found["pixel_numbers"] == 3 * 32 * 32 and found["latent_numbers"] == 4 * 8 * 8
    assert 0.9 < found["pixel_parameters"] / found["parameters"] < 1.1
    latent, pixel = seconds_a_picture({"latent_ms": 10.0, "decode_ms": 5.0, "pixel_ms": 160.0}, 40)
    assert (latent, pixel) == (0.405, 6.4)
    sheet = {"sheet_latent_ms": 5.0, "sheet_decode_ms": 4.0, "sheet_pixel_ms": 160.0}
    assert seconds_a_picture(sheet, 40, "sheet_") == (0.204, 6.4)


def test_a_pixel_model_takes_no_words_and_goes_the_same_path(tmp_path):
    import torch
    from diffusers import DDPMPipeline

    from core.diffusion.load import load_folder
    from training import pixel_ddpm

    torch.manual_seed(0)
    unet = pixel_ddpm.build(block_out_channels=(8, 8, 16), attention_head_dim=8, sample_size=16)
    DDPMPipeline(unet=unet, scheduler=pixel_ddpm.scheduler()).save_pretrained(tmp_path)
    loaded = load_folder(tmp_path)
    result = run(loaded, record=True)
    assert result.images.shape == (1, 16, 16, 3) and result.model_calls == 4
    assert result.extras["words"] is False and result.extras["records"][0]["x0_pictures"].shape == (4, 16, 16, 3)
    stock = DDPMPipeline.from_pretrained(tmp_path)
    stock.set_progress_bar_config(disable=True)
    drawn = stock(num_inference_steps=4, output_type="np", generator=torch.Generator().manual_seed(3)).images[0]
    assert np.array_equal(result.images[0], (drawn * 255).round().astype(np.uint8))
    assert far(result, run(loaded, prompt="other words")) == 0


def test_the_flow_folder_is_a_stock_pipeline(tmp_path, monkeypatch):
    import torch
    from diffusers import AutoencoderTiny, PixArtSigmaPipeline
    from transformers import PreTrainedTokenizerFast, T5EncoderModel

    from core import catalog
    from core.diffusion.load import load_folder
    from training import dit

    torch.manual_seed(0)
    vae = AutoencoderTiny(
        encoder_block_out_channels=(8, 8, 8), decoder_block_out_channels=(8, 8, 8), num_encoder_blocks=(0, 1, 1),
        num_decoder_blocks=(1, 1, 0), latent_channels=4, upsampling_scaling_factor=2, scaling_factor=1.0,
    )  # fmt: skip
    vae.register_to_config(block_out_channels=[8, 8, 8])
    vae.save_pretrained(tmp_path / "autoencoder")
    t5 = catalog.card("t5").folder
    words = type("Words", (), {})()
    words.encoder = T5EncoderModel.from_pretrained(t5, dtype=torch.float32)
    words.tokenizer = PreTrainedTokenizerFast.from_pretrained(t5 / "tokenizer")
    monkeypatch.setattr(dit, "MODELS", tmp_path)
    monkeypatch.setattr(dit, "FOLDER", tmp_path / "latent-dit")
    net = dit.build(num_layers=1, sample_size=8)
    torch.nn.init.normal_(net.proj_out.weight, std=0.5)
    dit.save(net, words)
    loaded = load_folder(tmp_path / "latent-dit")
    assert loaded.flow and loaded.size == 32
    ours = run(loaded, guidance_scale=3.0, record=True)
    record = ours.extras["records"][0]
    assert record["attention"].shape[2] == 48 and ours.extras["first_position"] == 0
    pipe = PixArtSigmaPipeline.from_pretrained(tmp_path / "latent-dit")
    pipe.set_progress_bar_config(disable=True)
    drawn = pipe(
        PROMPT, num_inference_steps=4, guidance_scale=3.0, output_type="np", use_resolution_binning=False,
        clean_caption=False, max_sequence_length=48, generator=torch.Generator("cpu").manual_seed(3),
    ).images[0]  # fmt: skip
    assert np.abs(ours.images[0].astype(int) - (drawn * 255).round()).max() <= 1
    for name in ("Flow Euler", "Flow Heun"):
        assert run(loaded, scheduler=name).images.shape == (1, 32, 32, 3)
    with pytest.raises(BadRequest, match="does not fit"):
        run(loaded, scheduler="DDIM")
    at = record["x"][2].tobytes()
    again = run(loaded, guidance_scale=3.0, latents=at, start_time=float(record["times"][2]))
    assert again.steps_run == 2


def test_presets_show_what_they_say():
    """Run with the shipped weights on fixed seeds, judged by the held-out classifier."""
    from core import catalog
    from core.diffusion import presets
    from core.diffusion.load import load_folder
    from core.diffusion.sample import generate
    from core.metrics.attributes import load_folder as load_classifier

    model = load_folder(catalog.card("latent-diffusion").folder)
    judge = load_classifier(catalog.card("attributes-b").folder)
    found = {}
    for name, (_, request) in presets.PRESETS.items():
        *_, result = generate(request, Control(), model)
        found[name] = presets.figures(result.images, request.prompt, judge)
    real = presets.real_saturation()
    assert all(presets.holds(found, real).values()), (found, real)
    names = list(presets.PRESETS)  # and the checks can fail: two states exchanged
    assert not any(
        presets.holds({**found, names[0]: found[names[1]], names[2]: found[names[1]]}, real)[names[i]] for i in (0, 2)
    )
