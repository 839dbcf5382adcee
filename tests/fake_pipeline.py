"""A pipeline without a model, for tests of the runtime: draws seeded noise, one step at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from core.request import Request, choice, flag, integer, number, seed_field, text
from core.result import ImageResult, Result, Step

GATE = threading.Event()  # a request with wait=True stands still until a test opens it


@dataclass(frozen=True)
class FakeRequest(Request):
    PIPELINE: ClassVar[str] = "tests.fake_pipeline"

    prompt: str = text("", 40)
    seed: int = seed_field()
    count: int = integer(1, 1, 64)
    num_inference_steps: int = integer(4, 1, 100)
    guidance_scale: float = number(3.0, 0.0, 30.0)
    scheduler: str = choice("ddim", ("ddim", "euler"))
    wait: bool = flag()
    fail: bool = flag()
    path: tuple[float, ...] = ()
    picture: bytes = b""


def generate(request: FakeRequest, control, *models) -> Iterator[Step | Result]:
    images = []
    steps = 0
    for seed in request.sample_seeds(request.count):
        rng = np.random.default_rng(seed)
        for index in range(request.num_inference_steps):
            while request.wait and not GATE.wait(0.005) and not control.stopped:
                pass
            if control.stopped:
                break
            if request.fail:
                raise ZeroDivisionError("broken on purpose")
            steps += 1
            yield Step("generate", steps, request.count * request.num_inference_steps, data=index)
        images.append(rng.integers(0, 256, (8, 8, 3), np.uint8))
        if control.finishing:
            break
    yield ImageResult(request, images=np.stack(images), seeds=request.sample_seeds(len(images)), steps_run=steps)
