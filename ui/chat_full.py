"""The rail's part for a full-size checkpoint on this machine, and its request."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import streamlit as st

from core.chat.checkpoint import draws
from core.chat.full_size import FullSizeChatRequest
from core.errors import LabError
from ui import tables
from ui.controls import control
from ui.full_size import choose

LIST = Path(__file__).resolve().parent.parent / "assets" / "full_size_chat.yaml"

# parts of the model_type that config.json states
KINDS = (
    "llama", "qwen", "smol", "mistral", "gemma", "phi", "olmo", "granite", "gpt", "idefics", "llava", "vl", "pixtral",
    "chameleon", "janus", "emu3", "exaone", "falcon", "cohere",
)  # fmt: skip
HINT = (
    "SmolLM, Qwen, Llama read; SmolVLM, Idefics3, Qwen2.5-VL, Qwen3-VL, LLaVA, Chameleon and Emu3 see pictures too; Janus "
    "also draws; Qwen2.5-Omni also hears. Give a hub id from the list below, or a folder. Nothing is fetched before you "
    "say so."
)


@lru_cache(maxsize=1)
def known() -> list[dict[str, Any]]:
    """The checkpoints of assets/full_size_chat.yaml: id, does, memory_gb, licence."""
    import yaml

    return list(yaml.safe_load(LIST.read_text(encoding="utf-8")))


def panel() -> None:
    """Hub id or folder (size, licence and memory first), then how tokens are chosen."""
    folder = choose("Hub id or folder", "chat_hub", kinds=KINDS, hint=HINT)
    with st.expander("Checkpoints to try"):
        tables.table([{"hub id": c["id"], "what it does": c["does"], "memory, GB": c["memory_gb"], "licence": c["licence"]}
                      for c in known()])  # fmt: skip
        st.caption("Memory as a CPU takes it; a GPU takes half.")
    settings: dict[str, Any] = {"folder": folder, "draw": _draws(folder)}
    for name in ("temperature", "top_p", "max_new_tokens", "seed"):
        settings[name] = control(FullSizeChatRequest, name, key=f"full_{name}")
    st.session_state["_chat_full"] = settings
    st.session_state.setdefault("_known_keys", set()).update(f"full_{name}" for name in settings)


def _draws(folder: str) -> bool:
    """A switch where the checkpoint can draw, a sentence where one might expect it to."""
    try:
        able = bool(folder) and draws(folder)
    except LabError:  # said when it is asked
        return False
    if able:
        return bool(
            st.toggle("Answer with a picture", key="_full_draw", help="Draws your last words, 576 tokens a picture.")
        )
    if folder:
        st.caption("This checkpoint answers in words only; of those that run here Janus draws.")
    return False


def request(conversation: tuple, before: int = 0, sounds: tuple = ()) -> FullSizeChatRequest:
    """The request of the panel's settings, `before` answers having been given already; sounds: (turn, WAV file). Raises
    BadRequest."""
    from ui.chat_remote import sent

    settings = dict(st.session_state.get("_chat_full", {}))
    settings["seed"] = (settings.get("seed", 0) + before) % 2**32
    return FullSizeChatRequest(conversation=sent(conversation), sounds=sounds, **settings)
