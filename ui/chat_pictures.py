"""The picture tokenizer view: a picture, its 64 codes, some of them swapped, and what comes back."""

from __future__ import annotations

import numpy as np
import streamlit as st

from core.chat.chat import from_codes, read_picture, to_codes
from core.errors import BadRequest, LabError
from ui.controls import upload


def read_codes(text: str) -> np.ndarray:
    """64 numbers from 0 to 999 as written, row by row -> (8, 8). Raises BadRequest."""
    words = text.replace(",", " ").split()
    for word in words:
        if not (word.isascii() and word.isdigit() and int(word) < 1000):
            raise BadRequest(f"“{word[:20]}” is no code; write whole numbers from 0 to 999.")
    if len(words) != 64:
        raise BadRequest(f"A picture has 64 codes and here are {len(words)}; write eight rows of eight.")
    return np.array(words, int).reshape(8, 8)


def draw(examples: list[bytes]) -> None:
    """The lens. examples: PNG files of portraits to start with."""
    from core.runtime.models import lease

    left, right = st.columns([1, 2])
    with left:
        data = upload("Your picture", ("png", "jpg", "jpeg", "webp"), key="_codes_upload")
        number = st.segmented_control(
            "Or an example",
            range(len(examples)),
            default=0,
            required=True,
            key="_codes_example",
            format_func=lambda i: str(i + 1),
            disabled=bool(data),
        )
        other = st.selectbox(
            "Swap",
            ("nothing", "top half from the next example", "one column, mirrored", "two rows"),
            key="_codes_swap",
            help="Changes codes, not pixels.",
        )
    try:
        picture = read_picture(data or examples[int(number or 0)])
        neighbour = read_picture(examples[(int(number or 0) + 1) % len(examples)])
        with lease("image-tokenizer") as (tokenizer,):
            codes = np.array(to_codes(picture, tokenizer)).reshape(8, 8)
            changed = codes.copy()
            if other.startswith("top"):
                changed[:4] = np.array(to_codes(neighbour, tokenizer)).reshape(8, 8)[:4]
            elif other.startswith("one"):
                changed[:, 4:] = changed[:, 3::-1]
            elif other.startswith("two"):
                changed[[2, 5]] = changed[[5, 2]]
            with left:
                st.caption("The 64 codes, 0 to 999, row by row: change any of them, then press Ctrl+Enter.")
                st.html("<style>[class*=st-key-_codes_at] textarea {font-family: monospace}</style>")
                key = f"_codes_at_{hash((picture.tobytes(), other)) % 10**9}"
                written = st.text_area(
                    "Codes",
                    "\n".join(" ".join(f"{code:3d}" for code in row) for row in changed),
                    key=key,
                    height=250,
                    label_visibility="collapsed",
                )
            edited = read_codes(written)
            back = from_codes([int(c) for c in codes.flatten()], tokenizer)
            new = from_codes(edited.flatten().tolist(), tokenizer)
    except LabError as error:
        st.error(str(error), icon=":material/info:")
        return
    lost = np.abs(picture.astype(int) - back).astype(np.uint8)
    mse = float((lost.astype(np.float64) ** 2).mean())
    with right:
        cells = st.columns(2)
        for cell, image, words in (
            (cells[0], picture, f"the picture at 64 px ({picture.nbytes:,} bytes)"),
            (cells[1], back, f"back from 64 codes (80 bytes), {10 * np.log10(255**2 / max(mse, 1e-9)):.1f} dB"),
            (cells[0], np.minimum(255, lost.astype(int) * 3).astype(np.uint8), "what is lost, three times brighter"),
            (cells[1], new, f"from the codes as written ({int((edited != codes).sum())} changed)"),
        ):
            cell.image(image.repeat(5, 0).repeat(5, 1), caption=words, alt=words, width="stretch")
        st.caption(
            "One code stands for 8 x 8 pixels, but the decoder looks at its neighbours: a changed code also "
            "touches the cells around it. The tokenizer knows portraits; a photograph comes back as a smear."
        )
