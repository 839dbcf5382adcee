"""From a request to a clip: noise in, guided Euler steps along the rectified flow, frames out.

The noise is drawn on the CPU from one generator a clip, so the same seed gives the same film on every machine, and
every ablation starts from the same noise as the untouched clip.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from core.errors import BadRequest
from core.request import Request, choice, flag, integer, number, seed_field, text
from core.result import Step, VideoResult
from core.video.scenes import FPS, SIZE

if TYPE_CHECKING:
    from torch import Tensor

EDITS = ("none", "shuffle time", "shuffle places", "drop half", "freeze first slice")


@dataclass(frozen=True)
class VideoRequest(Request):
    """Text (and a first frame, if any) to a clip of 48 x 48 pixels.

    first_frame: bytes of a picture file, cropped to a square. clip: raw uint8 frames (T, 48, 48, 3) to start from
    instead of pure noise, spoilt to the noise level `strength` and changed by `edit`; or, with `known`, the frames of
    these numbers stay as they are in the clip, and the others are made from noise to fit them.
    local_layers: layers (from 0) in which a token sees only its own two frames; the one after the last attention layer
    is the refinement by convolutions.
    """

    PIPELINE: ClassVar[str] = "core.video.sample"

    model: str = "video-dit"
    prompt: str = text("a big red star moves fast right at night", 160, help="What moves how, and where.")
    seed: int = seed_field(1)
    num_inference_steps: int = integer(8, 1, 50, help="Denoising steps; each calls the network once or twice.")
    guidance_scale: float = number(2.5, 1.0, 8.0, help="How far to push from the empty prompt; 1 is none.", step=0.1)
    frames: int = integer(16, 2, 32, step=2, help="Frames of the clip. It was trained on 16.")
    fps: int = integer(FPS, 2, 24, help="Playing speed only; the network knows nothing of it.")
    first_frame: bytes = b""
    local_layers: tuple = ()
    positions: bool = flag(True, help="Tell the tokens where and when they are.")
    stop_after: int = integer(0, 0, 50, help="Only the first k steps, then the network's best guess; 0 runs them all.")
    clip: bytes = b""
    known: tuple = ()
    strength: float = number(0.7, 0.05, 1.0, help="Noise added to the given clip; 1 forgets it.")
    edit: str = choice("none", EDITS, help="What is done to the tokens of the given clip before denoising.")

    def check(self) -> None:
        if self.frames % 2:
            raise BadRequest(f"A token holds two frames, so {self.frames} frames do not divide; give an even number.")
        if self.clip and len(self.clip) != self.frames * SIZE * SIZE * 3:
            raise BadRequest(f"The clip given does not hold {self.frames} frames of {SIZE} x {SIZE}; cut it first.")
        if not all(isinstance(i, int) and 0 <= i < 64 for i in self.local_layers):
            raise BadRequest("local_layers must be layer numbers from 0; give for example [0, 1].")
        object.__setattr__(self, "local_layers", tuple(sorted(set(self.local_layers))))
        if self.known and not self.clip:
            raise BadRequest("Known frames need the clip that they are taken from; give both.")
        if not all(isinstance(i, int) and 0 <= i < self.frames for i in self.known):
            raise BadRequest(f"known must be frame numbers from 0 to {self.frames - 1}; give for example [0, 15].")
        object.__setattr__(self, "known", tuple(sorted(set(self.known))))


def times(steps: int, shift: float, start: float = 1.0) -> list[float]:
    """Noise levels from `start` to 0: (steps + 1,), uniform in u, then t = s u / (1 + (s - 1) u) (SD3, eq. 23)."""
    first = start / (shift - (shift - 1) * start)  # the u of `start`
    u = np.linspace(first, 0, steps + 1)
    return [float(t) for t in shift * u / (1 + (shift - 1) * u)]


def to_frames(decoded: Tensor) -> np.ndarray:
    """(T, 3, H, W) in [-1, 1] to (T, H, W, 3) uint8."""
    return ((decoded.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy()


def to_pixels(frames: np.ndarray) -> Tensor:
    """(T, H, W, 3) uint8 to (T, 3, H, W) in [-1, 1]."""
    import torch

    return torch.from_numpy(np.array(frames)).permute(0, 3, 1, 2).float() / 127.5 - 1


def edit_tokens(tokens: Tensor, edit: str, slices: int, seed: int) -> Tensor:
    """tokens (N, values), N = slices x places, in another order or half of them zero (see EDITS)."""
    import torch

    g = torch.Generator().manual_seed(seed)
    cube = tokens.unflatten(0, (slices, -1))  # (S, P, values)
    if edit == "shuffle time":
        cube = cube[torch.randperm(slices, generator=g)]
    elif edit == "shuffle places":
        cube = cube[:, torch.randperm(cube.shape[1], generator=g)]
    elif edit == "drop half":
        cube = cube * (torch.rand(cube.shape[:2], generator=g) < 0.5)[..., None]
    return cube.flatten(0, 1)


def generate(request: VideoRequest, control: Any, model: Any) -> Iterator[Step | VideoResult]:
    """Yields a preview (T / 2, 48, 48, 3), every second frame, after every step, then the clip.

    extras: attention (steps, layers, N, N + words) float16, mean over heads; words; unknown (words never seen in
    training); grid (slices, rows, columns); times (noise level before each step).
    """
    import torch

    from core.video.dit import Switches, blend_weights

    began = time.perf_counter()
    watched = getattr(control, "watched", True)  # a measurement looks at no previews
    config, dit = model.config, model.dit
    device = next(dit.parameters()).device
    frames_made = (request.frames - 1) // config.stride + 1  # keyframes: fewer than the film has
    slices = frames_made // config.patch_frames
    layers = tuple(range(config.depth))
    # 1. words
    words, known, unknown = model.words(request.prompt)
    guided = request.guidance_scale != 1.0 and bool(known)
    batch = torch.cat([words, torch.zeros_like(words)]) if guided else words
    # 2. noise, or a given clip spoilt by noise
    generator = torch.Generator().manual_seed(request.seed)
    noise = torch.randn(frames_made, config.latent, config.grid, config.grid, generator=generator)[None]
    schedule = times(
        request.num_inference_steps, config.noise_shift, request.strength if request.clip and not request.known else 1.0
    )
    film = np.frombuffer(request.clip, np.uint8).reshape(-1, SIZE, SIZE, 3)
    start, given = None, None
    with torch.inference_mode():
        z = noise
        if request.clip and not request.known:
            start = model.encode(to_pixels(film[:: config.stride]))[None]
            tokens = edit_tokens(dit.patches(start, config.patch_frames)[0], request.edit, slices, request.seed)
            z = (1 - schedule[0]) * dit.unpatch(tokens[None], slices) + schedule[0] * noise
        fixed = {i: film[i] for i in request.known} if request.known else {}
        if request.first_frame:
            fixed[0] = picture(request.first_frame)
        fixed = {i // config.stride: frame for i, frame in fixed.items() if i % config.stride == 0}
        if fixed:
            given = torch.full_like(noise, torch.nan)
            given[:, list(fixed)] = model.encode(to_pixels(np.stack(list(fixed.values()))))
            given = given.expand(len(batch), -1, -1, -1, -1).to(device)
        z, batch = z.to(device), batch.to(device)
        # 3. denoise
        attention, calls, done = [], 0, 0
        x = z
        for index, (t, after) in enumerate(pairwise(schedule)):
            if control.stopped and index:
                break
            switches = Switches(request.local_layers, request.positions, layers, {})
            level = torch.full((len(batch),), t, device=device)
            guess = dit(z.expand(len(batch), -1, -1, -1, -1), level, batch, given, switches)
            x = guess[1:] + request.guidance_scale * (guess[:1] - guess[1:]) if guided else guess
            calls, done = calls + len(batch), index + 1
            z = x + after / t * (z - x)  # Euler along the straight line from the noise through the guess
            if request.edit == "freeze first slice" and start is not None:
                p = config.patch_frames
                z[:, :p] = (1 - after) * start[:, :p] + after * noise[:, :p]
            assert switches.maps is not None
            n_words = max(len(known), 1)
            n = slices * dit.places**2
            attention.append(
                torch.stack([switches.maps[i].mean(0)[:, : n + n_words] for i in layers]).half().cpu().numpy()
            )
            stopping = done == request.stop_after or control.stopped
            look = to_frames(model.decode(x[0, ::2])) if watched else None
            yield Step("denoise", done, request.num_inference_steps, preview=look)
            if stopping:
                break
        # 4. the last guess is the clip
        clip = z if done == request.num_inference_steps else x
        decoded = model.decode(clip[0])
        if config.residual and given is not None:  # the blend's pixels, changed by what was changed in its latents
            weights = blend_weights(torch.tensor([float(i in fixed) for i in range(frames_made)])[None])[0].to(device)
            pixels = torch.zeros_like(decoded)
            pixels[list(fixed)] = to_pixels(np.stack(list(fixed.values()))).to(device)
            latents = torch.einsum("st,tcyx->scyx", weights, given[0].nan_to_num())
            decoded = torch.einsum("st,tcyx->scyx", weights, pixels) + decoded - model.decode(latents)
        frames = to_frames(decoded)
        if request.known:  # they are given, not made; a first frame is drawn anew, so that the film has one look
            made = [i for i in request.known if i % config.stride == 0]
            frames[[i // config.stride for i in made]] = film[made]
    yield VideoResult(
        request, frames=frames, fps=request.fps / config.stride, seeds=[request.seed], steps_run=done, model_calls=calls,
        seconds=time.perf_counter() - began,
        extras={"attention": np.stack(attention), "words": known, "unknown": unknown, "times": schedule[:done],
                "grid": (slices, dit.places, dit.places)},
    )  # fmt: skip


def picture(data: bytes) -> np.ndarray:
    """Bytes of a picture file to (48, 48, 3) uint8: upright, centre crop. Raises BadRequest."""
    import io

    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.width * image.height > 50_000_000:
                raise BadRequest("The first frame has more than 50 million pixels; give a smaller picture.")
            image.draft("RGB", (4 * SIZE, 4 * SIZE))
            flat = ImageOps.exif_transpose(image).convert("RGB")
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        raise BadRequest("The first frame is no readable picture; give a whole PNG, JPEG or WebP.") from None
    return np.asarray(ImageOps.fit(flat, (SIZE, SIZE), Image.Resampling.LANCZOS))
