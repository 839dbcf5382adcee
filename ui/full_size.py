"""Full-size checkpoints on a page: a hub id or a folder, its size and licence first, a download only when asked for."""

from __future__ import annotations

from typing import Any

import streamlit as st

from core.chat.remote import keep_key, service_key
from core.runtime import hub, memory
from ui import tables
from ui.page import guard
from ui.stage import job_of, job_words, poll_seconds


def choose(label: str, key: str, *, kinds: tuple[str, ...] = (), hint: str = "") -> str:
    """A text field for a hub id or folder; returns the folder once it is on this machine, else "".

    kinds: parts of class names that this page can run (checked against what the checkpoint says it is). hint: shown
    while the field is empty. Size, licence and memory stand there before anything is loaded or downloaded.
    """
    st.session_state.setdefault("_known_keys", set()).add(key)
    source = st.text_input(label, key=key, bind="query-params", max_chars=300).strip()
    if not source:
        st.caption(hint)
        return ""
    with guard():
        found = _look(source)
        tables.facts(hub.facts(found))
        free = memory.budget_mb() - memory.rss_mb()
        if found.megabytes > free:
            st.warning(
                f"The weights alone are {found.megabytes:,.0f} MB and {max(free, 0):,.0f} of the {memory.budget_mb():,.0f} MB "
                "budget are free: set LAB_MEMORY_MB higher on a machine that has the memory."
            )
        if kinds and found.kind and not any(kind.lower() in found.kind.lower() for kind in kinds):
            st.error(f"This is a {found.kind}; this page runs {', '.join(kinds)}.")
            return ""
        if found.folder:
            return found.folder
        return _download(found, key)
    return ""


@st.cache_data(ttl=300, max_entries=16, show_spinner="Asking the hub")
def _look(source: str) -> hub.Found:
    return hub.look(source)


def _download(found: hub.Found, key: str) -> str:
    asked = f"_{key}_download"

    def ask() -> None:
        st.session_state[asked] = found.source

    st.button(f"Download {found.megabytes:,.0f} MB", key=f"_{key}_ask", on_click=ask, icon=":material/download:")
    if st.session_state.get(asked) != found.source:
        return ""
    job = job_of(hub.DownloadRequest(source=found.source), f"{key}-download")
    running = job.active

    @st.fragment(run_every=poll_seconds() if running else None)
    def progress() -> None:
        st.progress(job.progress, text=job_words(job, False) if job.active else job.error or "Downloaded")
        st.button("Stop", key=f"_{key}_stop_download", on_click=job.stop, disabled=not job.active)
        if running and not job.active:
            _look.clear()
            st.rerun()

    progress()
    return job.result.text if job.result is not None and job.state == "done" else ""  # type: ignore[attr-defined]


def stored_secrets() -> dict[str, Any]:
    """What st.secrets holds; {} where there is no such file."""
    try:
        return dict(st.secrets)
    except (FileNotFoundError, KeyError, st.errors.StreamlitAPIException):
        return {}


def stored_key(url: str, service: tuple[str, ...], session_key: str) -> str:
    """The handle of this session's key for `url`, which is `service`'s (address, environment variable, …) or another's.

    Says where the key comes from, or where to put it; a service's key goes to its own address only.
    """
    address, variable = service[:2]
    key = service_key(url, stored_secrets(), [service])
    if variable and url.rstrip("/") == address.rstrip("/"):
        st.caption(f"The key is taken from {variable}." if key else f"Set {variable} in the environment or st.secrets.")
    handle = st.session_state[session_key] = keep_key(key, st.session_state.get(session_key, ""))
    return handle
