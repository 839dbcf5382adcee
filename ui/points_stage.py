"""A stage on which training goes on: play, pause, single steps, slow motion; the state survives reruns and pauses.

A run is a chain of short jobs, each starting where the last one ended, so that other visitors get their turn and a
setting that is changed while it plays takes hold in the next job.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import streamlit as st

from core.runtime.jobs import Job, queue
from ui.page import guard
from ui.stage import owner, waiting

POLL_SECONDS = 0.15
CHUNKS = {"slow": 60, "medium": 300, "full": 600}  # training steps a job: a few seconds


@dataclass
class Chain:
    """Where one browser session's training stands."""

    shape: tuple = ()
    states: list[bytes] = field(default_factory=list)
    data: dict[str, Any] | None = None  # the last frame
    step: int = 0  # of the last frame
    begun: int = 0  # of the saved states
    job: Job | None = None
    mode: str = "rest"  # "rest", "play" or an action for a single move
    note: str = ""
    error: str = ""
    speed: float = 0.0  # measured training steps a second
    take: int = 0
    legs: int = 1  # how many times it has been sent on its way
    look: tuple = ()


def chain(key: str) -> Chain:
    """This session's chain of one playground."""
    return st.session_state.setdefault(f"_{key}_chain", Chain())


def reset(key: str, play: bool = True) -> None:
    """Forget the trained state; the next run starts anew."""
    c = chain(key)
    if c.job and c.job.active:
        c.job.stop()
    st.session_state[f"_{key}_chain"] = Chain(
        shape=c.shape, mode="play" if play else "rest", take=secrets.randbelow(2**31)
    )


def transport(key: str, moves: dict[str, tuple[str, str]], limit: int) -> None:
    """Play, pause, reset and the single moves. moves: action -> (label, help)."""
    c = chain(key)

    def go(mode: str) -> None:
        c.mode, c.error = mode, ""
        while mode == "play" and c.step >= c.legs * limit:
            c.legs += 1
        if mode == "rest" and c.job:
            c.job.stop()

    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        if c.mode == "play":
            st.button(
                "Pause", key=f"_{key}_pause", icon=":material/pause:", type="primary", on_click=go, args=("rest",)
            )
        else:
            st.button(
                "Play", key=f"_{key}_play", icon=":material/play_arrow:", type="primary", on_click=go, args=("play",)
            )
        st.button("Reset", key=f"_{key}_reset", icon=":material/restart_alt:", on_click=reset, args=(key,))
        for action, (label, help) in moves.items():
            st.button(label, key=f"_{key}_{action}", help=help, on_click=go, args=(action,), disabled=c.mode == "play")


def prepare(key: str, shape: tuple) -> None:
    """Start anew when a setting has changed that the trained state cannot survive. shape: those settings."""
    if chain(key).shape != shape:
        chain(key).shape = shape
        reset(key)


def run(request: Any, key: str, limit: int, view: Callable[[Chain], None], look: tuple = ()) -> Chain:
    """Show the chain and drive it on. request: settings without a state; view(chain) draws chain.data, which may be None.

    look: settings that change only what is shown; a change of them at rest runs the action "look".
    """
    c = chain(key)
    if c.look != look and c.mode == "rest" and c.states:
        c.mode = "look"
    c.look = look
    moving = c.mode != "rest" or (c.job is not None and c.job.active)

    @st.fragment(run_every=POLL_SECONDS * waiting() if moving else None)
    def live() -> None:
        with guard():
            advance(c, request, limit * c.legs)
            view(c)
            if c.error:
                st.error(c.error, icon=":material/info:")
        if moving and c.mode == "rest" and not (c.job and c.job.active):
            st.rerun()

    live()
    return c


def advance(c: Chain, request: Any, limit: int) -> None:
    """Take the newest frame, collect a finished job, start the next one when it plays."""
    job: Any = c.job
    if job is not None:
        if job.steps:
            _take(c, job.steps[-1].data)
            c.note = job.step.note
        if job.active:
            if c.mode == "play" and job.request != _next(c, request, limit, job.request.action):
                job.stop()  # a setting has changed: go on with the new one
            return
        c.job = None
        if job.error:
            c.error, c.mode = job.error, "rest"
        elif job.result is not None:
            c.states = job.result.extras["states"]
            c.speed = job.result.extras.get("steps_a_second", 0.0) or c.speed
            _take(c, {k: v for k, v in job.result.extras.items() if k != "states"})
            c.begun = c.step
        if c.mode != "play":
            c.mode, c.note = "rest", ""
    if c.mode == "play" and c.step >= limit:
        c.mode = "rest"
    if c.mode != "rest":
        action = "both" if c.mode == "play" else c.mode
        c.job = queue().submit(_next(c, request, limit, action), *owner())


def _take(c: Chain, data: dict[str, Any]) -> None:
    c.data = data
    c.step = int(data["games"][0]["step"])


def _next(c: Chain, request: Any, limit: int, action: str) -> Any:
    states = c.states or [b""]
    steps = min(CHUNKS[request.speed], max(1, limit - c.begun)) if c.mode == "play" else 1
    return request.replace(
        state=states[0], rival_state=states[1] if len(states) > 1 else b"", steps=steps, action=action, take=c.take
    )


def wait(c: Chain, seconds: float = 60.0) -> None:
    """Until the job at hand has ended (tests)."""
    end = time.time() + seconds
    while c.job is not None and c.job.active and time.time() < end:
        time.sleep(0.02)
