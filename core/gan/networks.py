"""Generators and discriminators of the GAN lineage at 64 x 64, each with the parts that define its paper.

Every generator has the same two halves, so that one pipeline serves all:
    w = mapping(z, c)              z (B, z_dim), c (B, c_dim) one-hot labels or (B, 0) -> w (B, w_dim)
    x = synthesis(ws, noise)       ws (B, num_ws, w_dim) -> pictures (B, 3, 64, 64), about [-1, 1]
Those without a mapping network take w = z (and labels, if any) and num_ws = 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

RESOLUTION = 64


# 1. Building blocks
class Dense(nn.Module):
    """Linear layer with equalised learning rate: weights are N(0, 1) and scaled by 1/sqrt(fan-in) when used
    (ProGAN, section 4.1)."""

    def __init__(self, inputs: int, outputs: int, bias: float = 0.0, gain: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs))
        self.bias = nn.Parameter(torch.full((outputs,), bias))
        self.scale = gain / math.sqrt(inputs)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight * self.scale, self.bias)


class Conv(nn.Module):
    """Convolution with equalised learning rate. up: a transposed one that doubles the side."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        stride: int = 1,
        up: bool = False,
        gain: float = math.sqrt(2),
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.up, self.stride, self.padding = up, stride, (kernel - 1) // 2
        shape = (inputs, outputs, kernel, kernel) if up else (outputs, inputs, kernel, kernel)
        self.weight = nn.Parameter(torch.randn(shape))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        # a stride-2 transposed 4 x 4 kernel reaches each output pixel with 4 of its 16 taps
        self.scale = gain / math.sqrt(inputs * (4 if up else kernel * kernel))

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight * self.scale
        if self.up:
            return F.conv_transpose2d(x, weight, self.bias, stride=2, padding=1)
        return F.conv2d(x, weight, self.bias, stride=self.stride, padding=self.padding)


def lrelu(x: Tensor) -> Tensor:
    return F.leaky_relu(x, 0.2)


def pixel_norm(x: Tensor) -> Tensor:
    """Each pixel's feature vector to unit mean square (ProGAN, section 4.2)."""
    return x * (x.square().mean(1, keepdim=True) + 1e-8).rsqrt()


def upsample(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def minibatch_stddev(x: Tensor, group: int = 4) -> Tensor:
    """One more channel: the deviation over `group` samples, so that D sees missing variety (ProGAN, section 3)."""
    b, _, h, w = x.shape
    group = math.gcd(b, group)
    y = x.reshape(group, b // group, -1)  # (G, M, C*H*W)
    y = (y.var(0, unbiased=False) + 1e-8).sqrt().mean(1)  # (M,)
    return torch.cat([x, y.repeat(group).reshape(b, 1, 1, 1).expand(b, 1, h, w)], 1)


class Mapping(nn.Module):
    """f: Z -> W, `depth` dense layers on the normalised z and the embedded labels (StyleGAN, section 2)."""

    def __init__(self, z_dim: int, c_dim: int, w_dim: int, depth: int = 3) -> None:
        super().__init__()
        self.embed = Dense(c_dim, w_dim, gain=math.sqrt(c_dim / 8)) if c_dim else None
        widths = [z_dim + (w_dim if c_dim else 0)] + [w_dim] * depth
        self.layers = nn.ModuleList(Dense(a, b, gain=math.sqrt(2)) for a, b in pairwise(widths))

    def forward(self, z: Tensor, c: Tensor) -> Tensor:
        x = pixel_norm(z)
        if self.embed is not None:
            x = torch.cat([x, self.embed(c)], 1)
        for layer in self.layers:
            x = lrelu(layer(x))
        return x  # (B, w_dim)


class Generator(nn.Module):
    """What all generators share. has_w: a mapping network, so truncation and style mixing mean something."""

    has_w = False
    num_ws = 1

    def __init__(self, z_dim: int, c_dim: int, w_dim: int) -> None:
        super().__init__()
        self.z_dim, self.c_dim, self.w_dim = z_dim, c_dim, w_dim
        self.register_buffer("w_avg", torch.zeros(w_dim))

    def mapping(self, z: Tensor, c: Tensor) -> Tensor:
        return torch.cat([z, c], 1)

    def noise_sizes(self) -> list[int]:
        """Side of each noise picture that `synthesis` adds, in order; empty without noise."""
        return []

    def layer_sizes(self) -> list[int]:
        """Resolution that each of the num_ws styles acts on."""
        return [RESOLUTION]

    def synthesis(self, ws: Tensor, noise: Sequence[Tensor] | None = None) -> Tensor:
        raise NotImplementedError

    def forward(self, z: Tensor, c: Tensor, noise: Sequence[Tensor] | None = None) -> Tensor:
        w = self.mapping(z, c)
        return self.synthesis(w.unsqueeze(1).expand(-1, self.num_ws, -1), noise)


# 2. GAN 2014: https://arxiv.org/abs/1406.2661
class MLPGenerator(Generator):
    """Dense layers only; a pixel knows nothing of its neighbours."""

    def __init__(self, z_dim: int = 64, c_dim: int = 0, widths: Sequence[int] = (256, 512, 192)) -> None:
        super().__init__(z_dim, c_dim, z_dim + c_dim)
        sizes = [self.w_dim, *widths]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.out = nn.Linear(sizes[-1], 3 * RESOLUTION * RESOLUTION)

    def synthesis(self, ws: Tensor, noise: Sequence[Tensor] | None = None) -> Tensor:
        x = ws[:, 0]
        for layer in self.layers:
            x = F.relu(layer(x))
        return torch.tanh(self.out(x)).reshape(-1, 3, RESOLUTION, RESOLUTION)


class MLPDiscriminator(nn.Module):
    """Dense maxout layers on the picture at half size, as in the 2014 paper."""

    def __init__(self, c_dim: int = 0, width: int = 160) -> None:
        super().__init__()
        self.first = nn.Linear(3 * 32 * 32, width * 2)
        self.second = nn.Linear(width, width * 2)
        self.out = nn.Linear(width, 1)

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        x = F.avg_pool2d(x, 2).flatten(1)  # (B, 3072)
        for layer in (self.first, self.second):
            x = F.dropout(layer(x).unflatten(1, (-1, 2)).amax(2), 0.3, self.training)
        return self.out(x)  # (B, 1) logits


# 3. DCGAN 2015: https://arxiv.org/abs/1511.06434
class DCGANGenerator(Generator):
    """Transposed convolutions, batch norm, ReLU, tanh; no dense layer but the projection of z."""

    def __init__(self, z_dim: int = 64, c_dim: int = 0, channels: Sequence[int] = (128, 96, 64, 32)) -> None:
        super().__init__(z_dim, c_dim, z_dim + c_dim)
        sides = list(pairwise(channels))
        self.first = nn.ConvTranspose2d(self.w_dim, channels[0], 4, bias=False)  # 1 -> 4
        self.norm = nn.BatchNorm2d(channels[0])
        self.ups = nn.ModuleList(nn.ConvTranspose2d(a, b, 4, 2, 1, bias=False) for a, b in sides)
        self.norms = nn.ModuleList(nn.BatchNorm2d(b) for _, b in sides)
        self.out = nn.ConvTranspose2d(channels[-1], 3, 4, 2, 1)  # 32 -> 64
        for layer in self.modules():
            if isinstance(layer, nn.ConvTranspose2d):
                nn.init.normal_(layer.weight, 0.0, 0.02)  # section 4: N(0, 0.02)

    def synthesis(self, ws: Tensor, noise: Sequence[Tensor] | None = None) -> Tensor:
        x = F.relu(self.norm(self.first(ws[:, 0, :, None, None])))  # (B, 128, 4, 4)
        for up, norm in zip(self.ups, self.norms, strict=True):
            x = F.relu(norm(up(x)))
        return torch.tanh(self.out(x))  # (B, 3, 64, 64)


class DCGANDiscriminator(nn.Module):
    """Strided convolutions with batch norm and leaky ReLU."""

    def __init__(self, c_dim: int = 0, channels: Sequence[int] = (32, 64, 96, 128)) -> None:
        super().__init__()
        sides = list(pairwise(channels))
        self.first = nn.Conv2d(3, channels[0], 4, 2, 1)  # 64 -> 32
        self.downs = nn.ModuleList(nn.Conv2d(a, b, 4, 2, 1, bias=False) for a, b in sides)
        self.norms = nn.ModuleList(nn.BatchNorm2d(b) for _, b in sides)
        self.out = nn.Conv2d(channels[-1], 1, 4)  # 4 -> 1
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.normal_(layer.weight, 0.0, 0.02)

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        x = lrelu(self.first(x))
        for down, norm in zip(self.downs, self.norms, strict=True):
            x = lrelu(norm(down(x)))
        return self.out(x).flatten(1)


# 4. ProGAN 2018: https://arxiv.org/abs/1710.10196
class ProGANGenerator(Generator):
    """Grown from 8 to 64. level: 0 shows 8 x 8, 3 shows 64 x 64; a fraction fades the newest layers in."""

    def __init__(self, z_dim: int = 64, c_dim: int = 0, channels: Sequence[int] = (96, 64, 48, 24, 12)) -> None:
        super().__init__(z_dim, c_dim, z_dim + c_dim)
        self.level = 3.0
        self.first = Dense(self.w_dim, channels[0] * 16)
        self.conv4 = Conv(channels[0], channels[0], 3)
        sides = list(pairwise(channels))
        self.ups = nn.ModuleList(Conv(a, b, 4, up=True) for a, b in sides)
        self.convs = nn.ModuleList(Conv(b, b, 3) for _, b in sides)
        self.to_rgb = nn.ModuleList(Conv(b, 3, 1, gain=1.0) for _, b in sides)  # 8, 16, 32, 64
        for layer in self.to_rgb:
            nn.init.normal_(layer.weight, 0.0, 0.1)  # type: ignore[arg-type]  # fades in quietly

    def mapping(self, z: Tensor, c: Tensor) -> Tensor:
        return torch.cat([pixel_norm(z), c], 1)

    def features(self, ws: Tensor, blocks: int) -> list[Tensor]:
        """Feature maps at 8, 16, … after each of the first `blocks` blocks."""
        x = self.first(ws[:, 0]).reshape(ws.shape[0], -1, 4, 4).contiguous(memory_format=torch.channels_last)
        x = pixel_norm(lrelu(self.conv4(pixel_norm(lrelu(x)))))
        maps = []
        for up, conv in zip(self.ups[:blocks], self.convs[:blocks], strict=True):
            x = pixel_norm(lrelu(up(x)))
            x = pixel_norm(lrelu(conv(x)))
            maps.append(x)
        return maps

    def synthesis(self, ws: Tensor, noise: Sequence[Tensor] | None = None, level: float | None = None) -> Tensor:
        level = self.level if level is None else level
        top = math.ceil(level)
        maps = self.features(ws, top + 1)
        x = self.to_rgb[top](maps[top])
        fade = level - (top - 1)
        if top and fade < 1:  # the older, smaller picture shines through
            x = torch.lerp(F.interpolate(self.to_rgb[top - 1](maps[top - 1]), scale_factor=2), x, fade)
        return x  # (B, 3, 8 * 2**top, same)


class ProGANDiscriminator(nn.Module):
    """Mirror image of the generator, with the same `level`, and minibatch deviation at 4 x 4."""

    def __init__(self, c_dim: int = 0, channels: Sequence[int] = (12, 24, 48, 72, 96)) -> None:
        super().__init__()
        self.level = 3.0
        sides = list(pairwise(channels))  # 64 -> 32 -> 16 -> 8 -> 4
        self.from_rgb = nn.ModuleList(Conv(3, a, 1) for a, _ in sides)
        self.convs = nn.ModuleList(Conv(a, a, 3) for a, _ in sides)
        self.downs = nn.ModuleList(Conv(a, b, 4, stride=2) for a, b in sides)
        self.head = Head(channels[-1], c_dim, deviation=True)

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        top = math.ceil(self.level)
        fade = self.level - (top - 1)
        start = len(self.downs) - 1 - top  # block 0 takes 64 x 64
        y = lrelu(self.from_rgb[start](x))
        for i in range(start, len(self.downs)):
            y = lrelu(self.downs[i](lrelu(self.convs[i](y))))
            if i == start and top and fade < 1:
                y = torch.lerp(lrelu(self.from_rgb[start + 1](F.avg_pool2d(x, 2))), y, fade)
        return self.head(y, c)


# 5. The discriminator of the StyleGANs, and the encoder of the warm start
class Head(nn.Module):
    """4 x 4 maps to one logit; labels enter as a projection, <embed(c), features> (arXiv 1802.05637)."""

    def __init__(self, channels: int, c_dim: int, deviation: bool) -> None:
        super().__init__()
        self.deviation = deviation
        self.conv = Conv(channels + deviation, channels, 3)
        self.dense = Dense(channels * 16, 128, gain=math.sqrt(2))
        self.out = Dense(128, 1)
        self.embed = Dense(c_dim, 128) if c_dim else None

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        x = minibatch_stddev(x) if self.deviation else x
        x = lrelu(self.dense(lrelu(self.conv(x)).flatten(1)))  # (B, 128)
        score = self.out(x)
        if self.embed is not None:
            score = score + (x * self.embed(c)).sum(1, keepdim=True) / math.sqrt(128)
        return score  # (B, 1) logits


class Trunk(nn.Module):
    """64 x 64 picture to (B, channels[-1], 4, 4). Pixels are folded 2 x 2 into channels first: a quarter of the cost."""

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        sides = list(pairwise(channels))  # 32 -> 16 -> 8 -> 4
        self.first = Conv(12, channels[0], 3)
        self.convs = nn.ModuleList(Conv(a, a, 3) if i else nn.Identity() for i, (a, _) in enumerate(sides))
        self.downs = nn.ModuleList(Conv(a, b, 4, stride=2) for a, b in sides)

    def forward(self, x: Tensor) -> Tensor:
        x = F.pixel_unshuffle(x, 2).contiguous(memory_format=torch.channels_last)  # (B, 12, 32, 32)
        x = lrelu(self.first(x))
        for conv, down in zip(self.convs, self.downs, strict=True):
            x = lrelu(down(x if isinstance(conv, nn.Identity) else lrelu(conv(x))))
        return x


class StyleDiscriminator(nn.Module):
    def __init__(self, c_dim: int = 0, channels: Sequence[int] = (24, 48, 72, 96), deviation: bool = False) -> None:
        super().__init__()
        self.trunk = Trunk(channels)
        self.head = Head(channels[-1], c_dim, deviation)

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        return self.head(self.trunk(x), c)


class Encoder(nn.Module):
    """Picture at half size to the mean and log variance of z: only for the warm start, not shipped."""

    def __init__(self, z_dim: int, channels: Sequence[int] = (64, 96, 128)) -> None:
        super().__init__()
        sides = list(pairwise(channels))  # 16 -> 8 -> 4
        self.first = Conv(12, channels[0], 3)
        self.downs = nn.ModuleList(Conv(a, b, 4, stride=2) for a, b in sides)
        self.dense = Dense(channels[-1] * 16, 256, gain=math.sqrt(2))
        self.out = Dense(256, 2 * z_dim)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = F.pixel_unshuffle(F.avg_pool2d(x, 2), 2).contiguous(memory_format=torch.channels_last)
        x = lrelu(self.first(x))  # (B, 64, 16, 16)
        for down in self.downs:
            x = lrelu(down(x))
        mean, log_var = self.out(lrelu(self.dense(x.flatten(1)))).chunk(2, 1)
        return mean, log_var.clamp(-10, 4)  # each (B, z_dim)
