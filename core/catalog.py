"""The one place that says which models exist.

A model of ours is a folder assets/models/ID with a card (README.md, YAML front matter) and one line in MODELS.
Full-size models (hub ids, remote endpoints) are the entries of assets/hub/*.yaml, same keys.
A malformed card is reported by name in `problems()` and hides no other.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from core.errors import UnknownModel

ROOT = Path(__file__).resolve().parent.parent
MODELS_DIR = ROOT / "assets" / "models"
HUB_DIR = ROOT / "assets" / "hub"

ROLES = ("generator", "codec", "encoder", "metric")
SOURCES = ("embedded", "borrowed", "hub", "remote")
MODALITIES = ("image", "video", "audio", "multimodal", "text", "3d", "points")


@dataclass(frozen=True)
class Entry:
    """One line of the catalog: where the loader and the request of a model live, as "module:name"."""

    id: str
    loader: str = ""
    request: str = ""


# One line a model, in the order in which pickers show them.
MODELS: list[Entry] = [
    Entry("latent-diffusion", "core.diffusion.load:load", "core.diffusion.request:DiffusionRequest"),
    Entry("stylegan2", "core.gan.load:load", "core.gan.request:SampleRequest"),
    Entry("stylegan3", "core.gan.load:load", "core.gan.request:SampleRequest"),
    Entry("stylegan", "core.gan.load:load", "core.gan.request:SampleRequest"),
    Entry("progan", "core.gan.load:load", "core.gan.request:SampleRequest"),
    Entry("dcgan", "core.gan.load:load", "core.gan.request:SampleRequest"),
    Entry("gan-mlp", "core.gan.load:load", "core.gan.request:SampleRequest"),
    Entry("dcgan-collapsed", "core.gan.load:load", "core.gan.request:SampleRequest"),
    Entry("latent-dit", "core.diffusion.load:load", "core.diffusion.request:DiffusionRequest"),
    Entry("student", "core.diffusion.load:load", "core.diffusion.request:DiffusionRequest"),
    Entry("pixel-ddpm", "core.diffusion.load:load", "core.diffusion.request:DiffusionRequest"),
    Entry("vae", "core.vae.network:load", "core.vae.request:VAERequest"),
    Entry("vae-2d", "core.vae.network:load", "core.vae.request:VAERequest"),
    Entry("any-to-any", loader="core.chat.decoder:load", request="core.chat.chat:ChatRequest"),
    Entry("image-tokenizer", loader="core.chat.image_tokenizer:load"),
    Entry("code-lm", loader="core.chat.decoder:load", request="core.chat.code:CodeRequest"),
    Entry("music-lm", loader="core.audio.music_lm:load", request="core.audio.music_lm:GenerateRequest"),
    Entry(
        "sound-diffusion", loader="core.audio.sound_diffusion:load", request="core.audio.sound_diffusion:DenoiseRequest"
    ),
    Entry("symbolic-music", loader="core.audio.symbolic:load", request="core.audio.symbolic:ScoreRequest"),
    Entry("codec", loader="core.audio.codec:load", request="core.audio.codec:CodecRequest"),
    Entry("hibari", loader="core.audio.speech:load", request="core.audio.speech:SpeechRequest"),
    Entry("video-dit", loader="core.video.dit:load", request="core.video.sample:VideoRequest"),
    Entry("video-dit-factorised", loader="core.video.dit:load", request="core.video.sample:VideoRequest"),
    Entry("video-dit-frames", loader="core.video.dit:load", request="core.video.sample:VideoRequest"),
    Entry("video-between", loader="core.video.dit:load", request="core.video.between:FilmRequest"),
    Entry("video-keyframes", loader="core.video.dit:load", request="core.video.between:FilmRequest"),
    Entry("autoencoder", loader="core.encoders:load_autoencoder"),
    Entry("clip", loader="core.encoders:load_clip"),
    Entry("t5", loader="core.encoders:load_t5"),
    Entry("attributes-b", loader="core.metrics.attributes:load"),
    Entry("attributes-a", loader="core.metrics.attributes:load"),
    Entry("sound-judges", loader="core.audio.judges:load"),
    Entry("efficientnet-lite0", loader="core.metrics.features:load"),
]


@dataclass(frozen=True)
class Card:
    """What is known of a model. bytes: weight files on disk; memory_mb: growth of RSS when loaded and run."""

    id: str
    title: str
    role: str
    family: str
    modality: str
    year: int
    paper: str
    source: str
    licence: str
    parameters: int
    bytes: int
    memory_mb: float
    quality: dict[str, Any] = field(default_factory=dict)
    data: str = ""
    recipe: str = ""
    measured: str = ""
    steps: int = 0
    extra: dict[str, Any] = field(default_factory=dict)  # keys of one modality only, e.g. seconds_per_unit, hub_id
    prose: str = ""
    loader: str = ""
    request: str = ""

    @property
    def folder(self) -> Path:
        """Where the weights lie."""
        return MODELS_DIR / self.id

    def request_class(self) -> type:
        """The request that runs this model. Raises UnknownModel for a model that generates nothing by itself."""
        if not self.request:
            raise UnknownModel(f"{self.id} is a {self.role} and generates nothing by itself; choose a generator.")
        module, name = self.request.split(":")
        return getattr(import_module(module), name)

    def to_dict(self) -> dict[str, Any]:
        """The public record, as `python -m core models --json` prints it."""
        keys = (
            "id title role family modality year paper source licence parameters bytes memory_mb quality data recipe"
            " measured steps"
        )
        return {key: getattr(self, key) for key in keys.split()}


_NEEDED = [
    "id",
    "title",
    "role",
    "family",
    "modality",
    "year",
    "paper",
    "source",
    "licence",
    "parameters",
    "bytes",
    "memory_mb",
]


def parse_card(values: Any, entry: Entry, prose: str = "") -> Card:
    """A Card from front matter. Raises ValueError that names what is wrong."""
    if not isinstance(values, dict):
        raise ValueError("the front matter is no mapping")
    missing = [key for key in _NEEDED if key not in values]
    if missing:
        raise ValueError(f"lacks {', '.join(missing)}")
    if values["id"] != entry.id:
        raise ValueError(f"says id {values['id']!r} but stands for {entry.id!r}")
    for key, allowed in (("role", ROLES), ("source", SOURCES), ("modality", MODALITIES)):
        if values[key] not in allowed:
            raise ValueError(f"has {key} {values[key]!r}; allowed: {', '.join(allowed)}")
    for key in ("year", "parameters", "bytes", "memory_mb"):
        if not isinstance(values[key], (int, float)) or isinstance(values[key], bool) or values[key] < 0:
            raise ValueError(f"has {key} {values[key]!r}, which is no number")
    if not isinstance(values.get("quality") or {}, dict):
        raise ValueError("has a quality that is no mapping")
    names = set(Card.__dataclass_fields__) - {"extra", "prose", "loader", "request"}
    known = {key: value for key, value in values.items() if key in names and value is not None}
    extra = {key: value for key, value in values.items() if key not in names}
    return Card(**known, extra=extra, prose=prose.strip(), loader=entry.loader, request=entry.request)


def read_card(path: Path, entry: Entry) -> Card:
    """The card of one folder. Raises ValueError or OSError."""
    import yaml

    parts = path.read_text(encoding="utf-8").split("---\n", 2)
    if len(parts) != 3 or parts[0].strip():
        raise ValueError("has no YAML front matter between two lines of ---")
    try:
        return parse_card(yaml.safe_load(parts[1]), entry, parts[2])
    except yaml.YAMLError as error:
        raise ValueError(f"is no YAML ({str(error).splitlines()[0]})") from None


@cache
def _read() -> tuple[dict[str, Card], list[str]]:
    import yaml

    cards: dict[str, Card] = {}
    problems: list[str] = []
    for entry in MODELS:
        path = MODELS_DIR / entry.id / "README.md"
        try:
            cards[entry.id] = read_card(path, entry)
        except (OSError, ValueError) as error:
            reason = "is missing" if isinstance(error, FileNotFoundError) else str(error)
            problems.append(f"The card of {entry.id} ({path.parent.name}/README.md) {reason}.")
    for path in sorted(HUB_DIR.glob("*.yaml")):
        try:
            entries = yaml.safe_load(path.read_text(encoding="utf-8")) or []
        except (OSError, yaml.YAMLError) as error:
            problems.append(f"The list {path.name} cannot be read ({str(error).splitlines()[0]}).")
            continue
        for values in entries:
            entry = Entry(str(values.get("id", "?")), str(values.pop("loader", "")), str(values.pop("request", "")))
            try:
                cards[entry.id] = parse_card(values, entry, str(values.pop("prose", "")))
            except ValueError as error:
                problems.append(f"The entry {entry.id} of {path.name} {error}.")
    return cards, problems


def reload() -> None:
    """Forget what was read (tests, and recipes that have just written a card)."""
    _read.cache_clear()


def problems() -> list[str]:
    """One sentence for each malformed card."""
    return list(_read()[1])


def cards(**wanted: Any) -> list[Card]:
    """All cards, or those whose fields equal `wanted`: cards(modality="image", source="embedded")."""
    return [c for c in _read()[0].values() if all(getattr(c, k) == v for k, v in wanted.items())]


def card(model: str) -> Card:
    """The card of one model. Raises UnknownModel."""
    found = _read()[0].get(model)
    if found is None:
        for problem in _read()[1]:
            if f" {model} " in problem:
                raise UnknownModel(problem)
        close = _close(model)
        hint = f"did you mean {close}?" if close else "`python -m core models` lists them."
        raise UnknownModel(f"There is no model “{model[:60]}”; {hint}")
    return found


def _close(model: str) -> str:
    from difflib import get_close_matches

    return " or ".join(get_close_matches(model, list(_read()[0]), n=2))
