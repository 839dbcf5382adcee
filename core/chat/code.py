"""The code model: completes a short Python function, one token a step."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from core.chat.vocabulary import END, START
from core.errors import BadRequest
from core.request import Request, integer, number, seed_field, text
from core.result import Result, Step, TextResult

if TYPE_CHECKING:
    from core.chat.decoder import Decoder
    from core.pipeline import Control

EXAMPLE = 'def f(xs):\n    """Return the sum of the squares of the even numbers in xs."""\n    '


@dataclass(frozen=True)
class CodeRequest(Request):
    """A signature and docstring to complete. start: token ids that the answer begins with."""

    PIPELINE: ClassVar[str] = "core.chat.code"
    KEEP_STEPS: ClassVar[int] = 128

    model: str = "code-lm"
    prompt: str = text(EXAMPLE, 600, help="A def line and a one-line docstring.")
    start: tuple = ()
    temperature: float = number(0.0, 0.0, 2.0, help="0 takes the likeliest token; 1 follows the model.")
    top_k: int = integer(0, 0, 300, help="Keep only the k likeliest tokens; 0 keeps all.")
    top_p: float = number(0.95, 0.05, 1.0, help="Keep the likeliest tokens that reach this probability together.")
    max_new_tokens: int = integer(80, 1, 120)
    seed: int = seed_field()

    def check(self) -> None:
        if not self.prompt.strip():
            raise BadRequest("There is no prompt; write a def line and a docstring.")
        if (
            not all(isinstance(i, int) and not isinstance(i, bool) and i >= 0 for i in self.start)
            or len(self.start) > 120
        ):
            raise BadRequest("start is a list of at most 120 token ids.")


def tidy(prompt: str) -> str:
    """The prompt as in training: no line breaks around it, and the body's indent at its end."""
    lines = prompt.replace("\r", "").replace("\t", "    ").strip().split("\n")
    return "\n".join(line.rstrip() for line in lines) + "\n    "


def generate(request: CodeRequest, control: Control, model: Decoder) -> Iterator[Step | Result]:
    """Yield a Step a token (data: core.chat.sampling.described), last a TextResult: the body without the prompt.

    extras: context (ids), tokens (data), code (prompt and body), first_token, tokens_per_second.
    """
    import torch

    from core.chat.decoder import Memory
    from core.chat.sampling import choose, described

    words = model.words
    started = time.perf_counter()
    prompt = tidy(request.prompt)
    ids = [START, *words.encode(prompt)]
    room = model.context - len(ids)
    if room < 8:
        raise BadRequest(f"The prompt is {len(ids)} tokens long; shorten it to {model.context - 8}.")
    allowed = torch.ones(words.size, dtype=torch.bool)
    allowed[: words.first_text] = False
    allowed[words.first_code :] = False
    allowed[END] = True
    noise = torch.Generator().manual_seed(request.seed)
    memory = Memory()
    logits, _ = model.read(ids, memory)
    written: list[int] = []
    tokens: list[dict[str, Any]] = []
    first_token = 0.0
    while len(written) < min(request.max_new_tokens, room) and not control.stopped:
        token, probabilities, kept = choose(
            logits, allowed, temperature=request.temperature, top_k=request.top_k, top_p=request.top_p, noise=noise
        )
        if len(written) < len(request.start):
            token = request.start[len(written)]
            if token >= words.size or not allowed[token]:
                raise BadRequest("start holds an id that is no text; take the ids from the token view.")
        first_token = first_token or time.perf_counter() - started
        written.append(token)
        tokens.append(described(token, probabilities, kept, words, forced=False))
        if token == END:
            break
        yield Step("token", len(written), 0, data=tokens[-1])
        logits, _ = model.read([token], memory)
    body = words.decode(written)
    spent = time.perf_counter() - started
    yield TextResult(
        request,
        steps_run=len(written),
        seconds=spent,
        model_calls=len(written),
        text=body,
        complete=bool(written) and written[-1] == END,
        extras={
            "context": ids,
            "tokens": tokens,
            "code": prompt + body,
            "first_token": first_token,
            "tokens_per_second": len(written) / max(spent, 1e-6),
        },
    )
