"""CFG explorer: turn the guidance and see exactly what it does."""

from __future__ import annotations

import streamlit as st

from core.errors import BadRequest
from ui import diffusion_cfg as lens
from ui import diffusion_learn, diffusion_tradeoff, diffusion_xyz
from ui.diffusion_rail import models, rail
from ui.page import Scene, close_page, lenses, open_page

open_page(
    "CFG explorer",
    "Classifier-free guidance in one strip: the same noise, the prompt turned up from left to right. "
    "See what it buys, what it costs, and why it works.",
    tour=[
        Scene("Left: the prompt is ignored. Right: it is shouted.", {"scales": lens.SCALES}),
        Scene("Two predictions a step, and their difference.", {"lens": "Why it works"}),
        Scene("Other ways to guide, same seed.", {"lens": "Guiders"}),
    ],
)
left, right = st.columns([2, 1], gap="large")
with right, st.container(key="rail"):
    text = st.text_input("Guidance list", lens.SCALES, key="scales", bind="query-params", help="0 to 30, with commas.")
    seeds = st.segmented_control("Seeds", [1, 2, 3, 4], default=1, required=True, key="seeds", bind="query-params")
    st.session_state["_known_keys"] |= {"scales", "seeds"}
    request = rail(most_steps=12, words=True, guidance_scale=1.0)
try:
    scales = lens.numbers(text, 0.0, 30.0)
except BadRequest as error:
    right.error(str(error), icon=":material/info:")
    scales = lens.numbers(lens.SCALES, 0.0, 30.0)
if request is not None:
    with left:
        lens.strip(request, scales, int(seeds or 1))
    lenses(
        {
            "Why it works": lambda: lens.why(request, scales),
            "Trade-off": lambda: diffusion_tradeoff.trade_off(request, scales),
            "Guiders": lambda: lens.guiders(request),
            "Presets": lens.presets,
            "X/Y/Z grid": lambda: diffusion_xyz.xyz(request, [card.id for card in models(words=True)]),
            "Learn": diffusion_learn.cfg_learn,
        }
    )
close_page()
