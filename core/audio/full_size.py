"""Any MusicGen checkpoint (small to large, stereo) by hub id or local folder, through the same loop as ours.

Size is known and judged before anything is loaded. Safetensors only, no remote code; one full-size model at a time.
"""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import BadRequest, DoesNotFit, Unavailable

if TYPE_CHECKING:
    from core.audio.music_lm import MusicLM

_lock = threading.Lock()
_held: dict[str, Any] = {}  # source -> MusicLM, at most one


def describe(source: str) -> tuple[float, float]:
    """(MB on disk, MB of memory as float32). Raises BadRequest for another architecture, Unavailable for none."""
    folder = Path(source).expanduser()
    if folder.is_dir():
        return _folder(folder, source)
    if source.startswith(("/", ".", "~")) or source.count("/") != 1:
        raise Unavailable(
            f"There is no folder “{source[:80]}”; give one with config.json and safetensors, or a hub id."
        )
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        info = HfApi().model_info(source, files_metadata=True, timeout=10)
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        raise Unavailable(
            f"The hub does not answer for “{source[:80]}” ({type(error).__name__}); check the id and the network, "
            "or give a folder."
        ) from error
    if (info.config or {}).get("model_type") != "musicgen":
        raise BadRequest(f"“{source[:80]}” is no MusicGen checkpoint; try facebook/musicgen-small.")
    stored = sum(f.size or 0 for f in info.siblings or [] if f.rfilename.endswith(".safetensors"))
    if not stored:
        raise BadRequest(f"“{source[:80]}” has no safetensors weights; choose a revision or a copy that has.")
    count = info.safetensors.total if info.safetensors else stored / 4
    return stored / 1e6, count * 4 / 1e6


def _folder(folder: Path, source: str) -> tuple[float, float]:
    try:
        config = json.loads((folder / "config.json").read_text())
    except (OSError, ValueError):
        raise Unavailable(f"“{source[:80]}” holds no readable config.json; give a whole checkpoint folder.") from None
    if config.get("model_type") != "musicgen":
        kind = str(config.get("model_type"))[:30]
        raise BadRequest(f"“{source[:80]}” is no MusicGen checkpoint but {kind}; give a MusicGen one.")
    stored = sum(f.stat().st_size for f in folder.glob("*.safetensors"))
    if not stored:
        raise BadRequest(f"“{source[:80]}” has no safetensors weights; save the model with save_pretrained first.")
    half = str(config.get("dtype") or config.get("torch_dtype")) in ("float16", "bfloat16")
    return stored / 1e6, stored * (2 if half else 1) / 1e6


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
