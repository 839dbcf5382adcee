"""A scrubber: several views of one run side by side, all at the same step, moved in the browser alone."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st

CSS = """
.root {font-family: var(--st-font); color: var(--st-text-color); font-size: 14px;}
.words {display: flex; flex-wrap: wrap; gap: 6px; margin-bottom: 8px;}
.words button, .play {font: inherit; color: inherit; background: var(--st-secondary-background-color);
  border: 1px solid var(--st-border-color); border-radius: 6px; padding: 3px 9px; cursor: pointer;}
.words button.on {background: var(--st-primary-color); color: #fff; border-color: var(--st-primary-color);}
.views {display: grid; gap: 12px; grid-template-columns: repeat(auto-fit, minmax(var(--least, 150px), 1fr));}
.view {min-width: 0; max-width: var(--most, none);}
.view .box {position: relative; aspect-ratio: var(--ratio, 1); overflow: hidden; border-radius: 6px;
  background: var(--st-secondary-background-color);}
.view canvas {position: absolute; inset: 0; width: 100%; height: 100%;}
.crisp canvas {image-rendering: pixelated;}
.view .name {font-weight: 600; margin-top: 4px;}
.view .about {opacity: .75; font-size: 12px; line-height: 1.35;}
.bar {display: flex; gap: 10px; align-items: center; margin-top: 10px;}
.bar input {flex: 1; accent-color: var(--st-primary-color); min-width: 60px;}
.note {min-width: 15em; font-variant-numeric: tabular-nums; text-align: right; font-size: 13px;}
@media (max-width: 500px) {
  .bar {flex-wrap: wrap;} .note {width: 100%; text-align: left;}
  .view .about {font-size: 11px;} .views {--least: 90px;}
}
"""
JS = """
export default function ({data, parentElement}) {
  const root = parentElement.querySelector('.root');
  const total = data.notes.length;
  clearInterval(root._timer);
  if (root._id !== data.id) { root._step = data.start; root._word = data.word; root._id = data.id; }
  let step = Math.min(root._step, total - 1), word = root._word;
  root.replaceChildren();
  root.classList.toggle('crisp', data.crisp);
  root.style.setProperty('--least', data.least + 'px');
  root.style.setProperty('--most', data.most ? data.most + 'px' : 'none');
  const make = (tag, name, where, text) => {
    const e = document.createElement(tag); e.className = name; if (text !== undefined) e.textContent = text;
    where.appendChild(e); return e; };
  const words = data.words.length ? make('div', 'words', root) : null;
  const views = make('div', 'views', root);
  const load = (src) => { const i = new Image(); i.onload = () => draw(); i.src = src; return i; };
  const panels = data.views.map((v) => {
    const view = make('div', 'view', views), box = make('div', 'box', view);
    box.style.setProperty('--ratio', v.width / v.height);
    const c = make('canvas', '', box); c.width = v.width; c.height = v.height;
    c.setAttribute('role', 'img'); c.setAttribute('aria-label', v.name);
    make('div', 'name', view, v.name); make('div', 'about', view, v.about);
    return {...v, c, image: load(v.src)}; });
  const heats = data.words.map((w) => load(w.src));
  const bar = make('div', 'bar', root);
  const play = make('button', 'play', bar, 'Play');
  const range = make('input', '', bar); range.type = 'range'; range.min = 0; range.max = total - 1; range.value = step;
  range.setAttribute('aria-label', 'Step');
  const note = make('div', 'note', bar);
  function draw() {
    root._step = step; root._word = word;
    note.textContent = data.notes[step];
    for (const p of panels) {
      const g = p.c.getContext('2d'); g.clearRect(0, 0, p.width, p.height);
      const n = Math.max(1, Math.round(p.image.naturalWidth / p.width));
      const left = Math.min(step, n - 1) * p.width;
      if (p.image.complete) g.drawImage(p.image, left, 0, p.width, p.height, 0, 0, p.width, p.height);
      const heat = p.heat && word >= 0 ? heats[word] : null;
      if (heat && heat.complete && heat.naturalWidth) {
        const side = heat.naturalHeight;
        g.globalCompositeOperation = 'multiply'; g.imageSmoothingEnabled = true;
        g.drawImage(heat, step * side, 0, side, side, 0, 0, p.width, p.height);
        g.globalCompositeOperation = 'source-over'; } } }
  const stop = () => { clearInterval(root._timer); play.textContent = 'Play'; };
  play.onclick = () => {
    if (play.textContent === 'Pause') { stop(); return; }
    play.textContent = 'Pause'; if (step >= total - 1) step = 0;
    root._timer = setInterval(() => {
      if (step >= total - 1) { stop(); return; }
      step += 1; range.value = step; draw(); }, data.milliseconds); };
  range.oninput = () => { stop(); step = Number(range.value); draw(); };
  if (words) {
    const chips = data.words.map((w, i) => {
      const b = make('button', '', words, w.text);
      const pick = () => { word = i; chips.forEach((c, j) => c.classList.toggle('on', j === i)); draw(); };
      b.onmouseenter = pick; b.onfocus = pick; b.onclick = pick; return b; });
    if (word >= 0 && chips[word]) chips[word].classList.add('on'); }
  draw();
  return () => clearInterval(root._timer);
}
"""
_mount = st.components.v2.component("lab_scrubber", html='<div class="root"></div>', css=CSS, js=JS)


@dataclass
class View:
    """One panel. frames: (S, H, W, 3) uint8, or (1, H, W, 3) for a still beside them; heat: the word maps lie on it."""

    name: str
    about: str
    frames: np.ndarray
    heat: bool = False


def scrubber(
    views: Sequence[View],
    notes: Sequence[str],
    *,
    key: str,
    identity: str,
    words: Sequence[tuple[str, np.ndarray]] = (),
    word: int = -1,
    crisp: bool = True,
    start: int = -1,
    least: int = 150,
    most: int = 0,
    seconds: float = 3.0,
) -> None:
    """Show the views at a common step. notes: one a step; words: (text, heat (S, h, w) in [0, 1]) shown on hover.

    identity: names the run; a new one moves the scrubber to `start` (default: the last step).
    """
    steps = len(notes)
    _mount(  # tuples: for a list or dict here Streamlit asks pandas (71 MB) whether it is a table
        key=key,
        data={
            "id": identity,
            "notes": tuple(notes),
            "start": start if start >= 0 else steps - 1,
            "word": word,
            "crisp": crisp,
            "least": least,
            "most": most,
            "milliseconds": max(40, int(seconds * 1000 / max(1, steps))),
            "views": tuple(
                {
                    "name": view.name,
                    "about": view.about,
                    "heat": view.heat,
                    "width": int(view.frames.shape[2]),
                    "height": int(view.frames.shape[1]),
                    "src": data_uri(strip(view.frames)),
                }
                for view in views
            ),
            "words": tuple({"text": text, "src": data_uri(strip(heat_rgb(heat)))} for text, heat in words),
        },
    )


def strip(frames: np.ndarray) -> np.ndarray:
    """(S, H, W, 3) -> (H, S W, 3), side by side."""
    return np.concatenate(list(frames), axis=1)


def heat_rgb(heat: np.ndarray) -> np.ndarray:
    """(S, h, w) in [0, 1] -> (S, h, w, 3) uint8 to multiply with: attended places stay, the rest goes dark blue."""
    low = np.array([24, 26, 62], np.float32)
    high = np.array([255, 255, 255], np.float32)
    return (low + np.clip(heat, 0, 1)[..., None] ** 0.8 * (high - low)).astype(np.uint8)


def data_uri(picture: np.ndarray) -> str:
    """(H, W, 3) uint8 -> a PNG data address."""
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(picture).save(out, "PNG", compress_level=3)
    return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode()


def gif(frames: np.ndarray, scale: int = 4, milliseconds: int = 120) -> bytes:
    """(S, H, W, 3) uint8 -> an animated GIF that rests on its last frame."""
    from PIL import Image

    pictures = [
        Image.fromarray(f).resize((f.shape[1] * scale, f.shape[0] * scale), Image.Resampling.NEAREST) for f in frames
    ]
    out = io.BytesIO()
    durations = [milliseconds] * (len(pictures) - 1) + [1200]
    pictures[0].save(out, "GIF", save_all=True, append_images=pictures[1:], duration=durations, loop=0)
    return out.getvalue()


def mp4(frames: np.ndarray, scale: int = 6, fps: int = 8) -> bytes:
    """(S, H, W, 3) uint8 -> an H.264 video; the last frame is held for a second."""
    import av

    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as container:
        stream: Any = container.add_stream("libx264", rate=fps)
        stream.width, stream.height, stream.pix_fmt = frames.shape[2] * scale, frames.shape[1] * scale, "yuv420p"
        for frame in [*frames, *[frames[-1]] * fps]:
            large = np.repeat(np.repeat(frame, scale, 0), scale, 1)
            for packet in stream.encode(av.VideoFrame.from_ndarray(large, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return out.getvalue()
