"""A grid of runs: one job a cell, streamed as they finish, kept one by one, drawn as one labelled sheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Container, Sequence
from typing import Any

import numpy as np
import streamlit as st

from core.request import Request
from core.result import Result
from core.runtime.jobs import Job, queue
from ui.stage import job_of, poll_seconds

MOST_CELLS = 48  # the store of finished results holds 64
GAP = 4
SHEET_WIDTH = 840


def grid(
    requests: Sequence[Sequence[Request | None]],
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    key: str,
    corner: str = "",
    under: Callable[[Result], str] | None = None,
    scale: int = 2,
) -> list[list[Any]]:
    """Run every cell (None: left empty), draw the sheet as cells arrive; returns the results that are there.

    under(result): a short line for each cell. Cells already computed, here or on another page, are not computed again.
    """
    scale = max(scale, SHEET_WIDTH // (64 * len(columns)))  # drawn about as wide as shown: labels stay sharp
    shown: Any = "stretch" if len(columns) > 3 else 270 * len(columns)
    halted = bool(st.session_state.get(f"_{key}_halted", False))
    jobs: list[list[Job | None]] = [
        [_job(cell, f"{key}_{r}_{c}", halted) if cell is not None else None for c, cell in enumerate(row)]
        for r, row in enumerate(requests)
    ]
    flat = [job for row in jobs for job in row if job is not None]
    holes = {(r, c) for r, row in enumerate(jobs) for c, job in enumerate(row) if job is None}
    running = any(job.active for job in flat)

    @st.fragment(run_every=2 * poll_seconds() if running else None)
    def live() -> None:
        results = [[job.result if job else None for job in row] for row in jobs]
        previews = [[job.preview if job else None for job in row] for row in jobs]
        done = sum(job.result is not None for job in flat)
        image = sheet(results, rows, columns, corner=corner, previews=previews, under=under, scale=scale, holes=holes)
        st.image(image, width=shown, alt=f"{len(rows)} by {len(columns)} pictures: {corner}")
        errors = list(dict.fromkeys(job.error for job in flat if job.error))
        for error in errors[:2]:
            st.error(error, icon=":material/info:")
        seconds = sum(job.result.seconds for job in flat if job.result)
        words = f"{done} of {len(flat)} computed" + (f" · {seconds:.1f} s in all · ai-generated" if done else "")
        with st.container(horizontal=True, vertical_alignment="center"):
            st.progress(done / max(1, len(flat)), text=words)
            if halted and not running:
                st.button(
                    "Go on", key=f"_{key}_goon", icon=":material/play_arrow:", on_click=_halt, args=(key, False, [])
                )
            else:
                st.button(
                    "Stop", key=f"_{key}_stopall", icon=":material/stop:", disabled=not running,
                    on_click=_halt, args=(key, True, flat),
                )  # fmt: skip
        if running and not any(job.active for job in flat):
            st.rerun()

    live()
    return [[job.result if job and not job.active else None for job in row] for row in jobs]


def run_one(request: Request, key: str, doing: str) -> Any:
    """One more run beside the stage: progress while it works, then its result (None until then)."""
    job = _job(request, key, halted=False)
    running = job.active
    if not running and job.result is not None:
        return job.result

    @st.fragment(run_every=poll_seconds() if running else None)
    def live() -> None:
        if job.error:
            st.error(job.error, icon=":material/info:")
        else:
            st.progress(job.progress, text=doing)
        if running and not job.active:
            st.rerun()

    live()
    return None


def wrapped(
    requests: Sequence[Request], labels: Sequence[str], *, key: str, width: int = 4,
    under: Callable[[Result], str] | None = None, scale: int = 2,
) -> list[Any]:  # fmt: skip
    """A strip of runs, `width` a row, labelled under each picture; results in order, None where missing."""
    names = {request.digest(): label for request, label in zip(requests, labels, strict=True)}
    rows = [list(requests[i : i + width]) for i in range(0, len(requests), width)]
    cells: list[list[Request | None]] = [[*row, *[None] * (min(width, len(requests)) - len(row))] for row in rows]

    def line(result: Result) -> str:
        more = under(result) if under else ""
        return names[result.request.digest()] + (f" · {more}" if more else "")

    blank = [""] * len(cells)
    results = grid(cells, blank, [""] * len(cells[0]), key=key, under=line, scale=scale)
    return [result for row in results for result in row][: len(requests)]


def _job(request: Request, key: str, halted: bool) -> Job:
    """The job of a cell. One that a closed tab stopped runs again; after Stop here it stays until Go on."""
    found = queue().find(request)
    if halted and (found is None or found.state == "stopped"):
        empty = found or Job(request, key, lambda: False)  # never handed to the queue: an empty cell
        empty.state = "stopped"
        return empty
    return job_of(request, key, run=found is not None and found.state == "stopped")


def _halt(key: str, halt: bool, jobs: Sequence[Job]) -> None:
    st.session_state[f"_{key}_halted"] = halt
    for job in jobs:
        if job.active:
            job.stop()


def sheet(
    results: Sequence[Sequence[Any]],
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    corner: str = "",
    previews: Sequence[Sequence[Any]] | None = None,
    under: Callable[[Any], str] | None = None,
    scale: int = 2,
    background: tuple[int, int, int, int] = (0, 0, 0, 0),
    holes: Container[tuple[int, int]] = (),
) -> np.ndarray:
    """Results in a labelled grid -> (H, W, 4) uint8. Empty cells stay grey, running ones show their preview, dimmed.

    holes: (row, column) where nothing will ever stand.
    """
    from PIL import Image, ImageDraw, ImageFont

    side = next((r.images.shape[1] for row in results for r in row if r is not None and len(r.images)), 64) * scale
    size = 5 + 3 * scale
    font = ImageFont.load_default(size=size)
    margin = size + 4
    left = max([0, *(int(font.getlength(label)) + 10 for label in rows if label)])
    foot = margin if under else 0
    width = left + len(columns) * (side + GAP)
    head = margin if corner or any(columns) else 0
    height = head + len(rows) * (side + foot + GAP)
    canvas = Image.new("RGBA", (width, height), background)
    draw = ImageDraw.Draw(canvas)
    ink = (128, 132, 140, 255)
    draw.text((2, 1), corner, ink, font)
    for c, label in enumerate(columns):
        draw.text((left + c * (side + GAP) + side // 2, 1), label, ink, font, anchor="ma")
    for r, label in enumerate(rows):
        top = head + r * (side + foot + GAP)
        draw.text((2, top + side // 2 - size // 2), label, ink, font)
        for c in range(len(columns)):
            place = (left + c * (side + GAP), top)
            result = results[r][c]
            preview = previews[r][c] if previews else None
            if result is not None and len(result.images):
                canvas.paste(_cell(result.images).resize((side, side), Image.Resampling.NEAREST), place)
                if under:
                    words = under(result)
                    fits = max(8, min(size, int(size * side / max(1.0, font.getlength(words)))))
                    drawn = font if fits == size else ImageFont.load_default(size=fits)
                    draw.text((place[0] + side // 2, top + side + 1), words, ink, drawn, anchor="ma")
            elif preview is not None:
                small = preview if preview.ndim == 3 else preview[-1]
                shown = Image.fromarray((small // 2 + 90).astype(np.uint8)).resize(
                    (side, side), Image.Resampling.NEAREST
                )
                canvas.paste(shown, place)
            elif (r, c) not in holes:
                draw.rectangle((*place, place[0] + side - 1, top + side - 1), fill=(128, 132, 140, 40))
    return np.asarray(canvas)


def _cell(images: np.ndarray) -> Any:
    """One picture, or four in a square when there are four or more."""
    from PIL import Image

    if len(images) < 4:
        return Image.fromarray(images[0])
    rows = [np.concatenate(list(images[i : i + 2]), axis=1) for i in (0, 2)]
    return Image.fromarray(np.concatenate(rows, axis=0))


def files(
    results: Sequence[Sequence[Any]],
    rows: Sequence[str],
    columns: Sequence[str],
    corner: str,
    scores: list[dict[str, Any]],
    *,
    key: str,
) -> None:
    """The sheet as PNG with its recipe inside, and the scores as CSV."""

    def png() -> bytes:
        from PIL import Image
        from PIL.PngImagePlugin import PngInfo

        meta = PngInfo()
        first = next((r for row in results for r in row if r is not None), None)
        if first is not None:
            import json

            recipe = {"axes": corner, "rows": list(rows), "columns": list(columns), "base": first.request.to_dict()}
            meta.add_itxt("lab:grid", json.dumps({**recipe, "ai_generated": True}))
        out = io.BytesIO()
        Image.fromarray(sheet(results, rows, columns, corner=corner, background=(255, 255, 255, 255))).save(
            out, "PNG", pnginfo=meta
        )
        return out.getvalue()

    def table() -> bytes:
        out = io.StringIO()
        names = list(dict.fromkeys(name for row in scores for name in row))
        writer = csv.DictWriter(out, names)
        writer.writeheader()
        writer.writerows(scores)
        return out.getvalue().encode()

    with st.container(horizontal=True):
        st.download_button("Sheet", png, "grid.png", key=f"_{key}_png", icon=":material/download:", on_click="ignore")
        if scores:
            st.download_button(
                "Scores", table, "grid.csv", key=f"_{key}_csv", icon=":material/table:", on_click="ignore"
            )
