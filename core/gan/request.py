"""What can be asked of a GAN. Plain data, no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from core.errors import BadRequest
from core.gan.labels import ATTRIBUTES
from core.request import Request, choice, flag, integer, number, seed_field

LINEAGE = ("gan-mlp", "dcgan", "progan", "stylegan", "stylegan2", "stylegan3")
STYLED = ("stylegan", "stylegan2", "stylegan3")  # with a mapping network
MODELS = (*LINEAGE, "dcgan-collapsed")
COMPONENTS = 6  # GANSpace directions kept in a model's folder
SLIDES = ("long hair", "bald", "dark hair", "dark skin", "dark background", "glasses", "beard", "smile")


def attribute(name: str) -> Any:
    return choice("any", ("any", *ATTRIBUTES[name]), help="“any”: drawn as in the training set.")


def slider(help: str) -> Any:
    return number(0.0, -3.0, 3.0, step=0.1, help=help)


@dataclass(frozen=True)
class GanRequest(Request):
    """What all requests share: the model, where z comes from, the labels, truncation and noise."""

    model: str = choice("stylegan2", MODELS)
    seed: int = seed_field(0)
    truncation_psi: float = number(
        1.0,
        0.0,
        1.5,
        help="psi: w' = w_avg + psi (w - w_avg). Small: safe and alike. Without a mapping network it scales z.",
    )
    noise: bool = flag(True, help="Per-layer noise of StyleGAN and StyleGAN2; the other models have none.")
    style: str = attribute("style")
    hair: str = attribute("hair")
    hair_color: str = attribute("hair_color")
    skin_color: str = attribute("skin_color")
    background: str = attribute("background")
    glasses: str = attribute("glasses")
    beard: str = attribute("beard")
    mouth: str = attribute("mouth")

    def wanted(self) -> dict[str, str]:
        """The attributes that are fixed."""
        return {name: value for name in ATTRIBUTES if (value := getattr(self, name)) != "any"}

    def styled(self) -> bool:
        return self.model in STYLED

    def need_style(self, what: str) -> None:
        if not self.styled():
            raise BadRequest(f"{what} needs a mapping network, which {self.model} lacks; choose {', '.join(STYLED)}.")


@dataclass(frozen=True)
class SampleRequest(GanRequest):
    """Pictures. component_k: steps of one standard deviation along GANSpace direction k (arXiv 2004.02546);
    slide_k: along the direction of an attribute, in the order of SLIDES."""

    PIPELINE = "core.gan.sample"

    count: int = integer(16, 1, 64)
    component_1: float = slider("GANSpace: the largest variation of w")
    component_2: float = slider("GANSpace: the second largest")
    component_3: float = slider("GANSpace: the third")
    component_4: float = slider("GANSpace: the fourth")
    component_5: float = slider("GANSpace: the fifth")
    component_6: float = slider("GANSpace: the sixth")
    slide_long_hair: float = slider("towards long hair")
    slide_bald: float = slider("towards a bald head")
    slide_dark_hair: float = slider("towards black and brown hair")
    slide_dark_skin: float = slider("towards brown and dark skin")
    slide_dark_background: float = slider("towards a navy background")
    slide_glasses: float = slider("towards glasses")
    slide_beard: float = slider("towards a beard")
    slide_smile: float = slider("towards a smile or laugh")

    def components(self) -> list[float]:
        return [getattr(self, f"component_{i + 1}") for i in range(COMPONENTS)]

    def slides(self) -> list[float]:
        return [getattr(self, "slide_" + name.replace(" ", "_")) for name in SLIDES]

    def check(self) -> None:
        if any(self.components()) or any(self.slides()):
            self.need_style("Moving along directions of w")


@dataclass(frozen=True)
class WalkRequest(GanRequest):
    """A walk through the latent space as a clip."""

    PIPELINE = "core.gan.walk"

    path: str = choice(
        "interpolation",
        ("interpolation", "circle"),
        help="interpolation: from sample to sample and back to the first; circle: around a plane.",
    )
    space: str = choice("w", ("z", "w"), help="z: on the sphere (slerp); w: straight lines (lerp).")
    stops: int = integer(4, 2, 8, help="Samples on the way (interpolation).")
    frames: int = integer(48, 8, 240)
    fps: int = integer(16, 4, 30)
    radius: float = number(1.0, 0.1, 2.0, help="Of the circle, in standard deviations.")

    def check(self) -> None:
        if self.space == "w":
            self.need_style("A walk in w")


@dataclass(frozen=True)
class MixRequest(GanRequest):
    """Style mixing (StyleGAN, section 3.1): columns style the layers first_layer to last_layer, rows the rest."""

    PIPELINE = "core.gan.mix"

    rows: int = integer(4, 1, 6)
    columns: int = integer(4, 1, 6)
    column_seed: int = integer(100, 0, 2**32 - 1)
    first_layer: int = integer(0, 0, 8, help="0 to 2: pose and style of drawing; the last ones: colours.")
    last_layer: int = integer(3, 0, 8)

    def check(self) -> None:
        self.need_style("Style mixing")
        if self.first_layer > self.last_layer:
            raise BadRequest("first_layer is above last_layer; give a range such as 0 to 3.")


@dataclass(frozen=True)
class ProjectRequest(GanRequest):
    """Find the w whose picture is nearest to an uploaded one (StyleGAN2, section 5 and appendix D)."""

    PIPELINE = "core.gan.project"

    picture: bytes = b""
    num_inference_steps: int = integer(150, 10, 500)
    learning_rate: float = number(0.05, 0.005, 0.3, step=0.005)
    extended: bool = flag(False, help="W+: a style of its own for each layer. Nearer, but less of a portrait.")

    def check(self) -> None:
        self.need_style("Projection")
        if not self.picture:
            raise BadRequest("Projection needs a picture; upload one.")


@dataclass(frozen=True)
class GrowthRequest(GanRequest):
    """ProGAN through its resolutions: 8, 16, 32, 64, each faded in."""

    PIPELINE = "core.gan.growth"

    model: str = choice("progan", ("progan",))
    count: int = integer(4, 1, 8)
    frames: int = integer(40, 8, 120)
    fps: int = integer(10, 4, 30)


@dataclass(frozen=True)
class MoveRequest(GanRequest):
    """Move the input of the synthesis network by parts of a pixel and see whether textures come along."""

    PIPELINE = "core.gan.move"

    model: str = choice("stylegan3", ("stylegan2", "stylegan3"))
    motion: str = choice("translation", ("translation", "rotation"))
    amount: float = number(8.0, 1.0, 16.0, step=1.0, help="Pixels to each side, or degrees times 4.")
    frames: int = integer(48, 8, 120)
    fps: int = integer(16, 4, 30)
