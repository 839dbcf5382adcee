"""Pictures from a remote endpoint: any OpenAI-compatible images API, or Hugging Face Inference.

Keys are kept as in core.chat.remote: from the environment, st.secrets or typed, in memory under a random handle; the
request carries the handle, never the key.
"""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from core.chat.remote import check_address, client, key_of, sentence
from core.errors import BadRequest, Unavailable
from core.request import Request, choice, text
from core.result import ImageResult, Step

if TYPE_CHECKING:
    from core.pipeline import Control

SIZES = ("512x512", "1024x1024", "1024x1536", "1536x1024")
HUGGING_FACE = "https://router.huggingface.co/v1"
# name: (address, environment variable of its key, a model to start with)
SERVICES = {
    "OpenAI": ("https://api.openai.com/v1", "OPENAI_API_KEY", "gpt-image-1"),
    "Hugging Face": (HUGGING_FACE, "HF_TOKEN", "black-forest-labs/FLUX.1-schnell"),
    "LocalAI": ("http://localhost:8080/v1", "", "stablediffusion"),
}
SECONDS = 180.0


@dataclass(frozen=True)
class RemoteImageRequest(Request):
    """One picture from somewhere else. key: a handle of core.chat.remote.keep_key."""

    PIPELINE: ClassVar[str] = "core.diffusion.remote"

    model: str = "remote"
    base_url: str = text("https://api.openai.com/v1", 300, help="Address of the endpoint, up to /v1.")
    name: str = text("", 200, help="The model's name there.")
    prompt: str = text("", 4000)
    size: str = choice("1024x1024", SIZES)
    key: str = text("", 64)

    def check(self) -> None:
        check_address(self.base_url)
        if not self.name.strip() or not self.prompt.strip():
            raise BadRequest("Give a prompt and the model's name as the endpoint knows it.")

    def models(self) -> tuple[str, ...]:
        return ()


def generate(request: RemoteImageRequest, control: Control) -> Iterator[Step | ImageResult]:
    """Ask once and yield the picture. Raises Unavailable with one sentence; never shows the endpoint's own text."""
    started = time.perf_counter()
    yield Step("generate", 0, 1, note=f"asking {request.base_url}")
    image = _hugging_face(request) if request.base_url.rstrip("/") == HUGGING_FACE else _openai(request)
    yield ImageResult(
        request=request, images=image[None], seeds=[0], steps_run=1, model_calls=1, seconds=time.perf_counter() - started,
        complete=not control.stopped, extras={"remote": request.base_url},
    )  # fmt: skip


def _openai(request: RemoteImageRequest) -> np.ndarray:
    import httpx2
    import openai

    # The newer image models answer in base64 always and refuse the field; the older and most servers want it.
    more: dict[str, Any] = {} if request.name.startswith("gpt-image") else {"response_format": "b64_json"}
    try:
        with client(request.base_url, request.key, SECONDS, retries=1) as endpoint:
            answer = endpoint.images.generate(
                model=request.name,
                prompt=request.prompt,
                size=request.size,
                n=1,
                **more,  # type: ignore[arg-type]
            )
        return _picture(base64.b64decode((answer.data or [])[0].b64_json or "", validate=True))
    except (openai.OpenAIError, httpx2.HTTPError, ValueError, TypeError, AttributeError, IndexError) as error:
        raise Unavailable(sentence(error)) from None


def _hugging_face(request: RemoteImageRequest) -> np.ndarray:
    from huggingface_hub import InferenceClient
    from huggingface_hub.errors import HfHubHTTPError, InferenceTimeoutError

    width, height = (int(side) for side in request.size.split("x"))
    try:
        hub = InferenceClient(token=key_of(request.key) or None, timeout=SECONDS)
        image = hub.text_to_image(request.prompt, model=request.name, width=width, height=height)
    except InferenceTimeoutError:
        raise Unavailable("Hugging Face was silent for too long; run again, or choose a faster model.") from None
    except (HfHubHTTPError, OSError, ValueError, StopIteration) as error:
        code = getattr(getattr(error, "response", None), "status_code", "")
        reason = f"answered {code}" if code else "cannot be reached or knows no such model"
        raise Unavailable(f"Hugging Face {reason}; check the key and the model's name.") from None
    return np.asarray(image.convert("RGB"))


def _picture(data: bytes) -> np.ndarray:
    from PIL import Image

    with Image.open(io.BytesIO(data)) as image:
        if image.width * image.height > 20_000_000:
            raise ValueError("too large")
        return np.asarray(image.convert("RGB"))
