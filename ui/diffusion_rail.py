"""The rail of the diffusion pages: model, prompt, seed, the main controls, and the rest under More."""

from __future__ import annotations

from typing import Any

import streamlit as st

from core.diffusion.request import GUIDER_KINDS, DiffusionRequest
from ui.controls import build, control
from ui.picker import generators, pick
from ui.result import restore_box
from ui.stage import estimate

# Prompts in the words the model learned; the pages open with the first.
PROMPTS = (
    "a portrait of a person with tan skin, curly blue hair, glasses and a smile on a pink background, avataaars style",
    "adventurer style: long red hair, a smile and light skin, on sky blue",
    "a dark-skinned person with short black hair, glasses, a beard and a laughing mouth, mint green backdrop",
    "a pink bob, tan skin, glasses, a smile, white background, pixel art",
    "a toon head character with long grey hair, no glasses and a sad mouth in front of a yellow background",
)
FLOW_ONLY = ("Flow Euler", "Flow Heun")
DIFFUSION_ONLY = ("DDIM", "DDPM", "Euler", "Euler ancestral", "Heun", "DPM++ 2M", "UniPC", "LCM")


def models(words: bool = False) -> list[Any]:
    """Cards of the diffusion and flow models that draw pictures; `words`: only those that take a prompt."""
    cards = [card for card in generators("image", "diffusion", "flow") if card.request.startswith("core.diffusion")]
    return [card for card in cards if takes_words(card)] if words else cards


def takes_words(card: Any) -> bool:
    """False for a model that draws whatever it likes."""
    return bool(card.extra.get("takes_prompt", True))


def samplers(model: str) -> tuple[str, ...]:
    """The schedulers that fit a model."""
    flow = next((card.family == "flow" for card in models() if card.id == model), False)
    return ("model", *(FLOW_ONLY if flow else DIFFUSION_ONLY))


def default(model: str, name: str, otherwise: Any) -> Any:
    """A default that the model's card gives (guidance_scale, num_inference_steps), else `otherwise`."""
    return next((card.extra.get(name, otherwise) for card in models() if card.id == model), otherwise)


def rail(most_steps: int = 200, words: bool = False, **fixed: Any) -> DiffusionRequest | None:
    """Draw the controls; returns the request (None: a bad value, already said). fixed: fields set by the page.

    most_steps: the default number of steps is at most this; words: offer only models that take a prompt.
    """
    cards = models(words)
    model = pick(cards)
    told = all(takes_words(card) for card in cards if card.id == model)
    _model_changed(model)
    if told:
        _examples()
    else:
        st.caption(":material/chat_bubble_outline: This model takes no prompt: it draws some portrait for each seed.")
    prompt = control(DiffusionRequest, "prompt", default=PROMPTS[0], wide=True, disabled=not told)
    seed = control(DiffusionRequest, "seed", default=7)
    values: dict[str, Any] = {"model": model, "prompt": prompt, "seed": seed}
    if "guidance_scale" not in fixed:
        scale = float(default(model, "guidance_scale", 3.0))
        values["guidance_scale"] = control(
            DiffusionRequest, "guidance_scale", "Guidance w", default=scale, high=max(15.0, scale), disabled=not told
        )
    steps = min(most_steps, int(default(model, "num_inference_steps", 20)))
    values["num_inference_steps"] = control(
        DiffusionRequest, "num_inference_steps", "Steps", default=steps, high=max(60, steps)
    )
    with st.expander("More"):
        values["scheduler"] = control(DiffusionRequest, "scheduler", options=samplers(model))
        values["eta"] = control(
            DiffusionRequest, "eta", "η (DDIM)", disabled=values["scheduler"] not in ("model", "DDIM")
        )
        values["negative_prompt"] = control(DiffusionRequest, "negative_prompt", "Negative prompt")
        if "guider" not in fixed:
            values["guider"] = control(DiffusionRequest, "guider", format_func=guider_line)
        values["guidance_rescale"] = control(DiffusionRequest, "guidance_rescale", "Rescale φ")
        interval = st.slider("Guidance from step … to step … (share)", 0.0, 1.0, (0.0, 1.0), 0.05, key="interval")
        values["guidance_start"], values["guidance_stop"] = min(interval[0], 0.95), max(interval[1], 0.05)
        restore_box(DiffusionRequest)
    request = build(DiffusionRequest, **{**values, **fixed})
    estimate(request)
    return request


def _model_changed(model: str) -> None:
    """Another model brings its own steps, guidance and scheduler, before their widgets are drawn."""
    before = st.session_state.get("_rail_model")
    st.session_state["_rail_model"] = model
    if before not in (None, model):
        st.session_state["guidance_scale"] = float(default(model, "guidance_scale", 3.0))
        st.session_state["num_inference_steps"] = int(default(model, "num_inference_steps", 20))
        st.session_state["scheduler"] = "model"


def guider_line(name: str) -> str:
    """A guider with its one-line description."""
    return f"{name} · {GUIDER_KINDS[name][2]}"


def _examples() -> None:
    def take() -> None:
        if st.session_state["_example"] is not None:
            st.session_state["prompt"] = PROMPTS[st.session_state["_example"]]
            st.session_state["_example"] = None

    st.selectbox(
        "Examples", range(len(PROMPTS)), index=None, format_func=lambda i: PROMPTS[i], key="_example", on_change=take,
        placeholder="Examples of prompts", label_visibility="collapsed",
    )  # fmt: skip


def about_prompt(extras: dict[str, Any]) -> None:
    """What the model did not understand of the prompt, so that nothing is dropped silently."""
    if extras.get("unknown"):
        words = ", ".join(f"“{word}”" for word in extras["unknown"][:12])
        st.caption(f":material/help: Words this model never learned as words: {words}. It sees them in pieces.")
    if extras.get("cut"):
        st.caption(f":material/content_cut: The last {extras['cut']} pieces of the prompt are beyond what it reads.")
