"""The stage: runs a request as a job and shows it. Progress, time left, live preview, Stop; nothing jumps.

`stage()` starts the job, draws the last result dimmed until the new one is there, polls (`poll_seconds`) while the job
runs and reruns the page once when it ends, so that the lenses below see the new result.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import streamlit as st

from core.request import Request
from core.result import Result
from core.runtime.jobs import Job, queue
from ui import result as views
from ui.page import guard

POLL_SECONDS = 0.4


def waiting() -> int:
    """Sessions that wait for a job, 1 to 8: pages look at theirs so much more rarely, or drawing would starve the worker."""
    return min(8, max(1, queue().owners()))


def poll_seconds() -> float:
    """How often a page looks at its job."""
    return POLL_SECONDS * waiting()


def owner() -> tuple[str, Callable[[], bool]]:
    """This browser session, and whether its tab is still open."""
    from streamlit.runtime import exists, get_instance
    from streamlit.runtime.scriptrunner import get_script_run_ctx

    context = get_script_run_ctx()
    session = context.session_id if context else "test"
    if not exists():
        return session, lambda: True
    runtime = get_instance()
    return session, lambda: runtime.is_active_session(session)


def job_of(request: Request, key: str, *, auto: bool = True, run: bool = False) -> Job:
    """The job that stands on a stage: of this request, or (auto=False) of the one that was last asked to run."""
    wanted = f"_{key}_wanted"
    if auto or run or wanted not in st.session_state:
        st.session_state[wanted] = request
    asked = st.session_state[wanted]
    jobs = queue()
    job = jobs.find(asked)
    last: Job | None = st.session_state.get(f"_{key}_job")
    if last is not None and last.id != asked.digest() and last.active:
        last.watchers.pop(owner()[0], None)  # the page no longer waits for the old settings
        if not last.watchers:
            last.stop()
    if job is None or run or (job.state == "done" and job.result is None):
        job = jobs.submit(asked, *owner())
    elif job.active and not (job is last and job.control.finishing):  # what was stopped here is not begun again
        job = jobs.submit(asked, *owner())  # joins it as a watcher
    st.session_state[f"_{key}_job"] = job
    return job


def stage(
    request: Request | None,
    view: Callable[[Any], None],
    *,
    key: str = "stage",
    auto: bool = True,
    preview: Callable[[Job], None] | None = None,
    details: bool = True,
    height: int | None = None,
) -> Any:
    """Run `request` and show its result through `view(result)`; returns the finished result or None.

    request: None (bad input, already said) leaves the last result standing. auto: run on every change; otherwise only
    on opening and on Run. preview(job): draws a running job (default: job.preview as a picture). details: badge, cost,
    code and downloads under the picture. height: fixed height of the picture area in pixels.
    """
    state = st.session_state
    last: Result | None = state.get(f"_{key}_last")
    if request is None:
        if last is not None:
            with st.container(key=f"dimmed-{key}"):
                view(last)
        return last
    run = bool(state.pop(f"_{key}_run", False))
    job = job_of(request, key, auto=auto, run=run)
    running, every = job.active, poll_seconds()
    waited = job.state == "queued" and every > 1

    @st.fragment(run_every=every if running else None)
    def live() -> None:
        with guard():
            _picture(job, view, preview, key, height)
            _controls(job, request, key)
        if running and (not job.active or (waited and job.state != "queued")):  # its turn: look more often
            st.rerun()

    live()
    if job.result is not None:
        state[f"_{key}_last"] = job.result
        if details and not job.active:
            with guard():
                views.details(job.result, key)
    return state.get(f"_{key}_last")  # while a job runs, or has failed, the last result stands


def _picture(job: Job, view: Any, preview: Any, key: str, height: int | None) -> None:
    last = st.session_state.get(f"_{key}_last")
    with st.container(height=height or "content", border=False):
        if job.result is not None:
            view(job.result)
        elif job.active and preview is not None and (job.preview is not None or job.steps):
            preview(job)
        elif job.active and job.preview is not None:
            views.picture(job.preview, f"step {job.step.index} of {job.step.total}")
        elif last is not None:
            with st.container(key=f"dimmed-{key}"):
                view(last)
        elif job.active:
            st.skeleton(height=height or 360)


def _controls(job: Job, request: Request, key: str) -> None:
    """One row that never changes its height: Run, Stop, progress, badge."""

    def rerun() -> None:
        st.session_state[f"_{key}_run"] = True

    if job.error:
        st.error(job.error, icon=":material/info:")
    changed = job.id != request.digest()
    st.progress(job.progress, text=job_words(job, changed))
    with st.container(horizontal=True):
        label = "Run" if changed or job.state in ("failed", "stopped") else "Run again"
        st.button(
            label,
            key=f"_{key}_runbutton",
            on_click=rerun,
            type="primary",
            icon=":material/play_arrow:",
            disabled=job.active or (not changed and job.state == "done"),
            help="Nothing to run anew: the same settings give the same bytes." if job.state == "done" else None,
        )
        st.button(
            "Stop now", key=f"_{key}_stop", on_click=job.stop, icon=":material/stop:", disabled=not job.active,
            help="Stops within a step and keeps what there is.",
        )  # fmt: skip
        st.button(
            "Stop after this",
            key=f"_{key}_stop_after",
            on_click=job.stop,
            args=(True,),
            type="tertiary",
            disabled=not job.active,
            help="Ends once the current sample is done.",
        )


def job_words(job: Job, changed: bool) -> str:
    if job.state == "queued":
        place = queue().place(job)
        return f"Waiting · {place} before you" if place else "Waiting · you are next"
    if job.state == "loading":
        return f"Loading {job.step.note}" if job.step.note else "Starting"
    if job.state == "running":
        left = job.seconds_left
        note = f" · {job.step.note}" if job.step.note else ""
        total = f" of {job.step.total}" if job.step.total else ""
        return f"{job.step.phase.capitalize()} {job.step.index}{total}{note}" + (
            f" · about {left:.0f} s left" if left is not None and left >= 1 else ""
        )
    if job.state == "failed":
        return "Did not run"
    if changed:
        return "The settings changed: press Run"
    if job.result is None:
        return "Stopped before anything was made: press Run to start again"
    age = time.time() - job.finished
    when = "now" if age < 60 else f"{age / 60:.0f} min ago"
    ending = "" if job.state == "done" else f" · stopped after {job.result.steps_run} steps"
    return f"Computed {when} in {job.result.seconds:.1f} s{ending} · ai-generated"


def estimate(request: Request | None) -> None:
    """Expected time and memory, before Run."""
    if request is None:
        return
    from core import catalog
    from core.runtime import memory, models

    parts = []
    seconds = queue().expected_seconds(request)
    if seconds is not None:
        parts.append(f"about {seconds:.1f} s" if seconds >= 0.1 else "less than 0.1 s")
    with guard():
        cards = [catalog.card(model) for model in request.models()]
        need = sum(card.memory_mb for card in cards if models.state(card.id) != "loaded")
        if cards:
            parts.append("already in memory" if not need else f"{need:.0f} MB more memory")
    parts.append(f"{memory.rss_mb():.0f} of {memory.budget_mb():.0f} MB in use")
    st.caption("Estimate: " + " · ".join(parts))
