"""Tools that a remote model may call: the lab's own pipelines, in the form of OpenAI's tool calls.

A call becomes an ordinary job of the lab's queue, so that it waits its turn and keeps to the memory budget. The model
is told in one sentence what came of it; the file itself goes to the page.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.errors import LabError

if TYPE_CHECKING:
    from core.pipeline import Control

# name: (the model that runs, kind of file, what the remote model is told)
TOOLS = {
    "draw": (
        "latent-diffusion",
        "image",
        "Draw a portrait of a cartoon person from words: hair cut and colour, skin, glasses, beard, mouth, background "
        "colour, style (avataaars, adventurer, micah, open peeps, personas, big smile, pixel art, toon head). "
        "It can draw faces only.",
    ),
    "play": ("music-lm", "audio", "Play four seconds of simple music or a sound effect from a caption, in English."),
    "film": (
        "video-dit",
        "video",
        "Film two seconds of one simple shape that moves, from words such as: a big red star moves fast right at night.",
    ),
}
SPECS: list[dict[str, Any]] = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": words,
            "parameters": {
                "type": "object",
                "properties": {"prompt": {"type": "string", "description": "What it should be."}},
                "required": ["prompt"],
            },
        },
    }
    for name, (_, _, words) in TOOLS.items()
]


@dataclass(frozen=True)
class Made:
    """What a tool made. kind: "image", "audio" or "video"; data: a PNG, WAV or MP4 file with its record."""

    kind: str
    data: bytes
    note: str


def run(name: str, arguments: str, control: Control) -> tuple[str, Made | None]:
    """What the model is told, and what was made (None when nothing was). Never raises for what a model may send."""
    if name not in TOOLS:
        return f"There is no tool {name[:40]!r}; there are {', '.join(TOOLS)}.", None
    try:
        prompt = json.loads(arguments)["prompt"]
    except (ValueError, KeyError, TypeError):
        prompt = None
    if not isinstance(prompt, str) or not prompt.strip():
        return 'The arguments must be JSON such as {"prompt": "words"}.', None
    model, kind, _ = TOOLS[name]
    try:
        result = _complete(model, prompt.strip(), control)
    except LabError as error:
        return f"It failed: {error}", None
    if result is None:
        return "It was stopped.", None
    from core import provenance

    data = provenance.encode(result, provenance.default_ending(result))
    return f"Done: the {kind} is shown to the user.", Made(kind, data, f"{name} by {model}: {prompt.strip()[:80]}")


def _complete(model: str, prompt: str, control: Control) -> Any:
    """The finished result of a job, None when it was stopped. Raises LabError when it failed."""
    from core import catalog
    from core.runtime.jobs import queue

    cls: Any = catalog.card(model).request_class()
    longest = cls.__dataclass_fields__["prompt"].metadata["max_length"]
    job = queue().submit(cls(model=model, prompt=prompt[:longest]), "chat-tools")
    while job.active:
        if control.stopped:
            job.stop()
        time.sleep(0.03)
    if job.error:
        raise LabError(job.error)
    return job.result if job.state == "done" else None
