"""The parts of the 2-D diffusion and flow playground: view, presets, lenses."""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st

from core.points.flow import COLUMNS, SHAPE, TIMES, FlowRequest
from ui import learn as teach
from ui import points_canvas as canvas
from ui import points_gan, points_stage
from ui.controls import control
from ui.page import Scene, apply_settings
from ui.result import badge
from ui.tables import table

LAYERS = {"real": "Real points", "points": "Samples", "paths": "Paths", "field": "Field"}
CURVES: dict[str, tuple[tuple[str, ...], float, float, bool]] = {
    "Distances": (("js", "wasserstein", "mmd"), 0, 0.75, False), "Loss": (("loss",), 0, 2, False),
    "KL": (("kl",), 0, 10, False), "Modes": (("modes",), 0, 8, False), "Straightness": (("bend",), 1, 1.6, False)}  # fmt: skip
WORDS = points_gan.WORDS | {"loss": "loss", "bend": "length of a path over its distance"}
MORE = {"lr": "Learning rate", "batch": "Batch", "width": "Width", "depth": "Hidden layers"}
DEFAULTS = {name: FlowRequest.__dataclass_fields__[name].default for name in (
    "data", "method", "target", "coupling", "sampler", "num_inference_steps", *MORE)}  # fmt: skip
MOVES = {
    "one step": ("One step", "One update of the network"),
    "reflow": ("Reflow", "Pair 4,096 noises with where they end, and learn these pairs from now on (flow matching)"),
}


def full(**settings: Any) -> dict[str, Any]:
    """Every control's value, so that nothing is left over."""
    return DEFAULTS | settings


TOUR = [
    Scene("Noise flows into eight islands.", full()),
    Scene("Optimal transport pairs noise with the nearest data: straighter paths.", full(coupling="optimal transport")),
    Scene("Diffusion on the same data: paths bend late.", full(method="diffusion")),
]


def shape(request: FlowRequest) -> tuple:
    """Settings whose change starts anew."""
    return tuple(getattr(request, name) for name in SHAPE)


def look(request: FlowRequest) -> tuple:
    """Settings that only change how one samples: shown at once, even at rest."""
    return request.sampler, request.num_inference_steps


def more_controls() -> dict[str, Any]:
    """The rest of the settings."""
    return {name: control(FlowRequest, name, label) for name, label in MORE.items()}


def view(c: points_stage.Chain, request: FlowRequest, layers: list[str], limit: int, moment: float) -> None:
    """The plane at one moment between noise and data; the GAN beside it; one curve."""
    if c.data is None:
        st.skeleton(height=560)
        return
    flow = c.data["games"][0]
    gan = c.data["games"][1] if len(c.data["games"]) > 1 else None
    family = "flow" if request.method == "flow matching" else "diffusion"
    paths = flow["paths"]
    at = round(moment * (paths.shape[1] - 1))
    arrows = None
    if "field" in layers:
        field = flow["field"][min(TIMES - 1, round(moment * (TIMES - 1)))]
        size = np.linalg.norm(field[:, 2:], axis=1, keepdims=True)
        arrows = np.concatenate(
            [field[:, :2], field[:, :2] + field[:, 2:] * (0.38 * np.tanh(size / 3) / (size + 1e-9))], 1
        )
    rounds = f" · reflow {flow['round']}" if flow["round"] else ""
    planes = [canvas.plane(f"{request.method.capitalize()}, step {flow['step']:,}, t = {1 - moment:.2f}{rounds}",
                           figures(flow).replace("*", ""), family, real=flow["real"] if "real" in layers else None,
                           fake=paths[:, at] if "points" in layers else None, arrows=arrows,
                           trails=paths[:90, : at + 1] if "paths" in layers and at else None)]  # fmt: skip
    if gan is not None:
        planes.append(canvas.plane(f"GAN, step {gan['step']:,}", points_gan.figures(gan).replace("*", ""), "gan",
                                   real=gan["real"] if "real" in layers else None,
                                   fake=gan["fake"] if "points" in layers else None,
                                   grid=gan["manifold"] if "paths" in layers else None))  # fmt: skip
    canvas.show(planes, "_flow_planes", curve(flow, gan, st.session_state.get("curve") or "Distances", limit))
    st.markdown(figures(flow))
    if gan is not None:
        st.markdown("GAN · " + points_gan.figures(gan))
    spent = c.data.get("spent")
    pace = f" · {c.speed:,.0f} steps/s" if c.speed else ""
    if gan is not None and spent:
        pace += f" · last job: model {spent[0]:.1f} s, GAN {spent[1]:.1f} s"
    st.progress(min(1.0, c.step / limit), text=f"Step {c.step:,} of {limit:,}{pace} · "
                + ("training, computed now" if c.mode == "play" else "at rest"))  # fmt: skip


def curve(flow: dict[str, Any], gan: dict[str, Any] | None, shown: str, limit: int) -> dict[str, Any]:
    """The chosen figures; the GAN's, where it has the same, are dashed and drawn over the model's steps."""
    names, low, high, log = CURVES.get(shown, CURVES["Distances"])
    history = flow["history"]
    series = [(WORDS.get(n, n), history[:, 0], history[:, COLUMNS.index(n)], False) for n in names]
    if gan is not None:
        other = gan["history"]
        over = other[:, 0] * flow["step"] / max(1, gan["step"])
        series += [
            (f"{WORDS.get(n, n)} GAN", over, other[:, points_gan.COLUMNS.index(n)], True)
            for n in names
            if n in points_gan.COLUMNS and len(other)
        ]
    if shown == "Modes":
        high = flow["anchors"]
    return canvas.chart(series, limit, low, high, f"{shown} over the training steps", log)


def figures(flow: dict[str, Any]) -> str:
    """The measured state, on one line."""
    now = dict(zip(COLUMNS, flow["history"][-1], strict=True))
    return (f"modes **{now['modes']:.0f} of {flow['anchors']}** · near a mode **{100 * now['near']:.0f} %** · JS **{now['js']:.2f}** "
            f"nats · Wasserstein **{now['wasserstein']:.2f}** · MMD² **{now['mmd']:.3f}** · path over distance "
            f"**{now['bend']:.2f}**")  # fmt: skip


def measure(c: points_stage.Chain) -> None:
    """The figures and what they mean."""
    badge("now")
    if c.data is None:
        st.caption("Press Play: figures come with the first frame.")
        return
    history = c.data["games"][0]["history"]
    table([{k: round(float(v), 4) for k, v in zip(COLUMNS, row, strict=True)} for row in history[-1:]])
    st.markdown("1,000 samples against 1,000 real points; distances as on the GAN playground. **Path over distance**: length of "
                "a point's path by the way from its start to its end, median: 1 is straight, and a straight path needs one "
                "step only.")  # fmt: skip
    lines = [",".join(COLUMNS), *(",".join(f"{v:.5g}" for v in row) for row in history)]
    st.download_button("History as CSV", "\n".join(lines), "flow-history.csv", "text/csv", on_click="ignore",
                       icon=":material/download:")  # fmt: skip


FAILURES = [
    teach.Failure("One step of a bent flow", "A single Euler step from noise lands on the mean of all data: the middle.",
                  {"method": "flow matching", "coupling": "independent", "num_inference_steps": 1},
                  {"num_inference_steps": 20}, "Twenty steps"),
    teach.Failure("Predicting x₀ is easy, sampling with few steps is not", "Diffusion with three Euler steps: the cosine path "
                  "turns faster than the steps follow.", {"method": "diffusion", "target": "x0", "num_inference_steps": 3},
                  {"sampler": "Heun", "num_inference_steps": 20}, "Heun, 20 steps"),
]  # fmt: skip
QUESTIONS = [
    teach.Question("You let noise and data be paired by optimal transport. The paths …",
                   ("cross more often", "become straighter", "stay as they are"), "become straighter",
                   "Pairs that lie near each other need not cross, so the mean direction at each place is nearly the direction "
                   "of each pair.", full(coupling="optimal transport")),
    teach.Question("After training, you press Reflow and train on. How many steps are then enough?",
                   ("one or two", "as many as before"), "one or two",
                   "Reflow pairs each noise with its own end, so that no paths cross and they can be straight.",
                   full(num_inference_steps=2)),
]  # fmt: skip


def learn() -> None:
    """How it works."""
    st.markdown(
        "Both families mix data with noise and learn the way back. The slider *Noise to data* walks from t = 1 to t = 0:"
    )
    st.latex(
        r"x_t = \alpha_t\,x_0 + \sigma_t\,\epsilon,\qquad \frac{dx}{dt} = \dot\alpha_t\,\hat x_0 + \dot\sigma_t\,\hat\epsilon"
    )
    st.markdown(
        "| | schedule | the network predicts |\n|---|---|---|\n"
        "| [diffusion](https://arxiv.org/abs/2006.11239) | $\\alpha=\\cos\\frac{\\pi t}{2},\\ \\sigma=\\sin\\frac{\\pi t}{2}$ | "
        "$\\epsilon$, $x_0$, [$v=\\alpha\\epsilon-\\sigma x_0$](https://arxiv.org/abs/2202.00512), or the "
        "[score](https://arxiv.org/abs/2011.13456) $-\\epsilon/\\sigma$ |\n"
        "| [flow matching](https://arxiv.org/abs/2210.02747) | $\\alpha=1-t,\\ \\sigma=t$ | $u=\\epsilon-x_0$ |\n\n"
        "All four say the same thing in other units; they differ in where errors weigh most. "
        "**[Optimal transport](https://arxiv.org/abs/2302.00482)** pairs noise and data inside groups of 64. "
        "**[Reflow](https://arxiv.org/abs/2209.03003)** learns from the model's own pairs. **Heun** asks the network twice a step; "
        "**ancestral** adds fresh noise, so its paths shake.\n\n"
        "**Try**: number of steps 1, 2, 5 before and after *Reflow*; the curve *Straightness*; the GAN beside: it is quick, but "
        "counts its modes one by one.")  # fmt: skip
    teach.predict(QUESTIONS)


def break_it() -> None:
    """The failure gallery."""
    teach.failures(FAILURES)


def presets() -> None:
    """A row of starting points."""

    def start(**settings: Any) -> None:
        apply_settings(full(**settings))
        points_stage.reset("flow")

    with st.popover("Presets", icon=":material/auto_awesome:", width="stretch"):
        for title, settings in (("Rectified flow", {}), ("Optimal transport", {"coupling": "optimal transport"}),
                                ("Diffusion, epsilon", {"method": "diffusion"}),
                                ("Diffusion, score, ancestral", {"method": "diffusion", "target": "score",
                                                                 "sampler": "ancestral", "num_inference_steps": 40}),
                                ("Letters", {"data": "letters"})):  # fmt: skip
            st.button(title, key=f"_flow_{title}", on_click=start, kwargs=settings, width="stretch")
