"""Break it and Learn, for both diffusion pages."""

from __future__ import annotations

import streamlit as st

from ui.learn import Failure, Question, failures, predict

STEPS_FAILURES = (
    Failure(
        "One step",
        "From pure noise the best single guess is an average of everything the prompt allows: a blur.",
        {"num_inference_steps": 1},
        {"num_inference_steps": 20},
        "Twenty steps",
    ),
    Failure(
        "Shouting",
        "At w = 15 the push along the difference leaves the range of real pictures: contrast and colours burn out.",
        {"guidance_scale": 15.0},
        {"guidance_scale": 3.0},
        "w = 3",
    ),
    Failure(
        "Words it never learned",
        "The model knows portraits only. Unknown words are listed under the stage; what is left decides.",
        {"prompt": "an astronaut riding a horse on the moon"},
        {"prompt": "adventurer style: long red hair, a smile and light skin, on sky blue"},
        "Ask for a portrait",
    ),
    Failure(
        "No prompt at all",
        "An empty prompt leaves only what training pictures have in common: some portrait.",
        {"prompt": ""},
        {"prompt": "adventurer style: long red hair, a smile and light skin, on sky blue"},
        "Give a prompt",
    ),
)
STEPS_QUESTIONS = (
    Question(
        "When is the background colour decided?",
        ("In the first third of the steps", "Evenly over all steps", "In the last steps"),
        "In the first third of the steps",
        "Large, smooth things stand out of the noise first; scrub x̂₀ and see the colour settle early.",
        {"lens": "Inside"},
    ),
    Question(
        "η = 1 instead of 0 in DDIM, same seed: what changes?",
        ("Nothing", "The picture, since fresh noise enters each step", "Only its brightness"),
        "The picture, since fresh noise enters each step",
        "Each step then removes more noise and adds some back: another path, another picture of the same prompt.",
        {"eta": 1.0},
    ),
)


def steps_break() -> None:
    """Failure gallery of the step visualizer."""
    failures(STEPS_FAILURES)


def steps_learn() -> None:
    """The formulas beside what they mean, the papers, two predictions."""
    left, right = st.columns(2)
    with left:
        st.markdown("**Forward**: mix picture and noise.")
        st.latex(r"x_t = \alpha_t\, x_0 + \sigma_t\, \varepsilon,\qquad \varepsilon \sim \mathcal N(0, I)")
        st.markdown("**Training**: at a random time, guess what was mixed in.")
        st.latex(r"\mathcal L = \mathbb E\,\lVert v_\theta(x_t, t, c) - (\alpha_t \varepsilon - \sigma_t x_0)\rVert^2")
        st.markdown("**Reverse** (DDIM): take the guess apart, mix again with less noise.")
        st.latex(r"x_{t-1} = \alpha_{t-1}\,\hat x_0 + \sigma_{t-1}\,\hat\varepsilon")
    with right:
        st.markdown(
            "| on the page | symbol |\n|---|---|\n| What the model holds | x_t |\n| What it believes is there | x̂₀ |\n"
            "| What it would take away | ε̂ |\n| time, 1000 is pure noise | t |\n| signal and noise share | α_t, σ_t |\n"
            "| prompt | c |"
        )
        st.markdown(
            "Papers: [DDPM](https://arxiv.org/abs/2006.11239), [DDIM](https://arxiv.org/abs/2010.02502), "
            "[latent diffusion](https://arxiv.org/abs/2112.10752), [v-prediction](https://arxiv.org/abs/2202.00512), "
            "[EDM](https://arxiv.org/abs/2206.00364), [rectified flow](https://arxiv.org/abs/2209.03003)."
        )
    predict(STEPS_QUESTIONS)


CFG_QUESTIONS = (
    Question(
        "w = 0: what does the model draw?",
        ("Grey noise", "Some portrait that ignores the prompt", "The opposite of the prompt"),
        "Some portrait that ignores the prompt",
        "At w = 0 only the prediction without the prompt is used, and that is a complete model of portraits.",
        {"scales": "0, 1, 3"},
    ),
    Question(
        "Guidance only in the middle of the run: what is lost?",
        ("Most of the adherence", "Little adherence, and saturation gets milder", "Nothing changes at all"),
        "Little adherence, and saturation gets milder",
        "The push matters while the picture is being decided; at the end it mostly adds contrast.",
        {"interval": (0.1, 0.7), "scales": "1, 3, 8"},
    ),
)


def cfg_learn() -> None:
    """The formula of guidance, read three ways."""
    st.latex(
        r"\tilde\varepsilon = \hat\varepsilon(x_t) + w\,\bigl(\hat\varepsilon(x_t, c) - \hat\varepsilon(x_t)\bigr)"
    )
    st.markdown(
        "**As a push**: start at the prediction without the prompt and go w times as far towards the one with it.  \n"
        "**As probability**: the difference is the gradient of log p(c | x_t), so w sharpens an implicit classifier: "
        "samples come from about p(x) p(c | x)^w.  \n"
        "**As a cost**: two passes of the network a step, so a guided picture takes twice the time.  \n"
        "w = 1 is the plain conditional model. Stock pipelines take every w ≤ 1 for 1; here w = 0 is the model without "
        "the prompt."
    )
    st.markdown(
        "Papers: [classifier-free guidance](https://arxiv.org/abs/2207.12598), "
        "[guidance interval](https://arxiv.org/abs/2404.07724), [rescale](https://arxiv.org/abs/2305.08891), "
        "[APG](https://arxiv.org/abs/2410.02416), [CFG-Zero*](https://arxiv.org/abs/2503.18886), "
        "[autoguidance](https://arxiv.org/abs/2406.02507), [PAG](https://arxiv.org/abs/2403.17377), "
        "[dynamic thresholding](https://arxiv.org/abs/2205.11487)."
    )
    predict(CFG_QUESTIONS)
