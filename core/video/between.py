"""Films from given frames: between keyframes, at twice the frame rate, beyond their end; and what is simpler.

Between two given frames a small network moves their pixels (core.video.flow), beyond the last a diffusion transformer
makes what follows (core.video.sample, `known`):
    fill       frames 0, 5, 10, 15 are given: keyframes to a film
    double     every second frame is given
    extend     the last 8 of the film so far are given; the window of 16 slides on
    keyframes  a keyframe model first makes 0, 5, 10 and 15 from the words, then `fill`
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from core.errors import BadRequest
from core.request import Request, choice, integer, number, seed_field, text
from core.result import Step, VideoResult
from core.video import sample
from core.video.sample import VideoRequest
from core.video.scenes import FPS, FRAMES, SIZE

TASKS = ("keyframes", "fill", "double", "extend")
KEYS = tuple(range(0, FRAMES, 5))  # 0, 5, 10, 15
BETWEEN, KEYFRAMES = "video-between", "video-keyframes"


@dataclass(frozen=True)
class FilmRequest(Request):
    """A film from frames, by the networks together, whichever of them is named. clip: raw uint8 frames (T, 48, 48, 3); of them `fill` looks only at the keyframes."""

    PIPELINE: ClassVar[str] = "core.video.between"

    model: str = "video-between"
    task: str = choice("keyframes", TASKS)
    prompt: str = text("a big red star moves fast right at night", 160, help="Empty: only the given frames count.")
    seed: int = seed_field(1)
    num_inference_steps: int = integer(8, 1, 50)
    guidance_scale: float = number(
        2.5, 1.0, 8.0, help="For the keyframes; the rest follows the frames given.", step=0.1
    )
    frames: int = integer(32, 16, 64, step=8, help="Length to extend to.")
    clip: bytes = b""

    def check(self) -> None:
        if len(self.clip) % (SIZE * SIZE * 3):
            raise BadRequest(f"The clip given is not made of frames of {SIZE} x {SIZE}; cut it first.")
        least = {"keyframes": 0, "fill": FRAMES, "double": 8, "extend": 8}[self.task]
        if len(self.clip) // (SIZE * SIZE * 3) < least:
            raise BadRequest(f"“{self.task}” needs a clip of at least {least} frames; give a longer one.")

    def models(self) -> tuple[str, ...]:
        return (BETWEEN, KEYFRAMES) if self.task == "keyframes" else (BETWEEN,)


def generate(request: FilmRequest, control: Any, model: Any, keyframes: Any = None) -> Iterator[Step | VideoResult]:
    """Yields the steps of every part, then the film. extras: known (numbers of frames that were given), windows."""
    began = time.perf_counter()
    film = np.frombuffer(request.clip, np.uint8).reshape(-1, SIZE, SIZE, 3)
    base = VideoRequest(
        model=request.model, prompt=request.prompt, seed=request.seed, frames=FRAMES, guidance_scale=1.0,
        num_inference_steps=request.num_inference_steps,
    )  # fmt: skip
    steps_run, calls, count, known = 0, 0, 0, KEYS
    # 1. the frames that are given
    if request.task == "keyframes":
        keys = None
        for item in sample.generate(base.replace(guidance_scale=request.guidance_scale), control, keyframes):
            if isinstance(item, Step):
                yield Step("keyframes", item.index, item.total, preview=item.preview)
            else:
                keys = item
        assert keys is not None
        film = np.zeros((FRAMES, SIZE, SIZE, 3), np.uint8)
        film[list(KEYS)] = keys.frames
        steps_run, calls = keys.steps_run, keys.model_calls
    elif request.task == "double":
        film = film.repeat(2, axis=0)[:-1]
        known = tuple(range(0, len(film), 2))
    elif request.task == "extend":
        known = tuple(range(len(film)))
    if request.task != "extend":
        # 2. those between them, gap by gap
        film = film[: known[-1] + 1].copy()
        for low, high in pairwise(known):
            count += 1
            film[low + 1 : high] = moved_between(model, film[low], film[high], high - low - 1)
            yield Step("between", count, len(known) - 1, preview=film[low : high + 1])
        steps_run, calls = steps_run + count, calls + count
    else:
        # 3. or those after them, window by window: the last eight frames are given, eight are made. The words speak of
        # the first 16 frames only
        base = base.replace(prompt="")
        while len(film) < request.frames and not (control.stopped and count):
            tail = np.concatenate([film[-8:], film[-1:].repeat(8, axis=0)])
            count += 1
            again = base.replace(clip=tail.tobytes(), known=tuple(range(8)), seed=(request.seed + count - 1) % 2**32)
            part = None
            for item in sample.generate(again, control, model):
                if isinstance(item, Step):
                    yield Step(f"window {count}", item.index, item.total, preview=item.preview)
                else:
                    part = item
            assert part is not None
            film = np.concatenate([film, part.frames[8:]])
            steps_run, calls = steps_run + part.steps_run, calls + part.model_calls
    yield VideoResult(
        request, frames=film, fps=float(FPS * 2 if request.task == "double" else FPS), seeds=[request.seed],
        steps_run=steps_run, model_calls=calls, seconds=time.perf_counter() - began,
        extras={"known": () if request.task == "keyframes" else known, "windows": count},
    )  # fmt: skip


def moved_between(model: Any, first: np.ndarray, second: np.ndarray, count: int) -> np.ndarray:
    """`count` frames evenly between two (48, 48, 3) uint8, by the model's flow network."""
    import torch

    with torch.inference_mode():
        a, b = sample.to_pixels(np.stack([first, second])).to(next(model.flow.parameters()).device).split(1)
        times = torch.arange(1, count + 1, device=a.device) / (count + 1)
        return sample.to_frames(model.flow(a.expand(count, -1, -1, -1), b.expand(count, -1, -1, -1), times))


# --- what is simpler -------------------------------------------------------------------------------------------


def blend(frames: np.ndarray, known: tuple[int, ...]) -> np.ndarray:
    """Every frame a mixture of the nearest known ones before and after it: (T, H, W, 3) uint8."""
    made = frames.copy()
    at = np.asarray(known)
    for i in range(len(frames)):
        low, high = at[at <= i].max(initial=at[0]), at[at >= i].min(initial=at[-1])
        share = 0.0 if high == low else (i - low) / (high - low)
        made[i] = np.rint((1 - share) * frames[low].astype(np.float32) + share * frames[high])
    return made


def repeat(frames: np.ndarray, known: tuple[int, ...]) -> np.ndarray:
    """Every frame the nearest known one."""
    at = np.asarray(known)
    return frames[[int(at[np.abs(at - i).argmin()]) for i in range(len(frames))]]


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """Peak signal to noise ratio in decibels of two films (uint8); 99 for equal ones."""
    error = float(np.square(a.astype(np.float32) - b).mean())
    return 99.0 if error == 0 else float(10 * np.log10(255**2 / error))


def motion_error(frames: np.ndarray, truth: np.ndarray) -> float:
    """Mean distance in pixels between the object in `frames` and in `truth` (T, H, W, 3), by the tracker.

    A frame in which none is seen, or which shows two half-faded ones whose middle is no object, counts as it is
    measured; an unseen object counts as half the picture.
    """
    from core.video.tracker import track

    a, b = track(frames).path, track(truth).path
    off = np.hypot(*(a[:, :2] - b[:, :2]).T)
    seen = np.isfinite(b[:, 0])
    return float(np.where(np.isfinite(off), off, frames.shape[1] / 2)[seen].mean())
