"""Models side by side: the same number of samples of each, judged by the same networks; the nearest training pictures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from core.errors import BadRequest
from core.gan.request import MODELS, SampleRequest
from core.request import Request, integer, number, seed_field
from core.result import ImageResult, Result, Step

if TYPE_CHECKING:
    from core.metrics.attributes import AttributeClassifier
    from core.metrics.features import EfficientNetLite0
    from core.pipeline import Control

FEATURES, CLASSIFIER = "efficientnet-lite0", "attributes-b"


@dataclass(frozen=True)
class JudgeRequest(Request):
    """Judge `count` samples of each of `judged`. Few samples flatter nobody: compare figures of equal count only."""

    PIPELINE: ClassVar[str] = "core.gan.judge"

    judged: tuple = ("dcgan", "stylegan2")
    seed: int = seed_field(0)
    count: int = integer(64, 16, 512, step=16, help="Samples of each model.")
    truncation_psi: float = number(1.0, 0.0, 1.5, help="Truncation of all models.")

    def check(self) -> None:
        """Raise BadRequest for unknown models."""
        if not self.judged or any(m not in MODELS for m in self.judged):
            raise BadRequest(f"Choose models among {', '.join(MODELS)}.")

    def models(self) -> tuple[str, ...]:
        """The judges; each generator is loaded in its turn."""
        return (FEATURES, CLASSIFIER)

    def work(self) -> float:
        """Samples in all, for the estimate of time."""
        return float(self.count * len(self.judged))


def generate(
    request: JudgeRequest, control: Control, network: EfficientNetLite0, classifier: AttributeClassifier
) -> Iterator[Step | Result]:
    """Yield a step every eighth sample, then an ImageResult with the first 8 samples of each model.

    extras: rows: one {figure: value} a model; neighbours: (models * 8, 3, 64, 64, 3) uint8 nearest training portraits;
    distances: (models * 8, 3); real: figures of held-out real portraits.
    """
    from core.gan import sample
    from core.metrics.portraits import Reference
    from core.runtime.models import lease

    judge = Reference.load()
    rows: list[dict[str, Any]] = []
    shown, near, far = [], [], []
    total, done = request.count * len(request.judged), 0
    for model in request.judged:
        parts: list[np.ndarray] = []
        seconds = 0.0
        with lease(model) as (gan,):
            for start in range(0, request.count, 16):
                if control.stopped:
                    break
                asked = SampleRequest(
                    model=model, seed=(request.seed + start) % 2**32, count=16, truncation_psi=request.truncation_psi
                )
                batch, spent = _batch(sample.generate(asked, control, gan))
                parts.append(batch)
                seconds += spent
                done += len(batch)
                yield Step("generate", done, total, preview=batch, note=model)
        if control.stopped or not parts:
            break
        images = np.concatenate(parts)
        yield Step("measure", done, total, note=f"judging {model}")
        rows.append(
            {
                "model": model,
                **judge.quality(images, network, classifier),
                "parameters": sum(p.numel() for p in gan.generator.parameters()),
                "ms a sample": 1000 * seconds / len(images),
            }
        )
        index, distance = judge.neighbours(images[:8], network, 3)
        shown.append(images[:8])
        near.append(judge.pictures[index])
        far.append(distance)
    images = np.concatenate(shown) if shown else np.zeros((0, 64, 64, 3), np.uint8)
    yield ImageResult(
        request,
        steps_run=done,
        model_calls=done,
        complete=len(rows) == len(request.judged),
        images=images,
        seeds=[(request.seed + i) % 2**32 for _ in rows for i in range(8)],
        extras={
            "rows": rows,
            "neighbours": np.concatenate(near) if near else images[:, None],
            "distances": np.concatenate(far) if far else np.zeros((0, 3)),
            "real": judge.real,
        },
    )


def _batch(steps: Iterator[Step | Result]) -> tuple[np.ndarray, float]:
    """The pictures of one run and the seconds that it took."""
    import time

    started = time.perf_counter()
    *_, last = steps
    return last.images, time.perf_counter() - started  # type: ignore[union-attr]
