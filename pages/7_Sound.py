"""Sound: a codec language model on your prompt, the inside of a neural codec, and a borrowed voice."""

from __future__ import annotations

import streamlit as st

from core import catalog
from core.audio import music_lm
from core.audio.speech import SpeechRequest
from core.audio.symbolic import ScoreRequest
from ui import (
    learn,
    page,
    sound_codec,
    sound_denoise,
    sound_full,
    sound_generate,
    sound_score,
    sound_speech,
    stage,
    tables,
)
from ui import result as views
from ui import sound_views as show

SCORES, DENOISER = sound_generate.present("symbolic-music"), sound_generate.present("sound-diffusion")
STORM = {"work": "Generate", "model": "sound-diffusion", "prompt": "thunder during a rainstorm", "lens": "Inside"}
TOUR = (
    page.Scene("A caption becomes tokens, tokens become sound.", {"work": "Generate", "prompt": music_lm.EXAMPLES[0]}),
    *([page.Scene("The other school: noise becomes sound.", STORM)] if DENOISER else ()),
    *([page.Scene("Notes instead of sound: long, clean pieces.", {"work": "Score"})] if SCORES else ()),
    page.Scene("One codebook of six: the gist of a sound in 0.4 kbit/s.", {"work": "Codec", "n_codebooks": 1}),
    page.Scene("Tokens can be edited like text.", {"work": "Codec", "n_codebooks": 6, "edit": "reverse"}),
    page.Scene("A voice in 8 MB.", {"work": "Speech"}),
)
WORKBENCHES = ("Generate", *(["Score"] if SCORES else ()), "Codec", "Speech", "Full size")

page.open_page(
    "Sound",
    "A neural codec turns sound into tokens; a language model writes such tokens from a caption, a diffusion model "
    "draws them out of noise, a third network writes scores. All were trained by us in minutes on one CPU core, so they "
    "are weak and honest about it; the voice is borrowed.",
    TOUR,
)
work = st.segmented_control(
    "Workbench", WORKBENCHES, default="Generate", required=True, key="work", bind="query-params"
)
st.session_state.setdefault("_known_keys", set()).add("work")
left, rail = st.columns([2, 1], gap="large")
result = None
RAILS = {
    "Codec": sound_codec.rail,
    "Speech": sound_speech.rail,
    "Score": sound_score.rail,
    "Full size": sound_full.rail,
}

with rail.container(key="rail"):
    request = RAILS.get(work, sound_generate.rail)()
    if work != "Full size":
        stage.estimate(request)
with left, page.guard():
    if work == "Codec":
        result = stage.stage(request, sound_codec.view, key="codec")
    elif work == "Speech":
        result = stage.stage(request, show.result, key="speech", preview=show.running)
    elif work == "Score":
        result = stage.stage(request, sound_score.view, key="score")
    elif work == "Full size":
        result = sound_full.draw(request)
    else:
        if isinstance(request, music_lm.GenerateRequest):
            sound_generate.recorded_first("sound")
        result = stage.stage(request, show.result, key="sound", preview=show.running)
        if result is not None and "grid" in result.extras:
            sound_generate.continue_button(result)


def inside() -> None:
    """The machinery of the result on the stage."""
    draw = {"Codec": sound_codec.inside, "Speech": sound_speech.inside, "Score": sound_score.inside}.get(
        work, sound_generate.inside
    )
    if work == "Full size":
        st.caption("Tokens and steps are recorded for our own models only; choose another workbench to look inside.")
    elif result is None:
        st.caption("Run it first: this view shows the result on the stage.")
    else:
        draw(result)


def compare() -> None:
    """Settings side by side."""
    if work == "Codec" and result is not None:
        sound_codec.compare(result)
    elif work == "Speech" and isinstance(request, SpeechRequest):
        sound_speech.compare(request)
    elif work == "Generate" and request is not None:
        sound_generate.compare(request)
    elif work == "Score" and isinstance(request, ScoreRequest):
        sound_score.compare(request)
    else:
        st.caption("Nothing to compare here: choose another workbench.")


def break_it() -> None:
    """Failures and cures."""
    denoising = request is not None and request.model == "sound-diffusion"
    known = {"Codec": sound_codec.FAILURES, "Speech": sound_speech.FAILURES, "Score": sound_score.FAILURES}
    learn.failures(known.get(work, sound_denoise.FAILURES if denoising else sound_generate.FAILURES))


def measure() -> None:
    """The figures of the cards, and how to get them again."""
    for card in catalog.cards(modality="audio"):
        if card.quality:
            st.markdown(f"**{card.title}**")
            views.badge("stored")
            tables.table(
                [{"figure": name.replace("_", " "), "value": str(value)} for name, value in card.quality.items()]
            )
            st.caption(f"Reproduced by `{card.measured}`")


def lesson() -> None:
    """Formula, papers, questions."""
    st.latex(
        r"\ell = \ell_\varnothing + s\,(\ell_c - \ell_\varnothing), \qquad "
        r"p(x_{t,k} \mid x_{<t}, c) = \mathrm{softmax}(\ell / \tau)"
    )
    st.markdown(
        r"$\ell_c$ and $\ell_\varnothing$: logits with and without the caption; $s$: guidance scale; "
        r"$\tau$: temperature. "
        "[MusicGen](https://arxiv.org/abs/2306.05284) · [EnCodec](https://arxiv.org/abs/2210.13438) · "
        "[SoundStream](https://arxiv.org/abs/2107.03312)"
    )
    st.latex(r"x_t = (1 - t)\,x + t\,n, \qquad v_\theta(x_t, t, c) \approx n - x, \qquad x_{t - h} = x_t - h\,v_\theta")
    st.markdown(
        r"The other school: $x$ the codec's latents, $n$ noise, $t$ from 1 to 0 in a few steps of size $h$. "
        "[Stable Audio Open](https://arxiv.org/abs/2407.14358) · [Rectified flow](https://arxiv.org/abs/2209.03003) · "
        "[AudioLDM](https://arxiv.org/abs/2301.12503)"
    )
    learn.predict((*sound_generate.QUESTIONS, *sound_denoise.QUESTIONS, *sound_score.QUESTIONS))


page.lenses({"Inside": inside, "Compare": compare, "Measure": measure, "Break it": break_it, "Learn": lesson})
page.close_page()
