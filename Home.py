"""The entry: `streamlit run Home.py`. Every file in pages/ is a page; its name gives order and title."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import streamlit as st

from core.runtime import memory
from ui import home
from ui.page import guard

ICONS = {
    "GAN": ":material/swords:",
    "VAE": ":material/compress:",
    "Diffusion": ":material/blur_on:",
    "CFG": ":material/tune:",
    "Sound": ":material/graphic_eq:",
    "Video": ":material/movie:",
    "Chat": ":material/forum:",
}


def pages() -> list:
    """One st.Page a file of pages/, in the order of their numbers, after Home."""
    found = [st.Page(home.draw, title="Home", icon=":material/map:", default=True)]
    for path in sorted(Path(__file__).parent.joinpath("pages").glob("*.py")):
        title = re.sub(r"^\d+_", "", path.stem).replace("_", " ")
        icon = next((icon for word, icon in ICONS.items() if title.startswith(word)), ":material/science:")
        found.append(st.Page(path, title=title, icon=icon))
    return found


st.set_page_config(page_title="Generative AI Lab", page_icon="assets/icon.svg", layout="wide")
logging.getLogger("lab").setLevel(logging.INFO)
memory.lean()
st.session_state["_entered"] = True  # open_page sees by it that a page was not started alone
page = st.navigation(pages(), position="sidebar")
with guard():  # no traceback ever reaches a page
    page.run()
