"""How well a film holds together, measured from its frames: lower is better for all but `identity`."""

from __future__ import annotations

from typing import Any

import numpy as np

from core.video import scenes
from core.video.tracker import Track, background_of, camera_of, meeting_of, motion_of, pair, track


def flicker(frames: np.ndarray, *paths: np.ndarray) -> float:
    """Mean change of a pixel from frame to frame where no object is, in grey levels of 255.

    frames (T, H, W, 3) uint8, each path (T, 3) of x, y, half-width (NaN: not seen).
    """
    values = frames.astype(np.float32)
    grid = np.arange(frames.shape[1]) + 0.5
    far = np.ones(frames.shape[:3], bool)
    for path in paths:
        for mask, (x, y, r) in zip(far, path, strict=True):
            if np.isfinite(x):
                mask &= np.hypot(grid[None] - x, grid[:, None] - y) > 1.5 * r + 2
    change = np.abs(np.diff(values, axis=0)).mean(-1)  # (T - 1, H, W)
    both = far[1:] & far[:-1]
    return float(change[both].mean()) if both.any() else float("nan")


def object_crops(frames: np.ndarray, path: np.ndarray, size: int = 16) -> np.ndarray:
    """The object cut out, centred and scaled to one size: (T, size, size, 3) float32, NaN where it is not seen."""
    from scipy.ndimage import map_coordinates

    steps = (np.arange(size) + 0.5) / size * 2 - 1  # -1..1
    crops = np.full((len(frames), size, size, 3), np.nan, np.float32)
    for crop, frame, (x, y, r) in zip(crops, frames.astype(np.float32), path, strict=True):
        if not np.isfinite(x + y + r):
            continue
        rows, columns = np.meshgrid(y + 1.2 * r * steps - 0.5, x + 1.2 * r * steps - 0.5, indexing="ij")
        for c in range(3):
            crop[..., c] = map_coordinates(frame[..., c], [rows, columns], order=1, mode="nearest")
    return crops


def warping_error(frames: np.ndarray, path: np.ndarray) -> float:
    """Mean difference between the object and itself one frame later, moved back along its path, in grey levels."""
    crops = object_crops(frames, path)
    errors = np.abs(np.diff(crops, axis=0)).mean((1, 2, 3))
    return float(np.nanmean(errors)) if np.isfinite(errors).any() else float("nan")


def acceleration(path: np.ndarray) -> float:
    """Downward acceleration of the centre, pixels a frame squared (a drawn fall has 2 * 25 / 15^2 = 0.22)."""
    good = np.isfinite(path[:, 1])
    if good.sum() < 5:
        return float("nan")
    return float(2 * np.polyfit(np.flatnonzero(good), path[good, 1], 2)[0])


def kept(found: Track) -> bool:
    """Identity: an object in every frame, one colour in all but one, one shape in seven frames of eight."""
    return found.seen == 1.0 and found.color_kept >= 0.93 and found.shape_kept >= 0.87


def smoothness(path: np.ndarray) -> float:
    """Share of the centre's way that is no detour, 0 to 1: the way between every third frame over that between all.
    Along a line it is 1, on a circle 0.97; a place guessed anew in each frame adds way that leads nowhere."""
    steps = np.hypot(*np.diff(path[np.isfinite(path[:, 0]), :2], axis=0).T)
    wide = np.hypot(*np.diff(path[np.isfinite(path[:, 0]), :2][::3], axis=0).T)
    whole = steps[: 3 * len(wide)].sum()
    return float(min(1.0, wide.sum() / whole)) if whole > 4 else float("nan")


def measure(frames: np.ndarray) -> dict[str, Any]:
    """All figures of a clip (T, 48, 48, 3) uint8; `track` holds what was seen, `camera` what it does ("": nothing), and
    `second` the other object's track or None (the figures are the first one's). Under a moving camera there is no
    flicker to measure (NaN)."""
    camera, stripes = camera_of(frames, background_of(frames))
    two = None if camera else pair(frames)
    found, second = two or (track(frames, stripes if camera else None), None)
    tracks = [t for t in (found, second) if t is not None]
    return {
        "track": found,
        "second": second,
        "camera": camera,
        "meeting": meeting_of(found, second) if second is not None else "",
        "smoothness": smoothness(found.path),
        "flicker": float("nan") if camera else flicker(frames, *(t.path for t in tracks)),
        "warping error": float(np.nanmean([warping_error(frames, t.path) for t in tracks])),
        "jerk": found.jerk,
        "colour kept": found.color_kept,
        "shape kept": found.shape_kept,
        "identity": all(kept(t) for t in tracks),
        "acceleration": acceleration(found.path),
    }


def same(found: Track, wanted: scenes.Scene, more: dict[str, Any] | None = None) -> dict[str, bool]:
    """Which of the asked things the tracker sees. `direction` only where the motion has one (a fall goes down).

    more: all of `measure`, for a scene with two objects (`second shape`, `second color`, `meeting`; of the path only the
    direction counts) or a moving camera (`camera`; the motion is that on the screen).
    """
    if more is not None and wanted.kind == "two":
        second = more["second"]
        x = found.path[np.isfinite(found.path[:, 0]), 0]
        return {
            "shape": found.shape == wanted.shape,
            "color": found.color == wanted.color,
            "background": found.background == wanted.background,
            "second shape": second is not None and second.shape == wanted.shape2,
            "second color": second is not None and second.color == wanted.color2,
            "meeting": more["meeting"] == wanted.meeting,
            "direction": len(x) > 3 and abs(x[-1] - x[0]) > 4 and (x[-1] > x[0]) == (wanted.motion == "right"),
        }
    if more is not None and wanted.kind == "camera":
        return {
            "shape": found.shape == wanted.shape,
            "color": found.color == wanted.color,
            "background": found.background == wanted.background,
            "motion": found.motion == motion_of(scenes.trajectory(wanted))[0],
            "camera": more["camera"] == wanted.camera,
        }
    answer = {
        "shape": found.shape == wanted.shape,
        "color": found.color == wanted.color,
        "background": found.background == wanted.background,
        "motion": found.motion == wanted.motion,
    }
    if wanted.motion in scenes.DIRECTIONS:
        answer["direction"] = found.motion == wanted.motion
    elif wanted.motion == "fall":
        answer["direction"] = found.motion in ("fall", "down")
    return answer


def asked(prompt: str) -> dict[str, str]:
    """What a prompt asks for, by its words: shape, color, background and motion, each only if it is said."""
    words = "".join(c if c.isalnum() else " " for c in prompt.lower().replace("green grass", "grass")).split()
    found: dict[str, str] = {}
    for name, options in (("shape", scenes.SHAPES), ("color", tuple(scenes.COLORS))):
        for word in words:
            if word in options:
                found.setdefault(name, word)
    for background in scenes.BACKGROUNDS:
        if background in words:
            found["background"] = background
    ways = [w.removesuffix("wards") for w in words if w.removesuffix("wards") in ("left", "right", "up", "down")]
    for motion, verbs in scenes.VERBS.items():
        if any(verb.split()[0] in words for verb in verbs if verb.split()[0] not in ("goes", "gets", "does")):
            found["motion"] = motion
    if "bigger" in words or "smaller" in words:
        found["motion"] = "grow" if "bigger" in words else "shrink"
    if "around" in words:
        found["motion"] = "circle"
    if "not" in words and "move" in words:
        found["motion"] = "still"
    if "motion" not in found and ways:
        vertical = [w for w in ways if w in ("up", "down")][:1]
        sideways = [w for w in ways if w in ("left", "right")][:1]
        found["motion"] = " ".join(vertical + sideways)
    return found
