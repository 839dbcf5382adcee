"""Distances between two sets of features, plain numpy: Frechet, KID, precision and recall, nearest neighbours.

All take float arrays (N, D) with one row a picture and raise ValueError for sets that are too small or not finite.
"""

from __future__ import annotations

import numpy as np

BLOCK = 250  # rows at a time: 2,000 x 2,000 matrices would take a third of the app's memory


def _checked(*sets: np.ndarray, least: int = 2) -> list[np.ndarray]:
    out = [np.asarray(s, np.float64) for s in sets]
    for s in out:
        if s.ndim != 2 or s.shape[1] != out[0].shape[1]:
            raise ValueError(f"features must be (N, D) with one D, got {[x.shape for x in out]}")
        if len(s) < least:
            raise ValueError(f"{len(s)} samples are too few, at least {least} are needed")
        if not np.isfinite(s).all():
            raise ValueError("features are not finite")
    return out


def frechet_distance(real: np.ndarray, fake: np.ndarray) -> float:
    """Squared Frechet (2-Wasserstein) distance of two Gaussians fitted to the sets (https://arxiv.org/abs/1706.08500).

    |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)). Compare only figures of equal sample counts: few samples bias it up.
    """
    a, b = _checked(real, fake)
    gap = a.mean(0) - b.mean(0)
    # tr (S1 S2)^(1/2) is the sum of the singular values of A B^T, where S1 = A^T A and S2 = B^T B: no matrix root
    a, b = (a - a.mean(0)) / np.sqrt(len(a) - 1), (b - b.mean(0)) / np.sqrt(len(b) - 1)
    total = (a * a).sum() + (b * b).sum()
    a, b = (np.asarray(np.linalg.qr(x, mode="r")) if len(x) > x.shape[1] else x for x in (a, b))
    cross = np.linalg.svd(a @ b.T, compute_uv=False).sum()
    return float(max(gap @ gap + total - 2 * cross, 0.0))


def kid(
    real: np.ndarray, fake: np.ndarray, *, rounds: int = 100, size: int = 200, rng: np.random.Generator | None = None
) -> tuple[float, float, float]:
    """Kernel inception distance: unbiased squared MMD with k(x, y) = (x.y / D + 1)^3 (https://arxiv.org/abs/1801.01401).

    Returns (estimate on all samples, low, high): the ends of the central 95 % interval over `rounds` random halves
    of at most `size` samples, shrunk to the whole count. It may be negative. The same rng gives the same interval.
    """
    a, b = _checked(real, fake)
    rng = rng or np.random.default_rng(0)
    whole = _mmd(a, b)
    n, m = min(size, max(2, len(a) // 2)), min(size, max(2, len(b) // 2))
    draws = [
        _mmd(a[rng.choice(len(a), n, replace=False)], b[rng.choice(len(b), m, replace=False)]) for _ in range(rounds)
    ]
    # deviations of a subsample estimate shrink with the square root of the sample count
    deviations = (np.asarray(draws) - np.mean(draws)) * np.sqrt(min(n / len(a) + m / len(b), 2.0) / 2)
    low, high = np.quantile(deviations, [0.025, 0.975])
    return float(whole), float(whole + low), float(whole + high)


def _mmd(a: np.ndarray, b: np.ndarray) -> float:
    """Unbiased squared MMD: the diagonals of the kernels within a set are left out."""
    n, m, width = len(a), len(b), a.shape[1]

    def total(x: np.ndarray, y: np.ndarray) -> float:
        return sum(float(((x[i : i + BLOCK] @ y.T / width + 1) ** 3).sum()) for i in range(0, len(x), BLOCK))

    def diagonal(x: np.ndarray) -> float:
        return float((((x * x).sum(1) / width + 1) ** 3).sum())

    within = (total(a, a) - diagonal(a)) / (n * (n - 1)) + (total(b, b) - diagonal(b)) / (m * (m - 1))
    return within - 2 * total(a, b) / (n * m)


def squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(N, D), (M, D) -> squared Euclidean distances (N, M), never negative."""
    return np.maximum((a * a).sum(1)[:, None] + (b * b).sum(1)[None] - 2 * a @ b.T, 0)


def precision_recall(real: np.ndarray, fake: np.ndarray, k: int = 5) -> dict[str, float]:
    """Precision and recall (https://arxiv.org/abs/1904.06991), density and coverage (https://arxiv.org/abs/2002.09797),
    from balls that reach to each sample's k-th nearest neighbour in its own set.

    precision: share of fakes inside the real balls; recall: share of reals inside the fake balls; density: how many
    real balls hold a fake, over k (may exceed 1); coverage: share of real balls that hold a fake.
    """
    a, b = _checked(real, fake, least=k + 1)
    radius_a, radius_b = _radii(a, k), _radii(b, k)
    held = np.zeros(len(b), int)  # how many real balls hold each fake
    reached, covered = 0, 0
    for i in range(0, len(a), BLOCK):
        gaps = squared_distances(a[i : i + BLOCK], b)
        inside = gaps <= radius_a[i : i + BLOCK, None]
        held += inside.sum(0)
        covered += int(inside.any(1).sum())
        reached += int((gaps <= radius_b[None]).any(1).sum())
    return {
        "precision": float((held > 0).mean()),
        "recall": reached / len(a),
        "density": float(held.mean() / k),
        "coverage": covered / len(a),
    }


def _radii(x: np.ndarray, k: int) -> np.ndarray:
    """Squared distance of each sample to its k-th nearest neighbour in its own set, (N,)."""
    parts = [np.partition(squared_distances(x[i : i + BLOCK], x), k, axis=1)[:, k] for i in range(0, len(x), BLOCK)]
    return np.concatenate(parts)


def nearest(queries: np.ndarray, references: np.ndarray, count: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """For each query (N, D) the rows of its `count` nearest references (M, D) and their distances, both (N, count)."""
    q, r = _checked(queries, references, least=1)
    gaps = squared_distances(q, r)
    rows = np.argsort(gaps, axis=1, kind="stable")[:, :count]
    return rows, np.sqrt(np.take_along_axis(gaps, rows, 1))
