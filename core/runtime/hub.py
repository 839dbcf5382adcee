"""Checkpoints from the Hugging Face hub or a local folder: looked at first, downloaded only when asked for.

`look` tells size, licence and kind before anything moves. A download is a job like any other (progress, Stop); it takes
configuration and safetensors only, resumes where it stopped (huggingface_hub keeps the finished part), and checks the
sha256 that the hub states for every weight file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from core.errors import BadRequest, Unavailable
from core.request import Request, text
from core.result import Result, Step, TextResult

if TYPE_CHECKING:
    from core.pipeline import Control

WANTED = (".safetensors", ".json", ".txt", ".model", ".jinja", ".md")


@dataclass(frozen=True)
class Found:
    """A checkpoint that was looked at. folder: "" until it is on this machine. megabytes: of all files to load."""

    source: str
    folder: str
    kind: str  # pipeline class of model_index.json or model_type of config.json, "" when not known
    megabytes: float
    licence: str
    files: tuple[tuple[str, int, str], ...] = ()  # name, bytes, sha256 ("" for small files)


def look(source: str) -> Found:
    """Size, licence and kind of a local folder or a hub id, without downloading it.

    Raises BadRequest when it holds no safetensors, Unavailable when there is no such folder or the hub does not answer.
    """
    source = source.strip()
    folder = Path(source).expanduser()
    if source and folder.is_dir():
        return _folder(folder, source)
    if not source or source.startswith(("/", ".", "~")) or source.count("/") != 1:
        raise Unavailable(
            f"There is no folder “{source[:80]}”; give a checkpoint's folder or a hub id like owner/name."
        )
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return _folder(Path(snapshot_download(source, local_files_only=True)), source)
    except (LocalEntryNotFoundError, HFValidationError, BadRequest, OSError):
        pass  # not here, or not whole: ask the hub
    try:
        info = HfApi().model_info(source, files_metadata=True, timeout=10)
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        raise Unavailable(
            f"The hub does not answer for “{source[:80]}” ({type(error).__name__}); check the id and the network, "
            "or give a folder."
        ) from error
    files = tuple(
        (f.rfilename, int(f.size or 0), f.lfs.sha256 if f.lfs else "")
        for f in info.siblings or []
        if f.rfilename.endswith(WANTED)
    )
    weights = sum(size for name, size, _ in files if name.endswith(".safetensors"))
    if not weights:
        raise BadRequest(f"“{source[:80]}” has no safetensors weights; choose a copy that has.")
    licence = (info.card_data.get("license") if info.card_data else None) or "not stated"
    kind = str((info.config or {}).get("model_type") or (info.config or {}).get("diffusers", {}).get("_class_name", ""))
    return Found(source, "", kind, weights / 1e6, str(licence), files)


def _folder(folder: Path, source: str) -> Found:
    weights = sum(path.stat().st_size for path in folder.rglob("*.safetensors"))
    if not weights:
        raise BadRequest(f"“{source[:80]}” has no safetensors weights; save the model with save_pretrained first.")
    kind = ""
    for name, key in (("model_index.json", "_class_name"), ("config.json", "model_type")):
        try:
            kind = kind or str(json.loads((folder / name).read_text(encoding="utf-8")).get(key, ""))
        except FileNotFoundError:
            continue
        except (OSError, ValueError):
            raise BadRequest(f"{name} of “{source[:80]}” cannot be read; give a whole checkpoint folder.") from None
    return Found(source, str(folder), kind, weights / 1e6, "as in the folder")


@dataclass(frozen=True)
class DownloadRequest(Request):
    """Bring a hub checkpoint to this machine; the result's text is the folder."""

    PIPELINE: ClassVar[str] = "core.runtime.hub"

    source: str = text("", 120, help="Hub id, owner/name.")

    def check(self) -> None:
        if self.source.count("/") != 1:
            raise BadRequest(f"“{self.source[:80]}” is no hub id; write owner/name.")

    def work(self) -> float:
        return 1.0


def generate(request: DownloadRequest, control: Control) -> Iterator[Step | Result]:
    """One step a file; Stop ends after the current file, and the next try goes on from there."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError

    found = look(request.source)
    folder, done = found.folder, 0
    total = max(1, round(sum(size for _, size, _ in found.files) / 1e6))
    if not folder:
        for name, size, sha256 in found.files:
            if control.finishing:
                break
            yield Step("download", round(done / 1e6), total, note=f"{name}, {size / 1e6:,.0f} MB")
            try:
                path = Path(hf_hub_download(request.source, name))
            except (HfHubHTTPError, OSError) as error:
                raise Unavailable(
                    f"{name} did not come through ({type(error).__name__}); run again to go on from there."
                ) from error
            if sha256 and _sha256(path) != sha256:
                path.unlink()
                raise Unavailable(f"{name} arrived damaged (its sha256 differs); run again to fetch it anew.")
            done += size
            folder = str(path.parents[len(Path(name).parts) - 1])
    yield TextResult(request, text=folder, steps_run=done, complete=not control.finishing)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def facts(found: Found) -> dict[str, Any]:
    """What a page shows before loading or downloading."""
    where = "on this machine" if found.folder else "on the hub, not downloaded"
    size = f"{found.megabytes:,.0f} MB"
    return {
        "Source": found.source,
        "Kind": found.kind or "unknown",
        "Weights": size,
        "Licence": found.licence,
        "Where": where,
    }
