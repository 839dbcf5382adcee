"""What a pipeline yields: steps while it runs, one result at the end. Plain numpy and Python data, picklable."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from core.request import Request


@dataclass
class Step:
    """One unit of progress.

    phase: "load", "generate", "decode", … ; index: 1-based; total: 0 when unknown.
    preview: uint8 (H, W, 3) or (N, H, W, 3), float32 audio (samples,), or None. data: plain data for live views.
    """

    phase: str
    index: int = 0
    total: int = 0
    preview: np.ndarray | None = None
    note: str = ""
    data: Any = None


@dataclass
class Result:
    """Common to all results. seconds: generation without loading; complete: False when stopped early."""

    request: Request
    steps_run: int = 0
    seconds: float = 0.0
    load_seconds: float = 0.0
    model_calls: int = 0
    complete: bool = True
    extras: dict[str, Any] = field(default_factory=dict)

    def nbytes(self) -> int:
        """Approximate size in bytes of everything held, for the bounded store of finished results."""
        return _nbytes(self.__dict__)


@dataclass
class ImageResult(Result):
    """images: (N, H, W, 3) uint8; seeds: one a picture."""

    images: np.ndarray = field(default_factory=lambda: np.zeros((0, 1, 1, 3), np.uint8))
    seeds: list[int] = field(default_factory=list)


@dataclass
class VideoResult(Result):
    """frames: (T, H, W, 3) uint8; fps: frames a second."""

    frames: np.ndarray = field(default_factory=lambda: np.zeros((0, 1, 1, 3), np.uint8))
    fps: float = 8.0
    seeds: list[int] = field(default_factory=list)


@dataclass
class AudioResult(Result):
    """waveform: (samples, channels) float32 in [-1, 1]; sample_rate in Hz."""

    waveform: np.ndarray = field(default_factory=lambda: np.zeros((0, 1), np.float32))
    sample_rate: int = 16000
    seeds: list[int] = field(default_factory=list)


@dataclass
class TextResult(Result):
    """text: what the model wrote."""

    text: str = ""


@dataclass
class PointsResult(Result):
    """points: (N, 2) float32."""

    points: np.ndarray = field(default_factory=lambda: np.zeros((0, 2), np.float32))


def _nbytes(value: Any) -> int:
    if isinstance(value, np.ndarray):
        return value.nbytes
    if isinstance(value, (bytes, str)):
        return len(value)
    if isinstance(value, dict):
        return sum(_nbytes(item) for item in value.values())
    if isinstance(value, (list, tuple)):
        return sum(_nbytes(item) for item in value)
    return 32
