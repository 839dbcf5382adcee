"""The rail's part for a full-size checkpoint on this machine, and its request."""

from __future__ import annotations

import streamlit as st

from core.chat.full_size import FullSizeChatRequest
from ui.controls import control
from ui.full_size import choose

# parts of the model_type that config.json states
KINDS = (
    "llama", "qwen", "smol", "mistral", "gemma", "phi", "olmo", "granite", "gpt", "idefics", "llava", "vl", "pixtral",
    "chameleon", "janus", "emu3", "exaone", "falcon", "cohere",
)  # fmt: skip
HINT = (
    "SmolVLM, Idefics3, Qwen2.5-VL, Qwen3-VL, LLaVA see pictures; SmolLM, Qwen, Llama only read: for example "
    "HuggingFaceTB/SmolLM2-135M-Instruct (about 540 MB in memory), HuggingFaceTB/SmolVLM-256M-Instruct (about 1 GB), or a "
    "folder. Nothing is fetched before you say so."
)


def panel() -> None:
    """Hub id or folder (size, licence and memory first), then how tokens are chosen."""
    folder = choose("Hub id or folder", "chat_hub", kinds=KINDS, hint=HINT)
    settings = {"folder": folder}
    for name in ("temperature", "top_p", "max_new_tokens", "seed"):
        settings[name] = control(FullSizeChatRequest, name, key=f"full_{name}")
    st.session_state["_chat_full"] = settings
    st.session_state.setdefault("_known_keys", set()).update(f"full_{name}" for name in settings)


def request(conversation: tuple, before: int = 0) -> FullSizeChatRequest:
    """The request of the panel's settings, `before` answers having been given already. Raises BadRequest."""
    from ui.chat_remote import sent

    settings = dict(st.session_state.get("_chat_full", {}))
    settings["seed"] = (settings.get("seed", 0) + before) % 2**32
    return FullSizeChatRequest(conversation=sent(conversation), **settings)
