"""Models in memory: loaded once, within the budget, the least recently used released first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from core import catalog
from core.errors import DoesNotFit, LabError, Unavailable
from core.runtime import devices, lean, memory

LIBRARY_LOADERS = ("core.diffusion", "core.audio", "core.chat", "core.encoders")
RESERVE_MB = 60.0  # what a run takes for a moment beside its model: previews, encoders, a page being drawn
TORCH_MB = 260.0  # what importing torch adds, when it is not there yet


@dataclass
class _Slot:
    model: Any
    card: catalog.Card
    users: int = 0


@dataclass
class _State:
    lock: threading.RLock = field(default_factory=threading.RLock)
    loaded: OrderedDict[str, _Slot] = field(default_factory=OrderedDict)  # least recently used first


_state = _State()


@contextmanager
def lease(*ids: str, room_mb: float = 0.0) -> Iterator[tuple[Any, ...]]:
    """The models of these ids, held in memory until the block ends. Two at once load once.

    room_mb: what the block takes for a moment beyond RESERVE_MB; idle models make way for it as they do for a load.

    Raises UnknownModel, DoesNotFit (before loading) or Unavailable (weights missing or broken).
    """
    held: list[str] = []
    try:
        models = []
        for model_id in ids:
            models.append(_take(model_id))
            held.append(model_id)
        release_idle(room_mb + RESERVE_MB)  # models that were there already may have left no room to work in
        yield tuple(models)
    finally:
        with _state.lock:
            for model_id in held:
                if model_id in _state.loaded:
                    _state.loaded[model_id].users -= 1


def _take(model_id: str) -> Any:
    card = catalog.card(model_id)
    with _state.lock:  # held while loading: whoever wants the same model waits and then finds it
        slot = _state.loaded.get(model_id)
        if slot is None:
            _make_room(card)
            slot = _Slot(_load(card), card)
            _state.loaded[model_id] = slot
        slot.users += 1
        _state.loaded.move_to_end(model_id)
        return slot.model


def _load(card: catalog.Card) -> Any:
    if not card.loader:
        raise Unavailable(f"{card.title} has no loader in the catalog; add it to its line in core/catalog.py.")
    devices.setup()
    if card.loader.startswith(LIBRARY_LOADERS):  # before diffusers or transformers are imported
        lean.lean_libraries()
    else:
        lean.without_compiler()
    module, name = card.loader.split(":")
    try:
        return getattr(import_module(module), name)(card, devices.device())
    except LabError:
        raise
    except FileNotFoundError as error:
        raise Unavailable(
            f"A file of {card.title} is missing ({error.filename or error}); restore assets/models/{card.id}"
            f" with `git checkout -- assets/models/{card.id}`."
        ) from error
    except Exception as error:  # whatever a broken file makes a library raise
        raise Unavailable(
            f"The weights of {card.title} cannot be read ({type(error).__name__}: {str(error).splitlines()[0][:120] if str(error) else 'no details'});"
            f" restore them with `git checkout -- assets/models/{card.id}`."
        ) from error


def release_idle(wanted_mb: float) -> bool:
    """Release the least recently used idle models until `wanted_mb` of the budget are free; whether they are."""

    def free() -> bool:
        return memory.rss_mb() + wanted_mb <= memory.budget_mb()

    with _state.lock:
        for model_id in list(_state.loaded):
            if free():
                return True
            release(model_id)
    return free()


def _make_room(card: catalog.Card) -> None:
    """Release the least recently used idle models until `card` fits, or raise DoesNotFit."""
    import sys

    needed = card.memory_mb + (0 if "torch" in sys.modules else TORCH_MB)
    budget = memory.budget_mb()
    if release_idle(needed + RESERVE_MB):
        return
    memory.trim()
    rss = memory.rss_mb()
    held = sum(slot.card.memory_mb for slot in _state.loaded.values())
    # The allocator does not give every page back, so a small model may still load a little above the line: refuse only
    # what cannot fit beside an empty process.
    if needed > max(budget - (rss - held), budget * 0.15):
        raise DoesNotFit(
            f"{card.title} needs about {needed:,.0f} MB and {max(0.0, budget - rss):,.0f} of the {budget:,.0f} MB budget"
            f" are free; choose a smaller model ({_smaller(card, budget - rss)}) or set LAB_MEMORY_MB higher."
        )


def _smaller(card: catalog.Card, free: float) -> str:
    fits = [
        other.id
        for other in catalog.cards(modality=card.modality, role=card.role)
        if other.memory_mb <= max(free, 20.0) and other.id != card.id and other.loader
    ]
    return ", ".join(fits[:3]) or "none of this kind fits"


def release(model_id: str) -> bool:
    """Forget one idle model. False when it is not loaded or in use."""
    with _state.lock:
        slot = _state.loaded.get(model_id)
        if slot is None or slot.users:
            return False
        del _state.loaded[model_id]
        del slot
    memory.trim()
    return True


def release_all() -> None:
    """Forget every idle model."""
    for model_id in list(_state.loaded):
        release(model_id)


def loaded() -> dict[str, float]:
    """Ids of the models in memory with their memory_mb, most recently used last."""
    with _state.lock:
        return {model_id: slot.card.memory_mb for model_id, slot in _state.loaded.items()}


def state(model_id: str) -> str:
    """ "loaded", or "on disk"."""
    return "loaded" if model_id in _state.loaded else "on disk"
