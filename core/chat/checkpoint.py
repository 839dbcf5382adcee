"""A chat checkpoint in a folder: loaded by stock transformers classes, and a conversation made into its inputs.

Safetensors only, no code from the checkpoint, one model in memory at a time.
"""

from __future__ import annotations

import inspect
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import BadRequest, Unavailable
from core.runtime.shelf import Shelf, needed_mb

SIDE = 1024  # pictures are scaled down to this before the checkpoint's own preparation
RATE, SECONDS = 16_000, 30.0  # what Qwen2.5-Omni hears: samples a second, seconds at most
shelf = Shelf()


@dataclass
class Chatter:
    """A loaded model and what prepares its input. processor: a tokenizer, or with `sees` a processor with pictures."""

    model: Any
    processor: Any
    sees: bool

    @property
    def tokenizer(self) -> Any:
        return self.processor.tokenizer if self.sees else self.processor

    @property
    def kind(self) -> str:
        return str(self.model.config.model_type)

    def inputs(self, conversation: tuple, sounds: tuple = (), **more: Any) -> Any:
        """The model's inputs for a conversation. more: what its processor takes besides. Raises BadRequest for a picture
        or a sound where the model takes none."""
        if not self.sees and conversation[-1][2]:
            raise BadRequest("This checkpoint reads no pictures; choose a vision-language model or leave it out.")
        if "omni" not in self.kind:
            if any(place == len(conversation) - 1 for place, _ in sounds):
                raise BadRequest("This checkpoint hears nothing; choose a Qwen2.5-Omni, or write it down.")
            sounds = ()
        turns, pictures = messages(conversation, self.sees, sounds)
        if self.processor.chat_template:
            prompt = self.processor.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
        elif self.kind == "chameleon":  # has no template: a mark parts the turns, its processor adds the last
            prompt = self.tokenizer.sep_token.join(
                "".join(part.get("text", self.processor.image_token) for part in turn["content"]) for turn in turns
            )
        elif self.sees:
            raise Unavailable("This checkpoint has no chat template; choose one that was tuned for chat.")
        else:
            prompt = "".join(f"{t['role'].title()}: {t['content']}\n" for t in turns) + "Assistant:"
        if not self.sees:
            return self.processor(prompt, return_tensors="pt", add_special_tokens=not self.processor.chat_template)
        if sounds:
            from core.audio.upload import decode

            more |= {"audio": [decode(data, RATE, SECONDS) for _, data in sounds], "sampling_rate": RATE}
        if self.tokenizer.bos_token and prompt.startswith(self.tokenizer.bos_token):
            more["add_special_tokens"] = False  # the template has set it
        more |= {"images": [pictures]} if pictures else {}
        inputs = self.processor(text=[prompt], return_tensors="pt", **more)
        return inputs.to(self.model.dtype)  # pictures and sounds; tokens stay whole numbers


def messages(conversation: tuple, sees: bool, sounds: tuple = ()) -> tuple[list[dict[str, Any]], list[Any]]:
    """Messages for a chat template (content is a list where the model sees), and the pictures in their order."""
    from core.chat.chat import opened

    heard = {place for place, _ in sounds}
    turns: list[dict[str, Any]] = []
    pictures: list[Any] = []
    for place, (role, words, picture) in enumerate(conversation):
        parts: list[dict[str, Any]] = [{"type": "audio"}] if place in heard else []
        if sees and isinstance(picture, bytes) and picture and role == "user":
            pictures.append(opened(picture, SIDE))
            parts.append({"type": "image"})
        if words or not parts:
            parts.append({"type": "text", "text": words or ("(a picture)" if picture else "(a sound)")})
        who = "user" if role == "user" else "assistant"
        if turns and turns[-1]["role"] == who:
            turns[-1]["content"] += parts
        else:
            turns.append({"role": who, "content": parts})
    if not sees:
        for turn in turns:
            turn["content"] = "\n".join(part["text"] for part in turn["content"])
    return turns, pictures


def open_chatter(source: str) -> Chatter:
    """The model of a folder, loaded once and held until another is asked for.

    Raises Unavailable (no such folder, broken, an architecture that transformers lacks) or DoesNotFit before loading.
    """
    folder = Path(source).expanduser()

    def need() -> float:
        _config(folder)
        try:
            return needed_mb(folder)
        except (OSError, ValueError, OverflowError, MemoryError):  # the header of a cut file
            raise Unavailable(f"The weights of {folder.name} cannot be read; fetch the checkpoint again.") from None

    return shelf.take(source, need, lambda: _load(folder, _config(folder)))


def draws(source: str) -> bool:
    """Whether the folder's model answers with a picture when asked. Raises Unavailable for a broken folder."""
    return bool(_config(Path(source).expanduser())["model_type"] == "janus")


def _config(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        return dict(found) | {"model_type": str(found["model_type"])}
    except (OSError, ValueError, KeyError, TypeError):
        raise Unavailable(f"“{folder.name}” holds no readable config.json; give a checkpoint folder.") from None


def _load(folder: Path, config: dict[str, Any]) -> Chatter:
    import torch
    import transformers as library
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as TEXT
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES as SEEING

    from core.runtime import devices

    auto: Any = library
    kind = config["model_type"]
    omni = kind == "qwen2_5_omni"  # answers in words: its talker and voice are left on the disk
    sees = omni or (kind in SEEING and (kind not in TEXT or bool({"vision_config", "vq_config"} & set(config))))
    if not sees and kind not in TEXT:
        raise Unavailable(f"A {kind[:40]} is no chat model that transformers knows; choose another checkpoint.")
    device = devices.device()
    dtype = torch.float32 if device == "cpu" else torch.bfloat16
    build = auto.AutoModelForImageTextToText if sees else auto.AutoModelForCausalLM
    if omni:
        build = auto.Qwen2_5OmniThinkerForConditionalGeneration
    model = build.from_pretrained(folder, dtype=dtype, local_files_only=True, use_safetensors=True)
    words = auto.AutoTokenizer
    processor = _processor(folder, kind) if sees else words.from_pretrained(folder, local_files_only=True)
    if kind == "janus":  # its drawing asks for the mark before a picture there, where not every copy has it
        model.generation_config.generation_kwargs = {"boi_token_id": processor.tokenizer.boi_token_id}
    return Chatter(model.to(device).eval(), processor, sees)


def _processor(folder: Path, kind: str) -> Any:
    """The checkpoint's processor; where torchvision is missing, which videos need, one for words and pictures only."""
    import transformers
    from transformers.models.auto.processing_auto import PROCESSOR_MAPPING_NAMES

    auto: Any = transformers
    try:
        return auto.AutoProcessor.from_pretrained(folder, local_files_only=True)
    except (ImportError, AttributeError, OSError, ValueError):
        pass
    # SmolVLM's processor is Idefics3's with videos added
    base = getattr(auto, "Idefics3Processor" if kind == "smolvlm" else PROCESSOR_MAPPING_NAMES[kind])
    only = type("PicturesOnly", (base,), {"check_argument_for_proper_class": lambda self, name, part: type(part)})
    pictures = auto.AutoImageProcessor.from_pretrained(folder, local_files_only=True)
    tokenizer = auto.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    stored = folder / "processor_config.json"
    values = json.loads(stored.read_text(encoding="utf-8")) if stored.is_file() else {}
    takes = set(inspect.signature(base.__init__).parameters)
    parts = {"image_processor": pictures, "tokenizer": tokenizer, "video_processor": None, "feature_extractor": None}
    if "feature_extractor" in takes:
        parts["feature_extractor"] = auto.AutoFeatureExtractor.from_pretrained(folder, local_files_only=True)
    known = takes - set(parts) - {"chat_template"}
    parts = {k: v for k, v in parts.items() if k in takes}
    processor = only(**parts, **{k: v for k, v in values.items() if k in known})
    processor.chat_template = processor.chat_template or tokenizer.chat_template
    template = folder / "chat_template.json"  # older checkpoints keep it there
    if not processor.chat_template and template.is_file():
        processor.chat_template = json.loads(template.read_text(encoding="utf-8"))["chat_template"]
    return processor
