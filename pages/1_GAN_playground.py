"""GAN playground: a generator and a discriminator train on the plane while one watches."""

from __future__ import annotations

import streamlit as st

from core.points.gan import GanRequest
from ui import points_gan as parts
from ui import points_gan_lenses as lens
from ui import points_stage
from ui.controls import build, control
from ui.page import close_page, lenses, open_page

open_page(
    "GAN playground",
    "Two small networks play against each other, here and now: the **generator** G turns noise into points, the"
    " **discriminator** D learns to tell them from the data. Watch G's sheet of noise being pulled over the data, or"
    " break the game and mend it.",
    parts.TOUR,
)
stage, rail = st.columns([2, 1], gap="large")

with rail, st.container(key="rail-gan"):
    parts.preset_row()
    settings = {"data": control(GanRequest, "data", "Data")}
    settings |= parts.own_data(settings["data"])
    settings["loss"] = control(GanRequest, "loss", "Loss")
    settings["r1"] = control(GanRequest, "r1", "R1 penalty γ")
    settings["seed"] = control(GanRequest, "seed", "Seed")
    settings["speed"] = control(GanRequest, "speed", "Speed")
    compared = st.toggle(
        "Second GAN beside it",
        key="beside",
        bind="query-params",
        help="B starts from the same seed and differs only in what you choose for it.",
    )
    st.session_state["_known_keys"] |= {"beside", "layers", "curve", "limit"}
    settings["rival"] = parts.rival() if compared else ()
    with st.expander("More", expanded=False):
        settings |= parts.more_controls()
        limit = st.slider(
            "Rest after", 200, 20000, 3000, 200, key="limit", bind="query-params", help="Training steps until it rests."
        )

request = build(GanRequest, **settings)

with stage:
    layers = st.pills(
        "Layers",
        parts.LAYERS,
        selection_mode="multi",
        default=["real", "fakes", "surface", "manifold"],
        format_func=parts.layer_title,
        key="layers",
        bind="query-params",
        label_visibility="collapsed",
    )
    if request is not None:
        points_stage.prepare("gan", parts.shape(request))
        points_stage.transport("gan", parts.MOVES, limit)
        points_stage.run(request, "gan", limit, lambda c: parts.view(c, request, layers or [], limit * c.legs))
    st.segmented_control(
        "Curve",
        list(parts.CURVES),
        default="Distances",
        key="curve",
        required=True,
        bind="query-params",
        label_visibility="collapsed",
    )

lenses(
    {
        "Break it": lens.break_it,
        "Measure": lambda: lens.measure(points_stage.chain("gan")),
        "Learn": lens.learn,
        "Code": lambda: lens.code(request),
    }
)
close_page()
