"""How sound is shown: a player with a moving position, token grids, probabilities, timelines."""

from __future__ import annotations

import base64
import io
import itertools
from functools import cache, lru_cache
from typing import Any

import numpy as np
import streamlit as st
from streamlit.errors import DuplicateWidgetID

from core.audio import dsp
from core.result import AudioResult
from core.runtime.jobs import Job
from ui import result as views
from ui import style

HTML = """<div class="box"><img class="picture" alt=""><div class="cursor"></div></div>
<audio controls></audio>"""
CSS = """
.box {position: relative; cursor: pointer; line-height: 0;}
.picture {width: 100%; height: var(--height, 230px); border-radius: 6px;}
.cursor {position: absolute; top: 0; bottom: 0; left: 0; width: 2px; background: #E69F00;}
audio {width: 100%; margin-top: 6px;}
"""
# The position is drawn on both pictures while the sound plays; a click on them seeks.
JS = """
export default function ({ parentElement, data }) {
  const find = (q) => parentElement.querySelector(q);
  const [audio, box, image, cursor] = ["audio", ".box", ".picture", ".cursor"].map(find);
  if (audio.getAttribute("src") !== data.sound) audio.src = data.sound;
  image.src = data.picture; image.alt = data.alt; audio.setAttribute("aria-label", data.alt);
  image.style.setProperty("--height", data.height + "px");
  let frame = 0;
  const draw = () => {
    const share = audio.duration ? audio.currentTime / audio.duration : 0;
    cursor.style.left = share * 100 + "%";
    frame = audio.paused ? 0 : requestAnimationFrame(draw);
  };
  audio.onplay = draw; audio.onseeked = draw; audio.ontimeupdate = () => { if (!frame) draw(); };
  box.onclick = (e) => { audio.currentTime = (e.offsetX / box.clientWidth) * (audio.duration || 0); };
  return () => { cancelAnimationFrame(frame); audio.pause(); };
}
"""
# Five colours from dark to light, readable in both themes and without colour vision (after matplotlib's magma).
RAMP = np.array([[10, 8, 30], [80, 18, 123], [182, 54, 121], [251, 136, 97], [252, 253, 191]], np.float32)
TOKENS = [[0, "#440154"], [0.25, "#3b528b"], [0.5, "#21918c"], [0.75, "#5ec962"], [1, "#fde725"]]


@cache
def _component() -> Any:
    return st.components.v2.component("lab_player", html=HTML, css=CSS, js=JS)


def ramp(x: np.ndarray) -> np.ndarray:
    """Values in 0..1, any shape -> RGB uint8 with one more axis."""
    at = np.clip(x, 0, 1) * (len(RAMP) - 1)
    low = np.minimum(at.astype(int), len(RAMP) - 2)
    return (RAMP[low] + (RAMP[low + 1] - RAMP[low]) * (at - low)[..., None]).astype(np.uint8)


def mel_picture(wave: np.ndarray, rate: int, columns: int = 700) -> np.ndarray:
    """Mono (samples,) -> (256, columns, 3) uint8: waveform above, log-mel spectrogram below, low at the bottom."""
    hop = max(64, len(wave) // columns)
    mel = dsp.log_mel(wave, 64, 1024, hop, rate)[::-1]  # (64, frames)
    picture = ramp((mel + 2.5) / 4.0).repeat(3, 0)  # (192, frames, 3)
    edges = np.linspace(0, len(wave), picture.shape[1] + 1).astype(int)
    top = np.full((64, picture.shape[1], 3), 24, np.uint8)
    for i, (a, b) in enumerate(itertools.pairwise(edges)):
        piece = wave[a : max(b, a + 1)]
        low, high = (int(np.clip(32 - 31 * v, 0, 63)) for v in (piece.max(initial=0), piece.min(initial=0)))
        top[low : high + 1, i] = (204, 121, 167)
    return np.concatenate([top, picture])


def _uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


@lru_cache(maxsize=24)
def _media(data: bytes, rate: int, tag: str) -> tuple[str, str]:
    """float32 bytes -> (WAV as data URI with the AI mark in its comment, picture as data URI)."""
    import soundfile
    from PIL import Image

    wave = np.frombuffer(data, np.float32)
    out = io.BytesIO()
    with soundfile.SoundFile(out, "w", rate, 1, "PCM_16", format="WAV") as file:
        file.comment = tag
        file.write(np.clip(wave, -1, 1))
    png = io.BytesIO()
    Image.fromarray(mel_picture(wave, rate)).save(png, "PNG")
    return _uri("audio/wav", out.getvalue()), _uri("image/png", png.getvalue())


def player(wave: np.ndarray, rate: int, key: str, alt: str, *, tag: str = "AI-generated", height: int = 230) -> None:
    """Mono (samples,) float32 with waveform, log-mel spectrogram and playback position; a click seeks."""
    sound, picture = _media(np.ascontiguousarray(wave, np.float32).tobytes(), rate, tag)
    _component()(data={"sound": sound, "picture": picture, "alt": alt, "height": height}, key=f"player-{key}")


def result(r: AudioResult) -> None:
    """The stage's view: player, one line of facts, notes about the prompt."""
    wave, extras = r.waveform.mean(1), r.extras
    seconds = len(wave) / r.sample_rate
    words = getattr(r.request, "prompt", "") or getattr(r.request, "text", "") or "sound"
    player(
        wave,
        r.sample_rate,
        r.request.digest() if not extras.get("recorded") else "recorded",
        f"{words[:80]} ({seconds:.1f} s)",
    )
    facts = [f"{seconds:.2f} s", f"{r.sample_rate / 1000:g} kHz", f"{dsp.loudness(wave):.0f} dB"]
    if r.seconds:
        facts.append(f"real-time factor {r.seconds / seconds:.2f}")
    if "kilobits" in extras:
        facts.append(f"{extras['kilobits']:.1f} kbit/s of tokens")
    borrowed = r.request.model == "hibari" or not r.request.models()
    views.badge("recorded" if extras.get("recorded") else "borrowed" if borrowed else "now")
    st.caption(" · ".join(facts))
    if extras.get("heard_seconds"):
        at, to = extras["heard_seconds"], extras["prompt_frames"] / extras["frame_rate"]
        st.caption(f"The first {at:.1f} s are the clip it goes on from; it heard the last {to:.1f} s of them.")
    unknown = extras.get("unknown_words")
    if unknown:
        st.caption(f"Words that the model never read, so they say nothing to it: {', '.join(unknown)[:120]}.")


def running(job: Job) -> None:
    """While it runs: the tokens so far, and the finished part already plays."""
    data = (job.steps[-1].data if job.steps else None) or {}
    if "grid" in data:
        grid, size = data["grid"], data["size"]
        tokens = ramp(np.where(grid >= size, 0, 0.1 + 0.9 * grid / size)).repeat(24, 0)  # (24 K, columns, 3)
        full = np.zeros((len(tokens), max(tokens.shape[1], job.step.total + len(grid)), 3), np.uint8)
        full[:, : tokens.shape[1]] = tokens
        st.image(full, width="stretch", alt="tokens so far, one row a codebook")
    if "mel" in data:
        mel = ramp((data["mel"][::-1].astype(np.float32) + 1.3) / 2.6).repeat(3, 0).repeat(2, 1)
        st.image(mel, width="stretch", alt="the spectrogram that the network foresees at this step")
    if data.get("sound") is not None:
        st.audio(data["sound"], sample_rate=data["rate"])


def token_grid(codes: np.ndarray, frame_rate: float, size: int, title: str, pad: bool = False) -> Any:
    """A heat map of (K, T) codes; muted and pad entries are blank. One column is one frame."""
    import plotly.graph_objects as go

    shown = np.where((codes < 0) | (codes >= size), np.nan, codes.astype(float))
    names = [f"codebook {i + 1}" for i in range(len(codes))]
    x = np.arange(codes.shape[1]) / (1 if pad else frame_rate)
    figure = style.figure(height=220, title=title)
    figure.add_trace(
        go.Heatmap(z=shown, x=x, y=names, colorscale=TOKENS, zmin=0, zmax=size - 1, colorbar={"title": "token"})
    )
    figure.update_layout(xaxis_title="column" if pad else "time (s)", yaxis_autorange="reversed")
    return figure


def probabilities(extras: dict[str, Any], frame: int) -> Any:
    """Bars: the likeliest tokens of each codebook at one new frame; the drawn one stands out."""
    import plotly.graph_objects as go

    figure = style.figure(height=280, title=f"Probability of the next token at frame {frame}", barmode="group")
    for k in range(len(extras["top_tokens"])):
        tokens, p = extras["top_tokens"][k, frame], extras["top_probabilities"][k, frame]
        drawn = extras["codes"][k, extras["prompt_frames"] + frame]
        colors = [style.color("autoregressive") if t == drawn else style.REAL for t in tokens]
        labels = [f"book {k + 1}: {t}" for t in tokens[:5]]
        figure.add_trace(go.Bar(x=labels, y=p[:5], marker_color=colors[:5], showlegend=False))
    figure.update_layout(yaxis_title="probability", xaxis_tickangle=-60, margin_b=90)
    return figure


def attention(extras: dict[str, Any]) -> Any:
    """Heat map (words x time) of the cross-attention, mean over layers and heads."""
    import plotly.graph_objects as go

    words = [f"{i + 1} {w}" for i, w in enumerate(extras["words"])]
    x = np.arange(len(extras["attention"])) / extras["frame_rate"]
    figure = style.figure(height=140 + 22 * len(words), title="Attention to the caption's words")
    figure.add_trace(go.Heatmap(z=extras["attention"].T, x=x, y=words, colorscale="Magma", colorbar={"title": "share"}))
    figure.update_layout(xaxis_title="time (s)", yaxis_autorange="reversed")
    return figure


def entropy(extras: dict[str, Any]) -> Any:
    """Lines: how uncertain each codebook's choice was, in bits."""
    import plotly.graph_objects as go

    figure = style.figure(height=240, title="Uncertainty of each choice")
    for k, row in enumerate(extras["entropy"]):
        figure.add_trace(
            go.Scatter(x=np.arange(len(row)) / extras["frame_rate"], y=row, name=f"codebook {k + 1}", line_width=1.5)
        )
    figure.update_layout(xaxis_title="time (s)", yaxis_title="entropy (bits)")
    return figure


def timeline(extras: dict[str, Any]) -> Any:
    """Phonemes as bars over time, one colour in turn, the sentence under the pointer."""
    import plotly.graph_objects as go

    rows = extras["timeline"]
    figure = style.figure(height=190, title="Phonemes and how long each lasts", bargap=0, showlegend=False)
    figure.add_trace(
        go.Bar(
            base=[a for _, a, _ in rows],
            x=[b - a for _, a, b in rows],
            y=[""] * len(rows),
            orientation="h",
            text=[p for p, _, _ in rows],
            textposition="inside",
            insidetextanchor="middle",
            marker_color=[("#7A6FB0", "#CC79A7")[i % 2] for i in range(len(rows))],
            hovertemplate="%{text}: %{x:.3f} s from %{base:.2f} s<extra></extra>",
        )
    )
    figure.update_layout(xaxis_title="time (s)")
    return figure


def cell(r: Any) -> None:
    """One of the sounds compared, loudness-matched."""
    wave = dsp.match_loudness(r.waveform.mean(1))
    try:
        player(wave, r.sample_rate, f"c{r.request.digest()}", "one of the sounds compared", height=150)
    except DuplicateWidgetID:
        st.caption("The same settings, so the same sound, as in another column.")
