"""The conversation on the page: a tree of turns in this browser session, and one answer at a time, streamed."""

from __future__ import annotations

import io
import secrets
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import streamlit as st

from core.chat import history as past
from core.chat.chat import ChatRequest
from core.chat.history import History, Turn
from core.errors import BadRequest, LabError
from core.runtime.jobs import queue
from ui import chat_full, chat_remote
from ui.stage import owner, poll_seconds
from ui.tables import plain

KEPT = 12  # answers whose tokens are kept for the token view


@dataclass
class Pending:
    """An answer on its way: its job, the turn it answers, and what to write beside it."""

    job: Any
    parent: int
    model: str
    note: str = ""


# 1. State
def talk() -> History:
    """This session's conversation. After a reload it is a copy of what the address names; an empty one is new."""
    state = st.session_state
    if "_chat" not in state:
        state["_chat"] = past.shelf.take(str(st.query_params.get("_chat", ""))[:40]) or History()
        state["_chat_id"] = secrets.token_urlsafe(9)
        state["_chat_extras"] = {}
    return state["_chat"]


def save() -> None:
    """Keep the conversation for a reload, under this session's own id."""
    past.shelf.put(st.session_state["_chat_id"], talk())
    st.query_params["_chat"] = st.session_state["_chat_id"]


def pending() -> Pending | None:
    return st.session_state.get("_chat_pending")


@lru_cache(maxsize=256)
def png(picture: bytes | tuple[int, ...]) -> bytes:
    """A turn's picture as PNG bytes, 64 px enlarged to 192. Raises LabError when it cannot be read."""
    from PIL import Image

    from core.chat.chat import from_codes, read_picture
    from core.runtime.models import lease

    if isinstance(picture, bytes):
        image = read_picture(picture, 192)
    else:
        with lease("image-tokenizer") as (tokenizer,):
            image = from_codes(picture, tokenizer).repeat(3, 0).repeat(3, 1)
    out = io.BytesIO()
    Image.fromarray(image).save(out, "PNG")
    return out.getvalue()


# 2. Asking
def send(
    text: str, *pictures: bytes | tuple[int, ...], parent: int | None = None, media: tuple[tuple[str, bytes], ...] = ()
) -> None:
    """Add a turn of the user's and start the answer; of several pictures each is a turn, the words stand by the last."""
    if pending() is not None:
        stop()
    pictures = tuple(filter(None, pictures)) or (b"",)
    try:
        for picture in filter(None, pictures):
            png(picture)  # a file that is no picture is refused here, before it stands in the history
        for picture in pictures[:-1]:
            talk().add(Turn("user", "", picture), parent)
            parent = None
        talk().add(Turn("user", text.strip(), pictures[-1], media=media), parent)
    except LabError as error:
        st.session_state["_chat_error"] = str(error)
        return
    answer(talk().leaf)


def answer(parent: int, start: tuple[int, ...] = ()) -> None:
    """Start an answer to turn `parent` with the settings of the rail; each further answer takes the next seed."""
    state, settings = st.session_state, st.session_state.get("_chat_settings", {})
    if pending() is not None:
        stop()
    before = sum(turn.parent == parent for turn in talk().turns)
    conversation = talk().conversation(parent)
    talk().leaf = parent
    try:
        if talk().turns[parent].media and settings.get("model") not in ("remote", "full-size"):
            raise BadRequest(
                "Only a remote model or Qwen2.5-Omni may hear what you said: choose one, or write it down."
            )
        if settings.get("model") == "remote":
            remote = chat_remote.request(conversation, talk().sounds(parent))
            job: Any = chat_remote.start(remote)
            name, note = remote.name, ""
        elif settings.get("model") == "full-size":
            full = chat_full.request(conversation, before, talk().sounds(parent))
            job, name = queue().submit(full, *owner()), full.folder.rstrip("/").split("/")[-1]
            note = f"seed {full.seed}"
        else:
            seed = (settings.get("seed", 0) + before) % 2**32
            request = ChatRequest(**{**settings, "seed": seed}, conversation=conversation, start=start)
            job, name = queue().submit(request, *owner()), request.model
            note = f"seed {seed}" + (" · from a token you chose" if start else "")
        state["_chat_pending"] = Pending(job, parent, name, note)
    except LabError as error:
        state["_chat_error"] = str(error)


def stop() -> None:
    """Stop the answer on its way; what there is of it is kept."""
    waiting = pending()
    if waiting is not None:
        waiting.job.stop()


def collect() -> None:
    """Move a finished answer into the history."""
    waiting, state = pending(), st.session_state
    if waiting is None or waiting.job.active:
        return
    state["_chat_pending"] = None
    result = waiting.job.result
    if waiting.job.error:
        state["_chat_error"] = waiting.job.error
    if result is None:
        return
    extras = result.extras
    notes = [note for note in (waiting.note, extras.get("fault", "")) if note]
    if not result.complete and not extras.get("fault"):
        notes.append(f"stopped after {result.steps_run} tokens")
    made = extras.pop("made", [])
    notes += [thing.note for thing in made]
    drawn = next((thing.data for thing in made if thing.kind == "image"), b"")
    if not (result.text or extras.get("codes") or made) and not extras.get("tokens"):
        if extras.get("fault"):
            state["_chat_error"] = extras["fault"]
        return
    speed = f"{result.seconds:.1f} s · {extras['tokens_per_second']:.0f} tokens/s"
    shown = talk().leaf
    index = talk().add(
        Turn(
            "bot",
            result.text[:19_000],
            extras.get("codes", ()) or drawn,
            model=waiting.model,
            note=" · ".join(["computed now", speed, *notes]),
            media=tuple((thing.kind, thing.data) for thing in made if thing.data is not drawn),
        ),
        waiting.parent,
    )
    if shown != waiting.parent:
        talk().leaf = shown  # another branch is being looked at
    kept = state["_chat_extras"]
    kept[index] = extras
    while len(kept) > KEPT:
        kept.pop(next(iter(kept)))
    save()


# 3. Showing
def show() -> None:
    """The shown branch, and under it the answer on its way."""
    # pictures keep their place before they are loaded, so that the newest turn stays in sight
    st.html("<style>.st-key-talk [data-testid=stImage] img {width: 192px; aspect-ratio: 1}</style>")
    if error := st.session_state.pop("_chat_error", ""):
        st.error(error, icon=":material/info:")
    for index in talk().path():
        _turn(index)
    waiting = pending()
    if waiting is not None:
        _live(waiting)
    elif talk().leaf >= 0 and talk().turns[talk().leaf].role == "user":
        st.button("Answer this", key="_chat_ask", on_click=answer, args=(talk().leaf,), icon=":material/replay:")


def _turn(index: int) -> None:
    turn = talk().turns[index]
    with st.chat_message("user" if turn.role == "user" else "assistant"):
        body(turn.text, turn.picture, turn.media)
        with st.container(horizontal=True, vertical_alignment="center"):
            if turn.role == "bot":
                st.button(
                    "Again",
                    key=f"_again{index}",
                    on_click=answer,
                    args=(turn.parent,),
                    type="tertiary",
                    icon=":material/refresh:",
                    help="Another answer, with the next seed; this one stays.",
                )
            else:
                _edit(index, turn)
            _branches(index)
            if turn.text and turn.role == "bot":
                with st.popover("Copy", type="tertiary", icon=":material/content_copy:"):
                    st.code(turn.text, language=None, wrap_lines=True)
            if turn.note:
                st.caption(plain(turn.note))


def body(text: str, picture: bytes | tuple[int, ...] = b"", media: tuple[tuple[str, bytes], ...] = ()) -> None:
    """A turn's content. Text is never read as Markdown or HTML."""
    if picture:
        try:
            st.image(png(picture), width=192, alt="picture of this turn")
        except LabError as error:
            st.caption(plain(str(error)))
    for kind, data in media:
        if kind == "image":
            st.image(data, width=192, alt="picture of this turn")
        else:
            (st.audio if kind == "audio" else st.video)(data, format=past.MEDIA[kind])
    if text:
        st.text(text)


def _edit(index: int, turn: Turn) -> None:
    with st.popover("Edit", type="tertiary", icon=":material/edit:"):
        words = st.text_area("Your words", turn.text, key=f"_edit{index}", max_chars=4000)
        st.button(
            "Ask this instead",
            key=f"_branch{index}",
            help="Grows a branch; the old turns stay.",
            on_click=lambda: send(
                st.session_state[f"_edit{index}"], turn.picture, parent=turn.parent, media=turn.media
            ),
            disabled=not (words or turn.picture),
        )


def _branches(index: int) -> None:
    same = talk().siblings(index)
    if len(same) < 2:
        return
    at = same.index(index)
    st.button(
        "",
        key=f"_prev{index}",
        icon=":material/chevron_left:",
        type="tertiary",
        disabled=at == 0,
        on_click=talk().show,
        args=(same[at - 1],),
        help="The version before",
    )
    st.caption(f"{at + 1} of {len(same)}")
    st.button(
        "",
        key=f"_next{index}",
        icon=":material/chevron_right:",
        type="tertiary",
        disabled=at == len(same) - 1,
        on_click=talk().show,
        args=(same[(at + 1) % len(same)],),
        help="The next version",
    )


def _live(waiting: Pending) -> None:
    @st.fragment(run_every=max(0.6, poll_seconds()))
    def live() -> None:
        job = waiting.job
        if not job.active:
            st.rerun()
        with st.chat_message("assistant"):
            steps = [step for step in list(job.steps) if step.data]
            text = "".join(s.data["label"] for s in steps if s.data["modality"] == "text")
            if job.preview is not None:
                st.image(job.preview.repeat(3, 0).repeat(3, 1), width=192, alt="picture being drawn")
            if text:
                st.text(text)
            place = queue().place(job) if job.state == "queued" else 0
            words = {"queued": f"waiting, {place} before you" if place else "waiting", "loading": "loading the model"}
            with st.container(horizontal=True, vertical_alignment="center"):
                st.button("Stop", key="_chat_stop", on_click=stop, icon=":material/stop:")
                st.caption(words.get(job.state) or plain(job.step.note) or f"token {job.step.index}")

    live()
