"""Full-size checkpoints in memory: one on each shelf, its size judged before it is loaded."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from core.errors import DoesNotFit, LabError, Unavailable, first_line
from core.runtime import devices, memory


class Shelf:
    """Holds the last full-size model of one kind until another is asked for."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._held: dict[str, Any] = {}  # folder or hub id -> model, at most one

    def take(self, source: str, need: Callable[[], float], load: Callable[[], Any]) -> Any:
        """The model of `source`. need(): MB it takes; it refuses what cannot run before the old model is let go.

        Raises DoesNotFit before loading, Unavailable for what a broken checkpoint makes the library raise.
        """
        name = Path(source).expanduser().name
        with self._lock:
            if source not in self._held:
                needed = need()
                self.clear()
                free = memory.budget_mb() - memory.rss_mb()
                if needed > free:
                    raise DoesNotFit(
                        f"{name} needs about {needed:,.0f} MB and {max(free, 0):,.0f} of the {memory.budget_mb():,.0f} MB "
                        "budget are free; choose a smaller checkpoint or set LAB_MEMORY_MB higher."
                    )
                try:
                    self._held[source] = load()
                except LabError:
                    raise
                except Exception as error:
                    raise Unavailable(
                        f"{name} cannot be loaded ({first_line(error)}); fetch the checkpoint again."
                    ) from error
            return self._held[source]

    def clear(self) -> None:
        """Let go of the model."""
        with self._lock:
            self._held.clear()
        memory.trim()


def needed_mb(folder: Path) -> float:
    """Memory for the weights as they will be loaded: float32 on a CPU, half on a GPU."""
    stored = 0.0
    for path in folder.rglob("*.safetensors"):
        with path.open("rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        half = any(isinstance(v, dict) and v.get("dtype") in ("F16", "BF16") for v in header.values())
        stored += path.stat().st_size * (2 if half and devices.device() == "cpu" else 1)
    return stored / 1e6
