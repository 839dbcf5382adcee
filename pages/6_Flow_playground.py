"""Flow playground: diffusion and flow matching train on the plane while one watches, a GAN beside them if wanted."""

from __future__ import annotations

import streamlit as st

from core.points.flow import FlowRequest
from ui import points_flow as parts
from ui import points_gan, points_gan_lenses, points_stage
from ui.controls import build, control
from ui.page import close_page, lenses, open_page

open_page(
    "Flow playground",
    "A small network learns to carry noise to data, by diffusion or by flow matching, here and now. See the field that it"
    " learns, the paths that points take in it, and why straight paths need few steps.",
    parts.TOUR,
)
stage, rail = st.columns([2, 1], gap="large")

with rail, st.container(key="rail-flow"):
    parts.presets()
    settings = {"data": control(FlowRequest, "data", "Data")}
    settings |= points_gan.own_data(settings["data"])
    settings["method"] = control(FlowRequest, "method", "Method")
    if settings["method"] == "diffusion":
        settings["target"] = control(FlowRequest, "target", "The network predicts")
    else:
        settings["coupling"] = control(FlowRequest, "coupling", "Coupling")
    settings["sampler"] = control(FlowRequest, "sampler", "Sampler")
    settings["num_inference_steps"] = control(FlowRequest, "num_inference_steps", "Steps from noise to data")
    settings["seed"] = control(FlowRequest, "seed", "Seed")
    settings["beside"] = control(FlowRequest, "beside", "GAN beside it")
    st.session_state["_known_keys"] |= {"layers", "curve", "limit", "moment", "target", "coupling"}
    with st.expander("More", expanded=False):
        settings["speed"] = control(FlowRequest, "speed", "Speed")
        settings |= parts.more_controls()
        limit = st.slider("Rest after", 200, 20000, 2000, 200, key="limit", bind="query-params",
                          help="Training steps until it rests.")  # fmt: skip

request = build(FlowRequest, **settings)

with stage:
    layers = st.pills("Layers", list(parts.LAYERS), selection_mode="multi", default=["real", "points", "paths", "field"],
                      format_func=parts.LAYERS.__getitem__, key="layers", bind="query-params",
                      label_visibility="collapsed")  # fmt: skip
    if request is not None:
        points_stage.prepare("flow", parts.shape(request))
        points_stage.transport("flow", parts.MOVES, limit)
        moment = st.slider("Noise to data", 0.0, 1.0, 1.0, 0.05, key="moment", bind="query-params",
                           help="Where on their way the points are shown: 0 is noise (t = 1), 1 is data (t = 0).")  # fmt: skip
        points_stage.run(request, "flow", limit, lambda c: parts.view(c, request, layers or [], limit * c.legs, moment),
                         parts.look(request))  # fmt: skip
    st.segmented_control("Curve", list(parts.CURVES), default="Distances", key="curve", required=True, bind="query-params",
                         label_visibility="collapsed")  # fmt: skip

lenses({
    "Break it": parts.break_it,
    "Measure": lambda: parts.measure(points_stage.chain("flow")),
    "Learn": parts.learn,
    "Code": lambda: points_gan_lenses.code(request, "flow"),
})  # fmt: skip
close_page()
