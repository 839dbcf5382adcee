"""Controls made from a request's own fields, bound to the URL: `?guidance_scale=3` opens the page at 3."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from core.errors import BadRequest, LabError
from core.request import MAX_SEED, Request
from ui.page import notice


def control(
    cls: type[Request],
    name: str,
    label: str | None = None,
    *,
    key: str | None = None,
    default: Any = None,
    options: Sequence[Any] | None = None,
    format_func: Callable[[Any], str] = str,
    low: float | None = None,
    high: float | None = None,
    wide: bool = False,
    disabled: bool = False,
) -> Any:
    """The widget of one field of a request class; returns its value.

    Numbers become sliders, seeds a number with dice, choices a segmented control (4 or fewer) or a list, texts a line
    (`wide`: an area), flags a switch. `key` (default: the field's name) is also the name in the URL. A value in the URL
    that does not fit is replaced by the default, with a sentence.
    """
    spec: Any = cls.__dataclass_fields__[name]
    meta = spec.metadata
    key = key or name
    label = label or name.replace("_", " ").capitalize()
    value = spec.default if default is None else default
    help = meta.get("help") or None
    low, high = meta.get("low") if low is None else low, meta.get("high") if high is None else high
    options = options if options is not None else meta.get("options")
    st.session_state.setdefault("_known_keys", set()).add(key)
    _check_url(cls, name, key, options, low, high)
    common: dict[str, Any] = {"key": key, "help": help, "bind": "query-params", "disabled": disabled}
    if name.endswith("seed"):
        return _seed(label, int(value), common)
    if options is not None:
        start = value if value in options else options[0]
        shown = start
        if format_func is not str:
            common["bind"] = None
            shown = linked(key, options, start)
        if len(options) <= 4:
            chosen = st.segmented_control(
                label, options, default=shown, required=True, format_func=format_func, **common
            )
        else:
            chosen = st.selectbox(label, options, index=list(options).index(shown), format_func=format_func, **common)
        if format_func is not str:
            publish(key, chosen, start)
        return chosen
    if isinstance(value, bool):
        return st.toggle(label, value=value, **common)
    if isinstance(value, int) and low is not None and high is not None:
        return st.slider(label, int(low), int(high), value, step=int(meta.get("step", 1)), **common)
    if isinstance(value, float) and low is not None and high is not None:
        return st.slider(label, float(low), float(high), value, step=float(meta.get("step", 0.05)), **common)
    if wide:
        return st.text_area(label, value, max_chars=meta.get("max_length"), **common)
    return st.text_input(label, value, max_chars=meta.get("max_length"), **common)


def linked(key: str, options: Sequence[Any], default: Any) -> Any:
    """Before a list whose labels differ from its values: take the value from the address; returns the start value.

    Streamlit's own binding writes labels into the address; links between pages and shared links name values.
    """
    wanted = st.query_params.get(key)
    value = next((option for option in options if str(option) == wanted), None)
    if value is not None and (key not in st.session_state or wanted != st.session_state.get(f"_{key}_written")):
        st.session_state[key] = value
    if st.session_state.get(key) not in (None, *options):
        st.session_state[key] = default
    return st.session_state.get(key) or default


def publish(key: str, value: Any, default: Any) -> None:
    """After such a list: write the value into the address, or take it out when it is the default."""
    st.session_state[f"_{key}_written"] = str(value)
    if value == default:
        st.query_params.pop(key, None)
    elif st.query_params.get(key) != str(value):
        st.query_params[key] = str(value)


def _seed(label: str, value: int, common: dict[str, Any]) -> int:
    key = common["key"]

    def roll() -> None:
        st.session_state[key] = secrets.randbelow(10_000)

    with st.container(horizontal=True, vertical_alignment="bottom"):
        seed = st.number_input(label, 0, MAX_SEED, value, step=1, **common)
        st.button("", icon=":material/casino:", key=f"_dice_{key}", on_click=roll, help="Another seed")
    return int(seed)


def _check_url(
    cls: type[Request], name: str, key: str, options: Sequence[Any] | None, low: float | None, high: float | None
) -> None:
    """A sentence for a value in the address that cannot be used (Streamlit itself drops it silently)."""
    if key in st.session_state or key not in st.query_params:
        return
    raw = st.query_params[key]
    shown = raw if len(raw) <= 40 else raw[:39] + "…"
    if options is not None and raw not in [str(option) for option in options]:
        notice(f"“{shown}” is no {key} here; the address was read with the default instead.")
        return
    try:
        spec = cls.__dataclass_fields__[name]
        if low is not None and high is not None and isinstance(spec.default, (int, float)):
            number = float(raw)
            if not low <= number <= high:
                raise BadRequest(f"“{shown}” is no value for {key}; give a number from {low:g} to {high:g}.")
        cls.from_dict({name: raw})
    except LabError as error:
        notice(f"{str(error).rstrip('.')}. The default stands instead.")
    except ValueError:
        notice(f"“{shown}” is no number, so {key} stands at its default; give one from {low:g} to {high:g}.")


def build(cls: type[Request], **values: Any) -> Any:
    """The request, or one sentence on the page and None."""
    try:
        return cls(**values)
    except BadRequest as error:
        st.error(str(error), icon=":material/info:")
        return None


def upload(label: str, kinds: Sequence[str], *, key: str, max_mb: int = 10, help: str | None = None) -> bytes:
    """The bytes of an uploaded file, or b"". Too large a file gets a sentence and counts as none."""
    file = st.file_uploader(label, type=list(kinds), key=key, help=help, max_upload_size=max_mb)
    if file is None:
        return b""
    if file.size > max_mb * 1_000_000:
        st.error(f"{file.size / 1e6:.0f} MB is too large; choose a file of at most {max_mb} MB.")
        return b""
    return file.getvalue()


def read_picture(data: bytes, size: int) -> Any:
    """Uploaded bytes to (size, size, 3) uint8: centre-cropped square, resampled. Raises BadRequest, one sentence."""
    import io

    import numpy as np
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data)) as picture:
            if picture.width * picture.height > 50_000_000:
                raise BadRequest(
                    f"The picture is {picture.width} x {picture.height}; give one of at most 50 million pixels."
                )
            picture.draft("RGB", (size * 4, size * 4))
            upright = ImageOps.exif_transpose(picture).convert("RGBA")
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        raise BadRequest("This file is no readable picture; give a whole PNG, JPEG or WebP.") from None
    flat = Image.new("RGBA", upright.size, "white")
    flat.alpha_composite(upright)
    return np.asarray(ImageOps.fit(flat.convert("RGB"), (size, size), Image.Resampling.LANCZOS))
