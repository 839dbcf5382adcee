"""The diffusion half of the Generate workbench: its controls, and every step to see and to hear."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import streamlit as st

from core.audio import dsp
from core.audio.music_lm import EXAMPLES
from core.audio.sound_diffusion import DenoiseRequest
from core.result import AudioResult
from ui import controls, learn
from ui import sound_views as show


def rail(values: dict[str, Any]) -> DenoiseRequest | None:
    """Prompt, seed and model are in `values`; the rest of the controls."""
    values["seconds"] = controls.control(DenoiseRequest, "seconds", "Seconds")
    values["guidance_scale"] = controls.control(DenoiseRequest, "guidance_scale", "Guidance scale")
    values["num_inference_steps"] = controls.control(DenoiseRequest, "num_inference_steps", "Steps", low=1, high=60)
    return controls.build(DenoiseRequest, **values)


def picture(mel: np.ndarray, height: int = 160) -> np.ndarray:
    """(80, T) of the codec's features -> (height, T, 3) uint8, low at the bottom."""
    shades = show.ramp((mel[::-1].astype(np.float32) + 1.3) / 2.6)
    return shades.repeat(max(1, height // len(shades)), 0)


@lru_cache(maxsize=32)
def _sound(data: bytes, shape: tuple[int, int]) -> np.ndarray:
    """A log-mel as sound, peak at most 0.95."""
    wave = dsp.vocode(np.frombuffer(data, np.float16).reshape(shape).astype(np.float32))
    return wave * min(1.0, 0.95 / max(1e-6, float(np.abs(wave).max())))


def inside(r: AudioResult) -> None:
    """The scrubber: what the latents hold at a step, or what the network foresees there."""
    extras = r.extras
    if "guesses" not in extras:
        st.caption("Run the model to see its steps.")
        return
    st.markdown(
        "The network never sees a waveform. It starts from noise in the codec's **latents** (32 numbers, 50 times a "
        "second) and each step takes a part of the noise away. The codec's decoder turns any of these states into a "
        "spectrogram, so every step can be seen and heard."
    )
    last = len(extras["guesses"])
    which = st.segmented_control(
        "Show", ("what it foresees", "what it holds"), default="what it foresees", required=True, key="_denoise_show"
    )
    step = st.slider("Step", 0, last, min(last, 6), key="_denoise_step") if last > 1 else last
    step = int(step)
    mels = extras["states"] if which == "what it holds" else extras["guesses"]
    mel = mels[step] if which == "what it holds" else mels[max(0, step - 1)]
    noise = float(extras["sigmas"][step])
    show.player(
        _sound(mel.tobytes(), mel.shape), r.sample_rate, f"step{r.request.digest()}", f"the sound at step {step}",
        height=190,
    )  # fmt: skip
    st.caption(f"Step {step} of {last}: {noise:.0%} noise is left.")
    chosen = np.unique(np.linspace(0, last - 1, min(6, last)).round().astype(int))
    for column, i in zip(st.columns(len(chosen)), chosen, strict=True):
        with column:
            st.image(picture(extras["guesses"][i]), width="stretch", alt=f"what the network foresees at step {i + 1}")
            st.caption(f"step {i + 1}")


UNREAD = learn.Failure(
    "Words it never read",
    "Its vocabulary is the captions of its training. Other words are unknown to it.",
    {"prompt": "a dubstep remix of a whale"},
    {"prompt": EXAMPLES[0]},
)
FAILURES = (
    learn.Failure(
        "One step only",
        "From noise straight to sound: the network answers with the mean of all sounds that fit, a blur.",
        {"num_inference_steps": 1},
        {"num_inference_steps": 24},
        "24 steps",
    ),
    learn.Failure(
        "Without its caption",
        "At guidance 0 only the branch without a caption is left: any sound at all.",
        {"guidance_scale": 0.0},
        {"guidance_scale": 3.0},
    ),
    learn.Failure(
        "Too much guidance",
        "At guidance 10 the caption is exaggerated until the spectrum clips.",
        {"guidance_scale": 10.0},
        {"guidance_scale": 3.0},
    ),
    UNREAD,
)
QUESTIONS = (
    learn.Question(
        "Twice as many steps cost …",
        ("as much", "twice as much", "four times as much"),
        "twice as much",
        "Each step is one call of the network (two with guidance). A codec language model pays by the second of sound instead.",
        {"num_inference_steps": 48},
    ),
)
