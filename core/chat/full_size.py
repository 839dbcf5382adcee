"""Full-size chat models through transformers: text models (SmolLM, Qwen, Llama), vision-language models (SmolVLM,
Idefics3, Qwen2.5-VL, Qwen3-VL, LLaVA), models over one vocabulary of words and pictures (Chameleon, Emu3, Janus) and
Qwen2.5-Omni, which hears; from a local folder (core.runtime.hub looks at a hub id and brings it here).

All answer in words. Janus draws too; Emu3 (thousands of tokens a picture) and Chameleon (published without its drawing)
do not, and of Qwen2.5-Omni only the thinker is loaded, not the voice. Tokens are chosen by core.chat.sampling with a
generator of their own, so a seed repeats an answer and the page can show every token's candidates.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from core.chat.checkpoint import Chatter, open_chatter
from core.errors import BadRequest, first_line
from core.request import Request, flag, integer, number, seed_field, text
from core.result import Result, Step, TextResult
from core.runtime.aside import aside

if TYPE_CHECKING:
    from core.pipeline import Control

GUIDANCE = 5.0  # of Janus' pictures, as its authors draw them


@dataclass(frozen=True)
class FullSizeChatRequest(Request):
    """One answer of a checkpoint in a folder. conversation: as in ChatRequest, pictures as file bytes; sounds: (turn, WAV
    file), as in RemoteRequest."""

    PIPELINE: ClassVar[str] = "core.chat.full_size"
    KEEP_STEPS: ClassVar[int] = 512

    model: str = "full-size"
    folder: str = text("", 1000, help="A folder with config.json and safetensors.")
    conversation: tuple = ()
    sounds: tuple = ()
    draw: bool = flag(False, help="Answer with a picture: Janus only.")
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
        if self.draw and not self.conversation[-1][1].strip():
            raise BadRequest("Write what to draw, or turn “Answer with a picture” off.")

    def models(self) -> tuple[str, ...]:
        return ()


class Labels:
    """What core.chat.sampling.described wants of a vocabulary. codes: the tokens are a picture's."""

    def __init__(self, tokenizer: Any, codes: bool = False) -> None:
        self._tokenizer, self._codes = tokenizer, codes

    def label(self, token: int) -> str:
        return str(token) if self._codes else str(self._tokenizer.decode([token]))

    def modality(self, token: int) -> str:
        if self._codes:
            return "picture"
        return "mark" if token in self._tokenizer.all_special_ids else "text"


def generate(request: FullSizeChatRequest, control: Control) -> Iterator[Step | Result]:
    """Yield a Step a token (data: see core.chat.sampling.described), last a TextResult. Stop ends within a token.

    extras: tokens (the steps' data), context (), codes (), first_token, tokens_per_second, made (what was drawn). A
    picture is there once its last token is: Stop leaves none.
    """
    from core import provenance
    from core.chat.tools import Made

    yield Step("load", note=Path(request.folder).name)
    chatter = open_chatter(request.folder)
    started = time.perf_counter()
    first, tokens, ids, shown = 0.0, [], [], ""
    ends, made = _ends(chatter), []
    for token, data in _tokens(chatter, request, control):
        if token < 0:
            made.append(data)
            continue
        first = first or time.perf_counter() - started
        tokens.append(data)
        ids.append(token)
        if request.draw:
            yield Step("token", len(ids), 0, data=data)
            continue
        whole = chatter.tokenizer.decode(ids, skip_special_tokens=True)
        piece = "" if whole.endswith("\ufffd") else whole[len(shown) :]  # half a character waits for its other half
        shown += piece
        yield Step("token", len(ids), 0, data={**data, "label": piece, "modality": "text"})
    spent = time.perf_counter() - started
    ended = bool(made) if request.draw else bool(ids) and (ids[-1] in ends or len(ids) == request.max_new_tokens)
    result = TextResult(
        request,
        steps_run=len(ids),
        seconds=spent,
        model_calls=len(ids),
        text="" if request.draw else chatter.tokenizer.decode(ids, skip_special_tokens=True).strip(),
        complete=not control.stopped and ended,
        extras={
            "tokens": tokens,
            "context": [],
            "codes": (),
            "first_token": first,
            "tokens_per_second": len(ids) / max(spent, 1e-6),
        },
    )
    note = f"drawn by {Path(request.folder).name}"
    result.extras["made"] = [Made("image", provenance.png(image, provenance.record(result)), note) for image in made]
    yield result


def _ends(chatter: Chatter) -> set[int]:
    ends = chatter.model.generation_config.eos_token_id
    return {chatter.tokenizer.eos_token_id, *(ends if isinstance(ends, list) else [ends])} - {None}


class _Stopped(Exception):
    """Ends the library's loop over a picture's tokens, which asks no stopping criteria."""


def _tokens(chatter: Chatter, request: FullSizeChatRequest, control: Control) -> Iterator[tuple[int, Any]]:
    """Run the model on a thread of its own: (token, its description) while it writes; (-1, picture) after a picture's
    tokens, (H, W, 3) uint8."""
    import torch
    from transformers import GenerationMixin, LogitsProcessor, LogitsProcessorList, StoppingCriteria

    from core.chat.sampling import choose, described

    model, draw = chatter.model, request.draw
    if draw and chatter.kind != "janus":
        raise BadRequest(f"A {chatter.kind[:40]} answers in words only here; a Janus checkpoint draws.")
    noise = torch.Generator().manual_seed(request.seed)
    labels: Any = Labels(chatter.tokenizer, codes=draw)
    if draw:  # one sentence to draw; what was said and shown before is no part of it
        inputs = chatter.inputs((("user", request.conversation[-1][1], b""),), generation_mode="image")
    else:
        inputs = chatter.inputs(request.conversation, request.sounds)
    inputs = inputs.to(model.device)

    def work(put: Callable[[Any], None]) -> None:
        class Choose(LogitsProcessor):  # type: ignore[misc]
            """Leaves one token, chosen by our own dice, for the library to take."""

            def __call__(self, _: Any, scores: Any) -> Any:
                logits = scores[0].float().cpu()
                if draw:  # (2, V): with the words and without; guided here, so that one set of dice is cast
                    if control.stopped:
                        raise _Stopped
                    without = scores[1].float().cpu()
                    logits = without + GUIDANCE * (logits - without)
                token, chances, kept = choose(
                    logits, torch.isfinite(logits), temperature=request.temperature, top_k=request.top_k,
                    top_p=request.top_p, noise=noise,
                )  # fmt: skip
                put((token, described(token, chances, kept, labels, forced=False)))
                only = torch.full_like(scores[:1], float("-inf"))
                only[:, token] = 0
                return only

        common: dict[str, Any] = {
            "logits_processor": LogitsProcessorList([Choose()]),
            "do_sample": False,
            "num_beams": 1,
        }
        if draw:
            codes = model.generate(**inputs, **common, generation_mode="image", guidance_scale=1.0)
            prepared = chatter.processor.image_processor
            mean, std = torch.tensor(prepared.image_mean), torch.tensor(prepared.image_std)
            values = model.decode_image_tokens(codes)[0].float().cpu()  # (H, W, 3); its own way back lacks torchvision
            put((-1, ((values * std + mean).clamp(0, 1) * 255).round().byte().numpy()))
            return
        common |= {"stopping_criteria": [Stop()], "max_new_tokens": request.max_new_tokens}
        if chatter.kind == "janus":  # its own generate drops the processor of logits, and would guide words
            GenerationMixin.generate(model, **inputs, **common, guidance_scale=None)
        else:
            model.generate(**inputs, **common)

    class Stop(StoppingCriteria):  # type: ignore[misc]
        def __call__(self, ids: Any, _: Any, **more: Any) -> Any:
            return torch.full((len(ids),), control.stopped, device=ids.device)

    try:
        yield from aside(work, "lab-full-size-chat")
    except _Stopped:
        return
    except Exception as error:
        raise BadRequest(
            f"{type(model).__name__} cannot answer this ({first_line(error)}); ask something shorter."
        ) from error
