"""What stands under a result: badge, cost, code that reproduces it, downloads with provenance."""

from __future__ import annotations

import io
import json
import zipfile
from functools import partial
from typing import Literal

import numpy as np
import streamlit as st

from core import provenance
from core.errors import BadRequest, LabError, UnknownModel
from core.request import Request
from core.result import AudioResult, ImageResult, Result, VideoResult
from ui import tables
from ui.page import apply_settings, guard

BADGES = {
    "now": ("computed now · ai-generated", "green"),
    "recorded": ("recorded during training", "gray"),
    "borrowed": ("borrowed weights", "orange"),
    "real": ("real data", "gray"),
    "stored": ("stored measurement", "gray"),
}


def badge(kind: str, more: str = "") -> None:
    """Says what a result is: "now", "recorded", "borrowed", "real" or "stored"."""
    words, hue = BADGES[kind]
    st.badge(f"{words} {more}".strip(), color=hue)  # type: ignore[arg-type]


def picture(
    image: np.ndarray,
    alt: str,
    *,
    width: int | Literal["stretch", "content"] = "stretch",
    crisp: bool = True,
    caption: str = "",
) -> None:
    """image: (H, W, 3) or (N, H, W, 3) uint8 (a contact sheet then). crisp: small ones are enlarged in whole pixels."""
    if image.ndim == 4:
        image = image[0] if len(image) == 1 else provenance.contact_sheet(image)
    st.image(enlarge(image) if crisp else image, caption=caption or None, width=width, alt=alt)


def enlarge(image: np.ndarray, least: int = 512) -> np.ndarray:
    """(H, W, 3) repeated by a whole number until a side has `least` pixels, so that browsers show crisp squares."""
    factor = max(1, least // max(image.shape[:2]))
    return image.repeat(factor, 0).repeat(factor, 1)


def details(result: Result, key: str = "result") -> None:
    """Cost, code and downloads of one result, folded small under the stage."""
    with st.container(horizontal=True, key=f"footer-{key}"):
        with st.popover("Cost", icon=":material/speed:"):
            cost(result)
        with st.popover("Show code", icon=":material/code:"):
            st.caption("Run it in the project's folder; it makes this result again, byte for byte.")
            st.code(code(result.request), language="python")
        with st.popover("Download", icon=":material/download:"), guard():
            downloads(result, key)


def cost(result: Result) -> None:
    """Parameters, model calls, milliseconds a step, memory."""
    from core import catalog
    from core.runtime import memory

    rows = {"Generation": f"{result.seconds:.2f} s", "Loading": f"{result.load_seconds:.2f} s"}
    if result.steps_run:
        rows["Steps"] = f"{result.steps_run}, {1000 * result.seconds / result.steps_run:.0f} ms each"
    if result.model_calls:
        rows["Model calls"] = f"{result.model_calls}"
    for model in result.request.models():
        try:
            card = catalog.card(model)
        except UnknownModel:
            continue
        rows[card.title] = f"{card.parameters / 1e6:.2f} M parameters, {card.memory_mb:.0f} MB"
    rows["Process"] = f"{memory.rss_mb():.0f} of {memory.budget_mb():.0f} MB"
    tables.facts(rows)


def code(request: Request) -> str:
    """The few lines of Python that reproduce a result with these settings; runnable as they stand."""
    cls = type(request)
    values = {
        spec.name: getattr(request, spec.name)
        for spec in cls.__dataclass_fields__.values()
        if spec.name == "model" or getattr(request, spec.name) != spec.default
    }
    lines = ["from pathlib import Path", ""]
    lines += [f"from {cls.__module__} import {cls.__qualname__}", "from core import provenance"]
    lines += ["from core.pipeline import complete", ""]
    arguments = []
    for name, value in values.items():
        if isinstance(value, bytes):
            lines.append(f'{name} = Path("your-upload").read_bytes()  # {len(value):,} bytes')
            arguments.append(f"    {name}={name},")
        else:
            arguments.append(f"    {name}={value!r},")
    lines += [f"request = {cls.__qualname__}(", *arguments, ")", "result = complete(request)"]
    lines += ["ending = provenance.default_ending(result)"]
    lines += ['Path("result").with_suffix(ending).write_bytes(provenance.encode(result, ending))']
    return "\n".join(lines)


def downloads(result: Result, key: str) -> None:
    """One file of each format, and a zip of all with a manifest. Encoded only when asked for."""
    ending = provenance.default_ending(result)
    kinds: list[tuple[str, str]] = [(ending[1:].upper(), ending)]
    if isinstance(result, VideoResult):
        kinds.append(("GIF", ".gif"))
    if isinstance(result, AudioResult):
        kinds += [("FLAC", ".flac"), ("MP3", ".mp3")]
    name = f"{result.request.model or 'lab'}-{getattr(result.request, 'seed', 0)}"
    for label, end in kinds:
        st.download_button(
            label,
            partial(provenance.encode, result, end),
            f"{name}{end}",
            key=f"_{key}_{end}",
            icon=":material/download:",
            on_click="ignore",
        )
    st.download_button(
        "Zip with manifest",
        lambda: bundle(result),
        f"{name}.zip",
        key=f"_{key}_zip",
        icon=":material/folder_zip:",
        on_click="ignore",
    )


def bundle(result: Result) -> bytes:
    """A zip: every sample as a file of its own, manifest.json, reproduce.py."""
    meta = provenance.record(result)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:

        def add(name: str, data: bytes) -> None:
            archive.writestr(zipfile.ZipInfo(name), data)  # ZipInfo's fixed date: same request, same bytes

        if isinstance(result, ImageResult):
            for seed, image in zip(result.seeds or range(len(result.images)), result.images, strict=False):
                one = {**meta, "seeds": [seed], "request": {**meta["request"], "seed": seed, "count": 1}}
                if "count" not in meta["request"]:
                    one = {**meta, "seeds": [seed]}
                add(f"{result.request.model}-{seed}.png", provenance.png(image, one))
        else:
            ending = provenance.default_ending(result)
            add(f"{result.request.model}{ending}", provenance.encode(result, ending))
        add("manifest.json", json.dumps(meta, indent=1).encode())
        add("reproduce.py", code(result.request).encode())
    return out.getvalue()


def restore_box(cls: type[Request], keys: dict[str, str] | None = None) -> None:
    """Drop a file that was made here: its settings come back to the controls. keys: field name -> widget key."""

    def restore() -> None:
        file = st.session_state.get("_restore")
        if file is None:
            return
        try:
            request = provenance.restore(provenance.read(file.getvalue()))
            if not isinstance(request, cls):
                raise BadRequest(f"This file was made on another page (model {request.model}); open it there.")
        except LabError as error:
            st.session_state["_restore_error"] = str(error)
            return
        st.session_state.pop("_restore_error", None)
        fields = {name: getattr(request, name) for name in request.__dataclass_fields__}
        apply_settings({(keys or {}).get(n, n): v for n, v in fields.items() if not isinstance(v, bytes)})

    st.file_uploader(
        "Restore from a file made here",
        key="_restore",
        on_change=restore,
        help="Every download carries its request; drop it and the controls return to its settings.",
    )
    if error := st.session_state.get("_restore_error"):
        st.error(error, icon=":material/info:")
