"""Full-size chat models through transformers: text models (SmolLM, Qwen, Llama) and vision-language models (SmolVLM,
Idefics3, Qwen2.5-VL, Qwen3-VL, LLaVA), from a local folder (core.runtime.hub looks at a hub id and brings it here).

Safetensors only, no code from the checkpoint, one model in memory at a time. Tokens are chosen by core.chat.sampling
with a generator of their own, so a seed repeats an answer and the page can show every token's candidates.
"""

from __future__ import annotations

import inspect
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from core.errors import BadRequest, Unavailable, first_line
from core.request import Request, integer, number, seed_field, text
from core.result import Result, Step, TextResult
from core.runtime.aside import aside
from core.runtime.shelf import Shelf, needed_mb

if TYPE_CHECKING:
    from core.pipeline import Control

SIDE = 1024  # pictures are scaled down to this before the checkpoint's own preparation
shelf = Shelf()


@dataclass(frozen=True)
class FullSizeChatRequest(Request):
    """One answer of a checkpoint in a folder. conversation: as in ChatRequest, pictures as file bytes."""

    PIPELINE: ClassVar[str] = "core.chat.full_size"
    KEEP_STEPS: ClassVar[int] = 512

    model: str = "full-size"
    folder: str = text("", 1000, help="A folder with config.json and safetensors.")
    conversation: tuple = ()
    temperature: float = number(0.7, 0.0, 2.0, help="0 takes the likeliest token; 1 follows the model.")
    top_p: float = number(0.95, 0.05, 1.0, help="Keep the likeliest tokens that reach this probability together.")
    top_k: int = integer(0, 0, 500, help="Keep only the k likeliest tokens; 0 keeps all.")
    max_new_tokens: int = integer(200, 1, 500)
    seed: int = seed_field()

    def check(self) -> None:
        if not self.conversation or self.conversation[-1][0] != "user":
            raise BadRequest("The conversation must end with a turn of yours; write something.")
        if not self.folder.strip():
            raise BadRequest("Name a checkpoint first: a hub id or a folder.")

    def models(self) -> tuple[str, ...]:
        return ()


@dataclass
class Chatter:
    """A loaded model and what prepares its input. processor: a tokenizer, or with `sees` a processor with pictures."""

    model: Any
    processor: Any
    sees: bool

    @property
    def tokenizer(self) -> Any:
        return self.processor.tokenizer if self.sees else self.processor

    def inputs(self, conversation: tuple) -> Any:
        """The model's inputs for a conversation. Raises BadRequest for a picture where the model reads none."""
        if not self.sees and conversation[-1][2]:
            raise BadRequest("This checkpoint reads no pictures; choose a vision-language model or leave it out.")
        turns, pictures = messages(conversation, self.sees)
        if self.processor.chat_template:
            prompt = self.processor.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
        elif self.sees:
            raise Unavailable("This checkpoint has no chat template; choose one that was tuned for chat.")
        else:
            prompt = "".join(f"{t['role'].title()}: {t['content']}\n" for t in turns) + "Assistant:"
        if not self.sees:
            return self.processor(prompt, return_tensors="pt", add_special_tokens=not self.processor.chat_template)
        more = {"images": [pictures]} if pictures else {}
        return self.processor(text=[prompt], return_tensors="pt", **more)


def messages(conversation: tuple, sees: bool) -> tuple[list[dict[str, Any]], list[Any]]:
    """Messages for a chat template (content is a list where the model sees), and the pictures in their order."""
    from core.chat.chat import opened

    turns: list[dict[str, Any]] = []
    pictures: list[Any] = []
    for role, words, picture in conversation:
        parts: list[dict[str, Any]] = []
        if sees and isinstance(picture, bytes) and picture and role == "user":
            pictures.append(opened(picture, SIDE))
            parts.append({"type": "image"})
        if words or not parts:
            parts.append({"type": "text", "text": words or "(a picture)"})
        who = "user" if role == "user" else "assistant"
        if turns and turns[-1]["role"] == who:
            turns[-1]["content"] += parts
        else:
            turns.append({"role": who, "content": parts})
    if not sees:
        for turn in turns:
            turn["content"] = "\n".join(part["text"] for part in turn["content"])
    return turns, pictures


class Labels:
    """What core.chat.sampling.described wants of a vocabulary."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def label(self, token: int) -> str:
        return str(self._tokenizer.decode([token]))

    def modality(self, token: int) -> str:
        return "mark" if token in self._tokenizer.all_special_ids else "text"


def generate(request: FullSizeChatRequest, control: Control) -> Iterator[Step | Result]:
    """Yield a Step a token (data: see core.chat.sampling.described), last a TextResult. Stop ends within a token.

    extras: tokens (the steps' data), context (), codes (), first_token, tokens_per_second.
    """
    yield Step("load", note=Path(request.folder).name)
    chatter = open_chatter(request.folder)
    started = time.perf_counter()
    first, tokens, ids, shown = 0.0, [], [], ""
    ends = _ends(chatter)
    for token, data in _tokens(chatter, request, control):
        first = first or time.perf_counter() - started
        tokens.append(data)
        ids.append(token)
        whole = chatter.tokenizer.decode(ids, skip_special_tokens=True)
        piece = "" if whole.endswith("\ufffd") else whole[len(shown) :]  # half a character waits for its other half
        shown += piece
        yield Step("token", len(ids), 0, data={**data, "label": piece, "modality": "text"})
    spent = time.perf_counter() - started
    yield TextResult(
        request,
        steps_run=len(ids),
        seconds=spent,
        model_calls=len(ids),
        text=chatter.tokenizer.decode(ids, skip_special_tokens=True).strip(),
        complete=not control.stopped and bool(ids) and (ids[-1] in ends or len(ids) == request.max_new_tokens),
        extras={
            "tokens": tokens,
            "context": [],
            "codes": (),
            "first_token": first,
            "tokens_per_second": len(ids) / max(spent, 1e-6),
        },
    )


def _ends(chatter: Chatter) -> set[int]:
    ends = chatter.model.generation_config.eos_token_id
    return {chatter.tokenizer.eos_token_id, *(ends if isinstance(ends, list) else [ends])} - {None}


def _tokens(chatter: Chatter, request: FullSizeChatRequest, control: Control) -> Iterator[tuple[int, dict[str, Any]]]:
    """Run the model on a thread of its own: (token, its description) while it writes."""
    import torch
    from transformers import LogitsProcessor, StoppingCriteria

    from core.chat.sampling import choose, described

    noise = torch.Generator().manual_seed(request.seed)
    labels: Any = Labels(chatter.tokenizer)
    inputs = chatter.inputs(request.conversation).to(chatter.model.device)

    def work(put: Callable[[Any], None]) -> None:
        class Choose(LogitsProcessor):  # type: ignore[misc]
            """Leaves one token, chosen by our own dice, for the library to take."""

            def __call__(self, _: Any, scores: Any) -> Any:
                logits = scores[0].float().cpu()
                token, chances, kept = choose(
                    logits, torch.isfinite(logits), temperature=request.temperature, top_k=request.top_k,
                    top_p=request.top_p, noise=noise,
                )  # fmt: skip
                put((token, described(token, chances, kept, labels, forced=False)))
                only = torch.full_like(scores, float("-inf"))
                only[:, token] = 0
                return only

        chatter.model.generate(
            **inputs, logits_processor=[Choose()], stopping_criteria=[Stop()], do_sample=False, num_beams=1,
            max_new_tokens=request.max_new_tokens,
        )  # fmt: skip

    class Stop(StoppingCriteria):  # type: ignore[misc]
        def __call__(self, ids: Any, _: Any, **more: Any) -> Any:
            return torch.full((len(ids),), control.stopped, device=ids.device)

    try:
        yield from aside(work, "lab-full-size-chat")
    except Exception as error:
        raise BadRequest(
            f"{type(chatter.model).__name__} cannot answer this ({first_line(error)}); ask something shorter."
        ) from error


def open_chatter(source: str) -> Chatter:
    """The model of a folder, loaded once and held until another is asked for.

    Raises Unavailable (no such folder, broken, an architecture that transformers lacks) or DoesNotFit before loading.
    """
    folder = Path(source).expanduser()

    def need() -> float:
        _kind(folder)
        return needed_mb(folder)

    return shelf.take(source, need, lambda: _load(folder, _kind(folder)))


def _kind(folder: Path) -> str:
    try:
        return str(json.loads((folder / "config.json").read_text(encoding="utf-8"))["model_type"])
    except (OSError, ValueError, KeyError, TypeError):
        raise Unavailable(f"“{folder.name}” holds no readable config.json; give a checkpoint folder.") from None


def _load(folder: Path, kind: str) -> Chatter:
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, AutoTokenizer
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as TEXT
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES as SEEING

    from core.runtime import devices

    sees = kind in SEEING and kind not in TEXT
    if not sees and kind not in TEXT:
        raise Unavailable(f"A {kind[:40]} is no chat model that transformers knows; choose another checkpoint.")
    device = devices.device()
    dtype = torch.float32 if device == "cpu" else torch.bfloat16
    build: Any = AutoModelForImageTextToText if sees else AutoModelForCausalLM
    model = build.from_pretrained(folder, dtype=dtype, local_files_only=True, use_safetensors=True)
    load: Any = AutoTokenizer
    processor = _processor(folder, kind) if sees else load.from_pretrained(folder, local_files_only=True)
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
    known = set(inspect.signature(base.__init__).parameters) - {"image_processor", "tokenizer", "video_processor"}
    processor = only(pictures, tokenizer, **{k: v for k, v in values.items() if k in known and k != "chat_template"})
    processor.chat_template = processor.chat_template or tokenizer.chat_template
    template = folder / "chat_template.json"  # older checkpoints keep it there
    if not processor.chat_template and template.is_file():
        processor.chat_template = json.loads(template.read_text(encoding="utf-8"))["chat_template"]
    return processor
