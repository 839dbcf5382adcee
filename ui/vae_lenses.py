"""The parts of the VAE page."""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st

from core.request import Request
from core.vae.request import VAERequest
from ui import learn as teach
from ui.compare import compare
from ui.controls import build, control
from ui.gan_views import preview, sheet
from ui.page import Scene
from ui.picker import generators
from ui.stage import stage

TOUR = [
    Scene("Faces out of sixteen random numbers.", {"model": "vae", "temperature": 1.0}),
    Scene("Two numbers: the whole world of the model on one map.", {"model": "vae-2d", "lens": "Map"}),
    Scene("From one face to another without a seam.", {"model": "vae", "lens": "Walk"}),
]


def models() -> list[str]:
    """The VAEs that are here, the two-dimensional one last."""
    return [card.id for card in generators("image", "vae")]


def failures() -> None:
    """The failure gallery, without what needs a model that is not here."""
    here = models()
    teach.failures([f for f in FAILURES if f.broken.get("model", here[0]) in here])


def samples(result: Any) -> None:
    """The stage: prior samples."""
    columns = max(1, int(np.ceil(np.sqrt(len(result.images) * 1.6))))
    side = result.images.shape[1]
    st.image(sheet(result.images, columns), width="stretch", alt=f"{len(result.images)} samples of the prior")
    st.caption(
        f"{len(result.images)} pictures of {side} x {side} pixels, enlarged; z drawn from N(0, I) times "
        f"{result.request.temperature:g}."
    )


def latent_map(base: VAERequest) -> None:
    """A grid of z over the first two latent numbers."""
    left, right = st.columns([2, 1])
    with right:
        reach = control(VAERequest, "reach")
        side = st.slider("Pictures a side", 3, 15, 9, key="side", bind="query-params")
        st.session_state["_known_keys"].add("side")
        here = models()
        model = st.segmented_control(
            "Model of the map", here, default=here[-1], required=True, key="map_model", bind="query-params"
        )
        st.session_state["_known_keys"].add("map_model")
    request = build(VAERequest, model=model, view="map", count=side * side, reach=reach)

    def view(result: Any) -> None:
        n = int(np.sqrt(len(result.images)))
        st.image(sheet(result.images, max(1, n), 0), width="stretch", alt="map of the latent plane")
        st.caption(
            f"z₁ from −{result.request.reach:g} (left) to {result.request.reach:g}, z₂ upwards; in “vae” the other 14 "
            "numbers stay at 0. The data are spread over the whole plane, so there are no gaps between faces; where "
            "kinds meet, the decoder draws their mean."
        )

    with left:
        stage(request, view, key="vae-map", preview=preview)


def walk(base: VAERequest) -> None:
    """From one seed to another."""
    left, right = st.columns([2, 1])
    with right:
        target = control(VAERequest, "seed_to", "To seed")
        frames = st.slider("Pictures on the way", 5, 40, 16, key="stops", bind="query-params")
        st.session_state["_known_keys"].add("stops")
    request = build(
        VAERequest,
        model=base.model,
        view="walk",
        seed=base.seed,
        seed_to=target,
        count=frames,
        temperature=base.temperature,
    )

    def view(result: Any) -> None:
        st.image(sheet(result.images, 8), width="stretch", alt="a walk between two samples")
        st.caption(
            "In reading order, along the sphere from the first z to the second: every stop is a face, if a vague one."
        )

    with left:
        stage(request, view, key="vae-walk", preview=preview)


def side_by_side(base: VAERequest) -> None:
    """The same z at several temperatures, or both models."""
    st.session_state["_known_keys"].update(f"c{i}_{n}" for i in range(4) for n in ("model", "temperature"))

    def column(i: int, shared: Any) -> Request | None:
        model = st.selectbox("Model", models(), key=f"c{i}_model", bind="query-params")
        heat = st.slider(
            "Temperature", 0.0, 2.0, (1.0, 0.3, 2.0, 0.0)[i], 0.05, key=f"c{i}_temperature", bind="query-params"
        )
        return build(VAERequest, model=model, seed=shared.seed, count=shared.count, temperature=heat)

    def figures(result: Any) -> dict[str, Any]:
        return {
            "spread of pixels (grey levels)": round(float(result.images.astype(np.float32).std(0).mean()), 1),
            "ms a picture": round(1000 * result.seconds / max(1, result.steps_run), 2),
        }

    compare(base, column, samples, key="side", measures=figures)


FAILURES = [
    teach.Failure(
        "One mean face",
        "Temperature 0: z = 0 for all, and the decoder answers with the mean of all faces.",
        {"temperature": 0.0},
        {"temperature": 1.0},
        "Temperature 1",
    ),
    teach.Failure(
        "Beyond the prior",
        "Temperature 2: z lies where the encoder never put a face; parts overlap and colours run off.",
        {"temperature": 2.0},
        {"temperature": 1.0},
        "Temperature 1",
    ),
    teach.Failure(
        "Two numbers are not enough",
        "The latent plane keeps colours and rough shapes; mouths and glasses, which "
        "save little error, are averaged away.",
        {"model": "vae-2d"},
        {"model": "vae"},
        "Sixteen numbers",
    ),
]
QUESTIONS = [
    teach.Question(
        "Temperature falls from 1 to 0. The samples …",
        ("grow sharper", "become the same mean face", "go dark"),
        "become the same mean face",
        "All z move to 0, the middle of the prior.",
        {"temperature": 0.0},
    ),
    teach.Question(
        "Why are VAE samples blurred and GAN samples not?",
        ("A VAE has fewer weights", "Its loss pays for the mean of what z leaves open", "It was trained at 32 px"),
        "Its loss pays for the mean of what z leaves open",
        "Squared error is smallest at the mean; a discriminator would see at once that a mean is no face.",
        {},
    ),
]


def learn() -> None:
    """How it works."""
    st.markdown(
        "**Auto-encoding variational Bayes** (Kingma and Welling 2013, [arXiv 1312.6114]"
        "(https://arxiv.org/abs/1312.6114)). The encoder says for each picture which z it may come from, the decoder "
        "draws a picture from z. Trained together on the evidence lower bound:"
    )
    st.latex(r"\log p(x) \ge \mathbb{E}_{q(z|x)}\log p(x|z) - \mathrm{KL}\left(q(z|x)\,\Vert\,\mathcal N(0,I)\right)")
    st.markdown(
        "The first term asks for faithful pictures, the second for codes that fill a round cloud, so that a **random** z "
        "gives a face: that is what the stage shows. **Try**: the *Map*, then *Compare* at temperature 0.3 and 2; "
        "then the GAN lineage on the same portraits."
    )
    teach.predict(QUESTIONS)


def lenses_of(base: VAERequest) -> dict[str, Any]:
    """The tabs of the page."""
    return {
        "Map": lambda: latent_map(base),
        "Walk": lambda: walk(base),
        "Compare": lambda: side_by_side(base),
        "Break it": failures,
        "Learn": learn,
    }
