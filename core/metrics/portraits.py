"""Judging generated portraits against 2,000 training pictures that ship with the app (assets/portraits).

judge = Reference.load()
figures = judge.quality(images, features_net, classifier)      # a table row
rows, distances = judge.neighbours(images, features_net)       # judge.pictures[rows]: is it a copy?
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.errors import LabError
from core.metrics import distances

if TYPE_CHECKING:
    from core.metrics.attributes import AttributeClassifier
    from core.metrics.features import EfficientNetLite0

FOLDER = Path(__file__).resolve().parents[2] / "assets" / "portraits"
SIDE, COLUMNS = 64, 50  # the sheet is a grid of 64-pixel pictures, 50 a row


@dataclass(frozen=True)
class Reference:
    """Training portraits to measure against.

    pictures: (M, 64, 64, 3) uint8, after mild WebP compression. features: (M, 320) float32 of the originals.
    labels: {attribute: (M,) str} as the classifier "attributes-b" reads the originals, so that real and generated
    pictures are read by the same instrument. records: M true records. real: the figures that
    2,000 other training portraits reach, the floor for every generator.
    """

    pictures: np.ndarray
    features: np.ndarray
    labels: dict[str, np.ndarray]
    records: list[dict[str, Any]]
    real: dict[str, float]

    @staticmethod
    @cache
    def load(folder: Path = FOLDER) -> Reference:
        """Read assets/portraits once (about 30 MB in memory). Raises LabError."""
        from PIL import Image

        try:
            info = json.loads((folder / "reference.json").read_text())
            with np.load(folder / "features.npz", allow_pickle=False) as data:
                features = data["features"].astype(np.float32)
                codes = data["labels"]
            with Image.open(folder / "pictures.webp") as sheet:
                grid = np.asarray(sheet.convert("RGB"))
        except (OSError, ValueError, KeyError) as error:
            raise LabError(f"The reference portraits cannot be read ({error}); restore assets/portraits.") from error
        rows = grid.shape[0] // SIDE
        pictures = grid.reshape(rows, SIDE, COLUMNS, SIDE, 3).swapaxes(1, 2).reshape(-1, SIDE, SIDE, 3)[: len(features)]
        values: dict[str, list[str]] = info["values"]
        labels = {name: np.asarray(words)[codes[:, i]] for i, (name, words) in enumerate(values.items())}
        return Reference(pictures, features, labels, info["records"], info["real"])

    def quality(
        self,
        images: np.ndarray,
        network: EfficientNetLite0,
        classifier: AttributeClassifier,
        *,
        each: Callable[[int, int], object] | None = None,
    ) -> dict[str, float]:
        """Figures of `images` (N, H, W, 3) uint8, N at least 16: frechet, kid with its 95 % interval kid_low and
        kid_high, precision, recall, density, coverage (of features) and attribute_coverage.

        All lie nearer to the truth with more samples; compare figures of equal N. About 12 ms a picture.
        """
        fake = network.features(images, each=each)
        mean, low, high = distances.kid(self.features, fake, rng=np.random.default_rng(0))
        return {
            "frechet": distances.frechet_distance(self.features, fake),
            "kid": mean,
            "kid_low": low,
            "kid_high": high,
            **distances.precision_recall(self.features, fake),
            "attribute_coverage": self.attribute_coverage(images, classifier),
        }

    def attribute_coverage(self, images: np.ndarray, classifier: AttributeClassifier) -> float:
        """Share of the real pairs of attribute values that `images` show, relative to as many real ones, 0 to 1."""
        from core.metrics.attributes import coverage

        return coverage(classifier.predict(images), self.labels)

    def neighbours(
        self, images: np.ndarray, network: EfficientNetLite0, count: int = 4
    ) -> tuple[np.ndarray, np.ndarray]:
        """Rows of `pictures` nearest to each image in feature space and the distances, both (N, count).

        For scale: `real["neighbour"]` is the median distance of other training portraits to their nearest one.
        """
        return distances.nearest(network.features(images), self.features, count)


def write(
    folder: Path,
    pictures: np.ndarray,
    records: Iterable[dict[str, Any]],
    features: np.ndarray,
    labels: dict[str, np.ndarray],
    values: dict[str, list[str]],
    real: dict[str, float],
) -> None:
    """Write what `Reference.load` reads (used by training/reference.py)."""
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    rows = -(-len(pictures) // COLUMNS)
    grid = np.zeros((rows * COLUMNS, SIDE, SIDE, 3), np.uint8)
    grid[: len(pictures)] = pictures
    page = grid.reshape(rows, COLUMNS, SIDE, SIDE, 3).swapaxes(1, 2).reshape(rows * SIDE, COLUMNS * SIDE, 3)
    Image.fromarray(page).save(folder / "pictures.webp", quality=72, method=6)
    codes = np.stack([np.array([values[k].index(v) for v in labels[k]], np.uint8) for k in values], 1)
    np.savez_compressed(folder / "features.npz", features=features.astype(np.float16), labels=codes)
    kept = [{k: r[k] for k in values} for r in records]
    (folder / "reference.json").write_text(json.dumps({"values": values, "real": real, "records": kept}))
