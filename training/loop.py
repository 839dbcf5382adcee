"""What every recipe shares: a clock of CPU minutes, warm-up and cosine, EMA, checkpoints, a log and a sheet.

run = Run("autoencoder", model, minutes=20, lr=1e-3, batch=16)
for step in run:                       # until the CPU minutes are used up
    loss = ...
    run.update(loss, l1=float(l1))     # backward, clip, step, EMA, log
    if run.due("sheet", minutes=3):
        run.sheet(pictures)
"""

from __future__ import annotations

import copy
import csv
import math
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

RUNS = Path("runs")


class Run:
    """One resumable training run of `model`, logged under runs/NAME/.

    `minutes` is the whole CPU time of the run (`time.process_time`), earlier parts included: start it again
    with the same number and it goes on where it stopped, with a larger one and it goes on further.
    The learning rate warms up over 2 % and falls as a cosine to zero at the end.
    """

    def __init__(
        self,
        name: str,
        model: Any,
        minutes: float,
        lr: float,
        *,
        batch: int,
        ema: float = 0.999,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        clip: float = 1.0,
        resume: bool = True,
        optimizer: Any = None,
    ) -> None:
        self.folder = RUNS / name
        self.folder.mkdir(parents=True, exist_ok=True)
        self.model, self.minutes, self.lr, self.batch, self.clip = model, minutes, lr, batch, clip
        self.decay = ema
        self.ema = copy.deepcopy(model).eval().requires_grad_(False)
        self.optimizer = optimizer or torch.optim.AdamW(
            [p for p in model.parameters() if p.requires_grad],
            lr=lr,
            betas=betas,
            weight_decay=weight_decay,
            fused=True,
        )
        self.step, self.before = 0, 0.0  # steps done; CPU seconds of earlier parts
        self.begin = time.process_time()
        self._last: dict[str, float] = {}
        self._sums: dict[str, float] = {}
        self._count = 0
        if resume and (self.folder / "last.pt").exists():
            self._resume()

    # 1. The clock
    @property
    def seconds(self) -> float:
        """CPU seconds used, earlier parts included."""
        return self.before + time.process_time() - self.begin

    @property
    def progress(self) -> float:
        """Share of the budget used, 0 to 1."""
        return min(1.0, self.seconds / (60 * self.minutes))

    def due(self, what: str, minutes: float) -> bool:
        """True once every `minutes` CPU minutes for each `what`, and not at the very start."""
        now = self.seconds
        if now - self._last.setdefault(what, now) < 60 * minutes:
            return False
        self._last[what] = now
        return True

    def __iter__(self) -> Iterator[int]:
        self.model.train()
        while self.progress < 1.0:
            yield self.step
            if self.due("checkpoint", 1.0):
                self.checkpoint()
        self.checkpoint()

    # 2. One step
    def rate(self) -> float:
        """Learning rate now."""
        p = self.progress
        return self.lr * min(1.0, (self.step + 1) / 20, p / 0.02 + 0.05) * 0.5 * (1 + math.cos(math.pi * p))

    def update(self, loss: torch.Tensor, **figures: float) -> None:
        """Backward, clipped AdamW step, EMA; every 100 steps a row in log.csv with the means of `figures`."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
        value = float(loss.detach())
        if not (math.isfinite(value) and math.isfinite(float(norm))):
            raise FloatingPointError(f"{self.folder.name}: the loss is {value} at step {self.step}")
        self.optimizer.step()
        self.step += 1
        self._average()
        for key, number in {"loss": value, **figures}.items():
            self._sums[key] = self._sums.get(key, 0.0) + number
        self._count += 1
        if self.step % 100 == 0:
            self._log()

    @torch.no_grad()
    def _average(self) -> None:
        decay = min(self.decay, (1 + self.step) / (10 + self.step))
        targets: list[torch.Tensor] = [p for p in self.ema.parameters() if p.is_floating_point()]
        torch._foreach_lerp_(targets, [p.detach() for p in self.model.parameters() if p.is_floating_point()], 1 - decay)
        for mean, now in zip(self.ema.buffers(), self.model.buffers(), strict=True):
            mean.copy_(now)

    def _log(self) -> None:
        row = {
            "step": self.step,
            "seconds": round(self.seconds, 1),
            "pictures": self.step * self.batch,
            "lr": f"{self.rate():.2e}",
            **{k: f"{v / self._count:.5f}" for k, v in self._sums.items()},
        }
        path = self.folder / "log.csv"
        new = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.DictWriter(file, list(row))
            if new:
                writer.writeheader()
            writer.writerow(row)
        print(" ".join(f"{k}={v}" for k, v in row.items()), flush=True)
        self._sums, self._count = {}, 0

    # 3. What it leaves on disk
    def checkpoint(self) -> None:
        """Model, EMA, optimizer, step and seconds to last.pt (read back with weights_only)."""
        state: dict[str, Any] = {
            "model": self.model.state_dict(),
            "ema": self.ema.state_dict(),
            "step": self.step,
            "optimizer": self.optimizer.state_dict(),
            "seconds": self.seconds,
        }
        torch.save(state, self.folder / "last.tmp")
        os.replace(self.folder / "last.tmp", self.folder / "last.pt")

    def _resume(self) -> None:
        state = torch.load(self.folder / "last.pt", map_location="cpu", weights_only=True)
        self.model.load_state_dict(state["model"])
        self.ema.load_state_dict(state["ema"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.before = state["step"], state["seconds"]
        print(f"{self.folder.name}: goes on from step {self.step}, {self.before / 60:.1f} CPU minutes")

    def sheet(self, pictures: np.ndarray, name: str = "sheet", columns: int = 8) -> None:
        """(N, H, W, 3) uint8 as one PNG: runs/NAME/NAME-MINUTES.png, and the newest as NAME.png."""
        path = self.folder / f"{name}-{self.seconds / 60:05.1f}.png"
        save_sheet(pictures, path, columns)
        shutil.copyfile(path, self.folder / f"{name}.png")


def save_sheet(pictures: np.ndarray, path: str | Path, columns: int = 8, zoom: int = 2) -> None:
    """Write (N, H, W, 3) uint8 pictures as a grid of `columns`, each pixel `zoom` wide."""
    from PIL import Image

    rows = -(-len(pictures) // columns)
    height, width = pictures.shape[1:3]
    grid = np.zeros((rows * height, columns * width, 3), np.uint8)
    for i, picture in enumerate(pictures):
        y, x = i // columns * height, i % columns * width
        grid[y : y + height, x : x + width] = picture
    image = Image.fromarray(grid)
    image.resize((image.width * zoom, image.height * zoom), Image.Resampling.NEAREST).save(path)


def to_uint8(x: torch.Tensor) -> np.ndarray:
    """(N, 3, H, W) in [-1, 1] to (N, H, W, 3) uint8."""
    return ((x.detach().clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()


def to_tensor(pictures: np.ndarray) -> torch.Tensor:
    """(N, H, W, 3) uint8 to (N, 3, H, W) float in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1


def publish(folder: str | Path, **parts: Any) -> int:
    """Save `parts` (anything with save_pretrained; modules as fp16) into FOLDER/PART, or FOLDER itself for "_".

    Everything is written beside the target and moved in file by file, so a reader never sees half a file.
    Returns the bytes of the weight files.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".new-") as scratch:
        for name, part in parts.items():
            target = Path(scratch) / ("" if name == "_" else name)
            if isinstance(part, nn.Module):
                part = copy.deepcopy(part).half()
            part.save_pretrained(target)
        for config in Path(scratch).rglob("config.json"):  # stored as fp16, but to be loaded as fp32
            config.write_text(config.read_text().replace('"dtype": "float16"', '"dtype": "float32"'))
        for file in sorted(Path(scratch).rglob("*")):
            if file.is_file():
                place = folder / file.relative_to(scratch)
                place.parent.mkdir(parents=True, exist_ok=True)
                os.replace(file, place)
    return sum(f.stat().st_size for f in folder.rglob("*.safetensors"))


def autocast() -> Any:
    """Convolutions in bf16 where the processor has it (twice as fast there, several times slower elsewhere)."""
    return torch.autocast("cpu", torch.bfloat16, enabled=native_bf16())


def native_bf16() -> bool:
    """Whether this processor multiplies bf16 itself."""
    return bool(torch.cpu._is_avx512_bf16_supported())


def generator(seed: int) -> torch.Generator:
    """A CPU generator of its own."""
    return torch.Generator().manual_seed(seed)
