"""The request of the diffusion pages; imports no torch, so that a page can build it at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from core.errors import BadRequest
from core.request import Request, choice, flag, integer, number, seed_field, text

SCHEDULERS = (
    "model", "DDIM", "DDPM", "Euler", "Euler ancestral", "Heun", "DPM++ 2M", "UniPC", "LCM", "Flow Euler", "Flow Heun",
)  # fmt: skip
# name -> (class in diffusers.guiders, what the extra pass weakens, one line for the page)
GUIDER_KINDS: dict[str, tuple[str, str, str]] = {
    "cfg": ("ClassifierFreeGuidance", "", "Standard: push away from the prediction without the prompt."),
    "zero-star": (
        "ClassifierFreeZeroStarGuidance", "", "CFG-Zero*: fits the unconditional part first; step 1 predicts 0.",
    ),
    "adaptive projected": (
        "AdaptiveProjectedGuidance", "", "APG: keeps only the part of the push that does not just raise contrast.",
    ),
    "magnitude aware": ("MagnitudeAwareGuidance", "", "MAMBO-G: pushes less where the two predictions differ much."),
    "tangential": (
        "TangentialClassifierFreeGuidance", "", "TCFG: drops the part of the unconditional prediction that disagrees.",
    ),
    "autoguidance": ("AutoGuidance", "drop", "Away from a worse version of itself (dropout) without the prompt."),
    "perturbed attention": (
        "PerturbedAttentionGuidance", "identity", "PAG: CFG, and away from itself with self-attention switched off.",
    ),
    "skip layer": ("SkipLayerGuidance", "skip", "SLG: CFG, and away from itself with transformer blocks skipped."),
    "dynamic threshold": (
        "ClassifierFreeGuidance", "", "CFG, then extreme values of the predicted clean sample are pulled in (Imagen).",
    ),
}  # fmt: skip
GUIDERS = tuple(GUIDER_KINDS)


@dataclass(frozen=True)
class DiffusionRequest(Request):
    """Text to image by diffusion or flow matching."""

    PIPELINE: ClassVar[str] = "core.diffusion.sample"

    model: str = "latent-diffusion"
    prompt: str = text("", 600, help="What the picture should show. (word:1.5) makes a word count more.")
    negative_prompt: str = text("", 600, help="What to push away from: it takes the place of the empty prompt.")
    seed: int = seed_field()
    count: int = integer(1, 1, 16, help="How many pictures; number i uses seed + i.")
    num_inference_steps: int = integer(20, 1, 200, help="Denoising steps. More steps, more time, less error.")
    guidance_scale: float = number(3.0, 0.0, 30.0, help="w: 0 ignores the prompt, 1 follows it, more exaggerates.")
    scheduler: str = choice("model", SCHEDULERS, help="The sampler that turns predictions into steps.")
    eta: float = number(0.0, 0.0, 1.0, help="η: fresh noise at each DDIM step; 0 is deterministic, 1 is DDPM.")
    guider: str = choice("cfg", GUIDERS, help="How the predictions with and without the prompt are combined.")
    guidance_rescale: float = number(0.0, 0.0, 1.0, help="φ: pulls the guided contrast back to the unguided one.")
    guidance_start: float = number(0.0, 0.0, 0.95, help="Share of the steps after which guidance begins.")
    guidance_stop: float = number(1.0, 0.05, 1.0, help="Share of the steps after which guidance ends.")
    image: bytes = b""  # a picture file, for image to image
    mask: bytes = b""  # a picture file: white is painted anew
    strength: float = number(0.6, 0.05, 1.0, help="How much of the given picture is replaced: 1 keeps nothing.")
    prompt_to: str = text("", 600, help="A second prompt to move towards.")
    prompt_mix: float = number(0.0, 0.0, 1.0, help="0 is the first prompt, 1 the second.")
    seed_to: int = integer(1, 0, 2**32 - 1, help="A second noise to walk to.")
    noise_angle: float = number(0.0, 0.0, 360.0, step=1.0, help="Degrees on the circle through both noises.")
    latents: bytes = b""  # x_t of an earlier run (float32, C x h x w), to go on from
    start_time: float = number(0.0, 0.0, 1000.0, step=1.0, help="The time t of those latents.")
    record: bool = flag(False, help="Keep every step for the scrubber.")

    def check(self) -> None:
        """Settings that contradict each other."""
        if self.mask and not self.image:
            raise BadRequest("A mask needs a picture; upload one or clear the mask.")
        if self.guidance_stop <= self.guidance_start:
            raise BadRequest("Guidance ends before it begins; set guidance_stop above guidance_start.")

    def work(self) -> float:
        """Denoising steps, for the time estimate."""
        share = self.strength if self.image else 1.0
        return max(1.0, self.count * self.num_inference_steps * share)
