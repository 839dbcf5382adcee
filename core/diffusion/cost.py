"""What working on latents saves: the same network timed on latents and on pixels of equal resolution.

The pixel network is the latent model's own class and configuration with 3 channels and the picture's side, so it has
the same parameters (but for the first and last layer); its weights are random, which costs the same time. Both are
guided and take the same number of steps. Windows of equal length alternate and the least processor time of each kind is
taken: other work on the machine (shared caches, memory) adds to both, and is the reason why the ratio falls under load.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from core.diffusion.load import Diffusion
from core.errors import BadRequest
from core.pipeline import Control
from core.request import Request, integer
from core.result import Result, Step


@dataclass(frozen=True)
class CostRequest(Request):
    """Time one guided step on latents, one on pixels, one decoding, `rounds` times in turn."""

    PIPELINE: ClassVar[str] = "core.diffusion.cost"
    ROOM_MB: ClassVar[float] = 50.0  # activations of a guided step on four pictures of 64 px

    model: str = "latent-diffusion"
    rounds: int = integer(5, 1, 50, help="The least of this many alternating windows is taken.")
    sheet: int = integer(4, 1, 16, help="Pictures in a batch, for the second pair of figures.")


def on_pixels(denoiser: Any, side: int) -> Any:
    """A network like `denoiser` for pictures of `side` pixels, random weights."""
    config = {**denoiser.config, "in_channels": 3, "out_channels": 3, "sample_size": side}
    return type(denoiser).from_config(config).eval().requires_grad_(False)


@torch.inference_mode()
def generate(request: CostRequest, control: Control, model: Diffusion) -> Iterator[Step | Result]:
    """extras: latent_ms, pixel_ms (least processor time of a step: the network with and without the prompt, as one batch), decode_ms;
    sheet_latent_ms, sheet_pixel_ms, sheet_decode_ms (the same a picture, `sheet` of them in one batch: on small latents
    up to half of a single picture's time is calling the layers); latent_numbers, pixel_numbers (that are denoised),
    parameters, pixel_parameters, side.
    """
    if model.vae is None or model.text_encoder is None:
        raise BadRequest("This model works on pixels already; choose a latent model.")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        pixels = on_pixels(model.denoiser, model.size)
    transformer = type(model.denoiser).__name__ == "PixArtTransformer2DModel"
    width = model.denoiser.config.caption_channels if transformer else model.denoiser.config.cross_attention_dim
    twin = Diffusion(folder=model.folder, denoiser=pixels, scheduler=model.scheduler)
    latent, picture = (torch.zeros(1, *shape) for shape in (model.latent_shape, (3, model.size, model.size)))
    t = torch.tensor(500)

    def step(of: Diffusion, x: torch.Tensor, pictures: int) -> Callable[[], Any]:
        both = x.repeat(2 * pictures, 1, 1, 1)
        words, masks = torch.zeros(len(both), 48, width), torch.ones(len(both), 48) if transformer else None
        return lambda: of.predict(both, t, words, masks)

    sheet = request.sheet
    calls: dict[str, Callable[[], Any]] = {
        "latent": step(model, latent, 1),
        "pixel": step(twin, picture, 1),
        "decode": lambda: model.decode(latent),
        "sheet_latent": step(model, latent, sheet),
        "sheet_pixel": step(twin, picture, sheet),
        "sheet_decode": lambda: model.decode(latent.repeat(sheet, 1, 1, 1)),
    }
    share = {name: sheet if name.startswith("sheet") else 1 for name in calls}  # pictures a call
    spent: dict[str, list[float]] = {name: [] for name in calls}
    times = dict.fromkeys(
        calls, 1
    )  # how often a round makes each call: latent steps fill as long a window as a pixel step
    for i in range(request.rounds + 1):  # the first round warms up, and finds those numbers
        for name, call in calls.items():
            begun = time.process_time()  # processor time: waiting for other programs does not count
            for _ in range(times[name]):
                call()
            spent[name].append(1000 * (time.process_time() - begun) / times[name] / share[name])
        if i == 0:
            for kind in ("", "sheet_"):
                ratio = spent[f"{kind}pixel"][0] / max(1e-3, spent[f"{kind}latent"][0])
                times[f"{kind}latent"] = max(1, round(ratio))
            spent = {name: [] for name in calls}
        yield Step("generate", i + 1, request.rounds + 1)
        if control.stopped and i:
            break
    least = {f"{name}_ms": min(values) for name, values in spent.items()}  # other work on the machine only adds
    count = lambda net: sum(p.numel() for p in net.parameters())  # noqa: E731
    yield Result(
        request,
        steps_run=len(spent["latent"]),
        extras={
            **least,
            "sheet": sheet,
            "latent_numbers": latent.numel(),
            "pixel_numbers": picture.numel(),
            "parameters": count(model.denoiser),
            "pixel_parameters": count(pixels),
            "side": model.size,
        },
    )


def seconds_a_picture(extras: dict[str, Any], steps: int, kind: str = "") -> tuple[float, float]:
    """(on latents with one decoding, on pixels) for a picture of `steps` guided steps. kind: "", or "sheet_" for one of
    the pictures of a batch."""
    latent = steps * extras[f"{kind}latent_ms"] + extras[f"{kind}decode_ms"]
    return latent / 1000, steps * extras[f"{kind}pixel_ms"] / 1000
