"""The two-dimensional data sets of the playgrounds. All lie inside [-3, 3] x [-3, 3]."""

from __future__ import annotations

import csv
import io
from functools import lru_cache

import numpy as np

from core.errors import BadRequest

SETS = ("ring", "grid", "spiral", "moons", "letters", "own")
EXTENT = 3.0  # half the width of every plot
MOST_POINTS = 5000
RING = 2.0 * np.stack([np.cos(np.arange(8) * np.pi / 4), np.sin(np.arange(8) * np.pi / 4)], 1)  # (8, 2)
GRID = np.stack(np.meshgrid(np.arange(-2, 3), np.arange(-2, 3), indexing="ij"), -1).reshape(25, 2).astype(float)
SPREAD = {"ring": 0.10, "grid": 0.07}  # standard deviation of each Gaussian


def sample(
    name: str,
    count: int,
    rng: np.random.Generator,
    word: str = "GAN",
    points: tuple[tuple[float, float], ...] = (),
) -> np.ndarray:
    """Draw `count` real points of the set `name`: (count, 2) float32. Raises BadRequest on an unknown set."""
    if name in SPREAD:
        centres = RING if name == "ring" else GRID
        picked = centres[rng.integers(len(centres), size=count)]
        return (picked + SPREAD[name] * rng.standard_normal((count, 2))).astype(np.float32)
    if name == "spiral":
        turn = np.sqrt(rng.random(count)) * 3.5 * np.pi  # the root spreads the points evenly along the arm
        arm = np.stack([np.cos(turn), np.sin(turn)], 1) * turn[:, None] * (2.5 / (3.5 * np.pi))
        return (arm + 0.05 * rng.standard_normal((count, 2))).astype(np.float32)
    if name == "moons":
        angle, lower = rng.random(count) * np.pi, rng.integers(2, size=count)
        x = np.where(lower, 1 - np.cos(angle), np.cos(angle)) - 0.5
        y = np.where(lower, 0.5 - np.sin(angle), np.sin(angle)) - 0.25
        return (np.stack([x, y], 1) * 1.6 + 0.08 * rng.standard_normal((count, 2))).astype(np.float32)
    if name == "letters":
        ink = _ink(word)  # (M, 2)
        jitter = rng.uniform(-0.5, 0.5, (count, 2)) * _PIXEL
        return (ink[rng.integers(len(ink), size=count)] + jitter).astype(np.float32)
    if name == "own":
        if len(points) < 2:
            raise BadRequest("Draw at least two points or upload a CSV file first.")
        own = np.asarray(points, float)
        return (own[rng.integers(len(own), size=count)] + 0.05 * rng.standard_normal((count, 2))).astype(np.float32)
    raise BadRequest(f"There is no data set {name!r}; choose one of {', '.join(SETS)}.")


_PIXEL = 0.055


@lru_cache(maxsize=32)
def _ink(word: str) -> np.ndarray:
    """Centres of the inked pixels of a word, scaled to the plot: (M, 2)."""
    from PIL import Image, ImageDraw, ImageFont

    letters = "".join(c for c in word if c.isprintable()).strip()[:6] or "GAN"
    font = ImageFont.load_default(size=64)
    left, top, right, bottom = font.getbbox(letters)
    page = Image.new("L", (int(right - left) + 4, int(bottom - top) + 4), 0)
    ImageDraw.Draw(page).text((2 - left, 2 - top), letters, font=font, fill=255)
    rows, columns = np.nonzero(np.asarray(page) > 127)
    if len(rows) < 8:
        raise BadRequest(f"The word {letters!r} leaves no ink: use Latin letters or digits.")
    ink = np.stack([columns - columns.mean(), rows.mean() - rows], 1).astype(float)
    return ink * min(_PIXEL, 2.4 / np.abs(ink).max())


def anchors(name: str, word: str = "GAN", points: tuple[tuple[float, float], ...] = ()) -> tuple[np.ndarray, float]:
    """The modes that a generator ought to reach, (K, 2), and how near a point must be to count for one.

    Gaussians have true modes; the other sets are cut into 16 parts by farthest-point sampling.
    """
    if name in SPREAD:
        return (RING, 0.4) if name == "ring" else (GRID, 0.3)
    real = sample(name, 1500, np.random.default_rng(0), word, points).astype(float)
    chosen = [0]
    gap = np.linalg.norm(real - real[0], axis=1)
    while len(chosen) < 16:
        chosen.append(int(gap.argmax()))
        gap = np.minimum(gap, np.linalg.norm(real - real[chosen[-1]], axis=1))
    return real[chosen], float(gap.max()) + 0.1


def read_csv(content: bytes) -> tuple[tuple[float, float], ...]:
    """Points of an uploaded CSV file: two numeric columns, a heading line is skipped; scaled into the plot.

    Raises BadRequest when the file is over 1 MB, is not text, or has fewer than two usable rows.
    """
    if len(content) > 1_000_000:
        raise BadRequest("The CSV file is larger than 1 MB: send at most 5,000 rows of x,y.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadRequest("The file is not text: send a CSV file with two columns of numbers, x and y.") from error
    rows: list[tuple[float, float]] = []
    for line, cells in enumerate(csv.reader(io.StringIO(text.replace("\0", "").replace(";", ",")))):
        if not any(cell.strip() for cell in cells):
            continue
        try:
            x, y = float(cells[0]), float(cells[1])
        except (ValueError, IndexError) as error:
            if line == 0:
                continue  # a heading
            raise BadRequest(f"Line {line + 1} of the CSV file does not hold two numbers x,y.") from error
        if not (abs(x) < 1e9 and abs(y) < 1e9):  # False for NaN and infinity too
            raise BadRequest(f"Line {line + 1} of the CSV file holds a number that is not finite or too large.")
        rows.append((x, y))
        if len(rows) > MOST_POINTS:
            raise BadRequest("The CSV file has more than 5,000 points: keep 5,000 or fewer.")
    if len(rows) < 2:
        raise BadRequest("The CSV file needs at least two rows of numbers x,y.")
    table = np.asarray(rows)
    if np.abs(table).max() > EXTENT or np.ptp(table, axis=0).max() < 0.5:
        table = table - (table.max(0) + table.min(0)) / 2
        table = table * (2.2 / max(float(np.abs(table).max()), 1e-9))
    return tuple((round(float(x), 4), round(float(y), 4)) for x, y in table)
