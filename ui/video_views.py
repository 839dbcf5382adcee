"""How a film is shown: player and scrubber, contact sheet, x-t slice, two films in step, patches in space and time."""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st

from core.result import VideoResult
from core.video import patches
from ui import style, tables


@st.cache_data(max_entries=40, show_spinner=False)
def encoded(frames: np.ndarray, fps: float, scale: int) -> bytes:
    """H.264 for the player on the page (downloads carry the provenance record)."""
    from core import provenance

    return provenance.mp4(frames, fps, {}, scale)


def player(frames: np.ndarray, fps: float, alt: str, *, width: Any = "stretch") -> None:
    """frames (T, H, W, 3) uint8, enlarged by whole pixels, looping."""
    scale = max(1, 480 // frames.shape[1])
    st.video(encoded(frames, fps, scale), loop=True, autoplay=True, muted=True, width=width, alt=alt)


def clip(result: VideoResult) -> None:
    """The stage: the film beside the one frame that the scrubber holds."""
    from ui.result import enlarge

    film, still = st.columns(2)
    with film:
        player(result.frames, result.fps, f"Film: {getattr(result.request, 'prompt', '')}")
    with still:
        last = len(result.frames) - 1
        index = min(int(st.session_state.get("frame", 0)), last)
        st.image(enlarge(result.frames[index]), width="stretch", alt=f"frame {index} of the film")
    t, h, w, _ = result.frames.shape
    unknown = result.extras.get("unknown")
    st.caption(
        f"{t} frames of {w} x {h} pixels, {result.fps:g} a second: {t / result.fps:.1f} s; right: frame {index}."
        + (f" Words it never saw: {', '.join(unknown[:8])}." if unknown else "")
    )


def still(image: np.ndarray, alt: str) -> None:
    """One frame, four times its size."""
    st.image(image.repeat(4, 0).repeat(4, 1), alt=alt)


def preview(job: Any) -> None:
    """While denoising: every second frame of the network's present guess."""
    from core.provenance import contact_sheet
    from ui.result import enlarge

    if job.preview is not None:
        st.image(
            enlarge(contact_sheet(job.preview, 4)),
            alt="the film so far",
            width="stretch",
            caption=f"guess after step {job.step.index} of {job.step.total}",
        )


def contact(frames: np.ndarray, columns: int = 8) -> None:
    """All frames in one picture, in reading order."""
    from core.provenance import contact_sheet

    spaced = np.pad(frames, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=255)
    sheet = contact_sheet(spaced, columns)
    st.image(sheet.repeat(3, 0).repeat(3, 1), width="stretch", alt="contact sheet of all frames")


def xt(frames: np.ndarray, row: int) -> None:
    """One row of pixels over time: (T, W) as a picture; a straight streak is steady motion."""
    slab = frames[:, row]  # (T, W, 3)
    st.image(
        slab.repeat(20, 0).repeat(12, 1),
        width="stretch",
        alt=f"row {row} over time",
        caption=f"Row {row}: left to right is space, top to bottom is time.",
    )


def beside(films: list[tuple[str, np.ndarray]], fps: float) -> None:
    """Two or more films of one length as one film, so that they play in step."""
    length = min(len(frames) for _, frames in films)
    gap = np.full((length, films[0][1].shape[1], 2, 3), 255, np.uint8)
    parts: list[np.ndarray] = []
    for _, frames in films:
        parts += [frames[:length], gap]
    st.markdown(" | ".join(f"**{name}**" for name, _ in films) + " (from left to right, in step)")
    player(np.concatenate(parts[:-1], axis=2), fps, " beside ".join(name for name, _ in films))


def figures(films: list[tuple[str, np.ndarray]], more: list[dict[str, Any]] | None = None) -> None:
    """Coherence of each film in a table."""
    from core.video.coherence import measure

    rows = []
    for i, (name, frames) in enumerate(films):
        m = measure(frames)
        found = m["track"]
        rows.append(
            {
                "film": name,
                "seen": f"{found.color} {found.shape}, {found.motion}, {found.background}",
                "flicker (grey levels)": round(m["flicker"], 2),
                "warping error (grey levels)": round(m["warping error"], 2),
                "jerk (px/frame²)": round(m["jerk"], 2),
                "smooth path": f"{m['smoothness']:.0%}" if np.isfinite(m["smoothness"]) else "rests",
                "kept its identity": "yes" if m["identity"] else "no",
                "colour kept": f"{m['colour kept']:.0%}",
                "shape kept": f"{m['shape kept']:.0%}",
                "speeds up downwards (px/frame²)": round(m["acceleration"], 2),
                **(more[i] if more else {}),
            }
        )
    tables.table(rows)
    st.caption(
        "Measured by the tracker from the frames alone, just now. Lower is steadier; a drawn fall speeds up by 0.22. "
        "Smooth path: the share of the object's way that is no detour, 100% along a line."
    )


def volume(frames: np.ndarray, patch_frames: int, patch: int) -> Any:
    """The film cut into spacetime patches as a plotly figure that turns: time goes into the depth."""
    import plotly.graph_objects as go
    from PIL import Image

    sheets = [(int(f["time"]), f["sheet"]) for f in patches.exploded(frames, patch_frames, patch)]
    joined = Image.fromarray(np.concatenate([s for _, s in sheets])).quantize(48, dither=Image.Dither.NONE)
    palette = np.array((joined.getpalette() or [])[: 48 * 3], dtype=int).reshape(-1, 3)
    last = len(palette) - 1
    scale = [[i / last, f"rgb({r},{g},{b})"] for i, (r, g, b) in enumerate(palette)]
    indices = np.split(np.asarray(joined), len(sheets))
    fig = style.figure(height=520)
    for (time, _), index in zip(sheets, indices, strict=True):
        h, w = index.shape
        y, x = np.meshgrid(np.arange(h), np.arange(w), indexing="ij")
        fig.add_trace(
            go.Surface(
                x=np.full_like(x, time),
                y=x,
                z=-y,
                surfacecolor=index,
                cmin=0,
                cmax=last,
                colorscale=scale,
                showscale=False,
                hoverinfo="skip",
                lighting={"ambient": 1, "diffuse": 0, "specular": 0},
            )
        )
    fig.update_layout(
        scene={
            "xaxis": {"title": {"text": "time (frames)"}},
            "yaxis": {"showticklabels": False, "title": {"text": ""}},
            "zaxis": {"showticklabels": False, "title": {"text": ""}},
            "aspectmode": "manual",
            "aspectratio": {"x": 1.8, "y": 0.8, "z": 0.8},
            "camera": {"eye": {"x": 0.9, "y": -1.6, "z": 0.5}},
        }
    )
    return fig


def heat_frames(frames: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """frames (T, H, W, 3) dimmed where weights (S, n, n), largest 1, are low: (S, H, W, 3), the first frame a slice."""
    s, n, _ = weights.shape
    step, side = len(frames) // s, frames.shape[1] // n
    mask = weights.repeat(side, 1).repeat(side, 2)[..., None]  # (S, H, W, 1)
    return (frames[::step][:s] * (0.2 + 0.8 * mask)).astype(np.uint8)


def honest(model: str) -> None:
    """What the tracker found on held-out prompts, weak figures too, from the model's card."""
    from core import catalog

    quality = catalog.card(model).quality
    names = ("color", "background", "shape", "motion", "direction")
    parts = ", ".join(f"{name} {quality[name]:.0%}" for name in names if name in quality)
    st.caption(
        f"Right on held-out prompts, by the tracker: {parts} (drawn clips: 100%). It was trained for minutes on a CPU; "
        "the card says what it still gets wrong."
    )
