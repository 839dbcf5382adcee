"""Colour means one thing: one hue a model family, on all pages and plots; real data is always the same grey.

The hues are Okabe and Ito's, chosen to stay apart for colour-blind eyes and readable on white and on black.
"""

from __future__ import annotations

from typing import Any

import streamlit as st

FAMILY_COLORS = {
    "gan": "#D55E00",
    "vae": "#009E73",
    "autoregressive": "#CC79A7",
    "diffusion": "#2B8CD6",
    "flow": "#E69F00",
}
FAMILY_NAMES = {
    "gan": "Adversarial",
    "vae": "Variational autoencoder",
    "autoregressive": "Autoregressive",
    "diffusion": "Diffusion",
    "flow": "Flow matching",
}
REAL = "#8A8F98"
OTHER = "#7A6FB0"

CSS = """
.block-container {padding-top: 2.6rem; padding-bottom: 3rem; max-width: 1500px;}
[class*="st-key-dimmed"] {opacity: .45; transition: opacity .2s;}
[data-testid="stMetricValue"] {font-size: 1.25rem;}
@media (max-width: 640px) {
  .block-container {padding-left: .9rem; padding-right: .9rem;}
  /* Streamlit stacks all columns on a phone; these stay beside each other: two by two, or all of a row */
  [class*="st-key-pairs"] [data-testid="stColumn"] {min-width: calc(50% - 1rem); flex: 1 1 calc(50% - 1rem);}
  [class*="st-key-abreast"] [data-testid="stHorizontalBlock"] {flex-wrap: nowrap; gap: .6rem;}
  [class*="st-key-abreast"] [data-testid="stColumn"] {min-width: 0;}
}
"""
PRESENT_CSS = """
[data-testid="stSidebar"], [data-testid="stHeader"], [class*="st-key-rail"], [class*="st-key-footer"] {display: none;}
.block-container {max-width: 1800px; font-size: 1.3rem;}
.block-container p, .block-container li {font-size: 1.3rem;}
"""


def color(family: str) -> str:
    """The hue of a family, for plots."""
    return FAMILY_COLORS.get(family, OTHER)


def apply(present: bool = False) -> None:
    """Write the shared style sheet; `present` hides the chrome and enlarges the type."""
    st.html(f"<style>{CSS}{PRESENT_CSS if present else ''}</style>")


def figure(**layout: Any) -> Any:
    """An empty plotly figure with our margins; fixed height so that nothing jumps."""
    import plotly.graph_objects as go

    base = {"height": 320, "margin": {"l": 45, "r": 12, "t": 30, "b": 40}, "legend": {"orientation": "h", "y": 1.12}}
    return go.Figure(layout={**base, **layout})
