"""Full-size text-to-image checkpoints of any diffusers pipeline: SD 1.5, SDXL, SD 3, PixArt, Sana, FLUX, Z-Image, LCM.

By local folder (a hub id is looked at and brought here by core.runtime.hub). Safetensors only, no code from the
checkpoint, one pipeline in memory at a time; dtype, offload and attention slicing follow the device.
"""

from __future__ import annotations

import inspect
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from core.errors import BadRequest, Unavailable, first_line
from core.request import Request, integer, number, seed_field, text
from core.result import ImageResult, Step
from core.runtime.aside import aside
from core.runtime.shelf import Shelf, needed_mb

if TYPE_CHECKING:
    from core.pipeline import Control

LIBRARIES = ("diffusers", "transformers")
shelf = Shelf()  # pictures and films share it


@dataclass(frozen=True)
class FullSizeRequest(Request):
    """A picture from a full-size checkpoint. width, height: 0 takes the checkpoint's own; guidance_scale -1 as well."""

    PIPELINE: ClassVar[str] = "core.diffusion.full_size"

    folder: str = text("", 1000, help="A folder with model_index.json.")
    prompt: str = text("", 2000)
    negative_prompt: str = text("", 2000)
    seed: int = seed_field()
    count: int = integer(1, 1, 4)
    num_inference_steps: int = integer(20, 1, 100)
    guidance_scale: float = number(-1.0, -1.0, 30.0, help="-1: what the pipeline takes by itself.")
    width: int = integer(0, 0, 2048, step=8, help="0: the checkpoint's own size.")
    height: int = integer(0, 0, 2048, step=8, help="0: the checkpoint's own size.")

    def check(self) -> None:
        if self.width % 8 or self.height % 8:
            raise BadRequest("Width and height must be multiples of 8; 0 takes the checkpoint's own size.")

    def models(self) -> tuple[str, ...]:
        return ()


def generate(request: FullSizeRequest, control: Control) -> Iterator[Step | ImageResult]:
    """One Step a denoising step, last an ImageResult. Stop interrupts the pipeline within a step."""
    yield Step("load", note=Path(request.folder).name)
    pipe = open_pipeline(request.folder)
    started = time.perf_counter()
    accepted = inspect.signature(pipe.__call__).parameters
    images, seeds, steps_run = [], [], 0
    for number_, seed in enumerate(request.sample_seeds(request.count)):
        for item in run_steps(pipe, settings(request, seed, accepted), control, accepted):
            if isinstance(item, int):
                steps_run += 1
                done = number_ * request.num_inference_steps + item
                yield Step("generate", done, request.count * request.num_inference_steps)
            elif item is not None:
                images.append((np.clip(item[0], 0, 1) * 255).round().astype(np.uint8))
                seeds.append(seed)
        if control.finishing:
            break
    yield ImageResult(
        request=request,
        images=np.stack(images),
        seeds=seeds,
        steps_run=steps_run,
        seconds=time.perf_counter() - started,
        model_calls=steps_run,
        complete=len(seeds) == request.count and not control.stopped,
        extras={"pipeline": type(pipe).__name__, "attention": "Attention maps are not recorded for full-size models."},
    )


def settings(request: Any, seed: int, accepted: Any) -> dict[str, Any]:
    """A picture's or film's request as the arguments of a pipeline that takes those of the names `accepted`."""
    import torch

    options: dict[str, Any] = {
        "prompt": request.prompt,
        "num_inference_steps": request.num_inference_steps,
        "generator": torch.Generator("cpu").manual_seed(seed),
        "output_type": "np",
    }
    if request.negative_prompt and "negative_prompt" in accepted:
        options["negative_prompt"] = request.negative_prompt
    if request.guidance_scale >= 0 and "guidance_scale" in accepted:
        options["guidance_scale"] = request.guidance_scale
    for side in ("width", "height"):
        if getattr(request, side) and side in accepted:
            options[side] = getattr(request, side)
    return options


class _Stopped(Exception):
    """Raised inside a pipeline that knows no other way to stop; carries its latents."""


def run_steps(pipe: Any, options: dict[str, Any], control: Control, accepted: Any) -> Iterator[Any]:
    """Run the pipeline on a thread of its own: step numbers while it works, then what it made, values in [0, 1]:
    pictures (N, H, W, 3), or films (N, T, H, W, 3) for core.video.full_size."""

    def work(put: Callable[[Any], None]) -> None:
        def each(_: Any, index: int, _time: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            put(index + 1)
            if control.stopped:
                pipe._interrupt = True
            return tensors

        def older(index: int, _time: Any, latents: Any) -> None:  # the callback of PixArt and other older pipelines
            put(index + 1)
            if control.stopped:
                raise _Stopped(latents)

        calls = {"callback_on_step_end": each, "callback": older}
        more = next(({name: call} for name, call in calls.items() if name in accepted), {})
        try:
            made = pipe(**options, **more)
            put(made.images if "images" in made else made.frames)
        except _Stopped as stop:
            put(_decoded(pipe, stop.args[0]))

    try:
        yield from aside(work, "lab-full-size")
    except Exception as error:
        raise BadRequest(
            f"{type(pipe).__name__} refused these settings ({first_line(error)}); change them and run again."
        ) from error


def _decoded(pipe: Any, latents: Any) -> np.ndarray:
    """What a stopped pipeline had so far, (N, H, W, 3) in [0, 1]."""
    import torch

    with torch.no_grad():
        pictures = pipe.vae.decode(latents / pipe.vae.config.scaling_factor, return_dict=False)[0]
    return pipe.image_processor.postprocess(pictures, output_type="np")


def open_pipeline(source: str) -> Any:
    """The pipeline of a folder, loaded once and held until another is asked for.

    Raises Unavailable (no such folder, broken), BadRequest (foreign code, no pipeline) or DoesNotFit before loading.
    """
    folder = Path(source).expanduser()

    def need() -> float:
        check_folder(folder)
        return needed_mb(folder)

    return shelf.take(source, need, lambda: _load(folder))


def _load(folder: Path) -> Any:
    import torch
    from diffusers import DiffusionPipeline

    from core.runtime import devices

    device = devices.device()
    dtype = torch.float32 if device == "cpu" else torch.bfloat16
    pipe = DiffusionPipeline.from_pretrained(
        str(folder), torch_dtype=dtype, local_files_only=True, use_safetensors=True, **check_folder(folder)
    )
    pipe.set_progress_bar_config(disable=True)
    if device == "cuda":
        pipe.enable_model_cpu_offload()
    else:
        pipe.to(device)
        if hasattr(pipe, "enable_attention_slicing") and needed_mb(folder) > 500:
            pipe.enable_attention_slicing()
    return pipe


def check_folder(folder: Path) -> dict[str, None]:
    """The parts that the checkpoint leaves out on purpose (SD 3 without T5), as keyword arguments for loading.

    Raises when the folder holds no pipeline or wants code that is not diffusers' own.
    """
    try:
        index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise Unavailable(f"“{folder.name}” holds no readable model_index.json; give a diffusers folder.") from None
    for name, spec in index.items():
        known = not isinstance(spec, list) or spec[0] is None or spec[0] in LIBRARIES or spec[0] == "stable_diffusion"
        if not known:
            raise BadRequest(f"{name} of “{folder.name}” comes from {spec[0]}, whose code is not run here.")
    return {name: None for name, spec in index.items() if isinstance(spec, list) and spec[0] is None}
