"""Parts of the home page. The map and the timeline are made from the catalog, so a new model appears by its card."""

from __future__ import annotations

import math
import secrets
import time
from pathlib import Path
from typing import Any

import streamlit as st

from core import catalog
from core.catalog import Card
from core.result import ImageResult
from core.runtime import devices, memory, models
from core.runtime.jobs import queue
from ui import style
from ui.page import close_page, guard, open_page
from ui.result import picture
from ui.stage import job_of, poll_seconds

PAGES = Path(__file__).resolve().parent.parent / "pages"

# Where a model can be played with: (modality, family) -> titles of pages; the first that exists is taken.
PLACES = {
    ("image", "gan"): ["GAN_lineage", "GAN_playground"],
    ("image", "vae"): ["VAE", "Diffusion_steps"],
    ("image", "diffusion"): ["Diffusion_steps"],
    ("image", "flow"): ["Diffusion_steps"],
    ("audio", ""): ["Sound"],
    ("video", ""): ["Video"],
    ("multimodal", ""): ["Chat"],
    ("text", ""): ["Chat"],
    ("points", ""): ["GAN_playground"],
}

# The landmarks of the field, each with the model of ours that runs its idea.
IDEAS = [
    (2013.9, "VAE", "vae", "vae"),
    (2014.4, "GAN", "gan", "gan-mlp"),
    (2015.9, "DCGAN", "gan", "dcgan"),
    (2017.8, "Progressive GAN", "gan", "progan"),
    (2018.9, "StyleGAN", "gan", "stylegan"),
    (2019.9, "StyleGAN2", "gan", "stylegan2"),
    (2020.4, "DDPM", "diffusion", "pixel-ddpm"),
    (2021.1, "CLIP", "other", "clip"),
    (2021.4, "StyleGAN3", "gan", "stylegan3"),
    (2021.9, "Latent diffusion", "diffusion", "latent-diffusion"),
    (2022.5, "Classifier-free guidance", "diffusion", "latent-diffusion"),
    (2022.8, "EnCodec", "autoregressive", "codec"),
    (2022.9, "DiT, flow matching", "flow", "latent-dit"),
    (2023.4, "MusicGen", "autoregressive", "music-lm"),
    (2023.4, "Distilled guidance", "diffusion", "student"),
    (2024.1, "Spacetime patches", "diffusion", "video-dit"),
    (2024.4, "Any-to-any tokens", "autoregressive", "any-to-any"),
]

SETTLE_SECONDS = 2.0  # the page is drawn and answers before the first job brings torch in

# The strip of live samples, quick ones first: the last one imports diffusers, which takes seconds.
STRIP = ("stylegan2", "vae", "latent-diffusion", "student")
PROMPT = (
    "a portrait of a person with tan skin, curly blue hair, glasses and a smile on a pink background, avataaars style"
)

STRIKING: list[tuple[str, dict[str, str]]] = [
    ("GAN_playground", {}),
    ("GAN_lineage", {"truncation_psi": "0.0", "model": "stylegan2"}),
    ("GAN_lineage", {"model": "dcgan-collapsed"}),
    ("Diffusion_steps", {"seed": "7"}),
    ("CFG_explorer", {"seed": "3"}),
    ("Video", {}),
    ("Sound", {}),
]


def draw() -> None:
    """The page."""
    open_page(
        "Generative AI Lab",
        "Every family of generative model, running live on this machine: small networks that we trained ourselves, "
        "computed while you watch, without a GPU, a key or a download. Choose a family to see *why* it works.",
    )
    with guard():
        samples()
    left, right = st.columns([3, 2], gap="large")
    with left, guard():
        family_map()
    with right, guard():
        surprise()
        families()
    with guard():
        timeline()
    with st.container(key="footer-home"):
        system()
    close_page()


def _by_id() -> dict[str, Card]:
    return {card.id: card for card in catalog.cards()}


def place(card: Card) -> str | None:
    """The page on which a model runs, as a path for st.page_link; None when no page shows it."""
    for key in ((card.modality, card.family), (card.modality, "")):
        for title in PLACES.get(key, []):
            if found := page_file(title):
                return found
    return None


def page_file(title: str) -> str | None:
    """The file of the page with this title, whatever its number: "Sound" -> "pages/7_Sound.py"."""
    return next((f"pages/{path.name}" for path in PAGES.glob(f"*_{title}.py")), None)


def samples() -> None:
    """A strip of pictures computed when the page opens: one job a model."""
    known = _by_id()
    shown = [known[model] for model in STRIP if model in known]
    if not shown:
        st.caption("No image model is installed.")
        return
    # Torch comes in with the first job; the page is drawn and answers before that.
    opened = st.session_state.setdefault("_home_opened", time.time())
    if time.time() - opened < SETTLE_SECONDS:

        @st.fragment(run_every=SETTLE_SECONDS / 2)
        def wait() -> None:
            with st.container(key="pairs-wait"):
                for area in st.columns(len(shown)):
                    with area:
                        st.skeleton(height=150)
            if time.time() - opened >= SETTLE_SECONDS:
                st.rerun()

        wait()
        st.caption("Computing a sample of each now · 64 x 64 pixels")
        return
    jobs = []
    for card in shown:
        with guard():
            cls: Any = card.request_class()
            fields = cls.__dataclass_fields__
            settings: dict[str, Any] = {"model": card.id}
            if "count" in fields:
                settings["count"] = 1
            if "prompt" in fields:
                settings |= {"prompt": PROMPT, "seed": 7}
            jobs.append((card, job_of(cls(**settings), f"home-{card.id}")))
    running = any(job.active for _, job in jobs)

    @st.fragment(run_every=poll_seconds() if running else None)
    def strip() -> None:
        with st.container(key="pairs-strip"):
            areas = st.columns(len(jobs))
        for area, (card, job) in zip(areas, jobs, strict=True):
            with area:
                if isinstance(job.result, ImageResult):
                    picture(job.result.images[:1], f"sample of {card.title}")
                elif job.error:
                    st.caption(job.error)
                else:
                    st.skeleton(height=150)
                where = place(card)
                if where:
                    st.page_link(
                        where,
                        label=f"{card.title.split(' (')[0].split(' with')[0].split(' of the')[0]} · {card.year}",
                        query_params={"model": card.id},
                    )
        if running and not any(job.active for _, job in jobs):
            st.rerun()

    strip()
    if running:
        st.caption("Computing a sample of each now · 64 x 64 pixels")
        return
    done = [job.result.seconds for _, job in jobs if job.result is not None]
    st.caption(f"Computed when you opened this page, in {sum(done):.1f} s together · 64 x 64 pixels · ai-generated")


# Where each family stands on the map, and how the families hang together.
CENTRES = {
    "gan": (0.0, 1.3),
    "vae": (2.2, 2.2),
    "autoregressive": (4.4, 1.3),
    "diffusion": (0.9, -1.3),
    "flow": (3.5, -1.3),
}
BONDS = [
    ("gan", "vae", "adversarial losses sharpen decoders"),
    ("vae", "autoregressive", "tokens of an autoencoder, predicted one by one"),
    ("vae", "diffusion", "a VAE compresses, diffusion works in its latents"),
    ("diffusion", "flow", "the same pairs of noise and data, straighter paths"),
    ("autoregressive", "flow", "tokens or velocities: the two schools of today"),
]


def family_map() -> None:
    """The families as hubs, around each the models that run here; a click on one opens its page."""
    figure = style.figure(height=560, title="The map: click a model to run it", showlegend=False)
    for a, b, words in BONDS:
        (x0, y0), (x1, y1) = CENTRES[a], CENTRES[b]
        line = {"color": style.REAL, "width": 1.5, "dash": "dot"}
        points = {"x": [x0, (x0 + x1) / 2, x1], "y": [y0, (y0 + y1) / 2, y1]}
        figure.add_scatter(**points, mode="lines", hovertext=words, hoverinfo="text", line=line)
    leaves: list[tuple[float, float, Card]] = []
    for family, (x, y) in CENTRES.items():
        members = [c for c in catalog.cards(family=family, role="generator") if c.source == "embedded" and place(c)]
        for i, card in enumerate(members):
            angle = 2 * math.pi * (i + 0.5) / len(members)
            leaves.append((x + 1.0 * math.cos(angle), y + 0.85 * math.sin(angle), card))
        hub = {"size": 26, "color": style.color(family), "opacity": 0.3}
        figure.add_scatter(x=[x], y=[y], mode="markers", marker=hub, hoverinfo="skip")
        name = f"<b>{style.FAMILY_NAMES[family]}</b>"
        figure.add_annotation(x=x, y=y, text=name, showarrow=False, yshift=20, font={"size": 13})
    figure.add_scatter(
        x=[x for x, _, _ in leaves],
        y=[y for _, y, _ in leaves],
        mode="markers+text",
        text=[card.title.split(" (")[0].split(" of the")[0] for *_, card in leaves],
        textposition="bottom center",
        textfont={"size": 10},
        marker={
            "size": [8 + 4 * math.log10(1 + card.parameters / 1e4) for *_, card in leaves],
            "color": [style.color(card.family) for *_, card in leaves],
        },
        hovertext=[f"{card.title} ({card.year}), {card.parameters / 1e6:.2f} M parameters" for *_, card in leaves],
        hoverinfo="text",
    )
    figure.update_xaxes(visible=False, range=[-1.3, 5.7])
    figure.update_yaxes(visible=False, range=[-2.6, 3.4])
    alt = "Map of five families of generative models and the models of each that run here"
    _open_clicked(st.plotly_chart(figure, key="map", on_select="rerun", selection_mode="points", alt=alt), leaves)


def _open_clicked(event: Any, items: list[Any]) -> None:
    """Go to the page of the model that was clicked in a plot; items end in a Card, in the order of the points."""
    chosen = event.selection.point_indices if event else []
    if chosen and chosen[0] < len(items):
        card = items[chosen[0]][-1]
        st.switch_page(place(card) or "Home.py", query_params={"model": card.id})


def families() -> None:
    """One line a family, with links to the models of it."""
    words = {
        "gan": "Two networks play: one forges, one judges.",
        "vae": "Squeeze a picture into few numbers, learn to undo it, then draw the numbers at random.",
        "autoregressive": "Everything becomes a sequence; predict the next token, again and again.",
        "diffusion": "Learn to remove a little noise; start from noise alone.",
        "flow": "Learn the velocity that carries noise to data along straight paths.",
    }
    for family, sentence in words.items():
        members = [
            c
            for c in catalog.cards(family=family, role="generator")
            if c.loader and place(c) and c.source == "embedded"
        ]
        if not members:
            continue
        st.markdown(f"**{style.FAMILY_NAMES[family]}** · {sentence}")
        with st.container(horizontal=True):
            for card in members:
                st.page_link(place(card) or "Home.py", label=card.title, query_params={"model": card.id})


def timeline() -> None:
    """2013 to 2025; a click on a point opens the page where that idea runs."""
    known = _by_id()
    ideas = [
        (when, name, family, known[model])
        for when, name, family, model in IDEAS
        if model in known and place(known[model])
    ]
    if not ideas:
        return
    figure = style.figure(height=330, title="Twelve years of ideas: click one to run it", showlegend=False)
    lanes = {"gan": 0, "vae": 1, "other": 1.5, "autoregressive": 2.5, "diffusion": 4, "flow": 5}
    sides: list[str] = []
    before: dict[str, tuple[float, str]] = {}  # names of neighbours in a lane stand above and below in turn
    for when, _, family, _ in ideas:
        last, side = before.get(family, (0.0, "bottom center"))
        side = "bottom center" if when - last < 1.5 and side == "top center" else "top center"
        sides.append(side)
        before[family] = (when, side)
    figure.add_scatter(
        x=[when for when, *_ in ideas],
        y=[lanes[family] for _, _, family, _ in ideas],
        text=[name for _, name, *_ in ideas],
        mode="markers+text",
        textposition=sides,
        textfont={"size": 11},
        marker={"size": 15, "color": [style.color(family) for _, _, family, _ in ideas]},
        hovertext=[f"{name}: {card.title}, {card.parameters / 1e6:.2f} M parameters" for _, name, _, card in ideas],
        hoverinfo="text",
    )
    figure.update_yaxes(visible=False, range=[-0.8, 5.9])
    figure.update_xaxes(range=[2013.2, 2025.4], dtick=1)
    alt = "Timeline of generative models, 2013 to 2025"
    _open_clicked(st.plotly_chart(figure, key="timeline", on_select="rerun", selection_mode="points", alt=alt), ideas)


def surprise() -> None:
    """Opens some page in a striking state."""
    there = [(file, state) for title, state in STRIKING if (file := page_file(title))]
    if st.button("Surprise me", icon=":material/auto_awesome:", type="primary", disabled=not there):
        name, state = there[secrets.randbelow(len(there))]
        st.switch_page(name, query_params=state)


def system() -> None:
    """Device, memory, loaded models, queue."""
    with st.expander("This machine", icon=":material/memory:"):
        a, b, c, d = st.columns(4)
        a.metric("Device", devices.describe())
        b.metric("Memory", f"{memory.rss_mb():.0f} of {memory.budget_mb():.0f} MB")
        loaded = models.loaded()
        c.metric("Models in memory", len(loaded), help=", ".join(loaded) or "none")
        d.metric("Jobs waiting or running", queue().pending())
        for problem in catalog.problems():
            st.warning(problem)
