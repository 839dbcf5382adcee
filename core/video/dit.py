"""A spacetime diffusion transformer in the latents of a small frame codec, and its loader.

    frames (T, 48, 48, 3) --Codec--> latents (T, 24, 6, 6) --patches--> tokens (T/2 * 9, 192)

`attention="full"`: every token sees every other one in space and time (as in CogVideoX, Sora's report).
`attention="factorised"`: even layers see their own slice, odd layers their own place at all times (as in Latte).
`attention="slice"`: the same network, but a token sees only its own slice of two frames: the frame-by-frame twin.

Any frames may be given (the first one, both ends, the clip so far): the network takes them beside the noisy ones.

Weights: model.safetensors (fp16) with config.json, keys "codec.*" and "dit.*".
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.video.flow import FlowNet
from core.video.scenes import roles


@dataclass(frozen=True)
class Config:
    """Sizes of the network. `words` is the vocabulary, id 0 is the empty caption / unknown word."""

    words: tuple[str, ...] = ()
    attention: str = "full"  # "full" | "factorised" | "slice"
    width: int = 192
    depth: int = 6
    heads: int = 6
    mlp: int = 2  # hidden width / width
    refine: int = 48  # channels of the convolutions after the transformer
    latent: int = 24  # channels of the codec
    grid: int = 6  # latents a side
    frames: int = 16
    residual: bool = False  # beside given frames: what must be added to their blend
    flow: int = 0  # width of the network that moves pixels between two given frames, if there is one
    stride: int = 1  # frames of the film from one frame of the network to the next: 5 draws keyframes
    patch_frames: int = 2  # a token holds this many frames ...
    patch: int = 2  # ... of this many latents a side (8 pixels each)
    codec_width: int = 32
    latent_mean: tuple[float, ...] = (0.0,) * 24
    latent_std: tuple[float, ...] = (1.0,) * 24
    noise_shift: float = 4.0


# --- frame codec ---------------------------------------------------------------------------------------------


def _conv(inp: int, out: int, kernel: int = 3) -> nn.Conv2d:
    return nn.Conv2d(inp, out, kernel, padding=kernel // 2)


class _Res(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.a, self.b = _conv(width, width), _conv(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.b(F.silu(self.a(F.silu(x))))


class Codec(nn.Module):
    """Each frame by itself: (N, 3, 48, 48) in [-1, 1] to and from (N, 24, 6, 6), 8 times fewer numbers.

    Encoder: the principal components of 8 x 8 blocks (a convolution, fitted, not trained). Decoder: their transpose
    plus a small trained correction that sees the neighbours and sharpens edges.
    """

    def __init__(self, width: int = 32, latent: int = 24) -> None:
        super().__init__()
        w = width
        self.blocks = nn.Conv2d(3, latent, 8, stride=8, bias=False)  # orthonormal rows
        self.mean = nn.Parameter(torch.zeros(1, 3, 8, 8))
        self.fix = nn.Sequential(
            _conv(latent, 3 * w), _Res(3 * w), _conv(3 * w, 4 * w, 1), nn.PixelShuffle(2),  # (N, w, 12, 12)
            _Res(w), nn.SiLU(), _conv(w, 2 * w), nn.PixelShuffle(2),  # (N, w / 2, 24, 24)
            _Res(w // 2), nn.SiLU(), _conv(w // 2, 12), nn.PixelShuffle(2),  # (N, 3, 48, 48)
        )  # fmt: skip

    def encode(self, frames: Tensor) -> Tensor:
        n = frames.shape[-1] // 8
        return self.blocks(frames - self.mean.repeat(1, 1, n, n))

    def decode(self, latents: Tensor) -> Tensor:
        n = latents.shape[-1]
        plain = F.conv_transpose2d(latents, self.blocks.weight, stride=8) + self.mean.repeat(1, 1, n, n)
        return plain + self.fix(latents)

    @torch.no_grad()
    def fit(self, frames: Tensor) -> None:
        """Set the blocks to the principal components of frames (N, 3, 48, 48)."""
        cut = F.unfold(frames, 8, stride=8).transpose(1, 2).flatten(0, 1)  # (N * 36, 192), channels first
        mean = cut.mean(0)
        _, vectors = torch.linalg.eigh((cut - mean).T @ (cut - mean))  # ascending
        self.mean.copy_(mean.view(1, 3, 8, 8))
        self.blocks.weight.copy_(vectors.flip(1)[:, : self.blocks.out_channels].T.reshape(-1, 3, 8, 8))
        self.freeze()

    def freeze(self) -> None:
        """Fix the blocks; the correction starts at nothing."""
        self.blocks.requires_grad_(False)
        self.mean.requires_grad_(False)
        for last in self.fix[-2].parameters():
            nn.init.zeros_(last)


# --- transformer ---------------------------------------------------------------------------------------------


def rms(x: Tensor) -> Tensor:
    return F.rms_norm(x, (x.shape[-1],), eps=1e-6)


def rotary(slices: int, grid: int, dim: int) -> Tensor:
    """3-D rotary angles (N, dim / 2): the head's pairs are shared out over time, y and x (Su et al. 2021)."""
    pairs = dim // 2
    share = (pairs - 2 * (pairs // 3), pairs // 3, pairs // 3)
    t, y, x = torch.meshgrid(torch.arange(slices), torch.arange(grid), torch.arange(grid), indexing="ij")
    parts = []
    for position, n in zip((t, y, x), share, strict=True):
        frequency = torch.pi / 2 * torch.logspace(0, -1.3, n)  # a quarter turn a step down to one twentieth of it
        parts.append(position.reshape(-1, 1).float() * frequency)
    return torch.cat(parts, dim=1)


def rotate(x: Tensor, angle: Tensor) -> Tensor:
    """x (B, H, N, d), angle (N, d / 2)."""
    a, b = x.chunk(2, dim=-1)
    cos, sin = angle.cos(), angle.sin()
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)


def blend_weights(has: Tensor) -> Tensor:
    """How much of each given frame lies in each frame of their blend: (..., T) flags to (..., T, T), linear in time
    between two given frames, the nearest one outside them, zeros where none is given."""
    weights = torch.zeros(*has.shape, has.shape[-1], device=has.device)
    for row, flags in zip(weights.flatten(0, -3), has.reshape(-1, has.shape[-1]), strict=True):
        at = flags.nonzero()[:, 0].tolist()
        for i in range(has.shape[-1] if at else 0):
            low = max((k for k in at if k <= i), default=at[0])
            high = min((k for k in at if k >= i), default=at[-1])
            share = (i - low) / (high - low) if high > low else 0.0
            row[i, low] += 1 - share
            row[i, high] += share
    return weights


@dataclass
class Switches:
    """What a forward pass leaves out or keeps for the page. Layers are numbered from 0; after the last attention
    layer comes the refinement by convolutions."""

    local_layers: tuple[int, ...] = ()  # here nothing passes between slices
    positions: bool = True
    record: tuple[int, ...] = ()  # keep the attention of these layers
    maps: dict[int, Tensor] | None = None  # layer -> (H, N, N + words) of the first clip of the batch


class Block(nn.Module):
    def __init__(self, width: int, heads: int, mlp: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.text = nn.Linear(width, 2 * width)  # keys and values of the words
        self.out = nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, mlp * width), nn.Linear(mlp * width, width)
        self.shift = nn.Parameter(torch.zeros(6, width))  # this layer's own part of the shared modulation
        self.scale = nn.Parameter(torch.full((heads, 1, 1), math.log(math.sqrt(width // heads))))

    def split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, H, N, d)

    def forward(
        self,
        x: Tensor,
        words: Tensor,
        seen: Tensor,
        mod: Tensor,
        angle: Tensor | None,
        slices: int,
        sees: str,
        keep: Switches | None,
        layer: int,
    ) -> Tensor:
        b, n, _ = x.shape
        m = (mod + self.shift).repeat_interleave(n // slices, dim=1).unbind(2)  # 6 of (B, N, width)
        h = rms(x) * (1 + m[0]) + m[1]
        q, k, v = (self.split(p) for p in self.qkv(h).chunk(3, dim=-1))
        tk, tv = (self.split(p) for p in self.text(words).chunk(2, dim=-1))  # (B, H, L, d)
        q, k, tk = rms(q) * (self.scale.exp() / math.sqrt(q.shape[-1])), rms(k), rms(tk)  # QK-norm, learned heat
        if angle is not None:
            q, k = rotate(q, angle), rotate(k, angle)
        recorded = keep is not None and keep.maps is not None and layer in keep.record
        if recorded or sees == "all":
            index = torch.arange(n)
            owner = index // (n // slices) if sees == "slice" else index % (n // slices)  # slice or place of a token
            own = owner[:, None] == owner[None] if sees != "all" else torch.ones(n, n, dtype=torch.bool)
            mask = torch.cat([own.expand(b, 1, n, n), seen[:, None, None, :].expand(b, 1, n, -1)], dim=-1)
            keys, values = torch.cat([k, tk], dim=2), torch.cat([v, tv], dim=2)
            if recorded and keep is not None and keep.maps is not None:
                weights = (q[:1] @ keys[:1].transpose(-1, -2) * (q.shape[-1] ** -0.5)).masked_fill(~mask[:1], -1e9)
                keep.maps[layer] = weights.softmax(dim=-1)[0]
            a = F.scaled_dot_product_attention(q, keys, values, attn_mask=mask)
        else:  # slices (or places) become a batch: (B * S, H, n / S, d)
            groups = slices if sees == "slice" else n // slices

            def cut(p: Tensor) -> Tensor:
                p = p.unflatten(2, (slices, -1))
                return (p.transpose(1, 2) if sees == "slice" else p.permute(0, 3, 1, 2, 4)).flatten(0, 1)

            tk, tv, mask = (p.repeat_interleave(groups, dim=0) for p in (tk, tv, seen))
            mask = torch.cat([mask.new_ones(b * groups, n // groups), mask], dim=-1)[:, None, None]
            a = F.scaled_dot_product_attention(
                cut(q), torch.cat([cut(k), tk], 2), torch.cat([cut(v), tv], 2), attn_mask=mask
            ).unflatten(0, (b, groups))  # (B, S, H, n / S, d) or (B, P, H, S, d)
            a = (a.transpose(1, 2) if sees == "slice" else a.permute(0, 2, 3, 1, 4)).flatten(2, 3)
        x = x + m[2] * self.out(a.transpose(1, 2).flatten(2))
        h = rms(x) * (1 + m[3]) + m[4]
        return x + m[5] * self.down(F.relu(self.up(h)).square())


class Reader(nn.Module):
    """Words to what a clip shows, slice by slice: a bag of words and the time of the slice through a small MLP.

    Before it conditions the transformer it learns from captions alone to say what they ask for (training.video_dit).
    """

    def __init__(self, words: int, width: int) -> None:
        super().__init__()
        self.word = nn.Embedding(words + 1, width, padding_idx=0)
        self.pool = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.time = nn.Linear(9, width)
        self.plan = nn.Sequential(
            nn.SiLU(), nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, 2 * width),
            nn.SiLU(), nn.Linear(2 * width, width),
        )  # fmt: skip
        nn.init.normal_(self.word.weight, std=0.3)

    def forward(self, words: Tensor, times: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """words (B, L) ids, times (S,) in frames: embeddings (B, L, width), summary (B, width), plan (B, S, width)."""
        w = self.word(words)
        s = times[:, None] / 16
        turn = torch.pi * s * torch.arange(1, 5, device=s.device)
        h = self.pool(w.sum(1))
        clock = self.time(torch.cat([s, turn.cos(), turn.sin()], dim=-1))
        return w, h, h[:, None] + self.plan(h[:, None] + clock)


class ConvBlock(nn.Module):
    """Neighbours in space (3 x 3) and time (3 frames, or only the slice's own), scaled by the condition."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.space = _conv(channels, channels)
        self.time = nn.Conv2d(channels, channels, (3, 1), padding=(1, 0))
        self.film = nn.Linear(width, 2 * channels)

    def forward(self, x: Tensor, condition: Tensor, slices: int, local: bool) -> Tensor:
        b, _, c, g, _ = x.shape  # (B, T, C, g, g)
        film = self.film(F.silu(condition)).repeat_interleave(x.shape[1] // slices, dim=1)  # (B, T, 2 c)
        scale, shift = film[..., None, None].chunk(2, dim=2)
        h = F.group_norm(x.flatten(0, 1), 4).view(x.shape) * (1 + scale) + shift
        h = F.silu(self.space(F.silu(h).flatten(0, 1)))
        h = h.view(b * slices if local else b, -1, c, g * g).transpose(1, 2)  # (B or B * S, C, T or p, g * g)
        return x + self.time(h).transpose(1, 2).reshape(x.shape)


class VideoDiT(nn.Module):
    """Predicts the clean latents x from noisy ones z = (1 - t) x + t noise (rectified flow, x-prediction)."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config, c = config, config
        self.places = c.grid // c.patch  # tokens a side
        values = c.latent * c.patch**2  # of one frame of a token
        # a noisy patch, the same patch where frames are given (else 0), and which frames these are
        self.inp = nn.Linear((2 * values + 1) * c.patch_frames, c.width)
        self.reader = Reader(len(c.words), c.width)
        self.time = nn.Sequential(nn.Linear(64, c.width), nn.SiLU(), nn.Linear(c.width, c.width))
        # as loud as the noisy patches: at first the noise is all that is there, and a token must know its place in it
        self.slice_position = nn.Parameter(torch.randn(32, c.width) * 0.2)
        self.place_position = nn.Parameter(torch.randn(self.places**2, c.width) * 0.5)
        self.modulation = nn.Sequential(nn.SiLU(), nn.Linear(c.width, 6 * c.width))  # shared (PixArt's adaLN-single)
        self.blocks = nn.ModuleList(Block(c.width, c.heads, c.mlp) for _ in range(c.depth))
        self.last = nn.Linear(c.width, 2 * c.width)  # scale and shift before the output: colours multiply shapes
        self.out = nn.Linear(c.width, values * c.patch_frames)
        # refinement of the guess across the borders of patches and slices
        self.near = nn.ModuleList(ConvBlock(c.refine, c.width) for _ in range(2))
        self.near_in, self.near_out = _conv(3 * c.latent, c.refine), _conv(c.refine, c.latent)
        for module in (list(self.modulation)[1], self.last, self.out, self.near_out):
            for parameter in module.parameters():
                nn.init.zeros_(parameter)
        with torch.no_grad():
            for block in self.blocks:
                block.shift[[2, 5]] = 0.5  # type: ignore[operator]  # gates start half open, so that few steps are enough

    def patches(self, latents: Tensor, p: int) -> Tensor:
        """(B, T, C, g, g) to (B, T / p * n * n, p * C * q * q), for patches of p frames and q x q latents."""
        b, t, c = latents.shape[:3]
        q, n = self.config.patch, self.places
        x = latents.reshape(b, t // p, p, c, n, q, n, q).permute(0, 1, 4, 6, 2, 3, 5, 7)
        return x.reshape(b, t // p * n * n, p * c * q * q)

    def unpatch(self, tokens: Tensor, slices: int) -> Tensor:
        """(B, S * n * n, p * C * q * q) to (B, S * p, C, g, g)."""
        c, g, p, q, n = self.config.latent, self.config.grid, self.config.patch_frames, self.config.patch, self.places
        x = tokens.reshape(-1, slices, n, n, p, c, q, q).permute(0, 1, 4, 5, 2, 6, 3, 7)
        return x.reshape(-1, slices * p, c, g, g)

    def forward(
        self, z: Tensor, t: Tensor, words: Tensor, given: Tensor | None = None, switches: Switches | None = None
    ) -> Tensor:
        """z (B, T, C, g, g), t (B,) in [0, 1], words (B, L) ids, given: frames that are known, shaped as z with NaN
        where they are not. Returns the clean latents, same shape as z."""
        s, c = switches or Switches(), self.config
        b, frames = z.shape[:2]
        slices, places = frames // c.patch_frames, self.places**2
        # 1. tokens
        known = torch.zeros_like(z) if given is None else given.nan_to_num()
        has = torch.zeros_like(z[:, :, 0, 0, 0]) if given is None else (~given[:, :, 0, 0, 0].isnan()).to(z)  # (B, T)
        if c.residual:
            known = torch.einsum("bst,btcyx->bscyx", blend_weights(has), known)
        has = has.view(b, slices, -1).repeat_interleave(places, dim=1)
        x = self.inp(torch.cat([self.patches(z, c.patch_frames), self.patches(known, c.patch_frames), has], dim=-1))
        if s.positions:
            x = x + (self.slice_position[:slices, None] + self.place_position).flatten(0, 1)
        # 2. condition: noise level and words, slice by slice
        times = torch.arange(slices, device=z.device) * float(c.patch_frames * c.stride * s.positions)
        w, _, plan = self.reader(words, times)
        phase = t[:, None] * torch.exp(torch.linspace(0, math.log(1000), 32, device=z.device))
        condition = self.time(torch.cat([phase.cos(), phase.sin()], dim=-1))[:, None] + plan  # (B, S, width)
        mod = self.modulation(condition).unflatten(-1, (6, -1))  # (B, S, 6, width)
        # 3. transformer
        angle = rotary(slices, self.places, c.width // c.heads).to(z) if s.positions else None
        for i, block in enumerate(self.blocks):
            kind = {"full": "all", "slice": "slice", "factorised": "place" if i % 2 else "slice"}[c.attention]
            x = block(x, w, words > 0, mod, angle, slices, "slice" if i in s.local_layers else kind, s, i)
        scale, shift = self.last(F.silu(condition)).repeat_interleave(places, dim=1).chunk(2, dim=-1)
        guess = self.unpatch(self.out(rms(x) * (1 + scale) + shift), slices)
        # 4. refinement
        f = self.near_in(torch.cat([guess, z, known], dim=2).flatten(0, 1)).unflatten(0, (b, frames))
        local = c.attention == "slice" or c.depth in s.local_layers
        for near in self.near:
            f = near(f, condition, slices, local)
        guess = guess + self.near_out(f.flatten(0, 1)).unflatten(0, (b, frames))
        return guess + known if c.residual else guess


class VideoModel(nn.Module):
    """Codec and transformer together, with the words and the standardisation of the latents."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.codec = Codec(config.codec_width, config.latent)
        self.dit = VideoDiT(config)
        self.flow = FlowNet(config.flow) if config.flow else None
        self.ids = {word: i + 1 for i, word in enumerate(config.words)}

    def words(self, prompt: str, length: int = 16) -> tuple[Tensor, list[str], list[str]]:
        """Ids (1, length), the words that have an id, and those the model never saw."""
        parts = "".join(c if c.isalnum() else " " for c in prompt.lower()).split()
        told = [r if r in self.ids else p for p, r in zip(parts, roles(parts), strict=True)]
        known = [p for p, r in zip(parts, told, strict=True) if r in self.ids][:length]
        ids = [self.ids[r] for r in told if r in self.ids][:length]
        return torch.tensor([ids + [0] * (length - len(ids))]), known, [p for p in parts if p not in self.ids]

    def _stats(self) -> tuple[Tensor, Tensor]:
        device = self.codec.mean.device
        mean, std = (torch.tensor(v, device=device) for v in (self.config.latent_mean, self.config.latent_std))
        return mean.view(1, -1, 1, 1), std.view(1, -1, 1, 1)

    def encode(self, frames: Tensor) -> Tensor:
        """(N, 3, 48, 48) in [-1, 1] to standardised latents (N, C, g, g)."""
        mean, std = self._stats()
        return (self.codec.encode(frames) - mean) / std

    def decode(self, latents: Tensor) -> Tensor:
        """Standardised latents (N, C, g, g) to (N, 3, 48, 48) in [-1, 1], not clamped."""
        mean, std = self._stats()
        return self.codec.decode(latents * std + mean)

    def save(self, folder: Path) -> int:
        """Writes config.json and model.safetensors (fp16); returns the bytes of the weights."""
        from safetensors.torch import save_file

        folder.mkdir(parents=True, exist_ok=True)
        state = {k: v.detach().half().contiguous() for k, v in self.state_dict().items()}
        save_file(state, folder / "model.safetensors")
        (folder / "config.json").write_text(json.dumps(asdict(self.config), indent=1) + "\n", encoding="utf-8")
        return (folder / "model.safetensors").stat().st_size


def read(folder: Path) -> VideoModel:
    """The model in `folder`, fp32, eval mode. Raises what the readers raise; the runtime makes a sentence of it."""
    from safetensors.torch import load_file

    values: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    config = Config(**values)
    model = VideoModel(config)
    model.load_state_dict({k: v.float() for k, v in load_file(folder / "model.safetensors").items()})
    return model.eval().requires_grad_(False)


def load(card: Any, device: Any = "cpu") -> VideoModel:
    """Loader named by the catalog."""
    return read(Path(card.folder)).to(device)
