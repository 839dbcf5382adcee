"""The 2,000 training portraits that ship with the app as the reference of its quality figures.

python -m training.reference      # needs runs/data and assets/models/attributes-b; writes assets/portraits
"""

from __future__ import annotations

import numpy as np
import torch

from core.metrics import distances, features, portraits
from core.metrics.attributes import coverage, load_folder
from training.classifier import MODELS
from training.portraits import ATTRIBUTES, load

COUNT = 2000


def main() -> None:
    torch.set_num_threads(1)
    network, classifier = features.load(), load_folder(MODELS / "attributes-b")
    images, records = load("train")
    # every eighth or ninth one: the split is in the order in which portraits were drawn, which is random
    rows = np.linspace(0, len(images) - 8, COUNT).astype(int)
    pictures, chosen = np.asarray(images[rows]), [records[i] for i in rows]
    found, labels = network.features(pictures), classifier.predict(pictures)

    # as many other portraits of the same kind: what they reach is the best that a generator can
    peers = np.asarray(images[rows + 4])
    other = network.features(peers)
    mean, low, high = distances.kid(found, other)
    real = {
        "frechet": distances.frechet_distance(found, other),
        "kid": mean,
        "kid_low": low,
        "kid_high": high,
        **distances.precision_recall(found, other),
        "attribute_coverage": coverage(classifier.predict(peers), labels),
        "neighbour": float(np.median(distances.nearest(other, found, 1)[1])),
    }
    portraits.write(
        portraits.FOLDER, pictures, chosen, found, labels, ATTRIBUTES, {k: round(v, 4) for k, v in real.items()}
    )
    for name, value in real.items():
        print(f"{name:20} {value:.4f}")


if __name__ == "__main__":
    main()
