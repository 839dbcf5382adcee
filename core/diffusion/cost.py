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

    model: str = "latent-diffusion"
    rounds: int = integer(5, 1, 50, help="The least of this many alternating windows is taken.")


def on_pixels(denoiser: Any, side: int) -> Any:
    """A network like `denoiser` for pictures of `side` pixels, random weights."""
    config = {**denoiser.config, "in_channels": 3, "out_channels": 3, "sample_size": side}
    return type(denoiser).from_config(config).eval().requires_grad_(False)


@torch.inference_mode()
def generate(request: CostRequest, control: Control, model: Diffusion) -> Iterator[Step | Result]:
    """extras: latent_ms, pixel_ms (least processor time of a step: the network with and without the prompt, as one batch), decode_ms,
    latent_numbers, pixel_numbers (that are denoised), parameters, pixel_parameters, side.
    """
    if model.vae is None or model.text_encoder is None:
        raise BadRequest("This model works on pixels already; choose a latent model.")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        pixels = on_pixels(model.denoiser, model.size)
    words, masks = torch.zeros(2, 48, model.denoiser.config.cross_attention_dim), None
    if type(model.denoiser).__name__ == "PixArtTransformer2DModel":
        words, masks = torch.zeros(2, 48, model.denoiser.config.caption_channels), torch.ones(2, 48)
    twin = Diffusion(folder=model.folder, denoiser=pixels, scheduler=model.scheduler)
    latent, picture = torch.zeros(2, *model.latent_shape), torch.zeros(2, 3, model.size, model.size)
    t = torch.tensor(500)
    calls: dict[str, Callable[[], Any]] = {
        "latent": lambda: model.predict(latent, t, words, masks),
        "pixel": lambda: twin.predict(picture, t, words, masks),
        "decode": lambda: model.decode(latent[:1]),
    }
    spent: dict[str, list[float]] = {name: [] for name in calls}
    times = dict.fromkeys(
        calls, 1
    )  # how often a round makes each call: latent steps fill as long a window as a pixel step
    for i in range(request.rounds + 1):  # the first round warms up, and finds those numbers
        for name, call in calls.items():
            begun = time.process_time()  # processor time: waiting for other programs does not count
            for _ in range(times[name]):
                call()
            spent[name].append(1000 * (time.process_time() - begun) / times[name])
        if i == 0:
            times["latent"] = max(1, round(spent["pixel"][0] / max(1e-3, spent["latent"][0])))
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
            "latent_numbers": latent[0].numel(),
            "pixel_numbers": picture[0].numel(),
            "parameters": count(model.denoiser),
            "pixel_parameters": count(pixels),
            "side": model.size,
        },
    )


def seconds_a_picture(extras: dict[str, Any], steps: int) -> tuple[float, float]:
    """(on latents with one decoding, on pixels) for a picture of `steps` guided steps."""
    latent = steps * extras["latent_ms"] + extras["decode_ms"]
    return latent / 1000, steps * extras["pixel_ms"] / 1000
