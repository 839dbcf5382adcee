"""Full-size music and sound through audiocraft (MusicGen, AudioGen, MAGNeT), in a worker process of its own.

audiocraft imports for 7 s and takes 550 MB, so it never enters the app's process: the request goes to a child as one
JSON line, progress comes back line by line, the sound as a file. The child is killed on Stop. The weights come from a
local folder or, when asked for, from the hub (https://github.com/facebookresearch/audiocraft).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from core.errors import BadRequest, Unavailable
from core.request import Request, choice, integer, number, seed_field, text
from core.result import AudioResult, Result, Step

if TYPE_CHECKING:
    from core.pipeline import Control

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ROOT / ".venv" / "audiocraft"


@dataclass(frozen=True)
class AudiocraftRequest(Request):
    """Text to sound by an audiocraft model.

    checkpoint: a hub id, a local folder, or "debug" (a tiny random network).
    """

    PIPELINE: ClassVar[str] = "core.audio.audiocraft"

    checkpoint: str = text("facebook/musicgen-small", 300, help="Hub id or local folder.")
    kind: str = choice("MusicGen", ("MusicGen", "AudioGen", "MAGNeT"))
    prompt: str = text("", 400)
    seconds: float = number(4.0, 0.5, 30.0, step=0.5, help="Length of the clip.")
    seed: int = seed_field()
    temperature: float = number(1.0, 0.05, 3.0)
    top_k: int = integer(250, 0, 2048, help="Sample among the k likeliest tokens; 0: all.")
    top_p: float = number(0.0, 0.0, 1.0, help="Nucleus; 0: off.")
    guidance_scale: float = number(3.0, 1.0, 10.0)

    def check(self) -> None:
        if not self.checkpoint.strip():
            raise BadRequest("The checkpoint is empty; give a hub id like facebook/musicgen-small or a folder.")
        if not self.prompt.strip():
            raise BadRequest("The prompt is empty; say what should be heard.")


def installed() -> bool:
    """Whether `make app` has put audiocraft into .venv/audiocraft."""
    return (PACKAGES / "audiocraft").is_dir()


def generate(request: AudiocraftRequest, control: Control) -> Iterator[Step | Result]:
    """Steps while the child generates, then an AudioResult. Raises Unavailable in one sentence."""
    if not installed():
        raise Unavailable("audiocraft is not installed; run `make install` once.")
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "sound.npy"
        job = {**request.to_dict(), "out": str(target)}
        environment = {**os.environ, "OMP_NUM_THREADS": os.environ.get("LAB_THREADS", "1")}
        child = subprocess.Popen(
            [sys.executable, "-m", "core.audio.audiocraft_worker", json.dumps(job)],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        said: dict = {}
        steps = 0
        try:
            assert child.stdout is not None
            for line in child.stdout:
                if control.stopped:
                    raise Unavailable("Stopped; audiocraft gives no partial sound.")
                if not line.startswith("{"):
                    continue
                said = json.loads(line)
                if "step" in said:
                    steps = said["step"]
                    yield Step("generate", steps, said["total"])
        finally:
            child.kill()
            child.wait()
        if not target.exists():
            reason = said.get("error", "the worker ended without a word")
            raise Unavailable(f"audiocraft could not run {request.checkpoint}: {reason}.")
        waveform = np.load(target)  # (samples, channels) float32
    yield AudioResult(
        request,
        waveform=waveform,
        sample_rate=int(said["sample_rate"]),
        seeds=[request.seed],
        steps_run=steps,
        model_calls=2 * steps,
    )
