"""One request for every text-to-image run here: plain, guided, image to image, inpainting, branched, interpolated.

For the standard settings the bytes are those of `DiffusionPipeline.from_pretrained(folder)(prompt, ...)` with
`generator=torch.Generator("cpu").manual_seed(seed)`: same order of operations, same generator. Samples are made one by
one, each with its own generator, so that sample 5 can be made again alone.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from core.diffusion import attention, guidance, pictures, schedule, text
from core.diffusion.forward import to_uint8
from core.diffusion.load import Diffusion
from core.diffusion.record import Recorder
from core.diffusion.request import DiffusionRequest
from core.errors import BadRequest
from core.pipeline import Control
from core.result import ImageResult, Step

PREVIEW_SHARE = 0.02  # share of the running time that live previews may take

__all__ = ["DiffusionRequest", "generate"]


@dataclass
class _Plan:
    """What all samples of a request share."""

    cond: torch.Tensor | None  # (1, T, D)
    uncond: torch.Tensor | None
    masks: tuple[torch.Tensor | None, torch.Tensor | None]
    picture: torch.Tensor | None  # clean latents (1, C, h, w) of the given picture
    keep: torch.Tensor | None  # (1, 1, h, w), 1 where the given picture stays
    start: torch.Tensor | None  # x_t (1, C, h, w) of a branch


@torch.inference_mode()
def generate(request: DiffusionRequest, control: Control, model: Diffusion) -> Iterator[Step | ImageResult]:
    """Yield one Step a denoising step (preview: the predicted clean picture), last an ImageResult.

    extras: words (whether it takes a prompt), tokens (pieces read), unknown (words outside the vocabulary), cut (pieces beyond the limit),
    records (one dict a sample when request.record; see record.Recorder).
    """
    started = time.perf_counter()
    plan = _plan(request, model)
    result = ImageResult(request=request)
    images: list[np.ndarray] = []
    records: list[dict[str, Any]] = []
    for number, seed in enumerate(request.sample_seeds(request.count)):
        run = _Run(request, model, plan, seed, started)
        for step in run.steps(control):
            step.index += number * step.total
            step.total *= request.count
            yield step
        result.steps_run += run.steps_run
        result.model_calls += run.calls
        picture = to_uint8(model.decode(run.clean)[0].permute(1, 2, 0).float().cpu().numpy())
        images.append(picture)
        result.seeds.append(seed)
        if run.recorder:
            records.append(run.recorder.finish(run.latents))
        if control.finishing:
            break
    result.complete = len(images) == request.count and not control.stopped
    result.images = np.stack(images)
    result.seconds = time.perf_counter() - started
    result.extras = {
        "words": model.text_encoder is not None,
        "tokens": text.pieces(model, request.prompt),
        "first_position": text.first_position(model),
        "unknown": text.unknown_words(model, request.prompt),
        "cut": text.too_long(model, request.prompt),
        "records": records,
    }
    yield result


def _plan(request: DiffusionRequest, model: Diffusion) -> _Plan:
    cond = uncond = cond_mask = uncond_mask = None
    if model.text_encoder is not None:
        cond, cond_mask = text.encode(model, request.prompt)
        if request.prompt_mix > 0:
            other, other_mask = text.encode(model, request.prompt_to)
            cond = text.blend(cond, other, request.prompt_mix)
            if cond_mask is not None and other_mask is not None:
                cond_mask = torch.maximum(cond_mask, other_mask)
        uncond, uncond_mask = text.encode(model, request.negative_prompt)
    channels, side, _ = model.latent_shape
    picture = keep = start = None
    if request.image:
        pixels = pictures.to_tensor(pictures.open_picture(request.image, model.size))
        picture = model.encode(pixels.to(model.device))
        if request.mask:
            keep = 1.0 - pictures.open_mask(request.mask, side).to(model.device)
    if request.latents:
        if len(request.latents) != channels * side * side * 4:
            raise BadRequest("The kept latents come from another model; branch again from a run of this model.")
        start = torch.from_numpy(np.frombuffer(request.latents, np.float32).copy()).view(1, channels, side, side)
    return _Plan(cond, uncond, (uncond_mask, cond_mask), picture, keep, start)


class _Run:
    """The denoising of one sample. After `steps`, `latents` holds the last state and `clean` what to decode."""

    def __init__(self, request: DiffusionRequest, model: Diffusion, plan: _Plan, seed: int, started: float) -> None:
        self.request, self.model, self.plan, self.started = request, model, plan, started
        self.generator = torch.Generator("cpu").manual_seed(seed)
        self.scheduler = schedule.make(model.scheduler, request.scheduler)
        self.levels = schedule.Levels(model.scheduler)
        self.guider = guidance.make(
            request.guider,
            request.guidance_scale,
            request.guidance_rescale,
            request.guidance_start,
            request.guidance_stop,
        )
        self.weak_generator = torch.Generator("cpu").manual_seed(seed)
        self.calls = self.steps_run = 0
        self.preview_seconds = 0.0
        self.recorder = Recorder(self.levels, model) if request.record else None
        self.clean: torch.Tensor
        self.latents: torch.Tensor

    def steps(self, control: Control) -> Iterator[Step]:
        # 1. Times
        self.scheduler.set_timesteps(self.request.num_inference_steps, device=self.model.device)
        self.order = getattr(self.scheduler, "order", 1)
        times = self.scheduler.timesteps
        # 2. The first state
        noise = self._noise()
        begin, latents = self._begin(times, noise)
        times = times[begin:]
        extra = self._step_options()
        # 3. Denoise
        for i, t in enumerate(times):
            if control.stopped and i > 0:
                break
            x = self._model_input(latents, t)  # (1, C, h, w), on the trained schedule's scale
            output, parts, maps = self._predict(x, t, begin + i)
            if self.request.guider == "dynamic threshold":
                output = self._thresholded(output, x, float(t))
            x0, eps = self.levels.split(output, x, float(t))
            if self.recorder:
                preview: np.ndarray | None = self.recorder.add(float(t), x, x0, eps, parts, maps)
            else:
                preview = self._preview(x0, i, len(times))
            latents = self.scheduler.step(output, t, latents, **extra, return_dict=False)[0]
            if self.plan.keep is not None and self.plan.picture is not None:
                latents = self._repainted(latents, self.plan.picture, self.plan.keep, noise, times[i + 1 : i + 2])
            self.latents, self.clean = latents, latents
            self.steps_run += 1
            yield Step("generate", i + 1, len(times), preview=preview, note=f"t = {float(t):.0f}")
        if self.steps_run < len(times):  # stopped early: show what the model thinks the clean picture is
            self.clean = x0

    # --- the first state --------------------------------------------------------------------------------------------
    def _noise(self) -> torch.Tensor:
        shape = (1, *self.model.latent_shape)
        noise = torch.randn(shape, generator=self.generator)
        if self.request.noise_angle:  # on the circle through the noises of two seeds: variance stays 1
            other = torch.randn(shape, generator=torch.Generator("cpu").manual_seed(self.request.seed_to))
            angle = np.deg2rad(self.request.noise_angle)
            noise = float(np.cos(angle)) * noise + float(np.sin(angle)) * other
        return noise.to(self.model.device)

    def _begin(self, times: torch.Tensor, noise: torch.Tensor) -> tuple[int, torch.Tensor]:
        """(index of the first time, latents on the scheduler's own scale)."""
        if self.plan.start is not None:
            return self._begin_branch(times, self.plan.start.to(noise))
        if self.plan.picture is not None and self.request.strength < 1.0:
            n = self.request.num_inference_steps
            first = max(n - max(1, int(n * self.request.strength)), 0) * self.order
            self._set_begin(first)
            return first, self._noised(self.plan.picture, noise, times[first])
        return 0, noise * getattr(self.scheduler, "init_noise_sigma", 1.0)

    def _begin_branch(self, times: torch.Tensor, x: torch.Tensor) -> tuple[int, torch.Tensor]:
        """Go on from x_t at `start_time`; where the sampler has no such time, one DDIM move goes to its next one."""
        t = self.request.start_time
        starts = range(0, len(times), self.order)
        first = next((i for i in starts if float(times[i]) <= t + 0.5), starts[-1])
        if abs(float(times[first]) - t) > 0.5:
            output, _, _ = self._predict(x, torch.tensor(t), first)
            x0, eps = self.levels.split(output, x, t)
            x = self.levels.mix(x0, eps, float(times[first]))
        self._set_begin(first)
        scale = self._model_input(torch.ones(1), times[first])  # samplers in sigma space hold x_t / alpha_t
        return first, x / scale

    def _set_begin(self, index: int) -> None:
        if hasattr(self.scheduler, "set_begin_index"):
            self.scheduler.set_begin_index(index)

    def _noised(self, clean: torch.Tensor, noise: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        if hasattr(self.scheduler, "scale_noise"):  # the flow-matching schedulers
            return self.scheduler.scale_noise(clean, timestep=t[None], noise=noise)
        return self.scheduler.add_noise(clean, noise=noise, timesteps=t[None])

    def _repainted(
        self,
        latents: torch.Tensor,
        known: torch.Tensor,
        keep: torch.Tensor,
        noise: torch.Tensor,
        following: torch.Tensor,
    ) -> torch.Tensor:
        """Outside the mask: the given picture at the next step's noise level (as in the stock inpainting pipeline)."""
        if len(following):
            known = self._noised(known, noise, following[0])
        return keep * known + (1.0 - keep) * latents

    # --- one step -----------------------------------------------------------------------------------------------------
    def _model_input(self, latents: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        scale = getattr(self.scheduler, "scale_model_input", None)
        return scale(latents, t) if scale else latents

    def _predict(
        self, x: torch.Tensor, t: torch.Tensor, index: int
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor], Any]:
        """(guided output, outputs by pass, attention maps or None); every output (1, C, h, w)."""
        steps = len(self.scheduler.timesteps)
        self.guider.begin(index, steps, t)
        passes = self.guider.passes if self.plan.cond is not None else ("cond",)
        if self.request.guidance_scale == 0.0 and passes == ("uncond", "cond") and not self.recorder:
            passes = ("uncond",)  # w = 0: the unconditional model alone
        together = [name for name in passes if name != "weak"]
        parts: dict[str, torch.Tensor] = {}
        with ExitStack() as stack:
            maps = stack.enter_context(attention.watch()) if self.recorder else None
            outputs = self._call(x, t, together).chunk(len(together))
            parts = dict(zip(together, outputs, strict=True))
        if "weak" in passes:
            how = "uncond" if self.guider.weak == "drop" else "cond"
            with attention.weaken(self.guider.weak, guidance.DROP_RATE, self.weak_generator):
                parts["weak"] = self._call(x, t, [how])
        if passes in (("cond",), ("uncond",)):
            output = parts[passes[0]]
        else:
            output = self.guider.combine(parts["cond"], parts.get("uncond"), parts.get("weak"))
        return output, parts, maps

    def _call(self, x: torch.Tensor, t: torch.Tensor, names: list[str]) -> torch.Tensor:
        self.calls += len(names)
        batch = torch.cat([x] * len(names)) if len(names) > 1 else x
        embeds = [self.plan.uncond if name == "uncond" else self.plan.cond for name in names]
        masks = [self.plan.masks[0 if name == "uncond" else 1] for name in names]
        return self.model.predict(batch, t, _together(embeds), _together(masks))

    def _thresholded(self, output: torch.Tensor, x: torch.Tensor, t: float) -> torch.Tensor:
        x0, _ = self.levels.split(output, x, t)
        floor = float(self.model.extras.get("x0_range", 3.0)) if self.model.vae is not None else 1.0
        return self.levels.join(guidance.threshold(x0, floor=floor), x, t)

    def _step_options(self) -> dict[str, Any]:
        accepted = inspect.signature(self.scheduler.step).parameters
        options: dict[str, Any] = {"generator": self.generator} if "generator" in accepted else {}
        if "eta" in accepted:
            options["eta"] = self.request.eta
        return options

    def _preview(self, x0: torch.Tensor, i: int, total: int) -> np.ndarray | None:
        """The predicted clean picture, when showing it costs little enough."""
        spent = time.perf_counter() - self.started
        if i + 1 == total or self.preview_seconds > PREVIEW_SHARE * spent:
            return None
        begun = time.perf_counter()
        picture = to_uint8(self.model.quick(x0)[0].permute(1, 2, 0).cpu().numpy())
        self.preview_seconds += time.perf_counter() - begun
        return picture


def _together(tensors: list[torch.Tensor | None]) -> torch.Tensor | None:
    """One batch of all, or None where there are none."""
    there = [tensor for tensor in tensors if tensor is not None]
    return torch.cat(there) if there else None
