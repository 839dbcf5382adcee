"""Full-size chat models: each architecture's path on a tiny checkpoint of random weights."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as tf
from PIL import Image
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from core import provenance
from core.chat import checkpoint, full_size
from core.chat.full_size import FullSizeChatRequest
from core.errors import BadRequest, DoesNotFit, Unavailable
from core.pipeline import Control
from core.result import TextResult
from core.runtime import hub

SMALL = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 2}
TURNS = (
    "{% for m in messages %}{{ m.role }}: {% if m.content is string %}{{ m.content }}{% else %}"
    "{% for c in m.content %}{% if c.type == 'image' %}IMAGE{% elif c.type == 'audio' %}SOUND{% else %}{{ c.text }}{% endif %}{% endfor %}{% endif %}\n"
    "{% endfor %}assistant: "
)
ROPE = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 3, 3]}
QWEN_EYE: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 48, "depth": 2, "num_heads": 2,
                            "out_hidden_size": 32, "patch_size": 8}  # fmt: skip
WINDOWS = {"fullatt_block_indexes": [1], "window_size": 32}
any_: Any = tf


def tokenizer(*marks: str, image: str = "", sound: str = "", **named: str) -> Any:
    """Bytes as tokens, and the marks; named: marks that the processor asks for by name."""
    alphabet = {c: i for i, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    inner = Tokenizer(models.BPE(vocab=alphabet, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    made: Any = tf.PreTrainedTokenizerFast(
        tokenizer_object=inner, eos_token="<eos>", pad_token="<pad>", bos_token="<bos>", extra_special_tokens=named
    )
    made.add_special_tokens({"additional_special_tokens": list(marks)})
    made.chat_template = TURNS.replace("IMAGE", image).replace("SOUND", sound)
    return made


def text_config(words: Any, **more: Any) -> dict[str, Any]:
    ends = {"bos_token_id": words.bos_token_id, "eos_token_id": words.eos_token_id, "pad_token_id": words.pad_token_id}
    return SMALL | ends | {"vocab_size": len(words), "num_hidden_layers": 2, "num_key_value_heads": 2} | more


def llama(folder: Path) -> None:
    words = tokenizer()
    any_.LlamaForCausalLM(any_.LlamaConfig(**text_config(words))).save_pretrained(folder)
    words.save_pretrained(folder)


def qwen(folder: Path) -> None:
    words = tokenizer()
    any_.Qwen3ForCausalLM(any_.Qwen3Config(**text_config(words, head_dim=16))).save_pretrained(folder)
    words.save_pretrained(folder)


def idefics(name: str) -> Any:
    def build(folder: Path) -> None:
        words = tokenizer("<image>", "<fake_token_around_image>", "<end_of_utterance>", "<global-img>", image="<image>")
        vision = SMALL | {"num_hidden_layers": 2, "image_size": 32, "patch_size": 8}
        config = getattr(any_, f"{name}Config")(
            text_config=any_.LlamaConfig(**text_config(words)),
            vision_config=vision,
            image_token_id=words.convert_tokens_to_ids("<image>"),
            scale_factor=2,
        )
        getattr(any_, f"{name}ForConditionalGeneration")(config).save_pretrained(folder)
        edge = {"longest_edge": 32}
        pictures = getattr(any_, f"{name}ImageProcessor")(size=edge, max_image_size=edge, do_image_splitting=False)
        pictures.save_pretrained(folder)
        words.save_pretrained(folder)
        kept = {"image_seq_len": 4, "processor_class": f"{name}Processor"}
        (folder / "processor_config.json").write_text(json.dumps(kept))

    return build


def llava(folder: Path) -> None:
    words = tokenizer("<image>", image="<image>")
    vision = any_.CLIPVisionConfig(**SMALL, num_hidden_layers=2, image_size=32, patch_size=8)
    config = any_.LlavaConfig(
        vision_config=vision,
        text_config=any_.LlamaConfig(**text_config(words)),
        image_token_id=words.convert_tokens_to_ids("<image>"),
    )
    any_.LlavaForConditionalGeneration(config).save_pretrained(folder)
    pictures = any_.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    any_.LlavaProcessor(
        pictures, words, patch_size=8, vision_feature_select_strategy="default", num_additional_image_tokens=1,
        chat_template=words.chat_template,
    ).save_pretrained(folder)  # fmt: skip


def qwen_vl(name: str) -> Any:
    def build(folder: Path) -> None:
        marks = ("<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>")
        words = tokenizer(*marks, image="<|vision_start|><|image_pad|><|vision_end|>")
        ids = dict(
            zip(("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id"),
                words.convert_tokens_to_ids(list(marks)), strict=True)
        )  # fmt: skip
        vision = dict(QWEN_EYE)
        more: dict[str, Any] = {"rope_parameters": ROPE}
        if name == "Qwen3VL":
            vision |= {"deepstack_visual_indexes": [0], "num_position_embeddings": 64}
            more |= {"head_dim": 16}
        else:
            vision |= WINDOWS
        config = getattr(any_, f"{name}Config")(text_config=text_config(words, **more), vision_config=vision, **ids)
        getattr(any_, f"{name}ForConditionalGeneration")(config).save_pretrained(folder)
        pictures = any_.Qwen2VLImageProcessor(patch_size=8, min_pixels=32 * 32, max_pixels=64 * 64)
        pictures.save_pretrained(folder)
        words.save_pretrained(folder)

    return build


def janus(folder: Path) -> None:
    words = tokenizer(image_token="<image>", boi_token="<boi>", eoi_token="<eoi>", image="<image>")
    vision = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 32, "patch_size": 8,
              "projection_dim": 32, "mlp_ratio": 2.0, "num_image_tokens": 16}  # fmt: skip
    codes = {"embed_dim": 4, "num_embeddings": 64, "latent_channels": 32, "base_channels": 32, "num_res_blocks": 1,
             "channel_multiplier": [1, 1], "projection_dim": 32, "image_token_embed_dim": 32}  # fmt: skip
    config = any_.JanusConfig(
        vision_config=vision, vq_config=codes, text_config=any_.LlamaConfig(**text_config(words)),
        image_token_id=words.convert_tokens_to_ids("<image>"),
    )  # fmt: skip
    model = any_.JanusForConditionalGeneration(config)
    model.generation_config.guidance_scale = 5.0  # as Janus-Pro states it: words must not be guided by it
    model.save_pretrained(folder)
    pictures = any_.JanusImageProcessorPil(size={"height": 32, "width": 32}, min_size=8)
    any_.JanusProcessor(pictures, words, num_image_tokens=16, chat_template=words.chat_template).save_pretrained(folder)


def code_names(words: Any, name: str, count: int) -> dict[str, int]:
    """`count` picture codes as tokens, and the vocabulary with <image> among them."""
    words.add_tokens([name.format(n, "".join(chr(ord("A") + int(d)) for d in str(n))) for n in range(count)])
    return dict(words.get_vocab())


def chameleon(folder: Path) -> None:
    words = tokenizer("<reserved08706>", image_token="<image>", boi_token="<boi>", eoi_token="<eoi>")
    words.sep_token = "<reserved08706>"
    words.chat_template = None  # published without one
    names = code_names(words, "IMGIMG{1}Z", 32)
    codes = {"embed_dim": 8, "num_embeddings": 32, "latent_channels": 8, "resolution": 32, "base_channels": 32,
             "num_res_blocks": 1, "channel_multiplier": [1, 1, 1]}  # fmt: skip
    config = any_.ChameleonConfig(**text_config(words), vq_config=codes, vocabulary_map=names)
    any_.ChameleonForConditionalGeneration(config).save_pretrained(folder)
    edge = {"height": 32, "width": 32}
    pictures = any_.ChameleonImageProcessorPil(size={"shortest_edge": 32}, crop_size=edge)
    any_.ChameleonProcessor(pictures, words, image_seq_length=64).save_pretrained(folder)


def emu3(folder: Path) -> None:
    named = {"image_token": "<image>", "boi_token": "<boi>", "eoi_token": "<eoi>", "image_wrapper_token": "<wrap>",
             "eof_token": "<eof>", "eol_token": "<eol>"}  # fmt: skip
    words = tokenizer(**named, image="<image>")
    words.add_tokens(["<|extra_200|>"])  # the end of a row of codes
    names = code_names(words, "<|visual token {0:06d}|>", 32)
    codes = {"codebook_size": 32, "embed_dim": 4, "latent_channels": 4, "base_channels": 32, "num_res_blocks": 1,
             "channel_multiplier": [1, 1, 1, 1], "hidden_size": 32, "attn_resolutions": []}  # fmt: skip
    config = any_.Emu3Config(text_config=text_config(words), vq_config=codes, vocabulary_map=names)
    any_.Emu3ForConditionalGeneration(config).save_pretrained(folder)
    pictures = any_.Emu3ImageProcessor(min_pixels=32 * 32, max_pixels=48 * 48)
    any_.Emu3Processor(pictures, words, chat_template=words.chat_template).save_pretrained(folder)


def omni(folder: Path) -> None:
    """The whole of a Qwen2.5-Omni but for its talker, under the names that published files have."""
    named = {f"{kind}_token": f"<{kind}>" for kind in ("image", "audio", "video")}
    named |= {f"{kind}_{end}_token": f"<{kind}_{end}>" for kind in ("vision", "audio") for end in ("bos", "eos")}
    words = tokenizer(**named, image="<vision_bos><image><vision_eos>", sound="<audio_bos><audio><audio_eos>")
    ids = {f"{kind}_token_index": words.convert_tokens_to_ids(f"<{kind}>") for kind in ("image", "audio", "video")}
    marks = {"audio_start": "<audio_bos>", "audio_end": "<audio_eos>", "vision_start": "<vision_bos>"}
    ids |= {f"{name}_token_id": words.convert_tokens_to_ids(mark) for name, mark in marks.items()}
    ear = {"num_mel_bins": 16, "encoder_layers": 1, "encoder_attention_heads": 2, "encoder_ffn_dim": 48, "d_model": 32,
           "output_dim": 32}  # fmt: skip
    thinker = {"text_config": text_config(words, rope_parameters=ROPE), "vision_config": QWEN_EYE | WINDOWS,
               "audio_config": ear, **ids}  # fmt: skip
    config = any_.Qwen2_5OmniConfig(thinker_config=thinker, enable_audio_output=False)
    any_.Qwen2_5OmniForConditionalGeneration(config).save_pretrained(folder)
    any_.Qwen2VLImageProcessorPil(patch_size=8, min_pixels=32 * 32, max_pixels=64 * 64).save_pretrained(folder)
    ears = any_.WhisperFeatureExtractor(feature_size=16)
    kept = {**ears.to_dict(), **json.loads((folder / "preprocessor_config.json").read_text())}
    (folder / "preprocessor_config.json").write_text(json.dumps(kept))  # published so: both in one file
    words.save_pretrained(folder)


TEXT = {"llama": llama, "qwen3": qwen}
SEEING = {
    "smolvlm": idefics("SmolVLM"),
    "idefics3": idefics("Idefics3"),
    "llava": llava,
    "qwen2_5_vl": qwen_vl("Qwen2_5_VL"),
    "qwen3_vl": qwen_vl("Qwen3VL"),
    "janus": janus,
    "chameleon": chameleon,
    "emu3": emu3,
    "qwen2_5_omni": omni,
}


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folders = {}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for name, build in {**TEXT, **SEEING}.items():
            folder = tmp_path_factory.mktemp(name)
            build(folder)
            folders[name] = str(folder)
    return folders


@pytest.fixture(autouse=True)
def roomy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_MEMORY_MB", "8000")


def picture(color: tuple[int, int, int]) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (90, 70), color).save(out, "PNG")
    return out.getvalue()


def ask(folder: str, *conversation: tuple[str, str, bytes], **more: Any) -> TextResult:
    settings = {"temperature": 1.0, "max_new_tokens": 6, **more}
    request = FullSizeChatRequest(folder=folder, conversation=conversation, **settings)
    *_, result = full_size.generate(request, Control())
    assert isinstance(result, TextResult)
    return result


def written(result: TextResult) -> list[int]:
    return [token["id"] for token in result.extras["tokens"]]


@pytest.mark.parametrize("name", TEXT)
def test_text_models_answer_and_repeat(checkpoints: dict[str, str], name: str) -> None:
    assert hub.look(checkpoints[name]).kind == name
    talk = (("user", "hi", b""), ("bot", "hello", b""), ("user", "again", b""))
    first = ask(checkpoints[name], *talk)
    assert 1 <= first.steps_run <= 6 and all(t["candidates"] for t in first.extras["tokens"])
    assert written(ask(checkpoints[name], *talk)) == written(first)
    assert written(ask(checkpoints[name], *talk, seed=9)) != written(first)
    with pytest.raises(BadRequest, match="reads no pictures"):
        ask(checkpoints[name], ("user", "look", picture((9, 9, 9))))


@pytest.mark.parametrize("name", SEEING)
def test_vision_language_models_see(checkpoints: dict[str, str], name: str) -> None:
    folder = checkpoints[name]
    likeliest = [
        [c[2] for c in ask(folder, ("user", "what is it?", picture(color)), max_new_tokens=1).extras["tokens"][0]["candidates"]]
        for color in ((250, 10, 10), (10, 10, 250))
    ]  # fmt: skip
    assert likeliest[0] != likeliest[1]  # another picture, other chances
    two = ask(folder, ("user", "", picture((1, 2, 3))), ("user", "compare", picture((200, 100, 0))), ("bot", "ok", b""),
              ("user", "sure?", b""))  # fmt: skip
    assert two.steps_run >= 1
    assert ask(folder, ("user", "no picture", b"")).steps_run >= 1


def test_the_first_token_is_the_models_own_likeliest(checkpoints: dict[str, str]) -> None:
    result = ask(checkpoints["llama"], ("user", "hi", b""), temperature=0.0, max_new_tokens=1)
    model = any_.LlamaForCausalLM.from_pretrained(checkpoints["llama"], dtype=torch.float32).eval()
    words = any_.AutoTokenizer.from_pretrained(checkpoints["llama"])
    with torch.inference_mode():
        logits = model(**words("user: hi\nassistant: ", return_tensors="pt")).logits[0, -1]
    assert written(result) == [int(logits.argmax())]


def test_nothing_of_a_checkpoint_is_left_at_random(checkpoints: dict[str, str]) -> None:
    """The thinker is taken out of the whole Qwen2.5-Omni, whose files name its parts otherwise."""
    whole = any_.Qwen2_5OmniForConditionalGeneration.__mro__[1].from_pretrained.__func__(
        any_.Qwen2_5OmniForConditionalGeneration, checkpoints["qwen2_5_omni"], dtype=torch.float32
    )
    thinker = checkpoint.open_chatter(checkpoints["qwen2_5_omni"]).model.state_dict()
    assert all(torch.equal(value, thinker[name]) for name, value in whole.thinker.state_dict().items())


def test_words_of_janus_are_its_own_likeliest(checkpoints: dict[str, str]) -> None:
    """Its class guides pictures and drops processors of logits: neither may reach the words."""
    look = picture((250, 10, 10))
    result = ask(checkpoints["janus"], ("user", "what?", look), temperature=0.0, max_new_tokens=1)
    model = any_.JanusForConditionalGeneration.from_pretrained(checkpoints["janus"], dtype=torch.float32).eval()
    prepared = any_.AutoProcessor.from_pretrained(checkpoints["janus"])
    inputs = prepared(text="user: <image>what?\nassistant: ", images=Image.open(io.BytesIO(look)), return_tensors="pt")
    with torch.inference_mode():
        assert written(result) == [int(model(**inputs).logits[0, -1].argmax())]


def test_janus_draws(checkpoints: dict[str, str]) -> None:
    def drawn(words: str, **more: Any) -> TextResult:
        before = (("user", "what is it?", picture((1, 2, 3))), ("bot", "a box", b""))
        return ask(checkpoints["janus"], *before, ("user", words, b""), draw=True, **more)

    first = drawn("a cat")
    (made,) = first.extras["made"]
    assert Image.open(io.BytesIO(made.data)).size == (8, 8) and first.steps_run == 16 and first.complete
    assert provenance.read(made.data)["request"]["seed"] == 0
    assert drawn("a cat").extras["made"][0].data == made.data
    assert written(drawn("a cat", seed=5)) != written(first)
    assert first.extras["tokens"][0]["candidates"] != drawn("two dogs").extras["tokens"][0]["candidates"]
    assert {token["modality"] for token in first.extras["tokens"]} == {"picture"} and not first.text
    assert checkpoint.draws(checkpoints["janus"]) and not checkpoint.draws(checkpoints["emu3"])
    with pytest.raises(BadRequest, match="Write what to draw"):
        drawn(" ")
    for name in ("chameleon", "emu3", "llama"):
        with pytest.raises(BadRequest, match="words only"):
            ask(checkpoints[name], ("user", "draw a cat", b""), draw=True)


def test_qwen_omni_hears(checkpoints: dict[str, str]) -> None:
    def heard(pitch: float, folder: str = checkpoints["qwen2_5_omni"]) -> list[float]:
        wave = 0.3 * np.sin(np.arange(8000) * pitch)[:, None].astype(np.float32)
        sounds = ((1, provenance.sound(wave, 16_000, {})),)
        talk = (("user", "", picture((9, 200, 9))), ("user", "what do you hear and see?", b""))
        return [c[2] for c in ask(folder, *talk, sounds=sounds).extras["tokens"][0]["candidates"]]

    assert heard(0.05) != heard(0.9)
    with pytest.raises(BadRequest, match="hears nothing"):
        heard(0.05, checkpoints["qwen2_5_vl"])


def test_an_older_sound_does_not_silence_one_that_hears_nothing(checkpoints: dict[str, str]) -> None:
    talk = (("user", "", b""), ("bot", "yes?", b""), ("user", "hi", b""))
    for name in ("llama", "emu3"):
        assert ask(checkpoints[name], *talk, sounds=((0, b"RIFF"),)).steps_run >= 1


def test_chameleon_parts_turns_by_its_own_mark(checkpoints: dict[str, str]) -> None:
    chatter = checkpoint.open_chatter(checkpoints["chameleon"])
    talk = (("user", "what?", picture((9, 9, 9))), ("bot", "a box", b""), ("user", "sure?", b""))
    read = chatter.tokenizer.decode(chatter.inputs(talk)["input_ids"][0])
    mark = "<reserved08706>"
    assert read == f"<boi>{'<image>' * 64}<eoi>what?{mark}a box{mark}sure?{mark}"


class Later(Control):
    """Stops once it was asked five times, however far the model's own thread has run ahead."""

    asked = 0

    @property
    def stopped(self) -> bool:
        self.asked += 1
        return self.asked > 5


@pytest.mark.parametrize("name", ["llama", "janus", "janus draws", "chameleon", "emu3", "qwen2_5_omni"])
def test_stop_keeps_what_was_written(checkpoints: dict[str, str], name: str) -> None:
    folder, _, draw = name.partition(" ")
    look = b"" if draw or folder == "llama" else picture((9, 9, 9))
    request = FullSizeChatRequest(
        folder=checkpoints[folder], conversation=(("user", "x", look),), temperature=1.5, draw=bool(draw), seed=1
    )
    *steps, result = full_size.generate(request, Later())
    assert isinstance(result, TextResult) and not result.complete and not result.extras["made"]
    assert result.steps_run in (5, 6) and len(steps) == 1 + result.steps_run  # streamed: a step a token
    assert bool(result.text) != bool(draw)


def test_what_cannot_be_loaded_is_one_sentence(
    checkpoints: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Unavailable, match=r"config\.json"):
        ask(str(tmp_path), ("user", "x", b""))
    (tmp_path / "config.json").write_text('{"model_type": "sphinx"}')
    with pytest.raises(Unavailable, match="sphinx"):
        ask(str(tmp_path), ("user", "x", b""))
    monkeypatch.setenv("LAB_MEMORY_MB", "1")
    with pytest.raises(DoesNotFit, match="MB"):
        ask(checkpoints["qwen3"], ("user", "x", b""))
    with pytest.raises(BadRequest):
        FullSizeChatRequest(folder="", conversation=(("user", "x", b""),))


@pytest.mark.parametrize("name", ["janus", "chameleon", "emu3", "qwen2_5_omni"])
def test_a_broken_or_too_large_folder_is_one_sentence(
    checkpoints: dict[str, str], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert hub.look(checkpoints[name]).kind == name
    broken = tmp_path / "broken"
    shutil.copytree(checkpoints[name], broken, ignore=shutil.ignore_patterns("*.safetensors"))
    with pytest.raises(Unavailable, match="broken cannot be loaded"):
        ask(str(broken), ("user", "x", b""))
    (broken / "model.safetensors").write_bytes(Path(checkpoints[name], "model.safetensors").read_bytes()[:5000])
    with pytest.raises(Unavailable, match="cannot be"):
        ask(str(broken), ("user", "x", b""))
    monkeypatch.setenv("LAB_MEMORY_MB", "1")
    with pytest.raises(DoesNotFit, match="MB"):
        ask(checkpoints[name], ("user", "x", b""))
