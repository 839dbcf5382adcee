"""VAE: pictures from a round cloud of codes, the latent plane as a map, walks."""

from __future__ import annotations

import streamlit as st

from core.vae.request import VAERequest
from ui import picker, vae_lenses
from ui.controls import build, control
from ui.gan_views import preview
from ui.page import close_page, lenses, open_page
from ui.result import restore_box
from ui.stage import estimate, stage

open_page(
    "VAE",
    "A variational autoencoder squeezes portraits into a few numbers that fill a round cloud, so that random numbers give"
    " new portraits. The oldest of the families shows best what a latent space is.",
    vae_lenses.TOUR,
)
cards = picker.generators("image", "vae")
if not cards:
    st.info("The VAE weights are not installed: restore assets/models with `git checkout -- assets/models`.")
    close_page()
    st.stop()
left, right = st.columns([2, 1], gap="large")
with right, st.container(key="rail-vae"):
    model = picker.pick(cards, default="vae")
    seed = control(VAERequest, "seed", "Seed")
    count = control(VAERequest, "count", "Samples", low=1, high=64)
    temperature = control(VAERequest, "temperature", "Temperature")
    with st.expander("More"):
        restore_box(VAERequest)
    request = build(VAERequest, model=model, seed=seed, count=count, temperature=temperature)
    estimate(request)
with left:
    stage(request, vae_lenses.samples, key="vae", preview=preview)
if request is not None:
    lenses(vae_lenses.lenses_of(request))
close_page()
