"""Figures of the 2-D playgrounds. Axes are fixed, so nothing jumps while a network trains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ui import style

EXTENT, SURFACE = 3.0, 41
LAYERS = ("real", "fakes", "surface", "manifold", "arrows")
LAYER_NAMES = {"real": "Real points", "fakes": "Fakes", "surface": "D's surface", "manifold": "G's manifold",
               "arrows": "Gradient arrows"}
# The middle is clear, so the surface reads on a light and on a dark page.
SCALE = [[0.0, "rgba(122,111,176,.75)"], [0.5, "rgba(128,128,128,.05)"], [1.0, "rgba(0,158,115,.75)"]]
CONFIG = {"displayModeBar": False, "staticPlot": False, "scrollZoom": False}


def empty_plane(height: int = 470, title: str = "") -> Any:
    """The square [-3, 3] x [-3, 3], one unit alike in both directions."""
    axis = {"range": [-EXTENT, EXTENT], "zeroline": False, "showgrid": False, "fixedrange": True, "dtick": 1}
    return style.figure(height=height, xaxis={**axis, "constrain": "domain"},
                        yaxis={**axis, "scaleanchor": "x", "constrain": "domain"},
                        margin={"l": 30, "r": 8, "t": 34, "b": 28}, title={"text": title, "font": {"size": 14}, "x": 0},
                        showlegend=False, uirevision="plane", hovermode=False)


def surface(record: dict[str, Any], loss: str) -> np.ndarray:
    """D's view of each place as a number in 0 to 1 (S, S). Least squares is one by itself; Wasserstein has no unit."""
    logit = record["surface"]
    if loss == "least squares":
        return np.clip(logit, 0, 1)
    if loss == "Wasserstein":
        logit = 2 * (logit - logit.mean()) / (logit.std() + 1e-6)
    return 0.5 * (1 + np.tanh(0.5 * np.clip(logit, -30, 30)))


def plane(record: dict[str, Any], loss: str, layers: Sequence[str], title: str, height: int = 470) -> Any:
    """One GAN on the plane: what it has learned, and where it is pulled."""
    import plotly.graph_objects as go

    figure = empty_plane(height, title)
    ticks = np.linspace(-EXTENT, EXTENT, SURFACE)
    if "surface" in layers:
        figure.add_trace(go.Heatmap(x=ticks, y=ticks, z=surface(record, loss).round(3), zmin=0, zmax=1, colorscale=SCALE,
                                    showscale=False, zsmooth="best"))
    if "manifold" in layers:
        grid = record["manifold"].round(3)
        gap = np.full((len(grid), 1, 2), np.nan)
        for lines in (grid, grid.swapaxes(0, 1)):
            path = np.concatenate([lines, gap], 1).reshape(-1, 2)
            figure.add_trace(go.Scatter(x=path[:, 0], y=path[:, 1], mode="lines",
                                        line={"width": 1, "color": "rgba(213,94,0,.45)"}))
    if "real" in layers:
        figure.add_trace(_points(record["real"], style.REAL, 5, .55))
    if "fakes" in layers:
        figure.add_trace(_points(record["fake"], style.color("gan"), 5, .85))
    if "arrows" in layers:
        tail, pull = record["arrows"][:, :2], record["arrows"][:, 2:]
        # Long gradients are cut at half a unit; short ones keep their length, so a vanishing gradient looks like one.
        size = np.linalg.norm(pull, axis=1, keepdims=True)
        tip = tail + pull * (0.5 * np.tanh(size) / (size + 1e-9))
        path = np.stack([tail, tip, np.full_like(tail, np.nan)], 1).reshape(-1, 2).round(3)
        figure.add_trace(go.Scatter(x=path[:, 0], y=path[:, 1], mode="lines", line={"width": 1.5, "color": "#2B8CD6"}))
        figure.add_trace(go.Scatter(x=tip[:, 0], y=tip[:, 1], mode="markers",
                                    marker={"size": 4, "color": "#2B8CD6", "symbol": "diamond"}))
    return figure


def _points(points: np.ndarray, color: str, size: float, opacity: float) -> Any:
    import plotly.graph_objects as go

    return go.Scattergl(x=points[:, 0].round(3), y=points[:, 1].round(3), mode="markers",
                        marker={"size": size, "color": color, "opacity": opacity}) if len(points) > 1500 else go.Scatter(
        x=points[:, 0].round(3), y=points[:, 1].round(3), mode="markers",
        marker={"size": size, "color": color, "opacity": opacity})


CURVES = {"Losses": ("loss_d", "loss_g"), "Distances": ("js", "wasserstein", "mmd"), "KL": ("kl",), "Modes": ("modes",),
          "Scores of D": ("score_real", "score_fake"), "Gradient": ("pull", "grad_g")}
WORDS = {"loss_d": "loss of D", "loss_g": "loss of G", "js": "Jensen-Shannon (nats)", "wasserstein": "sliced Wasserstein",
         "mmd": "MMD² ", "kl": "KL(data‖model) (nats)", "modes": "modes covered", "score_real": "on real",
         "score_fake": "on fakes", "grad_g": "gradient in G's weights", "pull": "pull on a fake (median)"}
HUES = ("#2B8CD6", "#D55E00", "#009E73")


def curves(games: Sequence[dict[str, Any]], columns: Sequence[str], shown: str, until: int, height: int = 230) -> Any:
    """History of the chosen figures; the second GAN is dashed."""
    import plotly.graph_objects as go

    figure = style.figure(height=height, margin={"l": 45, "r": 10, "t": 28, "b": 36}, uirevision=shown,
                          xaxis={"range": [0, until], "fixedrange": True, "title": {"text": "training step"}},
                          yaxis={"fixedrange": True})
    values = []
    for game, dash in zip(games, ("solid", "dash"), strict=False):
        history = game["history"]
        thin = history[:: max(1, len(history) // 250)]
        for name, hue in zip(CURVES[shown], HUES, strict=False):
            line = thin[:, columns.index(name)]
            values.append(line)
            label = WORDS[name] + (" · B" if dash == "dash" else " · A" if len(games) > 1 else "")
            figure.add_trace(go.Scatter(x=thin[:, 0], y=line.round(4), mode="lines", name=label,
                                        line={"color": hue, "dash": dash, "width": 1.8}))
    if shown == "Modes":
        figure.update_yaxes(range=[0, max(game["anchors"] for game in games) + 0.5])
    elif shown == "Distances":
        figure.update_yaxes(range=[0, 0.75])
    elif shown == "KL":
        figure.update_yaxes(range=[0, 10])
    elif shown == "Gradient":
        figure.update_yaxes(type="log")
    elif values:        # losses: a stable window that ignores single spikes
        flat = np.concatenate(values)
        low, high = float(np.percentile(flat, 2)), float(np.percentile(flat, 98))
        figure.update_yaxes(range=[min(0.0, np.floor(low)), max(1.5, np.ceil(high))])
    return figure
