"""Any MusicGen checkpoint (small to large, stereo, melody) by hub id or local folder, through the same loop as ours.

Size is known and judged before anything is loaded. Safetensors only, no remote code; one full-size model at a time.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import BadRequest
from core.runtime.shelf import Shelf, needed_mb

if TYPE_CHECKING:
    from core.audio.music_lm import MusicLM

KINDS = ("musicgen", "musicgen_melody")
shelf = Shelf()


def describe(source: str) -> tuple[float, float]:
    """(MB on disk, MB of memory as float32). Raises BadRequest for another architecture, Unavailable for none."""
    from core.runtime import hub

    found = hub.look(source)
    if found.kind not in KINDS:
        raise BadRequest(
            f"“{source[:80]}” is no MusicGen checkpoint but {found.kind[:30] or 'of unknown kind'}; "
            "try facebook/musicgen-small."
        )
    need = needed_mb(Path(found.folder)) if found.folder else found.megabytes
    return found.megabytes, need


def open_model(source: str) -> MusicLM:
    """The model, loaded once and held until another is asked for. Raises DoesNotFit before loading."""
    from core.audio.music_lm import read_checkpoint

    local = Path(source).expanduser().is_dir()
    return shelf.take(source, lambda: describe(source)[1], lambda: read_checkpoint(source, local=local, ours=False))
