"""The style-based generators: StyleGAN (2019), StyleGAN2 (2020) and StyleGAN3 (2021) at 64 x 64."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.gan.networks import Conv, Dense, Generator, Mapping, lrelu, upsample

CHANNELS = (96, 64, 48, 24, 12)  # at 4, 8, 16, 32, 64


class StyleGenerator(Generator):
    """Mapping network, learned 4 x 4 constant, one style a convolution, noise after each of them."""

    has_w = True

    def __init__(self, z_dim: int, c_dim: int, w_dim: int, channels: Sequence[int], depth: int) -> None:
        super().__init__(z_dim, c_dim, w_dim)
        self.map = Mapping(z_dim, c_dim, w_dim, depth)
        self.channels = tuple(channels)

    def mapping(self, z: Tensor, c: Tensor) -> Tensor:
        return self.map(z, c)

    def layer_sizes(self) -> list[int]:
        sizes = [4]
        for i in range(1, len(self.channels)):
            sizes += [4 << i, 4 << i]
        return sizes

    def noise_sizes(self) -> list[int]:
        return self.layer_sizes()

    @property
    def num_ws(self) -> int:  # type: ignore[override]
        return len(self.layer_sizes())


def plan(channels: Sequence[int]) -> list[tuple[int, int, bool]]:
    """(inputs, outputs, up) of each convolution: one at 4 x 4, then an upsampling and a plain one a resolution."""
    rows = [(channels[0], channels[0], False)]
    for a, b in pairwise(channels):
        rows += [(a, b, True), (b, b, False)]
    return rows


# 1. StyleGAN: https://arxiv.org/abs/1812.04948
class AdaIN(nn.Module):
    """AdaIN(x, y) = y_s (x - mean(x)) / std(x) + y_b, per picture and channel (equation 1)."""

    def __init__(self, w_dim: int, channels: int) -> None:
        super().__init__()
        self.style = Dense(w_dim, 2 * channels)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        var, mean = torch.var_mean(x, (2, 3), keepdim=True, unbiased=False)
        scale, shift = self.style(w)[:, :, None, None].chunk(2, 1)
        gain = (1 + scale) * (var + 1e-5).rsqrt()
        return x * gain + (shift - mean * gain)


class StyleGANGenerator(StyleGenerator):
    """Convolution, noise, leaky ReLU, AdaIN; upsampling by a transposed convolution."""

    def __init__(
        self, z_dim: int = 64, c_dim: int = 0, w_dim: int = 128, channels: Sequence[int] = CHANNELS, depth: int = 3
    ) -> None:
        super().__init__(z_dim, c_dim, w_dim, channels, depth)
        self.const = nn.Parameter(torch.randn(1, channels[0], 4, 4))
        rows = plan(channels)
        self.convs = nn.ModuleList(Conv(a, b, 4 if up else 3, up=up) for a, b, up in rows)
        self.strength = nn.ParameterList(nn.Parameter(torch.zeros(1, b, 1, 1)) for _, b, _ in rows)
        self.styles = nn.ModuleList(AdaIN(w_dim, b) for _, b, _ in rows)
        self.to_rgb = Conv(channels[-1], 3, 1, gain=1.0)

    def synthesis(self, ws: Tensor, noise: Sequence[Tensor] | None = None) -> Tensor:
        x = self.const.expand(ws.shape[0], -1, -1, -1).contiguous(memory_format=torch.channels_last)
        for i, (conv, style) in enumerate(zip(self.convs, self.styles, strict=True)):
            x = conv(x)
            if noise is not None:
                x = x + self.strength[i] * noise[i]
            x = style(lrelu(x), ws[:, i])
        return self.to_rgb(x)  # (B, 3, 64, 64)


# 2. StyleGAN2: https://arxiv.org/abs/1912.04958
class ModulatedConv(nn.Module):
    """Weights scaled by the style and demodulated to unit norm (equations 1 and 3): w'' = w' / sqrt(sum w'^2),
    times sqrt(2), which the leaky ReLU behind it takes away.

    Scaling the input by s and the output by the demodulation factor is the same sum with shared weights,
    so one convolution serves the whole batch.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int, w_dim: int, up: bool = False, demodulate: bool = True
    ) -> None:
        super().__init__()
        self.conv = Conv(inputs, outputs, kernel, up=up, gain=1.0, bias=False)
        self.style = Dense(w_dim, inputs, bias=1.0)
        self.demodulate = demodulate

    def forward(self, x: Tensor, w: Tensor, bias: Tensor) -> Tensor:
        """x (B, in, H, W), w (B, w_dim), bias (…, out, …) broadcast -> (B, out, H', W')."""
        s = self.style(w)  # (B, in)
        y = self.conv(x * s[:, :, None, None])
        if not self.demodulate:
            return y + bias
        square = self.conv.weight.square().sum((2, 3))  # (out, in), transposed for `up`
        square = square.T / 4 if self.conv.up else square
        d = (s.square() @ square.T * self.conv.scale**2 + 1e-8).rsqrt() * math.sqrt(2)
        return torch.addcmul(bias, y, d[:, :, None, None])


class StyleGAN2Generator(StyleGenerator):
    """Modulated convolutions without instance norm; the picture is a sum of RGB layers of all resolutions."""

    def __init__(
        self, z_dim: int = 64, c_dim: int = 0, w_dim: int = 128, channels: Sequence[int] = CHANNELS, depth: int = 3
    ) -> None:
        super().__init__(z_dim, c_dim, w_dim, channels, depth)
        self.const = nn.Parameter(torch.randn(1, channels[0], 4, 4))
        rows = plan(channels)
        self.convs = nn.ModuleList(ModulatedConv(a, b, 4 if up else 3, w_dim, up) for a, b, up in rows)
        self.strength = nn.ParameterList(nn.Parameter(torch.zeros(1)) for _ in rows)
        self.biases = nn.ParameterList(nn.Parameter(torch.zeros(1, b, 1, 1)) for _, b, _ in rows)
        self.to_rgb = nn.ModuleList(ModulatedConv(b, 3, 1, w_dim, demodulate=False) for b in channels)
        self.rgb_bias = nn.Parameter(torch.zeros(1, 3, 1, 1))

    def synthesis(
        self, ws: Tensor, noise: Sequence[Tensor] | None = None, move: Tensor | None = None, side: int = 64
    ) -> Tensor:
        """move: (B, 2, 3) as in StyleGAN3, applied to the 4 x 4 constant by bilinear sampling: the nearest thing
        to moving the input that this network has. side: stop at this resolution."""
        x = self.const.expand(ws.shape[0], -1, -1, -1)
        if move is not None:
            theta = torch.cat([move[:, :, :2], 2 * move[:, :, 2:]], 2)  # side 1 -> side 2
            grid = F.affine_grid(theta, list(x.shape), align_corners=False)
            x = F.grid_sample(x, grid, padding_mode="border", align_corners=False)
        x = x.contiguous(memory_format=torch.channels_last)
        picture: Tensor | None = None
        for i, conv in enumerate(self.convs):
            bias = self.biases[i] if noise is None else self.biases[i] + self.strength[i] * noise[i]
            x = lrelu(conv(x, ws[:, i], bias))
            if i % 2 == 0:  # the last convolution of a resolution
                below = self.rgb_bias if picture is None else upsample(picture)
                picture = self.to_rgb[i // 2](x, ws[:, i], below)
                if picture.shape[-1] == side:
                    break
        assert picture is not None  # there is at least the 4 x 4 layer
        return picture  # (B, 3, side, side)


# 3. StyleGAN3: https://arxiv.org/abs/2106.12423
def resampler(
    rate_in: int, margin_in: int, rate_out: int, margin_out: int, cutoff: float, radius: float = 3.0
) -> Tensor:
    """Kaiser-windowed sinc as a matrix (N_out, N_in) between two sampling grids of the unit interval.

    rate: samples a unit; margin: samples beyond each border; cutoff in cycles a unit; radius: half-width of the
    window in periods of the cutoff. Sample i of a grid sits at (i - margin + 1/2) / rate.
    """
    t_in = (torch.arange(rate_in + 2 * margin_in, dtype=torch.float64) - margin_in + 0.5) / rate_in
    t_out = (torch.arange(rate_out + 2 * margin_out, dtype=torch.float64) - margin_out + 0.5) / rate_out
    u = (t_out[:, None] - t_in[None, :]) * 2 * cutoff  # in units of half a period
    inside = (1 - (u / (2 * radius)).square()).clamp(min=0)
    window = torch.i0(8.0 * inside.sqrt()) / torch.i0(torch.tensor(8.0, dtype=torch.float64)) * (inside > 0)
    return (torch.sinc(u) * window * 2 * cutoff / rate_in).float()


class FourierInput(nn.Module):
    """sin(2 pi (f t + phase)) on the grid, moved by a learned and by a given transform (section 3.2, appendix F)."""

    freqs: Tensor
    phases: Tensor

    def __init__(self, w_dim: int, channels: int, rate: int, margin: int, band: float = 4.0) -> None:
        super().__init__()
        angle, radius = torch.rand(channels) * 2 * math.pi, torch.rand(channels).sqrt() * band
        self.register_buffer("freqs", torch.stack([angle.cos(), angle.sin()], 1) * radius[:, None])  # (C, 2)
        self.register_buffer("phases", torch.rand(channels))
        self.affine = Dense(w_dim, 4, gain=0.1)
        nn.init.zeros_(self.affine.weight)
        with torch.no_grad():
            self.affine.bias.copy_(torch.tensor([1.0, 0.0, 0.0, 0.0]))
        self.mix = nn.Parameter(torch.randn(channels, channels))
        self.rate, self.margin = rate, margin

    def forward(self, w: Tensor, move: Tensor | None) -> Tensor:
        t = (torch.arange(self.rate + 2 * self.margin, device=w.device) - self.margin + 0.5) / self.rate - 0.5
        y, x = torch.meshgrid(t, t, indexing="ij")
        grid = torch.stack([x, y, torch.ones_like(x)], -1)  # (N, N, 3), homogeneous, centre 0
        a = self.affine(w)  # (B, 4): cos, sin, shift x, shift y
        a = a / (a[:, :2].norm(dim=1, keepdim=True) + 1e-8)
        rows = torch.stack(
            [torch.stack([a[:, 0], -a[:, 1], a[:, 2]], 1), torch.stack([a[:, 1], a[:, 0], a[:, 3]], 1)], 1
        )  # (B, 2, 3)
        if move is not None:  # given transform first, on output positions
            last = torch.tensor([[[0.0, 0.0, 1.0]]], device=w.device).expand(move.shape[0], -1, -1)
            rows = rows @ torch.cat([move, last], 1)
        place = torch.einsum("yxk,bjk->byxj", grid, rows)  # (B, N, N, 2)
        x = torch.sin(2 * math.pi * (place @ self.freqs.T + self.phases))
        return (x @ (self.mix.T / math.sqrt(self.mix.shape[0]))).permute(0, 3, 1, 2)  # channels last


class FilteredLReLU(nn.Module):
    """Upsample, leaky ReLU, low-pass and resample: new high frequencies of the bend never alias (section 3.1)."""

    up: Tensor
    down: Tensor

    def __init__(
        self, rate: int, margin: int, cutoff: float, rate_out: int, margin_out: int, cutoff_out: float
    ) -> None:
        super().__init__()
        fine = max(2 * rate, rate_out)
        fine_margin = margin * fine // rate
        self.register_buffer("up", resampler(rate, margin, fine, fine_margin, cutoff), persistent=False)
        self.register_buffer("down", resampler(fine, fine_margin, rate_out, margin_out, cutoff_out), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        x = lrelu(resample(x, self.up))
        return resample(x, self.down)


def resample(x: Tensor, matrix: Tensor) -> Tensor:
    """Apply (N_out, N_in) along both axes of (B, C, N_in, N_in), in channels-last order."""
    b, c, h, w = x.shape
    x = x.permute(0, 2, 3, 1).reshape(b, h, w * c)
    x = (matrix @ x).reshape(b, -1, w, c)  # (B, H', W, C)
    x = matrix @ x  # (B, H', W', C)
    return x.permute(0, 3, 1, 2)


class StyleGAN3Generator(StyleGenerator):
    """Fourier features instead of a constant, no noise, every bend filtered, a margin around the picture.

    Small for a CPU: five layers, three at 16 samples a side and two at 32; the last bend and the colours are at 64.
    """

    # rate, margin, cutoff (cycles a picture), channels of each layer's input; the last row is the output
    LAYERS = (
        (16, 3, 5.0, 64),
        (16, 3, 6.5, 64),
        (16, 3, 7.5, 48),
        (32, 5, 13.0, 40),
        (32, 5, 15.5, 24),
        (64, 4, 31.0, 16),
    )

    def __init__(self, z_dim: int = 64, c_dim: int = 0, w_dim: int = 128, depth: int = 3) -> None:
        super().__init__(z_dim, c_dim, w_dim, (), depth)
        rate, margin, _, width = self.LAYERS[0]
        self.input = FourierInput(w_dim, width, rate, margin)
        pairs = list(pairwise(self.LAYERS))
        self.convs = nn.ModuleList(ModulatedConv(a[3], b[3], 3, w_dim) for a, b in pairs)
        self.biases = nn.ParameterList(nn.Parameter(torch.zeros(1, b[3], 1, 1)) for _, b in pairs)
        self.bends = nn.ModuleList(FilteredLReLU(*a[:3], *b[:3]) for a, b in pairs)
        self.to_rgb = ModulatedConv(self.LAYERS[-1][3], 3, 1, w_dim, demodulate=False)
        self.rgb_bias = nn.Parameter(torch.zeros(1, 3, 1, 1))

    def layer_sizes(self) -> list[int]:
        return [row[0] for row in self.LAYERS]

    def noise_sizes(self) -> list[int]:
        return []

    def synthesis(self, ws: Tensor, noise: Sequence[Tensor] | None = None, move: Tensor | None = None) -> Tensor:
        """move: (B, 2, 3) maps an output position (centre 0, side 1) to the place shown there; exact for any shift."""
        x = self.input(ws[:, 0], move)
        for i, (conv, bend) in enumerate(zip(self.convs, self.bends, strict=True)):
            x = bend(conv(x, ws[:, i], self.biases[i]))
        edge = self.LAYERS[-1][1]
        x = x[:, :, edge:-edge, edge:-edge]
        return self.to_rgb(x, ws[:, -1], self.rgb_bias)
