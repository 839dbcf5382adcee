"""Measures from the frames alone what moved where, how fast, and whether it kept its colour and shape.

1. the background: nearest of the known gradients to the picture's edge; stripes that move over it tell the camera
2. the object: pixels that differ from that background, largest area; its colour, centre and area, frame by frame
3. the shape: overlap with drawn templates of every shape at the measured centre
4. the motion: least-squares fit of every known kind of path
With two objects, each pixel is a mixture of the background and the two colours; who covers whom is seen where they meet.
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
    areas: np.ndarray = field(default_factory=lambda: np.zeros(0), repr=False)  # pixels covered, frame by frame

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


def camera_of(frames: np.ndarray, background: str) -> tuple[str, np.ndarray]:
    """What the camera does ("" if the ground has no stripes, "rests" if they rest), and the stripes (T, size) in grey
    levels: the best of many pans and zooms by the light of the columns."""
    t, size = len(frames), frames.shape[1]
    light = (frames.astype(np.float32) - scenes.backdrop(background, size)).mean(-1)  # (T, H, W)
    columns = np.median(light, axis=1)  # an object fills less than half of a column
    s = np.arange(t) / (scenes.FRAMES - 1)
    best: tuple[float, str, np.ndarray] = (0.0, "", np.zeros_like(columns))
    one, none = np.ones(t), np.zeros(t)
    views = [("rests", one, none)]
    for name in scenes.CAMERAS:
        scale, shift = scenes.view(scenes.Scene("circle", "red", "still", background, camera=name), s)
        views += [(name, scale**power, shift * power) for power in (0.6, 0.8, 1.0, 1.2, 1.4)]
    for name, scale, shift in views:
        phase = scenes.stripes(scale, shift, size).ravel()
        basis = np.stack([np.cos(phase), np.sin(phase)], 1)
        wave = basis @ np.linalg.lstsq(basis, columns.ravel(), rcond=None)[0]
        explained = float(np.square(wave).sum())
        if explained > best[0]:
            best = (explained, name, wave.reshape(columns.shape))
    share = best[0] / max(float(np.square(columns).sum()), 1e-6)
    if share < 0.4 or best[0] / columns.size < 12:  # a wave 5 grey levels high
        return "", np.zeros_like(columns)
    return best[1], best[2]


def track(frames: np.ndarray, stripes: np.ndarray | None = None) -> Track:
    """Measure a clip (T, 48, 48, 3) uint8 with one object; stripes (T, 48) are taken off first."""
    t, size = len(frames), frames.shape[1]
    background = background_of(frames)
    if stripes is not None:
        frames = np.clip(frames - stripes[:, None, :, None], 0, 255)
    back = scenes.backdrop(background, size)
    palette = np.array(list(scenes.COLORS.values()), dtype=np.float32)  # (K, 3)
    names = list(scenes.COLORS)
    colors, alphas = [], np.zeros((t, size, size))
    for i, frame in enumerate(frames.astype(np.float32)):
        difference = np.linalg.norm(frame - back, axis=-1)  # (H, W)
        solid = difference > 60
        if solid.sum() < 12:
            colors.append("")
            continue
        # colour: of the pixels that differ most, the palette entry most of them are nearest to
        core = solid & (difference >= np.quantile(difference[solid], 0.3))
        nearest = np.linalg.norm(frame[core][:, None] - palette, axis=-1).argmin(1)
        index = int(np.bincount(nearest, minlength=len(palette)).argmax())
        colors.append(names[index])
        # coverage: how far each pixel has gone from the background to the object's colour
        way = np.median(frame[core], axis=0) - back  # (H, W, 3)
        alphas[i] = np.clip(((frame - back) * way).sum(-1) / np.maximum((way**2).sum(-1), 1), 0, 1)
    return _follow(alphas, colors, background)


def pair(frames: np.ndarray) -> tuple[Track, Track] | None:
    """Measure a clip with two objects of different colours, the one that moves first; None when it shows only one."""
    size = frames.shape[1]
    background = background_of(frames)
    back = scenes.backdrop(background, size)
    palette = np.array(list(scenes.COLORS.values()), dtype=np.float32)
    names = list(scenes.COLORS)
    values = frames.astype(np.float32)
    # 1. the two colours that most of the clip's clear pixels are near to
    solid = values[np.linalg.norm(values - back, axis=-1) > 60]
    off = np.linalg.norm(solid[:, None] - palette, axis=-1)
    counts = np.bincount(off.argmin(1)[off.min(1) < 70], minlength=len(palette))
    order = counts.argsort()[::-1][:2]
    if counts[order[1]] < max(12 * len(frames), 0.15 * counts.sum()):
        return None
    # 2. each pixel as background + a (first - background) + b (second - background), a and b at least 0
    ways = palette[order][:, None, None] - back  # (2, H, W, 3)
    gram = np.einsum("ihwc,jhwc->hwij", ways, ways)
    right = np.einsum("ihwc,thwc->thwi", ways, values - back)
    both = np.linalg.solve(gram + 1e-3 * np.eye(2), right[..., None])[..., 0]  # (T, H, W, 2)
    alone = np.clip(right / np.einsum("hwii->hwi", gram), 0, 1)
    for i in range(2):  # where one would be negative the other stands alone
        both[..., i] = np.where(both[..., 1 - i] < 0, alone[..., i], both[..., i])
    alphas = np.clip(both, 0, 1)
    tracks = [
        _follow(alphas[..., i], [names[order[i]] if a.sum() > 12 else "" for a in alphas[..., i]], background)
        for i in range(2)
    ]
    # 3. the one that moves in the first half comes first
    half = len(frames) // 2
    way = [
        float(np.nan_to_num(np.nanmax(p := t.path[:half, 0]) - np.nanmin(p))) if t.seen > 0.5 else 0.0 for t in tracks
    ]
    return (tracks[0], tracks[1]) if way[0] >= way[1] else (tracks[1], tracks[0])


def meeting_of(first: Track, second: Track) -> str:
    """ "hit": the first stops and the second moves on; else which one is whole where they are nearest: "front" if the
    first is, "behind" if the second is; "" when they do not meet."""
    a, b = first.path[:, 0], second.path[:, 0]
    good = np.isfinite(a) & np.isfinite(b)
    if good.sum() < 8:
        return ""
    index = np.flatnonzero(good)
    start, end = index[:3], index[-3:]
    if (np.median(a[start]) - np.median(b[start])) * (np.median(a[end]) - np.median(b[end])) > 0:  # no overtaking
        way = np.abs([a[end].mean() - a[start].mean(), b[end].mean() - b[start].mean()])
        return "hit" if min(way) > 3 else ""
    middle = np.abs(a - b)
    close = middle <= np.nanquantile(middle, 0.25)
    left = [float(np.nanmean(t.areas[close]) / np.nanmedian(t.areas)) for t in (first, second)]
    return "front" if left[0] > left[1] else "behind"


def _follow(alphas: np.ndarray, colors: list[str], background: str) -> Track:
    """Where the object is in each frame and which shape it has, by its coverage (T, H, W); colors: "" is unseen."""
    t, size = len(alphas), alphas.shape[1]
    grid = np.arange(size) + 0.5
    path = np.full((t, 3), np.nan)
    areas = np.full(t, np.nan)
    shapes = []
    for i, alpha in enumerate(alphas):
        if not colors[i]:
            shapes.append("")
            continue
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
    return Track(
        shape, _common(colors), motion, background, size_name, speed, path, tuple(colors), tuple(shapes), jerk, areas
    )


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
