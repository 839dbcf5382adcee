"""Sound: a codec language model on your prompt, the inside of a neural codec, and a borrowed voice."""

from __future__ import annotations

import streamlit as st

from core import catalog
from core.audio import music_lm
from ui import learn, page, stage
from ui import result as views
from ui import sound_parts as parts
from ui import sound_views as show

TOUR = (
    page.Scene("A caption becomes tokens, tokens become sound.", {"work": "Generate", "prompt": music_lm.EXAMPLES[0]}),
    page.Scene("The same network makes effects.", {"work": "Generate", "prompt": "thunder during a rainstorm"}),
    page.Scene("One codebook of four: the gist of a sound in 0.4 kbit/s.", {"work": "Codec", "n_codebooks": 1}),
    page.Scene("Tokens can be edited like text.", {"work": "Codec", "n_codebooks": 4, "edit": "reverse"}),
    page.Scene("A voice in 8 MB.", {"work": "Speech"}),
)

page.open_page(
    "Sound",
    "A neural codec turns sound into tokens, and a language model writes such tokens from a caption. "
    "Both were trained by us on one CPU core, so they are weak and honest about it; the voice is borrowed.",
    TOUR,
)
work = st.segmented_control(
    "Workbench", ("Generate", "Codec", "Speech"), default="Generate", required=True, key="work", bind="query-params"
)
st.session_state.setdefault("_known_keys", set()).add("work")
left, rail = st.columns([2, 1], gap="large")
result = None

with rail.container(key="rail"):
    request = {"Codec": parts.codec_rail, "Speech": parts.speech_rail}.get(work, parts.generate_rail)()
    stage.estimate(request)
with left, page.guard():
    if work == "Codec":
        result = stage.stage(request, parts.codec_view, key="codec")
    elif work == "Speech":
        result = stage.stage(request, show.result, key="speech", preview=show.running)
    else:
        parts.recorded_first("sound")
        result = stage.stage(request, show.result, key="sound", preview=show.running)
        if result is not None and not result.extras.get("recorded"):
            parts.continue_button(result)


def inside() -> None:
    """The machinery of the result on the stage."""
    draw = {"Codec": parts.codec_inside, "Speech": parts.speech_inside}.get(work, parts.inside_generate)
    if result is None:
        st.caption("Run it first: this view shows the result on the stage.")
    else:
        draw(result)


def compare() -> None:
    """Settings side by side."""
    if work == "Codec" and result is not None:
        parts.codec_compare(result)
    elif work == "Speech" and request is not None:
        parts.speech_compare(request)
    elif work == "Generate" and request is not None:
        parts.compare_generate(request)
    else:
        st.caption("Run it first: this view compares settings on the same input.")


def break_it() -> None:
    """Failures and cures."""
    learn.failures({"Codec": parts.CODEC_FAILURES, "Speech": parts.SPEECH_FAILURES}.get(work, parts.FAILURES))


def measure() -> None:
    """The figures of the cards, and how to get them again."""
    for card in catalog.cards(modality="audio"):
        if card.quality:
            st.markdown(f"**{card.title}**")
            views.badge("stored")
            views.table(
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
    learn.predict(parts.QUESTIONS)


page.lenses({"Inside": inside, "Compare": compare, "Measure": measure, "Break it": break_it, "Learn": lesson})
page.close_page()
