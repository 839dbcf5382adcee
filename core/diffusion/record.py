"""What a run looked like inside, step by step, as plain numpy for the scrubber and the guidance views."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from core.diffusion import attention
from core.diffusion.forward import to_uint8
from core.diffusion.load import Diffusion
from core.diffusion.schedule import Levels


class Recorder:
    """Collects a run; `finish` returns, for S denoiser calls on latents (C, h, w):

    times (S,), alpha (S,), sigma (S,): the noise level of each call; x, x0, eps (S, C, h, w) float32: state, predicted
    clean latents and predicted noise after guidance; cond, uncond, weak (S, C, h, w): predicted noise of each pass,
    where two or more ran, and cond_x0, ... the clean latents it believes in; attention (S, L, T, h, w) float16 with
    layers [L names]; last (C, h, w): the final state; x0_pictures (S, H, W, 3) uint8: x0 decoded; x_pictures: x as colours.
    """

    def __init__(self, levels: Levels, model: Diffusion) -> None:
        self.levels, self.model = levels, model
        self.pictures: list[np.ndarray] = []  # of each call (H, W, 3): predicted x_0, decoded
        self.rows: list[dict[str, torch.Tensor]] = []
        self.times: list[float] = []
        self.maps: list[dict[str, torch.Tensor]] = []

    def add(
        self, t: float, x: torch.Tensor, x0: torch.Tensor, eps: torch.Tensor, parts: dict[str, torch.Tensor], maps: Any
    ) -> np.ndarray:
        """One denoiser call; returns its predicted clean picture (H, W, 3). parts: outputs by pass."""
        row = {"x": x, "x0": x0, "eps": eps}
        if len(parts) > 1:
            for name, output in parts.items():
                row[f"{name}_x0"], row[name] = self.levels.split(output, x, t)
        self.rows.append({name: value[0].float().cpu() for name, value in row.items()})
        self.times.append(t)
        if maps:
            self.maps.append({name: probs.cpu() for name, probs in maps.items()})
        decoded = self.model.quick(x0)[0]  # (3, H, W)
        self.pictures.append(to_uint8(decoded.permute(1, 2, 0).float().cpu().numpy()))
        return self.pictures[-1]

    def finish(self, latents: torch.Tensor) -> dict[str, Any]:
        levels = np.array([self.levels.at(t) for t in self.times], np.float32)
        times = np.array(self.times, np.float32)
        record: dict[str, Any] = {"times": times, "alpha": levels[:, 0], "sigma": levels[:, 1]}
        for name in ("x", "x0", "eps"):
            record[name] = torch.stack([row[name] for row in self.rows]).numpy()
        for name in ("cond", "uncond", "weak"):  # outside a guidance interval only one pass runs: it stands for both
            if any(name in row for row in self.rows):
                record[name] = torch.stack([row.get(name, row["eps"]) for row in self.rows]).numpy()
                record[f"{name}_x0"] = torch.stack([row.get(f"{name}_x0", row["x0"]) for row in self.rows]).numpy()
        if self.maps:
            record["layers"] = list(self.maps[0])
            record["attention"] = attention.stack(self.maps, latents.shape[-1]).half().numpy()
        record["last"] = latents[0].float().cpu().numpy()
        record["x0_pictures"] = np.stack(self.pictures)
        record["x_pictures"] = as_colours(record["x"], record["x0"], record["x0_pictures"])
        return record


def as_colours(x: np.ndarray, x0: np.ndarray, pictures: np.ndarray) -> np.ndarray:
    """Latents x (S, C, h, w) as colours (S, H, W, 3) uint8, by the linear map that best turns x0 into its pictures.

    Four numbers a cell become one colour a cell: no decoding, so noise looks like noise. Cells are repeated to the size
    of the pictures.
    """
    steps, channels, h, w = x.shape
    factor = pictures.shape[1] // h
    cells = pictures.reshape(steps, h, factor, w, factor, 3).mean((2, 4)).reshape(-1, 3) / 127.5 - 1.0
    columns = [latents.transpose(0, 2, 3, 1).reshape(-1, channels) for latents in (x0, x)]
    known, wanted = (np.concatenate([part, np.ones((len(part), 1))], axis=1) for part in columns)
    colours = wanted @ np.linalg.lstsq(known, cells, rcond=None)[0]
    return to_uint8(colours.reshape(steps, h, w, 3)).repeat(factor, 1).repeat(factor, 2)
