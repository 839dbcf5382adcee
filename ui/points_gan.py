"""The parts of the GAN playground: presets, own data, the second GAN, the view, lenses."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import streamlit as st

from core.errors import BadRequest
from core.points import data
from core.points.gan import RIVAL_FIELDS, SHAPE, GanRequest
from core.points.presets import PRESETS
from ui import points_canvas as canvas
from ui import points_stage
from ui.controls import control, upload
from ui.page import Scene, apply_settings

LAYER_NAMES = {
    "real": "Real points",
    "fakes": "Fakes",
    "surface": "D's surface",
    "manifold": "G's manifold",
    "arrows": "Gradient arrows",
}
LAYERS = tuple(LAYER_NAMES)
# columns of the history, lowest, highest, logarithmic
CURVES: dict[str, tuple[tuple[str, ...], float, float, bool]] = {
    "Distances": (("js", "wasserstein", "mmd"), 0, 0.75, False),
    "Losses": (("loss_d", "loss_g"), 0, 2, False),
    "KL": (("kl",), 0, 10, False),
    "Modes": (("modes",), 0, 8, False),
    "Scores of D": (("score_real", "score_fake"), -2, 2, False),
    "Gradient": (("pull", "grad_g"), 1e-5, 1e3, True),
}
WORDS = {
    "loss_d": "loss of D",
    "loss_g": "loss of G",
    "js": "Jensen-Shannon (nats)",
    "wasserstein": "sliced Wasserstein",
    "mmd": "MMD²",
    "kl": "KL (nats)",
    "modes": "modes covered",
    "score_real": "on real",
    "score_fake": "on fakes",
    "grad_g": "gradient in G's weights",
    "pull": "pull on a fake (median)",
}
COLUMNS = (
    "step",
    "loss_d",
    "loss_g",
    "grad_g",
    "score_real",
    "score_fake",
    "kl",
    "js",
    "wasserstein",
    "mmd",
    "modes",
    "near",
    "pull",
)  # of a record's history, as core.points.game writes it
MOVES = {
    "discriminator": ("D step", "One update of the discriminator alone"),
    "generator": ("G step", "One update of the generator alone"),
    "both": ("Both", "One full round"),
    "slow motion": ("Slow motion", "One round, part by part, each named"),
}
MORE = {
    "lr_g": "Learning rate of G",
    "lr_d": "Learning rate of D",
    "beta1": "Adam β₁",
    "d_steps": "D updates a round",
    "g_steps": "G updates a round",
    "batch": "Batch",
    "latent": "Latent size",
    "width_g": "Width of G",
    "width_d": "Width of D",
    "depth": "Hidden layers",
    "gp": "Gradient penalty λ (Wasserstein)",
    "spectral": "Spectral norm in D",
    "diversity": "Several points at once",
    "pack": "Points in a pack (PacGAN)",
    "average": "Average of G's weights",
    "start": "Start from",
}
DEFAULTS: dict[str, Any] = {f.name: f.default for f in fields(GanRequest)}
CONTROLS = ("data", "loss", "r1", *MORE)


def layer_title(layer: str) -> str:
    """The name of a layer of the plot."""
    return LAYER_NAMES[layer]


def full(settings: dict[str, Any]) -> dict[str, Any]:
    """Every control's value under a preset, so that nothing is left over from the one before."""
    return {name: DEFAULTS[name] for name in CONTROLS} | settings


TOUR = [
    Scene("A generator finds eight islands of data.", full(PRESETS["default"].settings)),
    Scene("All noise on one island: mode collapse.", full(PRESETS["collapse"].settings)),
    Scene("D is too sure: G's gradient is gone.", full(PRESETS["vanishing"].settings)),
    Scene("Letters out of noise.", full({"data": "letters", "loss": "relativistic", "r1": 0.05})),
]


def preset_row() -> None:
    """One button a preset, with what it will show."""

    def start(name: str) -> None:
        apply_settings(full(PRESETS[name].settings))
        points_stage.reset("gan")
        st.session_state["_preset"] = name

    with st.popover("Presets", icon=":material/auto_awesome:", width="stretch"):
        for name, preset in PRESETS.items():
            st.button(
                preset.title, key=f"_preset_{name}", on_click=start, args=(name,), width="stretch", help=preset.words
            )
    chosen = st.session_state.get("_preset")
    if chosen and all(st.session_state.get(k, v) == v for k, v in full(PRESETS[chosen].settings).items()):
        st.caption(f"**{PRESETS[chosen].title}.** {PRESETS[chosen].words}")


def own_data(name: str) -> dict[str, Any]:
    """Further controls of the chosen data: the word, or points that are drawn, typed or uploaded."""
    if name == "letters":
        return {"word": control(GanRequest, "word", "Word")}
    if name != "own":
        return {}
    points: tuple[tuple[float, float], ...] = st.session_state.get("_own_points", ())
    drawn = canvas.sketch("_own_sketch", data.read_csv(EXAMPLE))
    typed = st.text_area("or type x,y on each line", key="_own_typed", height=90, placeholder="0.5, 1.2\n-1, 0")
    content = upload("or upload a CSV file", ["csv", "txt"], key="_own_csv", max_mb=1)
    try:
        if content:
            points = data.read_csv(content)
        elif typed.strip():
            points = data.read_csv(typed.encode())
        elif drawn:
            points = drawn
    except BadRequest as error:
        st.error(str(error), icon=":material/info:")
    st.session_state["_own_points"] = points
    st.caption(f"{len(points):,} points. They stay in this tab: a shared link does not carry them.")
    return {"points": points or data.read_csv(EXAMPLE)}


EXAMPLE = b"-1.5,-1\n0,1.6\n1.5,-1\n-0.75,0.3\n0.75,0.3\n0,-1\n"


def rival() -> tuple[tuple[str, Any], ...]:
    """What differs in B, as pairs."""
    names = {**{"loss": "Loss", "r1": "R1 penalty γ"}, **{k: v for k, v in MORE.items() if k in RIVAL_FIELDS}}
    st.session_state.setdefault("_known_keys", set()).add("differs")
    with st.container(border=True):
        chosen = st.multiselect(
            "B differs in",
            list(names),
            default=["loss"],
            key="differs",
            format_func=names.__getitem__,
            bind="query-params",
            placeholder="Choose settings",
        )
        values = [
            (
                name,
                control(
                    GanRequest,
                    name,
                    f"B: {names[name]}",
                    key=f"b_{name}",
                    default="least squares" if name == "loss" else None,
                ),
            )
            for name in chosen
        ]
    return tuple(values)


def more_controls() -> dict[str, Any]:
    """The rest of the settings."""
    return {name: control(GanRequest, name, label) for name, label in MORE.items()}


def shape(request: GanRequest) -> tuple:
    """Settings whose change starts anew: data and networks; learning settings may change on the way."""
    second = request.second()
    return tuple(getattr(r, name) for r in (request, second) if r for name in (*SHAPE, "start"))


def view(c: points_stage.Chain, request: GanRequest, layers: list[str], limit: int) -> None:
    """The line of figures, the planes, one curve of the history."""
    if c.data is None:
        st.skeleton(height=560)
        return
    second = request.second()
    games = c.data["games"]  # a change from one GAN to two resets; until the first frame show what there is
    losses = [request.loss, *([second.loss] if second else [])]
    pairs = list(zip(games, losses, strict=False))
    shown = st.session_state.get("curve") or "Distances"
    canvas.show(
        [
            draw(game, loss, layers, f"{'AB'[i]}: {loss}" if len(pairs) > 1 else f"Step {game['step']:,}")
            for i, (game, loss) in enumerate(pairs)
        ],
        "_planes",
        curve(games, shown, limit),
    )
    for index, (game, _) in enumerate(pairs):
        st.markdown((f"**{'AB'[index]}** · " if len(pairs) > 1 else "") + figures(game))
    words = c.note or ("training, computed now" if c.mode == "play" else "at rest")
    pace = f" · {c.speed:,.0f} GAN steps/s" if c.speed else ""
    st.progress(min(1.0, c.step / limit), text=f"Step {c.step:,} of {limit:,}{pace} · {words}")


def draw(game: dict[str, Any], loss: str, layers: list[str], title: str) -> dict[str, Any]:
    """One GAN's record as a plane with the layers that are on."""
    arrows = None
    if "arrows" in layers:
        tail, pull = game["arrows"][:, :2], game["arrows"][:, 2:]
        # Long gradients are cut at half a unit; short ones keep their length, so a vanishing gradient looks like one.
        size = np.linalg.norm(pull, axis=1, keepdims=True)
        arrows = np.concatenate([tail, tail + pull * (0.5 * np.tanh(size) / (size + 1e-9))], 1)
    return canvas.plane(
        title,
        f"GAN at step {game['step']}: {figures(game)}".replace("*", ""),
        real=game["real"] if "real" in layers else None,
        fake=game["fake"] if "fakes" in layers else None,
        surface=surface(game["surface"], loss) if "surface" in layers else None,
        grid=game["manifold"] if "manifold" in layers else None,
        arrows=arrows,
    )


def surface(logit: np.ndarray, loss: str) -> np.ndarray:
    """D's view of each place in 0 to 1 (S, S). Least squares is one by itself; Wasserstein has no unit: standardised."""
    if loss == "least squares":
        return np.clip(logit, 0, 1)
    if loss == "Wasserstein":
        logit = 2 * (logit - logit.mean()) / (logit.std() + 1e-6)
    return 0.5 * (1 + np.tanh(0.5 * np.clip(logit, -30, 30)))


def curve(games: list[dict[str, Any]], shown: str, limit: int) -> dict[str, Any]:
    """The chosen figures over the steps, fixed axes; B is dashed."""
    names, low, high, log = CURVES[shown]
    series = []
    for i, game in enumerate(games):
        for name in names:
            label = WORDS.get(name, name) + (f" {'AB'[i]}" if len(games) > 1 else "")
            history = game["history"]
            series.append((label, history[:, 0], history[:, COLUMNS.index(name)], i == 1))
    if shown == "Modes":
        high = max(game["anchors"] for game in games)
    if shown in ("Losses", "Scores of D"):  # a window in whole numbers that ignores single spikes: it seldom moves
        values = np.concatenate([y for _, _, y, _ in series] or [np.zeros(1)])
        if len(values):
            low = min(low, float(np.floor(np.percentile(values, 2))))
            high = max(high, float(np.ceil(np.percentile(values, 98))))
    return canvas.chart(series, limit, low, high, f"{shown} over the training steps", log)


def figures(game: dict[str, Any]) -> str:
    """The measured state of one GAN, on one line."""
    if not len(game["history"]):
        return "not measured yet"
    now = dict(zip(COLUMNS, game["history"][-1], strict=True))
    return (
        f"modes **{now['modes']:.0f} of {game['anchors']}** · near a mode **{100 * now['near']:.0f} %** · "
        f"JS **{now['js']:.2f}** nats · Wasserstein **{now['wasserstein']:.2f}** · MMD² **{now['mmd']:.3f}** · "
        f"pull on a fake **{now['pull']:.2g}**"
    )
