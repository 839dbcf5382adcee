"""The lenses of the GAN lineage page."""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st

from core import catalog
from core.gan.judge import JudgeRequest
from core.gan.request import (
    LINEAGE,
    STYLED,
    GanRequest,
    GrowthRequest,
    MixRequest,
    MoveRequest,
    ProjectRequest,
    SampleRequest,
    WalkRequest,
)
from core.request import Request
from ui import gan_views as views
from ui import learn as teach
from ui.compare import compare
from ui.controls import build, control, upload
from ui.page import Scene
from ui.result import badge
from ui.stage import stage
from ui.tables import table

ATTRIBUTES = ("style", "hair", "hair_color", "skin_color", "background", "glasses", "beard", "mouth")
TOUR = [
    Scene("2014: two multilayer perceptrons.", {"model": "gan-mlp", "lens": "Inside"}),
    Scene("2015: convolutions.", {"model": "dcgan", "lens": "Inside"}),
    Scene("2020: styles, and no more droplets.", {"model": "stylegan2", "lens": "Walk"}),
    Scene("Coarse styles of one, fine styles of another.", {"model": "stylegan2", "lens": "Mix"}),
    Scene("Collapsed: every portrait alike.", {"model": "dcgan-collapsed", "lens": "Break it"}),
]
PARTS = {
    "gan-mlp": "two multilayer perceptrons; no picture structure is built in",
    "dcgan": "strided and transposed convolutions with batch norm",
    "progan": "grows from 8 to 64 pixels with fades; pixel norm, equalised learning rate, minibatch deviation",
    "stylegan": "mapping network z to w, AdaIN and noise at each layer, a constant as input",
    "stylegan2": "weight demodulation instead of AdaIN, skip connections, R1",
    "stylegan3": "Fourier features as input, filtered alias-free resampling: details move with the picture",
    "dcgan-collapsed": "a DCGAN that was driven into mode collapse on purpose",
}


def present() -> list[Any]:
    """Cards of the GANs that are here, in the order of their years."""
    order = (*LINEAGE, "dcgan-collapsed")
    cards = {card.id: card for card in catalog.cards(family="gan", modality="image") if card.id in order}
    return [cards[name] for name in order if name in cards]


def styled_model(key: str, chosen: str, among: tuple[str, ...] = STYLED) -> str | None:
    """A model with a mapping network: the chosen one, else one to pick."""
    here = [card.id for card in present() if card.id in among]
    if not here:
        st.info("No model with this part is installed.")
        return None
    st.session_state.setdefault("_known_keys", set()).add(key)
    default = chosen if chosen in here else "stylegan2" if "stylegan2" in here else here[0]
    if len(here) == 1:
        return here[0]
    return st.segmented_control("Model", here, default=default, required=True, key=key, bind="query-params")


def attributes() -> dict[str, str]:
    """Wanted attributes, for conditional models."""
    return {name: control(GanRequest, name) for name in ATTRIBUTES}


def directions() -> dict[str, float]:
    """GANSpace components and attribute directions."""
    names = [n for n in SampleRequest.__dataclass_fields__ if n.startswith(("slide_", "component_"))]
    return {
        name: control(SampleRequest, name, name.replace("slide_", "").replace("_", " ").capitalize()) for name in names
    }


def walk(base: SampleRequest) -> None:
    """Interpolation and circular walks."""
    left, right = st.columns([2, 1])
    with right:
        path = control(WalkRequest, "path")
        space = control(WalkRequest, "space", default="w" if base.styled() else "z", disabled=not base.styled())
        stops = control(WalkRequest, "stops")
        frames = control(WalkRequest, "frames")
        radius = control(WalkRequest, "radius", disabled=path != "circle")
    request = build(
        WalkRequest,
        model=base.model,
        seed=base.seed,
        truncation_psi=base.truncation_psi,
        noise=base.noise,
        path=path,
        space=space if base.styled() else "z",
        stops=stops,
        frames=frames,
        radius=radius,
        **base.wanted(),
    )
    with left:
        stage(request, views.clip, key="walk", preview=views.preview)


def mix(base: SampleRequest) -> None:
    """Style mixing by a range of layers."""
    left, right = st.columns([2, 1])
    with right:
        model = styled_model("mix_model", base.model)
        column_seed = control(MixRequest, "column_seed", "Seed of the top row")
        st.session_state.setdefault("_known_keys", set()).add("mix_layers")
        first, last = st.slider("Layers taken from the top row", 0, 8, (0, 3), key="mix_layers", bind="query-params")
        rows = control(MixRequest, "rows", key="mix_rows")
        columns = control(MixRequest, "columns", key="mix_columns")
    if model is None:
        return
    request = build(
        MixRequest,
        model=model,
        seed=base.seed,
        truncation_psi=base.truncation_psi,
        noise=base.noise,
        rows=rows,
        columns=columns,
        column_seed=column_seed,
        first_layer=first,
        last_layer=last,
    )
    with left:
        stage(request, views.mixture, key="mix", preview=views.preview)


def project(base: SampleRequest) -> None:
    """Find an uploaded picture in the latent space."""
    left, right = st.columns([2, 1])
    with right:
        model = styled_model("project_model", base.model)
        content = upload(
            "Picture to find",
            ["png", "jpg", "jpeg", "webp"],
            key="_project_file",
            help="Cropped to a square of 64 pixels. Until you choose one, a training portrait is sought.",
        )
        steps = control(ProjectRequest, "num_inference_steps", "Iterations")
        extended = control(ProjectRequest, "extended", "A style for each layer (W+)")
    if model is None:
        return
    request = build(
        ProjectRequest,
        model=model,
        seed=base.seed,
        picture=content or portrait(),
        extended=extended,
        num_inference_steps=steps,
    )
    with left:
        stage(request, views.projected, key="project", auto=False, preview=views.preview)
        st.caption(
            "Adam moves w until picture and target agree, in pixels and in the discriminator's own features. What the "
            "generator cannot draw, projection cannot find: try a photograph."
        )


@st.cache_data(show_spinner=False)
def portrait(index: int = 3) -> bytes:
    """One reference portrait as PNG bytes."""
    from core.metrics.portraits import Reference
    from core.provenance import png

    return png(Reference.load().pictures[index], {})


def inside(base: SampleRequest, result: Any) -> None:
    """Scores of D, snapshots of training."""
    st.markdown(f"**{base.model}**: {PARTS.get(base.model, '')}.")
    if result is not None and result.extras.get("scores") is not None:
        st.markdown("#### What the discriminator says")
        views.scored(result)
    snapshots(base.model)


def moving(base: SampleRequest) -> None:
    """ProGAN's growth; textures that stick to the screen or move along."""
    here = {card.id for card in present()}
    if "progan" in here:
        st.markdown("#### ProGAN grows")
        growth = build(GrowthRequest, seed=base.seed)
        stage(growth, views.clip, key="growth", auto=False, preview=views.preview, details=False)
    movers = tuple(m for m in ("stylegan2", "stylegan3") if m in here)
    if movers:
        st.markdown("#### Do details stick to the screen?")
        left, right = st.columns(2)
        with left:
            motion = control(MoveRequest, "motion")
        with right:
            amount = control(MoveRequest, "amount")
        for model in movers:
            request = build(MoveRequest, model=model, seed=base.seed, motion=motion, amount=amount)
            stage(request, views.sticking, key=f"move-{model}", auto=False, preview=views.preview, details=False)


def snapshots(model: str) -> None:
    """Sample sheets kept while the model was trained."""
    folder = catalog.MODELS_DIR / model / "training"
    files = sorted([*folder.glob("*.webp"), *folder.glob("*.png")])
    if not files:
        return
    st.markdown("#### Along training")
    badge("recorded")
    st.session_state.setdefault("_known_keys", set()).add("snapshot")
    index = 0
    if len(files) > 1:
        index = st.select_slider(
            "Snapshot",
            range(len(files)),
            value=len(files) - 1,
            key="_snapshot",
            format_func=lambda i: files[i].stem.replace("-", " ").replace("_", " "),
        )
    st.image(
        str(files[index]),
        width="stretch",
        alt=f"samples of {model} during training",
        caption=f"Same latents throughout; snapshot {files[index].stem}. Recorded during training, not computed now.",
    )


def side_by_side(base: SampleRequest) -> None:
    """Columns of models or settings, sharing the seed."""
    cards = present()
    ids = [card.id for card in cards]
    st.session_state.setdefault("_known_keys", set()).update(f"c{i}_{n}" for i in range(4) for n in ("model", "psi"))

    def column(i: int, shared: Any) -> Request | None:
        model = st.selectbox(
            "Model",
            ids,
            format_func=lambda model: next(card.title for card in cards if card.id == model),
            index=min(len(ids) - 1, (1, len(ids) - 2, 0, 2)[i] if len(ids) > 2 else i),
            key=f"c{i}_model",
            bind="query-params",
        )
        psi = st.slider("ψ", 0.0, 1.5, 1.0, 0.05, key=f"c{i}_psi", bind="query-params")
        return build(SampleRequest, model=model, seed=shared.seed, count=min(shared.count, 16), truncation_psi=psi)

    def figures(result: Any) -> dict[str, Any]:
        return {
            "ms a sample": round(1000 * result.seconds / max(1, result.steps_run), 1),
            "mean score of D": round(float(np.mean(result.extras["scores"])), 2),
            "spread of pixels": round(float(result.images.astype(np.float32).std(0).mean()), 1),
        }

    compare(base, column, views.samples, key="side", measures=figures)


def figures(row: dict[str, Any]) -> dict[str, str]:
    """What a table shows of a model's figures, under the names people use; figures that are missing are left out."""
    kid = f"{row['kid']:.0f}" if "kid" in row else None
    if "kid_low" in row:
        kid = f"{kid} ({row['kid_low']:.0f} to {row['kid_high']:.0f})"
    shown = {
        "Fréchet": f"{row['frechet']:,.0f}" if "frechet" in row else None,
        "KID (95 %)" if "kid_low" in row else "KID": kid,
        "precision": f"{row['precision']:.1%}" if "precision" in row else None,
        "recall": f"{row['recall']:.1%}" if "recall" in row else None,
        "attributes covered": f"{row['attribute_coverage']:.0%}" if "attribute_coverage" in row else None,
        "EQ-T (dB)": f"{row['eq_t']:.1f}" if "eq_t" in row else None,
        "parameters": f"{row['parameters'] / 1e6:.2f} M" if "parameters" in row else None,
        "ms a sample": f"{row['ms a sample']:.1f}" if "ms a sample" in row else None,
    }
    return {name: value for name, value in shown.items() if value is not None}


def measure(base: SampleRequest) -> None:
    """Stored figures of all models; figures of the chosen ones now; nearest training portraits."""
    cards = present()
    badge("stored")
    table([{"model": c.title, "year": c.year, **figures({"parameters": c.parameters, **c.quality})} for c in cards])
    st.caption(
        "Frechet distance and KID on EfficientNet-Lite0 features (not FID: other features, other scale; lower is "
        "better); precision: share of samples that look real; recall: share of real ones that are reached; attribute "
        "coverage: pairs of attributes that occur, against real ones; EQ-T in dB. Reproduced by "
        "`python -m training.measure_gan`."
    )
    st.markdown("#### Measure now")
    ids = [c.id for c in cards]
    st.session_state.setdefault("_known_keys", set()).add("judged")
    chosen = st.multiselect(
        "Models",
        ids,
        default=[m for m in ("dcgan-collapsed", "stylegan2") if m in ids] or ids[:1],
        key="judged",
        bind="query-params",
        max_selections=7,
    )
    count = control(JudgeRequest, "count", "Samples of each", key="judge_count")
    request = build(JudgeRequest, judged=tuple(chosen), seed=base.seed, count=count) if chosen else None

    def view(result: Any) -> None:
        table([{"model": row["model"], **figures(row)} for row in result.extras["rows"]])
        st.caption(
            f"{result.request.count} samples of each. With few samples all distances look worse than they are: "
            "compare only rows of this table."
        )
        views.neighbours(result)

    stage(request, view, key="judge", auto=False, preview=views.preview)


FAILURES = [
    teach.Failure(
        "Mode collapse",
        "This DCGAN was driven to collapse: D fell behind, and G found a few portraits that "
        "always pass. Look at 36 samples: how many different ones?",
        {"model": "dcgan-collapsed", "count": 36},
        {"model": "stylegan2", "count": 36},
        "R1 and R2 hold D in check",
    ),
    teach.Failure(
        "Truncated to one face",
        "ψ = 0: every w becomes the mean w; what is left of variety is per-layer noise.",
        {"model": "stylegan2", "truncation_psi": 0.0},
        {"model": "stylegan2", "truncation_psi": 0.8},
        "ψ = 0.8",
    ),
    teach.Failure(
        "Beyond the data",
        "ψ = 1.5 stretches every style past what training saw: colours clip, parts tear.",
        {"model": "stylegan2", "truncation_psi": 1.5},
        {"model": "stylegan2", "truncation_psi": 1.0},
        "ψ = 1",
    ),
]
QUESTIONS = [
    teach.Question(
        "ψ goes from 1 to 0. What happens to the 16 portraits?",
        ("They grow sharper", "They become one and the same", "They turn grey"),
        "They become one and the same",
        "w' = w̄ + ψ (w − w̄): at 0 every sample has the mean style.",
        {"model": "stylegan2", "truncation_psi": 0.0},
    ),
    teach.Question(
        "The collapsed DCGAN's D gives its samples scores. Does a high score mean a varied generator?",
        ("Yes", "No"),
        "No",
        "D looks at one picture at a time: it cannot see that all are alike. That is why coverage must be measured.",
        {"model": "dcgan-collapsed", "lens": "Inside"},
    ),
    teach.Question(
        "Style mixing, layers 0 to 3 from the top row. What comes from the top row?",
        ("Colours", "Style of drawing and cut of hair", "Nothing"),
        "Style of drawing and cut of hair",
        "Early layers work at 4 to 16 pixels: they settle the layout; colours come late.",
        {"lens": "Mix"},
    ),
]


def learn() -> None:
    """How the lineage works."""
    st.markdown(
        "All models are ours, small (about a million weights), trained on the same 64-pixel portraits; each has the parts its "
        "paper brought.\n\n"
        + "\n".join(f"- **[{c.title}]({c.paper})** ({c.year}): {PARTS.get(c.id, '')}." for c in present())
    )
    st.latex(r"w = f(z),\quad x = g(w, \text{noise}),\quad w' = \bar w + \psi\,(w-\bar w)")
    st.markdown(
        "z is drawn from a round Gaussian and need not match the data; the mapping network f may bend it so that directions in "
        "w follow attributes. StyleGAN2 scales the weights of each convolution by the style and divides by their length:"
    )
    st.latex(r"w'_{ijk} = \frac{s_i\, w_{ijk}}{\sqrt{\sum_{i,k} (s_i w_{ijk})^2 + \epsilon}}")
    st.markdown(
        "**Try**: *Walk* in z and in w with the same seed; *Directions* in the rail: glasses; *Motion*: does the hair "
        "of StyleGAN2 move with the head?"
    )
    teach.predict(QUESTIONS)
