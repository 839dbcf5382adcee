"""The rail's part for a remote endpoint, and its answers on threads of their own, so that a slow one blocks nobody."""

from __future__ import annotations

import logging
import threading
from collections import deque

import streamlit as st

from core.chat import remote
from core.errors import BadRequest, LabError
from core.pipeline import Control
from core.result import Result, Step
from ui.full_size import stored_secrets

log = logging.getLogger("lab.chat")
_slots = threading.BoundedSemaphore(8)


class RemoteJob:
    """Looks like core.runtime.jobs.Job to the page."""

    def __init__(self, request: remote.RemoteRequest) -> None:
        self.request, self.control = request, Control()
        self.state, self.error, self.result, self.preview = "loading", "", None, None
        self.step = Step("token")
        self.steps: deque[Step] = deque(maxlen=20_000)

    @property
    def active(self) -> bool:
        return self.state in ("loading", "running")

    def stop(self) -> None:
        self.control.stop()

    def work(self) -> None:
        try:
            for item in remote.generate(self.request, self.control):
                if isinstance(item, Result):
                    self.result = item  # type: ignore[assignment]
                else:
                    self.state, self.step = "running", item
                    self.steps.append(item)
            self.state = "done"
        except LabError as error:
            self.error, self.state = str(error), "failed"
        except Exception as error:  # whatever a client library raises: this answer fails alone
            log.error("a remote answer failed: %s", type(error).__name__)  # not its text: it may hold a key
            self.error, self.state = "The remote answer failed inside; press Answer this to retry.", "failed"
        finally:
            _slots.release()


def start(request: remote.RemoteRequest) -> RemoteJob:
    """Run it on a thread. Raises BadRequest when too many remote answers are on their way."""
    if not _slots.acquire(blocking=False):
        raise BadRequest("Eight remote answers are on their way; wait for one to end and ask again.")
    job = RemoteJob(request)
    threading.Thread(target=job.work, name="lab-remote", daemon=True).start()
    return job


def panel() -> None:
    """Service, address, model and key. The key stays in this session's memory."""
    names = [*remote.SERVICES, "Another"]
    service = st.selectbox("Service", names, key="_remote_service", on_change=_chosen)
    address, variable, model = remote.SERVICES.get(service, ("", "", ""))
    st.session_state.setdefault("_remote_url", address)
    st.session_state.setdefault("_remote_name", model)
    url = st.text_input("Address", key="_remote_url", max_chars=300, help="OpenAI-compatible, up to /v1.")
    st.text_input("Model's name there", key="_remote_name", max_chars=200)
    if remote.service_key(url, stored_secrets()):
        st.caption(f"The key is taken from {variable} on this machine.")
    else:
        st.text_input(
            "Key",
            key="_remote_key",
            type="password",
            max_chars=400,
            help="Kept in this session's memory only: not logged, not exported, not in the share link.",
        )
    if st.button("List its models", key="_remote_list", icon=":material/list:"):
        try:
            st.session_state["_remote_models"] = remote.names(url, _handle(url))
        except LabError as error:
            st.session_state["_remote_models"] = []
            st.error(str(error), icon=":material/info:")
    for name in st.session_state.get("_remote_models", [])[:30]:
        st.text(name)
    st.toggle(
        "It may draw, play and film",
        key="_remote_tools",
        help="Tool calls: the remote model may ask the models of this lab for a portrait, a sound or a clip. Not every "
        "model knows tool calls.",
    )
    st.caption("Your conversation and pictures are sent to this address. Its answers are another model's, not ours.")


def _chosen() -> None:
    address, _, model = remote.SERVICES.get(st.session_state["_remote_service"], ("", "", ""))
    st.session_state["_remote_url"], st.session_state["_remote_name"] = address, model
    st.session_state["_remote_models"] = []


def _handle(url: str) -> str:
    key = remote.service_key(url, stored_secrets()) or st.session_state.get("_remote_key", "")
    handle = st.session_state["_remote_handle"] = remote.keep_key(
        key.strip(), st.session_state.get("_remote_handle", "")
    )
    return handle


def sent(conversation: tuple) -> tuple:
    """The conversation as it is given to other models: pictures that ours drew as PNG."""
    from ui.chat_talk import png

    return tuple(
        (role, text, png(picture) if isinstance(picture, tuple) and picture else picture or b"")
        for role, text, picture in conversation
    )


def request(conversation: tuple, sounds: tuple = ()) -> remote.RemoteRequest:
    """The request of the panel's settings. Raises BadRequest."""
    url = st.session_state.get("_remote_url", "")
    return remote.RemoteRequest(
        conversation=sent(conversation),
        sounds=sounds,
        base_url=url,
        name=st.session_state.get("_remote_name", ""),
        key=_handle(url),
        tools=bool(st.session_state.get("_remote_tools")),
    )
