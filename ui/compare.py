"""Two to four columns, each its own model or setting, sharing everything else; one Run for all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import streamlit as st

from core.request import Request
from core.result import ImageResult, Result
from core.runtime.jobs import Job
from ui import result as views
from ui import tables
from ui.stage import job_of, job_words, poll_seconds


def compare(
    base: Request,
    column: Callable[[int, Request], Request | None],
    view: Callable[[Any], None],
    *,
    key: str = "compare",
    most: int = 4,
    measures: Callable[[Result], dict[str, Any]] | None = None,
) -> list[Result]:
    """Side by side. column(i, base) draws the controls of column i (keys of its own, e.g. f"{key}{i}_model") and
    returns its request, which keeps base's seed and prompt. measures(result): figures for the table underneath.

    Returns the results that are there. Two pictures of one size get a difference map.
    """
    count = st.segmented_control(
        "Columns", list(range(2, most + 1)), default=2, required=True, key=f"{key}_columns", bind="query-params"
    )
    st.session_state.setdefault("_known_keys", set()).add(f"{key}_columns")
    columns = st.columns(int(count or 2))
    jobs: list[Job | None] = []
    areas = []
    for index, area in enumerate(columns):
        with area:
            request = column(index, base)
            jobs.append(job_of(request, f"{key}{index}") if request is not None else None)
            areas.append(st.container())
    running = any(job is not None and job.active for job in jobs)

    # A fragment may not write into containers made outside it, so the pictures have columns of their own, aligned.
    @st.fragment(run_every=poll_seconds() if running else None)
    def live() -> None:
        for area, job in zip(st.columns(len(jobs)), jobs, strict=True):
            with area:
                if job is not None:
                    _cell(job, view, f"{key}-{job.id}")
        if running and not any(job is not None and job.active for job in jobs):
            st.rerun()

    live()
    results = [job.result for job in jobs if job is not None and job.result is not None and not job.active]
    if len(results) == len(jobs):
        _difference(results)
        if measures:
            tables.table([{"column": i + 1, "model": r.request.model, **measures(r)} for i, r in enumerate(results)])
    return results


def _cell(job: Job, view: Callable[[Any], None], key: str) -> None:
    if job.result is not None:
        view(job.result)
    elif job.preview is not None:
        views.picture(job.preview, "preview")
    elif job.error:
        st.error(job.error)
    else:
        st.skeleton(height=240)
    st.caption(job_words(job, False))


def _difference(results: Sequence[Result]) -> None:
    """Where the columns differ from the first, for pictures of one size."""
    first = results[0]
    if not isinstance(first, ImageResult):
        return
    maps = []
    for other in results[1:]:
        if not isinstance(other, ImageResult) or other.images.shape != first.images.shape:
            return
        gap = np.abs(other.images.astype(np.int16) - first.images.astype(np.int16)).max(-1, keepdims=True)
        maps.append(np.repeat(gap.astype(np.uint8), 3, -1))
    with st.expander("Difference to column 1 (white: most different)"):
        for area, gap in zip(st.columns(len(maps)), maps, strict=True):
            with area:
                views.picture(gap, "difference map")
                st.caption(f"mean difference {gap.mean():.1f} of 255")
