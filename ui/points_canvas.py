"""The plane of the 2-D playgrounds, drawn on a canvas: some milliseconds a frame where a plot library takes a hundred.

Points glide from frame to frame, since each keeps its noise. Axes are fixed, so nothing jumps.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np
import streamlit as st

from ui import style

EXTENT = 3.0
CSS = """
.root {font-family: var(--st-font); color: var(--st-text-color);}
.planes {display: grid; gap: 12px; grid-template-columns: repeat(auto-fit, minmax(min(100%, 290px), 1fr));}
.plane {max-width: 520px; width: 100%; margin: 0 auto;}
.name {font-size: 14px; font-weight: 600; min-height: 20px;}
canvas {width: 100%; display: block; border: 1px solid var(--st-border-color, #8884); border-radius: 6px;
  box-sizing: border-box;}
.plane canvas {aspect-ratio: 1;}
.chart canvas {height: 190px; margin-top: 10px;}
.sketch canvas {aspect-ratio: 1; max-width: 320px; touch-action: none; cursor: crosshair;}
.sketch button {font: inherit; font-size: 13px; color: inherit; background: var(--st-secondary-background-color);
  border: 1px solid var(--st-border-color, #8884); border-radius: 6px; padding: 3px 10px; margin: 6px 6px 0 0;}
"""
SHARED_JS = """
const fit = (c) => { const r = window.devicePixelRatio || 1, w = Math.round(c.clientWidth * r), h = Math.round(c.clientHeight * r);
  if (w && (c.width !== w || c.height !== h)) { c.width = w; c.height = h; } return [c.width, c.height, r]; };
const floats = (s) => { const b = atob(s), a = new Uint8Array(b.length); for (let i = 0; i < b.length; i++) a[i] = b.charCodeAt(i);
  return new Float32Array(a.buffer); };
const bytes = (s) => Uint8Array.from(atob(s), (c) => c.charCodeAt(0));
"""
JS = (
    SHARED_JS
    + """
const E = 3;
function plane(c, p, before, t) {
  const [w, h, r] = fit(c), g = c.getContext('2d');
  if (!w) return;
  const X = (x) => (x + E) / (2 * E) * w, Y = (y) => (E - y) / (2 * E) * h;
  g.clearRect(0, 0, w, h);
  if (p.surface) g.drawImage(p.surface, 0, 0, w, h);
  g.strokeStyle = 'rgba(128,128,128,.18)'; g.lineWidth = 1;
  for (let k = -2; k <= 2; k++) { g.beginPath(); g.moveTo(X(k), 0); g.lineTo(X(k), h); g.moveTo(0, Y(k)); g.lineTo(w, Y(k)); g.stroke(); }
  const mix = (name, i) => { const now = p[name][i], old = before && before[name] && before[name].length === p[name].length
    ? before[name][i] : now; return old + (now - old) * t; };
  const dots = (name, color, size) => { g.fillStyle = color; const a = p[name];
    for (let i = 0; i < a.length; i += 2) { g.beginPath(); g.arc(X(mix(name, i)), Y(mix(name, i + 1)), size * r, 0, 6.3); g.fill(); } };
  if (p.real) dots('real', p.colors.real, 2.4);
  for (const [name, color, width] of [['lines', p.colors.lines, 1], ['trails', p.colors.trails, 1.1]]) if (p[name]) {
    g.strokeStyle = color; g.lineWidth = width * r;
    const n = p[name + '_length'], a = p[name];
    for (let i = 0; i < a.length; i += 2 * n) { g.beginPath();
      for (let j = 0; j < n; j++) g.lineTo(X(mix(name, i + 2 * j)), Y(mix(name, i + 2 * j + 1)));
      g.stroke(); } }
  if (p.fake) dots('fake', p.colors.fake, 2.6);
  if (p.arrows) { g.strokeStyle = g.fillStyle = p.colors.arrows; g.lineWidth = 1.5 * r;
    for (let i = 0; i < p.arrows.length; i += 4) {
      const x = X(mix('arrows', i)), y = Y(mix('arrows', i + 1)), a = X(mix('arrows', i + 2)), b = Y(mix('arrows', i + 3));
      const d = Math.hypot(a - x, b - y); if (d < 1.5) continue;
      const u = (a - x) / d, v = (b - y) / d, s = Math.min(6 * r, d * .6);
      g.beginPath(); g.moveTo(x, y); g.lineTo(a, b); g.stroke();
      g.beginPath(); g.moveTo(a, b); g.lineTo(a - s * u + s * .5 * v, b - s * v - s * .5 * u);
      g.lineTo(a - s * u - s * .5 * v, b - s * v + s * .5 * u); g.fill(); } }
}
function heat(s, size, low, high) {
  const o = document.createElement('canvas'); o.width = o.height = size;
  const g = o.getContext('2d'), im = g.createImageData(size, size), z = bytes(s);
  for (let i = 0; i < size; i++) for (let j = 0; j < size; j++) {
    const v = z[i * size + j] / 255, k = 4 * ((size - 1 - i) * size + j), col = v < .5 ? low : high;
    im.data[k] = col[0]; im.data[k + 1] = col[1]; im.data[k + 2] = col[2]; im.data[k + 3] = Math.abs(v - .5) * 2 * 175; }
  g.putImageData(im, 0, 0); return o; }
function chart(c, d, ink) {
  const [w, h, r] = fit(c), g = c.getContext('2d');
  if (!w) return;
  const L = 44 * r, R = 10 * r, T = 26 * r, B = 24 * r, log = d.log;
  const f = (v) => log ? Math.log10(Math.max(v, 1e-9)) : v, lo = f(d.low), hi = f(d.high);
  const X = (x) => L + x / d.until * (w - L - R), Y = (y) => T + (hi - Math.min(hi, Math.max(lo, f(y)))) / (hi - lo) * (h - T - B);
  g.clearRect(0, 0, w, h); g.font = `${11 * r}px sans-serif`; g.fillStyle = ink; g.strokeStyle = 'rgba(128,128,128,.3)'; g.lineWidth = 1;
  for (let k = 0; k <= 4; k++) { const v = lo + (hi - lo) * k / 4, y = T + (4 - k) / 4 * (h - T - B);
    g.beginPath(); g.moveTo(L, y); g.lineTo(w - R, y); g.stroke();
    const n = log ? 10 ** v : v; g.textAlign = 'right';
    g.fillText(log ? n.toExponential(0) : Math.abs(hi - lo) > 8 ? n.toFixed(0) : n.toFixed(2), L - 5 * r, y + 4 * r); }
  g.textAlign = 'center';
  for (let k = 0; k <= 4; k++) g.fillText(Math.round(d.until * k / 4).toLocaleString('en'), Math.min(w - 18 * r, L + (w - L - R) * k / 4), h - 7 * r);
  let at = L; g.textAlign = 'left';
  for (const s of d.series) { g.strokeStyle = s.color; g.lineWidth = 1.8 * r; g.setLineDash(s.dash ? [5 * r, 4 * r] : []);
    g.beginPath(); const a = floats(s.xy);
    for (let i = 0; i < a.length; i += 2) g.lineTo(X(a[i]), Y(a[i + 1]));
    g.stroke(); g.beginPath(); g.moveTo(at, 13 * r); g.lineTo(at + 16 * r, 13 * r); g.stroke();
    g.fillText(s.name, at + 20 * r, 17 * r); at += g.measureText(s.name).width + 34 * r; }
  g.setLineDash([]);
}
export default function ({data, parentElement}) {
  const root = parentElement.querySelector('.root'), n = data.planes.length;
  if (!root._kit || root._kit.n !== n || root._kit.chart !== !!data.chart[0]) {
    root.replaceChildren(); const planes = document.createElement('div'); planes.className = 'planes'; root.appendChild(planes);
    const kit = {n, chart: !!data.chart[0], cells: [], last: []};
    for (let i = 0; i < n; i++) { const d = document.createElement('div'); d.className = 'plane';
      d.innerHTML = '<div class="name"></div><canvas role="img"></canvas>'; planes.appendChild(d);
      kit.cells.push({name: d.firstChild, canvas: d.lastChild}); }
    if (data.chart[0]) { const d = document.createElement('div'); d.className = 'chart'; d.innerHTML = '<canvas role="img"></canvas>';
      root.appendChild(d); kit.plot = d.firstChild; }
    root._kit = kit; }
  const kit = root._kit, before = kit.last;
  const now = data.planes.map((q, i) => { const p = {colors: q.colors, lines_length: q.lines_length, trails_length: q.trails_length};
    for (const name of ['real', 'fake', 'arrows', 'lines', 'trails']) if (q[name]) p[name] = floats(q[name]);
    if (q.surface) p.surface = heat(q.surface, q.size, q.low, q.high);
    kit.cells[i].name.textContent = q.name; kit.cells[i].canvas.setAttribute('aria-label', q.alt); return p; });
  const ink = getComputedStyle(root).color;
  if (kit.plot) { kit.plot.setAttribute('aria-label', data.chart[0].alt); chart(kit.plot, data.chart[0], ink); }
  cancelAnimationFrame(root._frame);
  const calm = matchMedia('(prefers-reduced-motion: reduce)').matches || !before.length;
  const start = performance.now(), span = calm ? 0 : data.glide;
  const draw = (time) => { const t = span ? Math.min(1, (time - start) / span) : 1;
    now.forEach((p, i) => plane(kit.cells[i].canvas, p, before[i], Math.max(0, t)));
    if (t < 1) root._frame = requestAnimationFrame(draw); };
  draw(performance.now()); kit.last = now; root._count = (root._count || 0) + 1; root.dataset.frames = root._count;
  if (!root._watch) { root._watch = new ResizeObserver(() => { kit.last.forEach((p, i) => root._kit.cells[i] && plane(root._kit.cells[i].canvas, root._kit.last[i], null, 1)); });
    root._watch.observe(root); }
}
"""
)
SKETCH_JS = (
    SHARED_JS
    + """
export default function ({data, parentElement, setStateValue}) {
  const root = parentElement.querySelector('.sketch');
  if (!root._points) root._points = data.points.slice();
  if (root._ready) return; root._ready = true;
  root.innerHTML = '<canvas role="img" tabindex="0" aria-label="Draw points here"></canvas><button>Clear</button><button>Use these points</button>';
  const c = root.querySelector('canvas'), [clear, use] = root.querySelectorAll('button');
  const draw = () => { const [w, h, r] = fit(c), g = c.getContext('2d'); if (!w) return; g.clearRect(0, 0, w, h); g.fillStyle = data.color;
    for (const [x, y] of root._points) { g.beginPath(); g.arc((x + 3) / 6 * w, (3 - y) / 6 * h, 2.6 * r, 0, 6.3); g.fill(); } };
  const send = () => setStateValue('points', root._points);
  let down = false, last = null;
  const add = (e) => { const b = c.getBoundingClientRect();
    const x = (e.clientX - b.left) / b.width * 6 - 3, y = 3 - (e.clientY - b.top) / b.height * 6;
    if (Math.abs(x) > 2.95 || Math.abs(y) > 2.95 || root._points.length >= 2000) return;
    if (last && Math.hypot(x - last[0], y - last[1]) < .08) return;
    last = [x, y]; root._points.push([Math.round(x * 1000) / 1000, Math.round(y * 1000) / 1000]); draw(); };
  c.onpointerdown = (e) => { down = true; last = null; c.setPointerCapture(e.pointerId); add(e); };
  c.onpointermove = (e) => { if (down) add(e); };
  c.onpointerup = c.onpointercancel = () => { down = false; };
  clear.onclick = () => { root._points = []; draw(); send(); };
  use.onclick = send; draw(); new ResizeObserver(draw).observe(c);
}
"""
)
_mount = st.components.v2.component("lab_plane", html='<div class="root"></div>', css=CSS, js=JS)
_sketch = st.components.v2.component("lab_sketch", html='<div class="sketch"></div>', css=CSS, js=SKETCH_JS)
HUES = ("#2B8CD6", "#D55E00", "#009E73")


def packed(values: np.ndarray) -> str:
    """Float32 numbers as base64, which is a third of the JSON."""
    return base64.b64encode(np.ascontiguousarray(values, np.float32).tobytes()).decode()


def plane(
    name: str,
    alt: str,
    family: str = "gan",
    *,
    real: np.ndarray | None = None,
    fake: np.ndarray | None = None,
    surface: np.ndarray | None = None,
    grid: np.ndarray | None = None,
    arrows: np.ndarray | None = None,
    trails: np.ndarray | None = None,
) -> dict[str, Any]:
    """One plane for `show`. real, fake: (N, 2); surface: (S, S) in 0 to 1, row = y; grid: (M, M, 2); arrows: (A, 4) from,
    to; trails: (P, T, 2) paths."""
    hue = style.color(family)
    red, green, blue = (int(hue[i : i + 2], 16) for i in (1, 3, 5))
    made: dict[str, Any] = {
        "name": name,
        "alt": alt,
        "low": [122, 111, 176],
        "high": [0, 158, 115],
        "colors": {
            "real": style.REAL + "99",
            "fake": hue + "DD",
            "arrows": "#2B8CD6" if family == "gan" else "#7A6FB0",
            "lines": f"rgba({red},{green},{blue},.4)",
            "trails": f"rgba({red},{green},{blue},.3)",
        },
    }
    for key, value in (("real", real), ("fake", fake), ("arrows", arrows)):
        if value is not None:
            made[key] = packed(value)
    if grid is not None:
        made["lines"], made["lines_length"] = packed(np.concatenate([grid, grid.swapaxes(0, 1)])), grid.shape[1]
    if trails is not None:
        made["trails"], made["trails_length"] = packed(trails), trails.shape[1]
    if surface is not None:
        made["surface"] = base64.b64encode((np.clip(surface, 0, 1) * 255).astype(np.uint8).tobytes()).decode()
        made["size"] = len(surface)
    return made


def chart(
    series: Sequence[tuple[str, np.ndarray, np.ndarray, bool]],
    until: float,
    low: float,
    high: float,
    alt: str,
    log: bool = False,
) -> dict[str, Any]:
    """A line chart for `show`. series: (name, x, y, dashed); fixed axes 0 to until, low to high."""
    solid = [s for s in series if not s[3]] or series
    lines = []
    for number, (name, x, y, dash) in enumerate(series):
        keep = slice(None, None, max(1, len(x) // 300))
        lines.append(
            {
                "name": name,
                "dash": dash,
                "color": HUES[number % max(1, len(solid)) % 3],
                "xy": packed(np.stack([x[keep], y[keep]], 1)),
            }
        )
    return {"series": lines, "until": until, "low": low, "high": high, "alt": alt, "log": log}


def show(planes: Sequence[dict[str, Any]], key: str, lines: dict[str, Any] | None = None, glide: int = 200) -> None:
    """Draw planes side by side and a chart under them; glide: milliseconds from frame to frame."""
    # tuples: for a list or dict here Streamlit asks pandas (71 MB) whether it is a table
    _mount(key=key, data={"planes": tuple(planes), "chart": (lines,) if lines else (), "glide": glide})


def sketch(key: str, points: Sequence[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """A plane to draw points on with mouse, pen or finger; returns what was sent by "Use these points"."""
    result = _sketch(
        key=key,
        data={"points": tuple(points), "color": style.REAL},
        default={"points": [list(p) for p in points]},
        on_points_change=lambda: None,
    )
    return tuple((float(x), float(y)) for x, y in (result.points or [])[:2000])
