"""Speech from a remote endpoint: any OpenAI-compatible speech API (OpenAI, Kokoro-FastAPI, LocalAI, openedai-speech).

Keys are kept as in core.chat.remote: in memory under a random handle; the request carries the handle, never the key.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from core.audio import upload
from core.chat.remote import check_address, client, sentence
from core.errors import BadRequest, Unavailable
from core.request import Request, number, text
from core.result import AudioResult, Result, Step

if TYPE_CHECKING:
    from core.pipeline import Control

# name: (address, environment variable of its key, a model and a voice to start with)
SERVICES = {
    "OpenAI": ("https://api.openai.com/v1", "OPENAI_API_KEY", "gpt-4o-mini-tts", "alloy"),
    "Kokoro-FastAPI": ("http://localhost:8880/v1", "", "kokoro", "af_heart"),
    "LocalAI": ("http://localhost:8080/v1", "", "tts-1", "alloy"),
}
SECONDS, RATE = 120.0, 24_000


@dataclass(frozen=True)
class RemoteSpeechRequest(Request):
    """Text spoken somewhere else. key: a handle of core.chat.remote.keep_key."""

    PIPELINE: ClassVar[str] = "core.audio.remote"

    model: str = "remote"
    base_url: str = text("https://api.openai.com/v1", 300, help="Address of the endpoint, up to /v1.")
    name: str = text("", 200, help="The model's name there.")
    voice: str = text("alloy", 100, help="The voice's name there.")
    key: str = text("", 64)
    speed: float = number(1.0, 0.25, 4.0)
    text: str = text("", 2000)  # last: it hides the function of that name

    def check(self) -> None:
        check_address(self.base_url)
        if not self.name.strip() or not self.voice.strip():
            raise BadRequest("Give the names of the model and of the voice as the endpoint knows them.")
        if not self.text.strip():
            raise BadRequest("There is nothing to say; write a sentence.")

    def models(self) -> tuple[str, ...]:
        return ()


def generate(request: RemoteSpeechRequest, control: Control) -> Iterator[Step | Result]:
    """Ask once and yield the sound. Raises Unavailable with one sentence; never shows the endpoint's own text."""
    import httpx2
    import openai

    started = time.perf_counter()
    yield Step("speak", 0, 1, note=f"asking {request.base_url}")
    try:
        with client(request.base_url, request.key, SECONDS, retries=1) as endpoint:
            answer = endpoint.audio.speech.create(
                model=request.name,
                voice=request.voice,
                input=request.text,
                speed=request.speed,
                response_format="wav",
            )
        data = answer.content
    except (openai.OpenAIError, httpx2.HTTPError, ValueError, TypeError, AttributeError) as error:
        raise Unavailable(sentence(error)) from None
    try:
        wave = upload.decode(data, RATE, max_seconds=600.0)
    except BadRequest:
        raise Unavailable("The endpoint answered with something that is no sound; check the model's name.") from None
    yield AudioResult(
        request,
        steps_run=1,
        model_calls=1,
        seconds=time.perf_counter() - started,
        complete=not control.stopped,
        waveform=wave[:, None],
        sample_rate=RATE,
        seeds=[0],
        extras={"remote": request.base_url},
    )
