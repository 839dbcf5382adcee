"""Side by side: the same question to two to four settings or models, named or blind, with a vote and its tally."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import streamlit as st

from core import catalog
from core.chat.chat import ChatRequest
from core.chat.full_size import FullSizeChatRequest
from core.errors import LabError
from core.runtime.jobs import queue
from core.runtime.shelf import needed_mb
from ui import chat_full, chat_remote, tables
from ui.chat_talk import body, stop, talk
from ui.stage import owner, poll_seconds

RIVALS: dict[str, dict[str, Any]] = {
    "likeliest tokens": {"temperature": 0.0, "picture_temperature": 0.0},
    "temperature 0.8": {"temperature": 0.8, "picture_temperature": 0.8},
    "temperature 1.3": {"temperature": 1.3, "picture_temperature": 1.3},
    "guidance 5": {"guidance_scale": 5.0},
    "guidance off": {"guidance_scale": 1.0},
    "full-size": {},
    "remote": {},
}


def draw() -> None:
    """The lens: answers to the newest question of the shown branch."""
    asked = [i for i in talk().path() if talk().turns[i].role == "user"]
    if not asked:
        st.caption("Ask something above first: the newest question is put to all of them.")
        return
    question = talk().turns[asked[-1]]
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    rivals = left.pills(
        "Who answers",
        list(RIVALS),
        selection_mode="multi",
        default=["likeliest tokens", "temperature 0.8", "temperature 1.3"],
        key="_rivals",
        help="Two to four. “full-size” and “remote” are what the rail was last set to.",
    )
    blind = right.toggle("Blind", key="_blind", help="Shuffled, nameless until you vote.")
    st.text(f"Question: {question.text[:200] or 'a picture'}")
    st.button(
        "Ask them all",
        key="_rivals_ask",
        type="primary",
        on_click=_ask,
        args=(asked[-1], rivals, blind),
        disabled=not 2 <= len(rivals) <= 4,
        icon=":material/groups:",
    )
    _answers()
    tally: dict[str, int] = st.session_state.get("_tally", {})
    if tally:
        tables.table([{"who": who, "votes": votes} for who, votes in sorted(tally.items(), key=lambda x: -x[1])])


def _ask(index: int, rivals: list[str], blind: bool) -> None:
    stop()
    conversation, entries = talk().conversation(index), []
    for name in rivals:
        try:
            if name == "remote":
                job: Any = chat_remote.start(chat_remote.request(conversation))
            elif name == "full-size":
                job = queue().submit(chat_full.request(conversation, sounds=talk().sounds(index)), *owner())
            else:
                seed = st.session_state.get("_chat_settings", {}).get("seed", 0)
                job = queue().submit(ChatRequest(conversation=conversation, seed=seed, **RIVALS[name]), *owner())
            entries.append((name, job))
        except LabError as error:
            st.session_state["_chat_error"] = str(error)
    if blind:
        random.Random().shuffle(entries)
    st.session_state["_rival_jobs"] = {"entries": entries, "blind": blind, "voted": ""}


def _answers() -> None:
    round_ = st.session_state.get("_rival_jobs")
    if not round_ or not round_["entries"]:
        return
    entries = round_["entries"]
    running = any(job.active for _, job in entries)

    @st.fragment(run_every=poll_seconds() if running else None)
    def live() -> None:
        hidden = round_["blind"] and not round_["voted"]
        for place, (column, (name, job)) in enumerate(zip(st.columns(len(entries)), entries, strict=True)):
            with column.container(border=True):
                st.markdown(
                    f"**{'ABCD'[place] if hidden else name}**" + (" · your vote" if round_["voted"] == name else "")
                )
                if job.active:
                    st.caption(f"token {job.step.index}" if job.state == "running" else job.state)
                    continue
                if job.error or job.result is None:
                    st.text(job.error or "stopped")
                    continue
                extras = job.result.extras
                media = tuple((thing.kind, thing.data) for thing in extras.get("made", ()))
                body(job.result.text, extras.get("codes", ()), media)
                if extras.get("fault"):
                    st.text(extras["fault"])
                st.caption(
                    f"first token {extras['first_token']:.2f} s · {extras['tokens_per_second']:.0f} tokens/s · "
                    f"{job.result.seconds:.1f} s · {_memory(job.request)}"
                )
                st.button("Best", key=f"_vote{place}", on_click=_vote, args=(name,), disabled=bool(round_["voted"]))
        if running and not any(job.active for _, job in entries):
            st.rerun()

    live()


def _memory(request: Any) -> str:
    """What the model that answered takes of this machine's memory."""
    if isinstance(request, ChatRequest):
        return f"{sum(catalog.card(name).memory_mb for name in request.models()):.0f} MB"
    if isinstance(request, FullSizeChatRequest):
        return f"{needed_mb(Path(request.folder).expanduser()):,.0f} MB"
    return "memory of another machine"


def _vote(name: str) -> None:
    st.session_state["_rival_jobs"]["voted"] = name
    tally = st.session_state.setdefault("_tally", {})
    tally[name] = tally.get(name, 0) + 1
