"""A melody drawn as a line on a grid of beats and keys; its notes become the text of a melody field."""

from __future__ import annotations

import streamlit as st

from core.audio import dsp, pitch
from core.errors import BadRequest
from ui import style

BEATS, LOW, HIGH = 16, 60, 84  # columns (more for a longer melody); C4 to C6, where the lead plays
CSS = """
.root {font-family: var(--st-font); color: var(--st-text-color);}
canvas {width: 100%; display: block; touch-action: none; cursor: crosshair; border-radius: 6px; box-sizing: border-box;
  border: 1px solid var(--st-border-color, #8884);}
.said {font-size: 13px; min-height: 20px; margin-top: 4px; opacity: .75;}
"""
# A stroke sets one note a beat; what it wrote goes to the page when the hand rests. An echo of an older stroke, which a
# slow page sends back, must not undo a newer one: `sent` holds what is still under way.
JS = """
const NAMES = ['C', 'C#', 'D', 'Eb', 'E', 'F', 'F#', 'G', 'Ab', 'A', 'Bb', 'B'];
const name = (k) => k === null ? '-' : NAMES[k % 12] + (Math.floor(k / 12) - 1);
export default function ({data, parentElement, setStateValue}) {
  const root = parentElement.querySelector('.root');
  if (!root.firstChild) root.innerHTML = '<canvas role="img" tabindex="0"></canvas><div class="said" aria-live="polite"></div>';
  const [c, said] = root.children, sent = root._sent ||= [];
  const text = (keys) => { let n = keys.length; while (n && keys[n - 1] === null) n--; return keys.slice(0, n).map(name).join(' '); };
  if (!sent.includes(text(data.keys)) || text(data.keys) === sent[sent.length - 1]) {
    if (!root._timer) root._keys = data.keys.slice(); sent.length = 0; }
  const {rows} = data, count = root._keys.length;
  c.style.height = rows.length * (rows.length > 16 ? 15 : 20) + 8 + 'px';
  let beat = root._beat || 0, ratio = 1;
  const box = () => ({L: 34, T: 4, w: c.clientWidth - 38, h: c.clientHeight - 8});
  function draw() {
    ratio = window.devicePixelRatio || 1; const {L, T, w, h} = box(), g = c.getContext('2d'), keys = root._keys;
    c.width = c.clientWidth * ratio; c.height = c.clientHeight * ratio; if (!c.width) return;
    g.scale(ratio, ratio); g.font = '11px sans-serif'; g.textAlign = 'right'; g.textBaseline = 'middle';
    const X = (i) => L + (i + .5) * w / keys.length, Y = (k) => T + (rows.length - rows.indexOf(k) - .5) * h / rows.length;
    const ink = getComputedStyle(root).color;
    for (const k of rows) { const black = name(k).length > 2; g.globalAlpha = k % 12 ? .12 : .35; g.fillStyle = ink;
      g.fillRect(L, Y(k), w, 1); g.globalAlpha = black ? .45 : .8; g.fillText(name(k), L - 6, Y(k)); }
    for (let i = 0; i < keys.length; i += 4) { g.globalAlpha = .2; g.fillRect(X(i) - w / keys.length / 2, T, 1, h); }
    g.globalAlpha = 1; g.strokeStyle = g.fillStyle = data.color; g.lineWidth = 2.5; g.beginPath();
    keys.forEach((k, i) => { if (k !== null) (i && keys[i - 1] !== null ? g.lineTo(X(i), Y(k)) : g.moveTo(X(i), Y(k))); }); g.stroke();
    keys.forEach((k, i) => { if (k !== null) { g.beginPath(); g.arc(X(i), Y(k), 5, 0, 6.3); g.fill(); } });
    if (root.contains(root.getRootNode().activeElement)) { g.globalAlpha = .12; g.fillStyle = ink;
      g.fillRect(X(beat) - w / keys.length / 2, T, w / keys.length, h); }
    c.setAttribute('aria-label', `Melody: ${text(keys) || 'empty'}. Arrow keys choose a beat and move its note, Delete takes it away.`);
  }
  const send = () => { clearTimeout(root._timer); root._timer = setTimeout(() => { root._timer = 0; sent.push(text(root._keys));
    setStateValue('notes', text(root._keys)); }, 500); };
  const show = () => { said.textContent = `beat ${beat + 1}: ${root._keys[beat] === null ? 'rest' : name(root._keys[beat])}`; };
  const set = (i, k) => { root._beat = beat = i; root._keys[i] = k; draw(); show(); };
  let at = null, erase = false, moved = false;
  const place = (e) => { const b = c.getBoundingClientRect(), {L, T, w, h} = box(), clip = (v, n) => Math.max(0, Math.min(n - 1, Math.floor(v)));
    return [clip((e.clientX - b.left - L) / w * root._keys.length, root._keys.length), rows[rows.length - 1 - clip((e.clientY - b.top - T) / h * rows.length, rows.length)]]; };
  const stroke = (e) => { const [i, k] = place(e);
    if (at === null) { erase = root._keys[i] === k; set(i, k); }  // a click on a note takes it away, unless it drags it
    else if (i !== at[0] || k !== at[1]) { moved = true; const way = Math.sign(i - at[0]);
      for (let j = at[0] + way; way && j !== i; j += way) {
        const wanted = at[1] + (k - at[1]) * (j - at[0]) / (i - at[0]);
        set(j, rows.reduce((a, r) => Math.abs(r - wanted) < Math.abs(a - wanted) ? r : a)); }
      set(i, k); }
    at = [i, k]; };
  c.onpointerdown = (e) => { at = null; moved = false; c.setPointerCapture(e.pointerId); clearTimeout(root._timer); root._timer = 1; stroke(e); };
  c.onpointermove = (e) => { if (at) stroke(e); };
  c.onpointerup = c.onpointercancel = () => { if (!at) return; if (erase && !moved) set(at[0], null); at = null; send(); };
  c.onkeydown = (e) => { const r = rows.indexOf(root._keys[beat] ?? rows[rows.length >> 1]);
    if (e.key === 'ArrowLeft' || e.key === 'ArrowRight') { root._beat = beat = Math.max(0, Math.min(count - 1, beat + (e.key === 'ArrowLeft' ? -1 : 1))); draw(); show(); }
    else if (e.key === 'ArrowUp' || e.key === 'ArrowDown') { set(beat, root._keys[beat] === null ? rows[r] : rows[Math.max(0, Math.min(rows.length - 1, r + (e.key === 'ArrowUp' ? 1 : -1)))]); send(); }
    else if (e.key === 'Delete' || e.key === 'Backspace') { set(beat, null); send(); }
    else return; e.preventDefault(); };
  c.onfocus = c.onblur = draw; draw();
  if (!root._watch) root._watch = new ResizeObserver(() => root._draw()); root._draw = draw; root._watch.observe(c);
}
"""
_mount = st.components.v2.component("lab_melody", html='<div class="root"></div>', css=CSS, js=JS)


def by_hand(name: str, value: str, seconds: float = 0.5) -> None:
    """A grid that shows and edits the melody in the text control `name`, which holds `value`.

    seconds: how long a beat lasts when the line is played.
    """
    try:
        line = pitch.read(value)
    except BadRequest:
        return  # the page says it

    def take() -> None:
        state = st.session_state[f"_{name}_grid"]
        if state.notes is not None:
            st.session_state[name] = state.notes

    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        black = st.toggle("Black keys", key=f"_{name}_black")
        st.button(
            "Clear", key=f"_{name}_clear", on_click=st.session_state.update, args=({name: ""},), type="tertiary",
            disabled=not line,
        )  # fmt: skip
    keys = {k for k in line if k is not None}
    rows = sorted(keys | {k for k in range(LOW, HIGH + 1) if black or len(pitch.written([k])) == 2})
    padded = line + [None] * (BEATS - len(line))
    # tuples: for a list Streamlit asks pandas (71 MB) whether it is a table
    data = {"keys": tuple(padded), "rows": tuple(rows), "color": style.color("autoregressive")}
    _mount(data=data, key=f"_{name}_grid", default={"notes": None}, on_notes_change=take)
    if line:
        st.audio(pitch.played(line, seconds), sample_rate=dsp.SAMPLE_RATE)
