"""Measures from the frames alone what moved where, how fast, and whether it kept its colour and shape.

1. the background: nearest of the known gradients to the picture's edge
2. the object: pixels that differ from that background, largest area; its colour, centre and area, frame by frame
3. the shape: overlap with drawn templates of every shape at the measured centre
4. the motion: least-squares fit of every known kind of path
Nothing here knows the prompt. Real clips give the ceiling (`python -m training.measure_video ceiling`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from core.video import scenes


@dataclass(frozen=True)
class Track:
    """What was measured. path (T, 3): x, y and half-width in pixels, NaN where nothing is seen."""

    shape: str
    color: str
    motion: str
    background: str
    size: str
    speed: float  # pixels a frame, of the fitted path
    path: np.ndarray = field(repr=False)
    colors: tuple[str, ...] = ()  # frame by frame
    shapes: tuple[str, ...] = ()  # frame by frame
    jerk: float = 0.0  # mean size of the second difference of the centre, pixels a frame squared

    @property
    def seen(self) -> float:
        """Share of the frames in which an object is seen."""
        return float(np.isfinite(self.path[:, 0]).mean())

    @property
    def color_kept(self) -> float:
        """Share of the frames in the commonest colour (frames without an object count against it)."""
        return _share(self.colors)

    @property
    def shape_kept(self) -> float:
        """Share of the frames in the commonest shape."""
        return _share(self.shapes)


def _share(names: tuple[str, ...]) -> float:
    seen = [n for n in names if n]
    return max(seen.count(n) for n in set(seen)) / len(names) if seen else 0.0


def _common(names: list[str]) -> str:
    seen = [n for n in names if n]
    return max(sorted(set(seen)), key=seen.count) if seen else ""


def background_of(frames: np.ndarray) -> str:
    """Name of the known background nearest to the edges of the frames (T, H, W, 3) uint8."""
    median = np.median(frames.astype(np.float32), axis=0)  # an object that moves on leaves the median
    size = frames.shape[1]
    edge = np.ones((size, size), bool)
    edge[3:-3, 3:-3] = False
    errors = {b: np.median(np.abs(median - scenes.backdrop(b, size))[edge].mean(-1)) for b in scenes.BACKGROUNDS}
    return min(errors, key=lambda b: float(errors[b]))


@lru_cache(maxsize=256)
def _template(shape: str, half: int, dx: int, dy: int, size: int) -> np.ndarray:
    """Coverage of `shape` at half-width half / 2 pixels, offset by quarter pixels, in a box of `size`."""
    path = np.array([[size / 2 + dx / 4, size / 2 + dy / 4, half / 2]])
    return scenes.coverage(shape, path, size)[0]


def _shape_of(alpha: np.ndarray, center: np.ndarray, area: float) -> tuple[str, float]:
    """The template with the least squared difference, and its half-width; alpha (H, W) is the measured coverage."""
    box = 32
    padded = np.pad(alpha, box)
    best = ("", 0.0, np.inf)
    for shape in scenes.SHAPES:
        share, offset = _MOMENTS[shape]
        r = np.sqrt(area / share)
        x, y = center - offset * r  # centroid to the drawn centre
        for half in {round(2 * r) + d for d in (-1, 0, 1)}:
            if not 4 <= half <= 40:
                continue
            left, top = int(np.floor(x)), int(np.floor(y))
            crop = padded[box + top - box // 2 : box + top + box // 2, box + left - box // 2 : box + left + box // 2]
            template = _template(shape, half, round(4 * (x - left)) % 4, round(4 * (y - top)) % 4, box)
            if crop.shape != template.shape:
                continue
            error = float(np.square(crop - template).sum())
            if error < best[2]:
                best = (shape, half / 2, error)
    return best[0], best[1]


def _moments() -> dict[str, tuple[float, np.ndarray]]:
    """Area / r^2 and centroid / r of each shape, measured on a large drawing."""
    found = {}
    grid = np.arange(96) + 0.5
    for shape in scenes.SHAPES:
        a = scenes.coverage(shape, np.array([[48.0, 48.0, 32.0]]), 96)[0]
        centre = np.array([(a * grid[None]).sum(), (a * grid[:, None]).sum()]) / a.sum()
        found[shape] = (float(a.sum()) / 32**2, (centre - 48) / 32)
    return found


_MOMENTS = _moments()


def track(frames: np.ndarray) -> Track:
    """Measure a clip (T, 48, 48, 3) uint8."""
    t, size = len(frames), frames.shape[1]
    background = background_of(frames)
    back = scenes.backdrop(background, size)
    palette = np.array(list(scenes.COLORS.values()), dtype=np.float32)  # (K, 3)
    names = list(scenes.COLORS)
    grid = np.arange(size) + 0.5
    path = np.full((t, 3), np.nan)
    colors, shapes = [], []
    areas = np.full(t, np.nan)
    for i, frame in enumerate(frames.astype(np.float32)):
        difference = np.linalg.norm(frame - back, axis=-1)  # (H, W)
        solid = difference > 60
        if solid.sum() < 12:
            colors.append("")
            shapes.append("")
            continue
        # colour: of the pixels that differ most, the palette entry most of them are nearest to
        core = solid & (difference >= np.quantile(difference[solid], 0.3))
        nearest = np.linalg.norm(frame[core][:, None] - palette, axis=-1).argmin(1)
        index = int(np.bincount(nearest, minlength=len(palette)).argmax())
        colors.append(names[index])
        # coverage: how far each pixel has gone from the background to the object's colour
        way = np.median(frame[core], axis=0) - back  # (H, W, 3)
        alpha = np.clip(((frame - back) * way).sum(-1) / np.maximum((way**2).sum(-1), 1), 0, 1)
        alpha = _largest(alpha)
        area = float(alpha.sum())
        center = np.array([(alpha * grid[None]).sum(), (alpha * grid[:, None]).sum()]) / max(area, 1e-6)
        shape, r = _shape_of(alpha, center, area)
        shapes.append(shape)
        areas[i] = area
        if shape:
            path[i] = (*(center - _MOMENTS[shape][1] * r), r)
    shape = _common(shapes)
    if shape:
        path[:, 2] = np.sqrt(areas / _MOMENTS[shape][0])
    motion, speed = motion_of(path)
    middle = np.nanmedian(path[:, 2]) if np.isfinite(path[:, 2]).any() else 0.0
    size_name = min(scenes.SIZES, key=lambda s: abs(scenes.SIZES[s] - middle))
    ok = path[np.isfinite(path[:, 0]), :2]
    jerk = float(np.hypot(*np.diff(ok, n=2, axis=0).T).mean()) if len(ok) > 3 else float("nan")
    return Track(shape, _common(colors), motion, background, size_name, speed, path, tuple(colors), tuple(shapes), jerk)


def _largest(alpha: np.ndarray) -> np.ndarray:
    """Only the largest connected piece of alpha > 0.15, grown by one pixel."""
    from scipy import ndimage

    labels, count = ndimage.label(alpha > 0.15, structure=np.ones((3, 3)))
    if count <= 1:
        return np.where(alpha > 0.05, alpha, 0)
    weights = ndimage.sum_labels(alpha, labels, np.arange(1, count + 1))
    piece = labels == 1 + int(np.argmax(weights))
    return np.where(ndimage.binary_dilation(piece), alpha, 0)


def motion_of(path: np.ndarray) -> tuple[str, float]:
    """The kind of path (T, 3) of x, y, r that fits with the least squared error, and its speed in pixels a frame.

    Candidates: rest, the eight directions, a fall (acceleration from rest), a bounce, a circle, growth, shrinkage.
    """
    good = np.isfinite(path).all(axis=1)
    if good.sum() < 4:
        return "", 0.0
    t = np.arange(len(path), dtype=np.float64)[good]
    x, y, r = path[good].T
    # 1. size: a clear trend of the half-width is growth or shrinkage
    slope, level = np.polyfit(t, r, 1)
    change = slope * (len(path) - 1) / max(level + slope * (len(path) - 1) / 2, 1e-6)
    spread = np.hypot(x - x.mean(), y - y.mean())
    if abs(change) > 0.35 and np.sqrt((spread**2).mean()) < 3.0:
        return ("grow" if change > 0 else "shrink"), abs(slope)
    if np.sqrt((spread**2).mean()) < 1.6:
        return "still", 0.0
    # 2. paths, by squared error with a small price for every free number
    one = np.ones_like(t)
    line = _residual(np.stack([one, t], 1), x) + _residual(np.stack([one, t], 1), y)
    fits = {"line": line + 0.02 * len(t)}
    fits["fall"] = _residual(one[:, None], x) + _residual(np.stack([one, t**2], 1), y)
    if np.polyfit(t, y, 1)[0] < 0:
        fits["fall"] = np.inf  # things fall downwards
    best = np.inf
    for phase in np.arange(0, 1, 1 / 32):
        u = 2 * ((t / scenes.BOUNCE_PERIOD + phase) % 1.0) - 1
        basis = np.stack([one, -(1 - u**2)], 1)
        coefficient = np.linalg.lstsq(basis, y, rcond=None)[0]
        if coefficient[1] > 3:
            best = min(best, float(np.square(basis @ coefficient - y).sum()))
    fits["bounce"] = best + _residual(one[:, None], x) + 0.04 * len(t)
    angle = 2 * np.pi * t / scenes.FRAMES
    turn = np.stack([one, np.cos(angle), np.sin(angle)], 1)
    fits["circle"] = _residual(turn, x) + _residual(turn, y) + 0.06 * len(t)
    kind = min(fits, key=lambda k: fits[k])
    vx, vy = np.polyfit(t, x, 1)[0], np.polyfit(t, y, 1)[0]
    steps = np.hypot(np.diff(x), np.diff(y)) / np.diff(t)
    if kind != "line":
        return kind, float(steps.mean())
    direction = max(scenes.DIRECTIONS, key=lambda d: scenes.DIRECTIONS[d][0] * vx + scenes.DIRECTIONS[d][1] * vy)
    return direction, float(np.hypot(vx, vy))


def _residual(basis: np.ndarray, values: np.ndarray) -> float:
    coefficient = np.linalg.lstsq(basis, values, rcond=None)[0]
    return float(np.square(basis @ coefficient - values).sum())
