"""The lenses of the GAN playground: failures and cures, figures, how it works, code."""

from __future__ import annotations

from typing import Any

import streamlit as st

from core.points.presets import PRESETS
from ui import learn as teach
from ui import points_stage
from ui.points_gan import COLUMNS, full
from ui.result import badge
from ui.tables import table


def break_it() -> None:
    """The failure gallery."""

    def item(name: str, question: str) -> teach.Failure:
        broken, cure = PRESETS[name], PRESETS[f"{name}_cured"]
        return teach.Failure(
            broken.title,
            f"{broken.words} {question}",
            full(broken.settings),
            full(cure.settings),
            f"Fix it: {cure.words.split(':')[0]}",
        )

    st.caption(
        "A changed learning setting takes hold in the running training: break a trained GAN, then mend it. "
        "Press Reset to see it from the start."
    )
    teach.failures(
        [
            item("collapse", "Watch “modes covered” fall to 1 or 2."),
            item("oscillation", "Watch D's scores and the Wasserstein distance swing."),
            item("vanishing", "Watch the pull on a fake fall to nothing while D's loss reaches zero."),
        ]
    )


def measure(c: points_stage.Chain) -> None:
    """All figures, their meaning, and the table to take away."""
    badge("now")
    if c.data is None or not len(c.data["games"][0]["history"]):
        st.caption("Press Play: figures come with the first frame.")
        return
    rows = [
        dict(GAN="AB"[i], **{k: round(float(v), 4) for k, v in zip(COLUMNS, game["history"][-1], strict=True)})
        for i, game in enumerate(c.data["games"])
    ]
    table(rows)
    st.markdown(
        "1,000 fakes against 1,000 real points, drawn from the same noise each time. **KL** and **JS**: divergence of "
        "histograms of 24 × 24 cells, in nats (JS at most ln 2 = 0.69). **Wasserstein**: mean over 32 directions of how "
        "far mass must move, in plot units. **MMD²**: Gaussian kernels of width 0.25 and 1. **Modes**: places that get at "
        "least a fifth of their fair share; data without true modes is cut into 16 parts. **grad_g**: length of the "
        "gradient of G's loss in its weights. **pull**: the same at the fakes themselves (an arrow's length), median."
    )
    lines = [",".join(COLUMNS), *(",".join(f"{v:.5g}" for v in row) for row in c.data["games"][0]["history"])]
    st.download_button(
        "History of A as CSV",
        "\n".join(lines),
        "gan-history.csv",
        "text/csv",
        on_click="ignore",
        icon=":material/download:",
    )


def learn() -> None:
    """How it works, tied to what is on the screen; questions that the model answers."""
    st.markdown(
        "**The game** (Goodfellow et al. 2014, [arXiv 1406.2661](https://arxiv.org/abs/1406.2661)). D raises its surface "
        "(green) at real points and lowers it (purple) at fakes; G follows the slope (blue arrows) uphill:"
    )
    st.latex(
        r"\min_G \max_D \; \mathbb{E}_{x\sim p_{data}}\log D(x) + \mathbb{E}_{z\sim\mathcal N(0,I)}\log(1-D(G(z)))"
    )
    st.markdown(
        "With a perfect D the game measures the Jensen-Shannon divergence, the curve under the plane. "
        "**Manifold**: the orange net is a square grid of noise, each cell of equal probability, as G bends it: where it "
        "is crowded, fakes are many; where it is stretched thin between islands, few.\n\n"
        "| loss | D minimises | G minimises |\n|---|---|---|\n"
        "| minimax | $-\\log D(x)-\\log(1-D(G(z)))$ | $\\log(1-D(G(z)))$ |\n"
        "| non-saturating | the same | $-\\log D(G(z))$ |\n"
        "| [least squares](https://arxiv.org/abs/1611.04076) | $(D(x)-1)^2+D(G(z))^2$ | $(D(G(z))-1)^2$ |\n"
        "| [hinge](https://arxiv.org/abs/1705.02894) | $(1-D(x))_+ + (1+D(G(z)))_+$ | $-D(G(z))$ |\n"
        "| [Wasserstein](https://arxiv.org/abs/1704.00028) | $D(G(z))-D(x)+\\lambda(\\lVert\\nabla D\\rVert-1)^2$ | "
        "$-D(G(z))$ |\n"
        "| [relativistic](https://arxiv.org/abs/2501.05441) | $f(D(G(z))-D(x))$ | $f(D(x)-D(G(z)))$, $f$ = softplus |\n\n"
        "**Brakes on D**: [R1](https://arxiv.org/abs/1801.04406) adds $\\frac{\\gamma}{2}\\lVert\\nabla D(x)\\rVert^2$ at "
        "real points, [spectral norm](https://arxiv.org/abs/1802.05957) divides each weight matrix by its largest "
        "singular value. **Against collapse**: [PacGAN](https://arxiv.org/abs/1712.04086) shows D several points at once, "
        "[minibatch discrimination](https://arxiv.org/abs/1606.03498) tells it how alike they are.\n\n"
        "**Try**: pause, choose *D step* ten times, then *G step* once: what did the arrows say? Latent size 1 on the "
        "moons: can a thread fill two islands? Start from pretrained, then raise γ to 10."
    )
    teach.predict(
        [
            teach.Question(
                "G gets ten updates for each one of D. Where do the fakes go?",
                ("They spread over all modes", "They pile up on one mode", "They do not move"),
                "They pile up on one mode",
                "Against a D that stands still, the best answer is the single point that D rates highest.",
                full(PRESETS["collapse"].settings),
            ),
            teach.Question(
                "D gets ten updates for each one of G, minimax loss. What happens to the arrows?",
                ("They grow", "They vanish", "They turn round"),
                "They vanish",
                "D is right about every fake, and log(1 − D) is flat where D is sure.",
                full(PRESETS["vanishing"].settings),
            ),
            teach.Question(
                "One-dimensional noise on the ring of eight: how many modes can G reach?",
                ("One", "Two", "Most of them"),
                "Most of them",
                "A thread can pass through all islands in turn; it leaves a trail of fakes on the way.",
                full({"latent": 1, "r1": 0.1}),
            ),
        ]
    )


def code(request: Any, key: str = "gan") -> None:
    """The lines that make this run again."""
    if request is None:
        return
    from ui.result import code as lines

    c = points_stage.chain(key)
    ran = request.replace(steps=max(1, min(20000, c.step or 1000)))
    body = "\n".join(
        line
        for line in lines(ran).splitlines()
        if "provenance" not in line and "ending" not in line and "pathlib" not in line
    ).strip()
    st.caption("Run it in the project's folder. It trains from the start with the settings as they stand now.")
    st.code(
        body + "\ngame = result.extras['games'][0]  # plain arrays\nprint(result.points.shape, game['history'][-1])",
        language="python",
    )
