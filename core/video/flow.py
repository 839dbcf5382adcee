"""Frames between two given ones: a small network says where each pixel comes from in either, and the pixels are moved.

    two frames, time --U-Net--> flow to the first (2), flow to the second (2), share of the second (1)

Untrained it moves nothing and shares by time: linear blending. It keeps the given frames' own pixels, so nothing is
lost to a codec.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def _conv(inp: int, out: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inp, out, 3, stride, padding=1)


class FlowNet(nn.Module):
    """(N, 3, H, W) twice and times (N,) in [0, 1] between them to (N, 3, H, W); H and W multiples of 8."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        w = width
        self.down = nn.ModuleList((_conv(10, w, 2), _conv(w, 2 * w, 2), _conv(2 * w, 2 * w, 2)))
        self.deep = nn.ModuleList(_conv(2 * w, 2 * w) for _ in range(3))
        self.up = nn.ModuleList((_conv(4 * w, 2 * w), _conv(3 * w, w)))
        self.near, self.out = _conv(w, w), _conv(w, 20)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)  # type: ignore[arg-type]

    def forward(self, first: Tensor, second: Tensor, times: Tensor) -> Tensor:
        share = times.view(-1, 1, 1, 1)
        x = torch.cat([first, second, second - first, share.expand(-1, 1, *first.shape[2:])], dim=1)
        kept = []
        for layer in self.down:
            x = F.silu(layer(x))
            kept.append(x)  # at 1/2, 1/4, 1/8
        for layer in self.deep:
            x = x + F.silu(layer(x))
        for layer, skip in zip(self.up, (kept[1], kept[0]), strict=True):
            x = F.silu(layer(torch.cat([F.interpolate(x, scale_factor=2.0, mode="nearest"), skip], dim=1)))
        x = F.pixel_shuffle(self.out(x + F.silu(self.near(x))), 2)  # (N, 5, H, W)
        m = torch.sigmoid(4 * x[:, 4:] + torch.logit(share, eps=1e-4))
        # flows in units of 8 pixels, as far as time has gone
        return (1 - m) * moved(first, 8 * share * x[:, :2]) + m * moved(second, 8 * (1 - share) * x[:, 2:4])


def moved(frames: Tensor, flow: Tensor) -> Tensor:
    """Each pixel taken from where its flow (N, 2, H, W: x, y in pixels) points to in frames (N, 3, H, W)."""
    h, w = frames.shape[2:]
    y, x = torch.meshgrid(torch.arange(h, device=flow.device), torch.arange(w, device=flow.device), indexing="ij")
    at = torch.stack([(2 * (x + flow[:, 0]) + 1) / w - 1, (2 * (y + flow[:, 1]) + 1) / h - 1], dim=-1)
    return F.grid_sample(frames, at, padding_mode="border", align_corners=False)
