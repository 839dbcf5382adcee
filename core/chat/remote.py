"""A remote model behind an OpenAI-compatible endpoint: streamed, with retries, time limits and one-sentence faults.

Keys come from the environment or st.secrets (only for the service they belong to) or are typed; they stay in this
process's memory under a random handle, and a request carries the handle: never the key.
"""

from __future__ import annotations

import base64
import ipaddress
import os
import secrets
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

from core.errors import BadRequest
from core.request import Request, flag, integer, number, text
from core.result import Result, Step, TextResult

if TYPE_CHECKING:
    import openai

    from core.pipeline import Control

# name: (address, environment variable of its key, a model to start with)
SERVICES = {
    "Ollama": ("http://localhost:11434/v1", "", "qwen2.5vl:3b"),
    "vLLM": ("http://localhost:8000/v1", "", ""),
    "LM Studio": ("http://localhost:1234/v1", "", ""),
    "OpenAI": ("https://api.openai.com/v1", "OPENAI_API_KEY", "gpt-4o-mini"),
    "OpenRouter": ("https://openrouter.ai/api/v1", "OPENROUTER_API_KEY", "qwen/qwen2.5-vl-7b-instruct"),
    "Gemini": ("https://generativelanguage.googleapis.com/v1beta/openai/", "GEMINI_API_KEY", "gemini-2.0-flash"),
    "Hugging Face": ("https://router.huggingface.co/v1", "HF_TOKEN", "Qwen/Qwen2.5-VL-7B-Instruct"),
}
CONNECT_SECONDS, SILENCE_SECONDS, RETRIES = 10.0, 60.0, 2
ROUNDS = 4  # answers that may end in tool calls, within one turn

_keys: OrderedDict[str, str] = OrderedDict()


def keep_key(key: str, handle: str = "") -> str:
    """Remember a key in memory (the newest 256) and return its handle."""
    handle = handle or secrets.token_urlsafe(12)
    _keys[handle] = key
    _keys.move_to_end(handle)
    while len(_keys) > 256:
        _keys.popitem(last=False)
    return handle


def key_of(handle: str) -> str:
    """The key behind a handle, "" when there is none."""
    return _keys.get(handle, "")


def service_key(
    base_url: str, found: dict[str, Any] | None = None, services: Iterable[tuple[str, ...]] = tuple(SERVICES.values())
) -> str:
    """The environment's (or `found`'s: st.secrets) key for this address; only a service's own address gets its key.

    services: (address, environment variable, …) of each.
    """
    for address, variable, *_ in services:
        if variable and base_url.rstrip("/") == address.rstrip("/"):
            return os.environ.get(variable, "") or str((found or {}).get(variable, ""))
    return ""


def client(base_url: str, key: str, seconds: float, retries: int) -> openai.OpenAI:
    """A client of the endpoint. key: a handle. seconds: silence after which it counts as gone."""
    import httpx2
    import openai

    return openai.OpenAI(
        base_url=base_url,
        api_key=key_of(key) or "none",
        max_retries=retries,
        timeout=httpx2.Timeout(seconds, connect=min(CONNECT_SECONDS, seconds)),
    )


@dataclass(frozen=True)
class RemoteRequest(Request):
    """One answer from a remote model. conversation: as in ChatRequest, pictures as file bytes; sounds: (turn, WAV file);
    key: a handle."""

    PIPELINE: ClassVar[str] = "core.chat.remote"
    KEEP_STEPS: ClassVar[int] = 64

    model: str = "remote"
    conversation: tuple = ()
    sounds: tuple = ()
    base_url: str = text("http://localhost:11434/v1", 300, help="Address of the endpoint, up to /v1.")
    name: str = text("", 200, help="The model's name there.")
    key: str = text("", 64)
    temperature: float = number(0.7, 0.0, 2.0)
    top_p: float = number(1.0, 0.05, 1.0)
    max_tokens: int = integer(512, 1, 8192)
    seed: int = integer(0, 0, 2**31 - 1)
    tools: bool = flag(False, help="It may draw, play and film with the models of this lab.")
    silence: float = number(SILENCE_SECONDS, 0.1, 300.0, help="Seconds without a word before it counts as gone.")

    def check(self) -> None:
        if not self.conversation or self.conversation[-1][0] != "user":
            raise BadRequest("The conversation must end with a turn of yours; write something.")
        check_address(self.base_url)
        if not self.name.strip():
            raise BadRequest("Give the model's name as the endpoint knows it.")

    def models(self) -> tuple[str, ...]:
        return ()


def check_address(url: str) -> None:
    """Raises BadRequest unless `url` is plain http(s) to a host that is no cloud metadata service."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    if parts.scheme not in ("http", "https") or not host or parts.username or parts.password:
        raise BadRequest("The address must look like https://host/v1, without a name or key in it.")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        if host == "metadata.google.internal":
            raise BadRequest("This address is not a model endpoint; give another one.") from None
        return
    if address.is_link_local or address.is_multicast or address.is_unspecified:
        raise BadRequest("This address is not a model endpoint; give another one.")


def messages(conversation: tuple, sounds: tuple = ()) -> list[dict[str, Any]]:
    """The conversation in the endpoint's form; pictures as data links, sounds as audio parts; turns of one side in a row
    are one message."""
    from core.chat.chat import read_picture  # checks that it is one

    out: list[dict[str, Any]] = []
    for place, (role, words, picture) in enumerate(conversation):
        if role == "bot":
            out.append({"role": "assistant", "content": words or "(a picture)"})
            continue
        heard = [data for turn, data in sounds if turn == place]
        parts: list[dict[str, Any]] = [{"type": "text", "text": words}] if words or not (picture or heard) else []
        for data in heard:
            coded = base64.b64encode(data).decode()
            parts.append({"type": "input_audio", "input_audio": {"data": coded, "format": "wav"}})
        if isinstance(picture, bytes) and picture:
            read_picture(picture)
            kind = {b"\x89P": "png", b"\xff\xd8": "jpeg", b"RI": "webp"}.get(picture[:2], "png")
            link = f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"
            parts.append({"type": "image_url", "image_url": {"url": link}})
        if out and out[-1]["role"] == "user":
            before = out.pop()["content"]
            parts = [*([{"type": "text", "text": before}] if isinstance(before, str) else before), *parts]
        plain = len(parts) == 1 and parts[0]["type"] == "text"
        out.append({"role": "user", "content": parts[0]["text"] if plain else parts})
    return out


def generate(request: RemoteRequest, control: Control) -> Iterator[Step | Result]:
    """Yield a Step a piece of text or tool call, last a TextResult; a fault keeps the partial text and stands in
    extras["fault"], what its tool calls made in extras["made"] (core.chat.tools.Made)."""
    import httpx2
    import openai

    from core.chat import tools

    started = time.perf_counter()
    endpoint = client(request.base_url, request.key, request.silence, RETRIES)
    pieces: list[str] = []
    made: list[tools.Made] = []
    fault, first, rounds = "", 0.0, 0
    try:
        talk = messages(request.conversation, request.sounds)
        while not fault and not control.stopped:
            answer = Answer()
            may = {"tools": tools.SPECS} if request.tools and rounds < ROUNDS else {}
            rounds += 1
            for piece in answer.read(_stream(endpoint, request, talk, may), control):
                first = first or time.perf_counter() - started
                pieces.append(piece)
                yield Step("token", len(pieces), 0, data={"label": piece, "modality": "text"})
            if not answer.ended and not control.stopped:
                fault = "The endpoint broke off in the middle; press Again to retry."
            if fault or not answer.calls or not may:
                break
            talk.append(answer.message())
            for call in answer.calls.values():
                yield Step("tool", len(pieces), note=f"{call['name'][:20]}: {call['arguments'][:80]}")
                told, thing = tools.run(call["name"], call["arguments"], control)
                made += [thing] if thing else []
                talk.append({"role": "tool", "tool_call_id": call["id"], "content": told})
    except (openai.OpenAIError, httpx2.HTTPError, ValueError, TypeError, AttributeError) as error:
        fault = sentence(error)
    finally:
        endpoint.close()
    spent = time.perf_counter() - started
    yield TextResult(
        request,
        steps_run=len(pieces),
        seconds=spent,
        model_calls=rounds,
        text="".join(pieces),
        complete=not fault and not control.stopped,
        extras={
            "fault": fault,
            "made": made,
            "first_token": first,
            "tokens": [],
            "tokens_per_second": len(pieces) / max(spent, 1e-6),
        },
    )


def _stream(endpoint: Any, request: RemoteRequest, talk: list[dict[str, Any]], may: dict[str, Any]) -> Any:
    return endpoint.chat.completions.create(
        model=request.name,
        messages=talk,
        stream=True,
        temperature=request.temperature,
        top_p=request.top_p,
        max_tokens=request.max_tokens,
        seed=request.seed,
        **may,
    )


class Answer:
    """One streamed answer: its pieces of text as they come, and the tool calls that its fragments make up."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.calls: dict[int, dict[str, str]] = {}  # by index: id, name, arguments
        self.ended = False

    def read(self, stream: Any, control: Control) -> Iterator[str]:
        """Raises ValueError for chunks that are no chat completion."""
        with stream:
            for chunk in stream:
                if control.stopped:
                    return
                choices = getattr(chunk, "choices", None)
                if not isinstance(choices, list):
                    raise ValueError("no choices")
                for choice in choices[:1]:
                    delta = getattr(choice, "delta", None)
                    self.ended = self.ended or bool(getattr(choice, "finish_reason", None))
                    for part in getattr(delta, "tool_calls", None) or []:
                        call = self.calls.setdefault(int(part.index or 0), {"id": "", "name": "", "arguments": ""})
                        call["id"] = str(part.id or call["id"])
                        call["name"] += str(getattr(part.function, "name", None) or "")
                        call["arguments"] += str(getattr(part.function, "arguments", None) or "")
                    if piece := getattr(delta, "content", None):
                        self.said.append(str(piece))
                        yield str(piece)

    def message(self) -> dict[str, Any]:
        """The answer as a message, for the next round."""
        calls = [
            {"id": c["id"], "type": "function", "function": {"name": c["name"], "arguments": c["arguments"]}}
            for c in self.calls.values()
        ]
        return {"role": "assistant", "content": "".join(self.said) or None, "tool_calls": calls}


def sentence(error: Exception) -> str:
    """What went wrong, in one sentence that says what to do; never the endpoint's own text, which may hold a key."""
    import openai

    if isinstance(error, openai.APITimeoutError):
        return "The endpoint was silent for too long; press Again, or choose a faster model."
    if isinstance(error, openai.APIConnectionError):
        return "The endpoint cannot be reached; check that it runs and that the address is right."
    if isinstance(error, openai.APIStatusError):
        known = {
            400: "does not accept this request (400); check the model's name and whether it takes pictures.",
            401: "refuses the key (401); enter a valid one.",
            403: "forbids this (403); check what the key may do.",
            404: "knows no such model or path (404); check the address and the model's name.",
            429: "has had too many requests (429); wait a minute and press Again.",
        }
        code = error.status_code
        rest = (
            f"failed inside ({code}); press Again in a moment."
            if code >= 500
            else f"refused ({code}); check the settings."
        )
        return "The endpoint " + known.get(code, rest)
    if isinstance(error, openai.APIError):
        return "The endpoint reported a fault in the middle; press Again to retry."
    if type(error).__module__.startswith("httpx"):
        timed = "Timeout" in type(error).__name__
        return (
            "The endpoint was silent for too long; press Again, or choose a faster model."
            if timed
            else "The endpoint broke off in the middle; press Again to retry."
        )
    return "The endpoint sent something that is no answer; check that the address ends in /v1 and is a chat endpoint."


def names(base_url: str, key: str) -> list[str]:
    """Names of the models an endpoint offers. Raises BadRequest with one sentence."""
    import httpx2
    import openai

    check_address(base_url)
    try:
        with client(base_url, key, CONNECT_SECONDS, retries=0) as endpoint:
            return sorted(str(m.id) for m in endpoint.models.list().data)[:200]
    except (openai.OpenAIError, httpx2.HTTPError, ValueError, TypeError, AttributeError) as error:
        raise BadRequest(sentence(error)) from None
