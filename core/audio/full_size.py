"""Any MusicGen checkpoint (small to large, stereo) by hub id or local folder, through the same loop as ours.

Size is known and judged before anything is loaded. Safetensors only, no remote code; one full-size model at a time.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import BadRequest, DoesNotFit

if TYPE_CHECKING:
    from core.audio.music_lm import MusicLM

_lock = threading.Lock()
_held: dict[str, Any] = {}  # source -> MusicLM, at most one


def describe(source: str) -> tuple[float, float]:
    """(MB on disk, MB of memory as float32). Raises BadRequest for another architecture, Unavailable for none."""
    from core.diffusion.full_size import needed_mb
    from core.runtime import hub

    found = hub.look(source)
    if found.kind != "musicgen":
        raise BadRequest(
            f"“{source[:80]}” is no MusicGen checkpoint but {found.kind[:30] or 'of unknown kind'}; "
            "try facebook/musicgen-small."
        )
    need = needed_mb(Path(found.folder)) if found.folder else found.megabytes
    return found.megabytes, need


def open_model(source: str) -> MusicLM:
    """The model, loaded once and held until another is asked for. Raises DoesNotFit before loading."""
    from core.audio.music_lm import read_checkpoint
    from core.runtime import memory

    with _lock:
        if source not in _held:
            need = describe(source)[1]
            _held.clear()
            memory.trim()
            free = memory.budget_mb() - memory.rss_mb()
            if need > free:
                raise DoesNotFit(
                    f"“{source[:80]}” needs about {need:,.0f} MB and {max(free, 0):,.0f} of the "
                    f"{memory.budget_mb():,.0f} MB budget are free; choose a smaller one or set LAB_MEMORY_MB higher."
                )
            _held[source] = read_checkpoint(source, local=Path(source).expanduser().is_dir(), ours=False)
        return _held[source]
