"""Full-size chat models: each architecture's path on a tiny checkpoint of random weights."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as tf
from PIL import Image
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from core.chat import full_size
from core.chat.full_size import FullSizeChatRequest
from core.errors import BadRequest, DoesNotFit, Unavailable
from core.pipeline import Control
from core.result import TextResult
from core.runtime import hub

SMALL = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 2}
TURNS = (
    "{% for m in messages %}{{ m.role }}: {% if m.content is string %}{{ m.content }}{% else %}"
    "{% for c in m.content %}{% if c.type == 'image' %}IMAGE{% else %}{{ c.text }}{% endif %}{% endfor %}{% endif %}\n"
    "{% endfor %}assistant: "
)
any_: Any = tf


def tokenizer(*marks: str, image: str = "") -> Any:
    """Bytes as tokens, and the marks."""
    alphabet = {c: i for i, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    inner = Tokenizer(models.BPE(vocab=alphabet, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    made: Any = tf.PreTrainedTokenizerFast(
        tokenizer_object=inner, eos_token="<eos>", pad_token="<pad>", bos_token="<bos>"
    )
    made.add_special_tokens({"additional_special_tokens": list(marks)})
    made.chat_template = TURNS.replace("IMAGE", image)
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
        rope = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 3, 3]}
        vision = {"hidden_size": 32, "intermediate_size": 48, "depth": 2, "num_heads": 2, "out_hidden_size": 32,
                  "patch_size": 8}  # fmt: skip
        more: dict[str, Any] = {"rope_parameters": rope}
        if name == "Qwen3VL":
            vision |= {"deepstack_visual_indexes": [0], "num_position_embeddings": 64}
            more |= {"head_dim": 16}
        else:
            vision |= {"fullatt_block_indexes": [1], "window_size": 32}
        config = getattr(any_, f"{name}Config")(text_config=text_config(words, **more), vision_config=vision, **ids)
        getattr(any_, f"{name}ForConditionalGeneration")(config).save_pretrained(folder)
        pictures = any_.Qwen2VLImageProcessor(patch_size=8, min_pixels=32 * 32, max_pixels=64 * 64)
        pictures.save_pretrained(folder)
        words.save_pretrained(folder)

    return build


TEXT = {"llama": llama, "qwen3": qwen}
SEEING = {
    "smolvlm": idefics("SmolVLM"),
    "idefics3": idefics("Idefics3"),
    "llava": llava,
    "qwen2_5_vl": qwen_vl("Qwen2_5_VL"),
    "qwen3_vl": qwen_vl("Qwen3VL"),
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


def test_stop_keeps_what_was_written(checkpoints: dict[str, str]) -> None:
    control = Control()
    request = FullSizeChatRequest(
        folder=checkpoints["llama"], conversation=(("user", "x", b""),), temperature=1.5, max_new_tokens=400
    )
    items = []
    for item in full_size.generate(request, control):
        items.append(item)
        if len(items) == 3:
            control.stop()
    assert isinstance(items[-1], TextResult) and items[-1].steps_run < 400 and not items[-1].complete


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
