"""The frame of a page: title, share, present, lenses, notices. A page calls `open_page` first and `close_page` last."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import streamlit as st

from core.errors import LabError
from ui import style

log = logging.getLogger("lab.ui")

NOTICE_SECONDS = 60.0
# Query parameters that belong to no page's controls.
COMMON_KEYS = {"present", "tour", "lens", "embed", "embed_options"}


@dataclass(frozen=True)
class Scene:
    """One stop of a page's tour: a caption and the control values that show it."""

    caption: str
    settings: dict[str, Any] = field(default_factory=dict)


def open_page(title: str, sentence: str, tour: Sequence[Scene] = ()) -> None:
    """Title, two sentences at most of what is seen and why it matters, Share and Present.

    In Present mode the chrome is hidden and `tour` can be walked with Back and Next (arrow keys too).
    """
    _enter_by_home()
    if st.session_state.get("_page") != title:
        st.session_state["_page"], st.session_state["_notices"] = title, {}
    st.session_state["_known_keys"] = set(COMMON_KEYS)
    present = st.session_state.get("present", st.query_params.get("present") in ("true", "1"))
    style.apply(bool(present))
    left, right = st.columns([5, 2], vertical_alignment="bottom")
    left.title(title, anchor=False)
    with right.container(horizontal=True, horizontal_alignment="right"):
        with st.popover("Share", icon=":material/share:", help="Every control lives in the address."):
            st.caption("Opening this link in any browser shows the same result.")
            st.code(share_link(), language=None, wrap_lines=True)
        st.toggle(
            "Present", key="present", bind="query-params", help="Large type, no chrome, a tour of the best states."
        )
    st.markdown(sentence)
    if present and tour:
        _tour(tour)


def _enter_by_home() -> None:
    """Send a page that Streamlit started by itself through Home.py.

    The first session of a process takes Streamlit's old multipage path, because there is a folder pages/: the page
    file runs alone, without Home's frame. Switched off, the same address runs Home.py, which runs the page.
    """
    from streamlit.runtime.pages_manager import PagesManager

    if PagesManager.uses_pages_directory and not st.session_state.get("_entered"):
        PagesManager.uses_pages_directory = False
        st.rerun()


def share_link() -> str:
    """Address of the page with every control that differs from its default."""
    url = (st.context.url or "").split("?")[0]
    pairs = [(key, value) for key in st.query_params for value in st.query_params.get_all(key) if key != "present"]
    return f"{url}?{urlencode(pairs)}" if pairs else url


def _tour(tour: Sequence[Scene]) -> None:
    index = min(int(st.session_state.get("_scene", 0)), len(tour) - 1)

    def go(by: int) -> None:
        target = (index + by) % len(tour)
        st.session_state["_scene"] = target
        apply_settings(tour[target].settings)

    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        st.button("Back", on_click=go, args=(-1,), icon=":material/arrow_back:", shortcut="left")
        st.button("Next", on_click=go, args=(1,), icon=":material/arrow_forward:", shortcut="right", type="primary")
        st.markdown(f"**{index + 1} of {len(tour)}** · {tour[index].caption}")


def apply_settings(settings: dict[str, Any]) -> None:
    """Set control values by key (call it in a callback, before the widgets are drawn)."""
    for key, value in settings.items():
        st.session_state[key] = list(value) if isinstance(value, tuple) else value


def notice(sentence: str) -> None:
    """A sentence at the foot of the page; it stays long enough to be read, since a running job redraws the page."""
    st.session_state.setdefault("_notices", {}).setdefault(sentence, time.time())


def lenses(tabs: dict[str, Callable[[], None]]) -> None:
    """Tabs that live in the URL; only the open one does any work. A failing lens fails alone."""
    containers = st.tabs(list(tabs), key="lens", bind="query-params", on_change="rerun")
    for container, draw in zip(containers, tabs.values(), strict=True):
        if container.open:
            with container, guard():
                draw()


class guard:
    """`with guard():` shows any error inside as one sentence, so that the rest of the page stands."""

    def __enter__(self) -> guard:
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> bool:
        if isinstance(error, LabError):
            st.error(str(error), icon=":material/info:")
            return True
        if isinstance(error, Exception):
            log.error("a view failed", exc_info=error)
            st.error("This part failed inside; change a setting or reload the page.", icon=":material/info:")
            return True
        return False


def close_page() -> None:
    """Notices about the address that could not be used, once all controls are known."""
    known = st.session_state.get("_known_keys", set())
    for key in list(st.query_params):
        if key not in known and not key.startswith("_"):
            shown = key if len(key) <= 40 else key[:39] + "…"
            notice(f"“{shown}” in the address is no setting of this page and was ignored.")
    notices: dict[str, float] = st.session_state.get("_notices", {})
    for sentence in [said for said, since in notices.items() if time.time() - since < NOTICE_SECONDS]:
        st.info(sentence.replace("[", "\\[").replace("<", "&lt;").replace("$", "\\$"), icon=":material/link:")
