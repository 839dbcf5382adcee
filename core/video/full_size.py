"""Full-size text-to-video checkpoints through diffusers: CogVideoX, Wan, LTX-Video, HunyuanVideo, Mochi, AnimateDiff, Latte.

By local folder (a hub id is looked at and brought here by core.runtime.hub), loaded by core.diffusion.full_size:
safetensors only, no code from the checkpoint, one pipeline in memory at a time, offload by device. The frames are
decoded in tiles and slices, which is what fits a long film into memory.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from core.diffusion import full_size
from core.errors import BadRequest
from core.request import Request, integer, number, seed_field, text
from core.result import Step, VideoResult

if TYPE_CHECKING:
    from core.pipeline import Control

# part of the class name: frames a second it was trained for, and how many frames its codec packs into one (k n + 1)
FAMILIES: dict[str, tuple[float, int]] = {
    "CogVideoX": (8, 4),
    "Wan": (16, 4),
    "LTX": (24, 8),
    "HunyuanVideo": (24, 4),
    "Mochi": (30, 6),
    "AnimateDiff": (8, 0),
    "Latte": (8, 0),
}


@dataclass(frozen=True)
class FullVideoRequest(Request):
    """A film from a full-size checkpoint. 0 (guidance_scale: -1) takes what the checkpoint does by itself."""

    PIPELINE: ClassVar[str] = "core.video.full_size"

    folder: str = text("", 1000, help="A folder with model_index.json.")
    prompt: str = text("", 2000)
    negative_prompt: str = text("", 2000)
    seed: int = seed_field()
    num_inference_steps: int = integer(30, 1, 100)
    guidance_scale: float = number(-1.0, -1.0, 30.0, help="-1: what the pipeline takes by itself.")
    frames: int = integer(0, 0, 257, help="0: the pipeline's own number; rounded to what its codec can pack.")
    width: int = integer(0, 0, 1920, step=16, help="0: the checkpoint's own size.")
    height: int = integer(0, 0, 1920, step=16, help="0: the checkpoint's own size.")

    def check(self) -> None:
        if self.width % 16 or self.height % 16:
            raise BadRequest("Width and height must be multiples of 16; 0 takes the checkpoint's own size.")

    def models(self) -> tuple[str, ...]:
        return ()


def family(name: str) -> str:
    """The family of a pipeline class. Raises BadRequest for one that makes no film from words."""
    found = next((f for f in FAMILIES if name.startswith(f) and "Image" not in name and "Video2Video" not in name), "")
    if not found or "VideoToVideo" in name:
        raise BadRequest(f"{name} makes no film from words alone; this page runs {', '.join(FAMILIES)}.")
    return found


def packable(frames: int, name: str) -> int:
    """The nearest number of frames that the family's codec can pack: a multiple of k, and one. Latte makes 16 only."""
    if name == "Latte":
        return 16
    k = FAMILIES[name][1]
    return frames if not k else max(0, round((frames - 1) / k)) * k + 1


def generate(request: FullVideoRequest, control: Control) -> Iterator[Step | VideoResult]:
    """One Step a denoising step, last a VideoResult. Stop ends the denoising within a step; the frames are decoded."""
    yield Step("load", note=Path(request.folder).name)
    pipe = full_size.open_pipeline(request.folder)
    name = family(type(pipe).__name__)
    for way in ("enable_tiling", "enable_slicing"):
        if hasattr(pipe.vae, way):
            getattr(pipe.vae, way)()
    started = time.perf_counter()
    accepted = inspect.signature(pipe.__call__).parameters
    options = full_size.settings(request, request.seed, accepted)
    if request.frames:
        options["num_frames" if "num_frames" in accepted else "video_length"] = packable(request.frames, name)
    done, film = 0, None
    for item in full_size.run_steps(pipe, options, control, accepted):
        if isinstance(item, int):
            done = item
            yield Step("denoise", done, request.num_inference_steps)
        else:
            film = item
    assert film is not None
    yield VideoResult(
        request=request,
        frames=_uint8(film),
        fps=FAMILIES[name][0],
        seeds=[request.seed],
        steps_run=done,
        seconds=time.perf_counter() - started,
        model_calls=done,
        complete=not control.stopped,
        extras={"pipeline": type(pipe).__name__},
    )


def _uint8(film: Any) -> np.ndarray:
    """The first of (N, T, H, W, 3) floats in [0, 1] (or (N, T, 3, H, W) as a tensor) to (T, H, W, 3) uint8."""
    first = film[0]
    values = first.float().cpu().numpy() if hasattr(first, "cpu") else np.asarray(first)
    if values.dtype == np.uint8:
        return values
    if values.shape[-1] != 3:
        values = values.transpose(0, 2, 3, 1)
    return (np.clip(np.nan_to_num(values), 0, 1) * 255).round().astype(np.uint8)
