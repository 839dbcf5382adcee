"""Requests: frozen dataclasses whose fields carry their own ranges, so that pages, URLs and the command line agree.

A request is plain data: picklable, hashable, comparable. `digest()` names it; the same digest gives the same bytes.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import types
import typing
from dataclasses import dataclass, field
from functools import cache
from typing import Any, ClassVar, Self

from core.errors import BadRequest

MAX_SEED = 2**32 - 1


def integer(default: int, low: int, high: int, *, help: str = "", step: int = 1) -> Any:
    """A whole number in [low, high]."""
    return field(default=default, metadata={"low": low, "high": high, "step": step, "help": help})


def number(default: float, low: float, high: float, *, help: str = "", step: float = 0.05) -> Any:
    """A finite float in [low, high]."""
    return field(default=default, metadata={"low": low, "high": high, "step": step, "help": help})


def choice(default: str, options: typing.Iterable[str], *, help: str = "") -> Any:
    """One of `options` (strings)."""
    return field(default=default, metadata={"options": tuple(options), "help": help})


def text(default: str = "", max_length: int = 400, *, help: str = "") -> Any:
    """A string of at most `max_length` characters."""
    return field(default=default, metadata={"max_length": max_length, "help": help})


def flag(default: bool = False, *, help: str = "") -> Any:
    """True or False."""
    return field(default=default, metadata={"help": help})


def seed_field(default: int = 0) -> Any:
    """The seed of the first sample; sample i uses seed + i and its own generator."""
    return integer(default, 0, MAX_SEED, help="Same seed, same result. Sample number i uses seed + i.")


@cache
def _types(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


@dataclass(frozen=True)
class Request:
    """Base of all requests. Subclasses set PIPELINE: the module whose `generate(request, control, *models)` runs them."""

    PIPELINE: ClassVar[str] = ""
    EXAMPLE: ClassVar[dict[str, str]] = {}  # what the command line fills in when no prompt is given
    ROOM_MB: ClassVar[float] = 0.0  # memory a run takes beyond the reserve that every run has (core/runtime/models.py)

    model: str = ""

    def __post_init__(self) -> None:
        for spec in dataclasses.fields(self):
            object.__setattr__(self, spec.name, _checked(type(self), spec, getattr(self, spec.name)))
        self.check()

    def check(self) -> None:
        """Raise BadRequest for what no single field can see (override)."""

    def models(self) -> tuple[str, ...]:
        """Ids of the models that must be loaded for this request, in the order `generate` receives them."""
        return (self.model,) if self.model else ()

    def sample_seeds(self, count: int) -> list[int]:
        """One seed a sample: (count,), so that sample 5 can be made again alone."""
        return [(int(getattr(self, "seed", 0)) + i) % (MAX_SEED + 1) for i in range(count)]

    def replace(self, **changes: Any) -> Self:
        """The same request with some fields changed; validated anew."""
        return dataclasses.replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values; bytes become {"sha256": ..., "bytes": n}, since files carry a request, not its uploads."""
        return {spec.name: _plain(getattr(self, spec.name)) for spec in dataclasses.fields(self)}

    def changed(self) -> dict[str, Any]:
        """Only what differs from the defaults (and the model)."""
        return {
            spec.name: _plain(getattr(self, spec.name))
            for spec in dataclasses.fields(self)
            if spec.name == "model" or getattr(self, spec.name) != spec.default
        }

    @classmethod
    def from_dict(cls, values: typing.Mapping[str, Any]) -> Self:
        """Build from a mapping of values or strings (URL, --set, provenance). Unknown names raise BadRequest."""
        known = {spec.name: spec for spec in dataclasses.fields(cls)}
        parsed = {}
        for name, value in values.items():
            if name not in known:
                raise BadRequest(f"“{_short(name)}” is not a setting here; known settings: {', '.join(known)}.")
            parsed[name] = _parsed(cls, known[name], value)
        return cls(**parsed)

    def digest(self) -> str:
        """24 hex digits naming this request (class, all values, uploads by their bytes)."""
        parts = hashlib.sha256(f"{type(self).__module__}.{type(self).__qualname__}".encode())
        for spec in dataclasses.fields(self):
            parts.update(f"\0{spec.name}={getattr(self, spec.name)!r}".encode())
        return parts.hexdigest()[:24]


def _short(value: Any, length: int = 40) -> str:
    shown = str(value)
    return shown if len(shown) <= length else shown[: length - 1] + "…"


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"sha256": hashlib.sha256(value).hexdigest(), "bytes": len(value)} if value else ""
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {spec.name: _plain(getattr(value, spec.name)) for spec in dataclasses.fields(value)}
    return value


def _base_type(cls: type, name: str) -> Any:
    hint = _types(cls)[name]
    if isinstance(hint, types.UnionType):  # "int | None": the part that is not None
        hint = next(part for part in typing.get_args(hint) if part is not type(None))
    return typing.get_origin(hint) or hint


def _parsed(cls: type, spec: dataclasses.Field, value: Any) -> Any:
    """Strings from a URL or the command line become the field's type; other values pass through."""
    if isinstance(value, list):
        return tuple(tuple(item) if isinstance(item, list) else item for item in value)
    if not isinstance(value, str):
        return value
    kind = _base_type(cls, spec.name)
    try:
        if kind is bool:
            if value.lower() not in ("true", "false", "1", "0", "yes", "no", "on", "off"):
                raise ValueError
            return value.lower() in ("true", "1", "yes", "on")
        if kind is int:
            return int(value)
        if kind is float:
            return float(value)
        if kind is tuple:
            items = json.loads(value if value.lstrip().startswith("[") else f"[{value}]") if value else []
            return tuple(tuple(item) if isinstance(item, list) else item for item in items)
    except (ValueError, OverflowError):
        raise BadRequest(f"“{_short(value)}” is no value for {spec.name}; {_wanted(cls, spec)}.") from None
    return value


def _wanted(cls: type, spec: dataclasses.Field) -> str:
    meta, kind = spec.metadata, _base_type(cls, spec.name)
    if "options" in meta:
        return f"choose one of {', '.join(meta['options'])}"
    if "low" in meta:
        return f"give a {'whole number' if kind is int else 'number'} from {meta['low']:g} to {meta['high']:g}"
    if "max_length" in meta:
        return f"give a text of at most {meta['max_length']:,} characters"
    return {bool: "give true or false", bytes: "give a file", tuple: "give a list"}.get(kind, "give a text")


def _checked(cls: type, spec: dataclasses.Field, value: Any) -> Any:
    """The value in its field's type, or BadRequest."""
    meta, kind = spec.metadata, _base_type(cls, spec.name)
    if value is None and spec.default is None:
        return None
    bad = BadRequest(f"“{_short(value)}” is no value for {spec.name}; {_wanted(cls, spec)}.")
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if kind is int and isinstance(value, float) and value.is_integer():
        value = int(value)
    if kind is tuple and isinstance(value, list):
        value = tuple(value)
    if isinstance(kind, type) and (not isinstance(value, kind) or (kind is not bool and isinstance(value, bool))):
        raise bad
    if "low" in meta and not (math.isfinite(value) and meta["low"] <= value <= meta["high"]):
        raise bad
    if "options" in meta and value not in meta["options"]:
        raise bad
    if "max_length" in meta and len(value) > meta["max_length"]:
        raise BadRequest(f"{spec.name} has {len(value):,} characters; shorten it to {meta['max_length']:,} or fewer.")
    return value
