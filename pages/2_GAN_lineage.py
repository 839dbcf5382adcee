"""GAN lineage: from two perceptrons to StyleGAN3, all trained on the same portraits."""

from __future__ import annotations

import streamlit as st

from core.gan.request import SampleRequest
from ui import gan_lenses as lens
from ui import gan_views as views
from ui import picker
from ui.controls import build, control
from ui.learn import failures
from ui.page import close_page, lenses, open_page
from ui.result import restore_box
from ui.stage import estimate, stage

open_page(
    "GAN lineage",
    "Seven generators from 2014 to 2021, each with the parts that its paper brought, trained by us on the same portraits."
    " Sample them, walk and steer through their latent spaces, and see what each step of the lineage gained.",
    lens.TOUR,
)
cards = lens.present()
if not cards:
    st.info("The GAN weights are not installed: restore assets/models with `git checkout -- assets/models`.")
    close_page()
    st.stop()
left, right = st.columns([2, 1], gap="large")

with right, st.container(key="rail-lineage"):
    model = picker.pick(cards, default="stylegan2")
    settings = {
        "model": model,
        "seed": control(SampleRequest, "seed", "Seed"),
        "count": control(SampleRequest, "count", "Samples"),
        "truncation_psi": control(SampleRequest, "truncation_psi", "Truncation ψ"),
    }
    styled = model in lens.STYLED
    with st.expander("Directions", expanded=False):
        if styled:
            settings |= lens.directions()
        else:
            st.caption("Directions need a mapping network: choose a StyleGAN.")
    with st.expander("More", expanded=False):
        settings["noise"] = control(SampleRequest, "noise", "Per-layer noise", disabled=not styled)
        settings |= lens.attributes()
        restore_box(SampleRequest)
    request = build(SampleRequest, **settings)
    estimate(request)

with left:
    result = stage(request, views.samples, key="lineage", preview=views.preview)

if request is not None:
    lenses(
        {
            "Inside": lambda: lens.inside(request, result),
            "Motion": lambda: lens.moving(request),
            "Walk": lambda: lens.walk(request),
            "Mix": lambda: lens.mix(request),
            "Project": lambda: lens.project(request),
            "Compare": lambda: lens.side_by_side(request),
            "Measure": lambda: lens.measure(request),
            "Break it": lambda: failures(lens.FAILURES),
            "Learn": lens.learn,
        }
    )
close_page()
