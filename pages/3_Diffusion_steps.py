"""Diffusion steps: one run recorded, and every way to look into it or to bend it."""

from __future__ import annotations

import streamlit as st

from ui import diffusion_bend, diffusion_compare, diffusion_full, diffusion_learn
from ui import diffusion_steps as lens
from ui.diffusion_rail import models, rail
from ui.page import Scene, close_page, lenses, open_page
from ui.stage import stage

open_page(
    "Diffusion steps",
    "Noise becomes the picture you asked for, one small step at a time. Stop anywhere, look inside, change its course.",
    tour=[
        Scene("Noise on the left becomes a face; the belief in the middle forms early.", {"lens": "Inside"}),
        Scene("Each word looks at its own place of the picture.", {"lens": "Words"}),
        Scene("The other direction: how training destroys pictures.", {"lens": "Forward"}),
    ],
)
left, right = st.columns([2, 1], gap="large")
with right, st.container(key="rail"):
    request = rail(record=True)
with left:
    result = stage(request, lens.show_run, preview=lens.show_running, height=350)

if result is not None:
    lenses(
        {
            "Inside": lambda: lens.inside(result),
            "Words": lambda: lens.words(result),
            "Forward": lambda: lens.forward(result),
            "Schedulers": lambda: diffusion_compare.schedulers(result),
            "Branch": lambda: diffusion_bend.branch(result),
            "Poke": lambda: diffusion_bend.poke(result),
            "Paint": lambda: diffusion_bend.paint(result),
            "Walk": lambda: diffusion_bend.walk(result),
            "Models": lambda: diffusion_compare.models(result, [card.id for card in models(words=True)]),
            "Pixel or latent": lambda: diffusion_compare.pixel(result),
            "Nearest": lambda: diffusion_compare.nearest(result),
            "Full size": lambda: diffusion_full.draw(result.request),
            "Break it": diffusion_learn.steps_break,
            "Learn": diffusion_learn.steps_learn,
        }
    )
close_page()
