"""Figures of quality with known answers."""

import numpy as np
import pytest

from core.metrics import distances
from core.metrics.attributes import AttributeClassifier, coverage, label
from core.metrics.portraits import Reference, write


def normal(count: int, width: int = 6, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, width))


# 1. Distances
def test_frechet_of_a_set_to_itself_is_zero():
    x = normal(200)
    assert distances.frechet_distance(x, x) == pytest.approx(0, abs=1e-9)


def test_frechet_of_a_shift_is_its_squared_length():
    x = normal(200)
    assert distances.frechet_distance(x, x + np.array([3, 0, 4, 0, 0, 0])) == pytest.approx(25)


def test_frechet_of_a_scaling_is_the_squared_difference_of_deviations():
    x = normal(200)
    x -= x.mean(0)
    assert distances.frechet_distance(x, 3 * x) == pytest.approx(4 * np.trace(np.cov(x.T)))


@pytest.mark.parametrize("counts", [(300, 250), (4, 250), (5, 4)])
def test_frechet_agrees_with_the_matrix_root(counts):
    from scipy.linalg import sqrtm

    a, b = normal(counts[0]), normal(counts[1], seed=1) @ np.diag([1, 2, 3, 1, 1, 0.5]) + 1
    s, t = np.cov(a.T), np.cov(b.T)
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(s + t) - 2 * np.trace(np.real(sqrtm(s @ t)))
    assert distances.frechet_distance(a, b) == pytest.approx(expected, rel=1e-3)


def test_kid_is_unbiased_and_its_interval_holds_zero_for_one_distribution():
    mean, low, high = distances.kid(normal(300), normal(300, seed=1))
    assert low < 0 < high and low < mean < high
    # two points a set: the sum can be written out by hand
    a, b = np.array([[1.0], [0.0]]), np.array([[2.0], [1.0]])
    by_hand = 1 + 27 - 2 * (27 + 8 + 1 + 1) / 4
    assert distances.kid(a, b)[0] == pytest.approx(by_hand)


def test_kid_sees_a_shift_beyond_its_interval():
    _, low, _ = distances.kid(normal(300), normal(300, seed=1) + 0.5)
    assert low > 0


def test_kid_is_the_same_each_time():
    assert distances.kid(normal(50), normal(60)) == distances.kid(normal(50), normal(60))


def test_precision_and_recall_of_equal_far_and_collapsed_sets():
    x = normal(200, 2)
    assert distances.precision_recall(x, x)["precision"] == 1
    assert distances.precision_recall(x, x)["recall"] == 1
    far = distances.precision_recall(x, x + 100)
    assert far == {"precision": 0, "recall": 0, "density": 0, "coverage": 0}
    collapsed = distances.precision_recall(x, 0.01 * normal(200, 2, 1))
    assert collapsed["precision"] == 1 and collapsed["recall"] < 0.05 and collapsed["coverage"] < 0.2


def test_nearest_finds_the_copy_first():
    x = normal(50)
    rows, gaps = distances.nearest(x[[7, 3]] + 1e-3, x, count=2)
    assert rows[:, 0].tolist() == [7, 3]
    assert gaps[0, 0] == pytest.approx(1e-3 * 6**0.5, rel=1e-3) and gaps[0, 1] > gaps[0, 0]


@pytest.mark.parametrize("bad", [np.zeros((1, 6)), np.zeros((9, 5)), np.full((9, 6), np.nan)])
def test_unusable_features_are_refused(bad):
    with pytest.raises(ValueError):
        distances.frechet_distance(normal(9), bad)


# 2. Attributes
VALUES = {"color": ["red", "blue"], "glasses": ["no", "yes"]}


def reading(colors: str, glasses: str) -> dict[str, np.ndarray]:
    return {
        "color": np.array([{"r": "red", "b": "blue"}[c] for c in colors]),
        "glasses": np.array([{"n": "no", "y": "yes"}[c] for c in glasses]),
    }


def test_coverage_counts_pairs_of_values():
    real = reading("rrbb" * 25, "nyny" * 25)
    assert coverage(real, real) == 1
    assert coverage(reading("r" * 100, "n" * 100), real) == pytest.approx(0.25)
    assert coverage(reading("rb" * 50, "ny" * 50), real) == pytest.approx(0.5)
    assert coverage(reading("", ""), real) == 0


def test_few_samples_are_judged_by_what_as_many_real_ones_show():
    real = reading("rrbb" * 25, "nyny" * 25)
    # one picture shows one pair of four, and so does one real picture
    assert coverage(reading("r", "y"), real) == 1


@pytest.mark.parametrize("body", ["conv", "mixer"])
def test_a_classifier_names_values_and_scores_adherence(body):
    import torch

    model = AttributeClassifier(VALUES, body, 8).eval()
    with torch.no_grad():
        for name, answer in (("color", 1), ("glasses", 0)):  # make the answer known: blue, no glasses
            model.heads[name].weight.zero_()
            model.heads[name].bias.copy_(torch.eye(2)[answer])
    images = np.random.default_rng(0).integers(0, 256, (3, 128, 128, 3), dtype=np.uint8)
    seen = model.predict(images, batch=2)
    assert seen["color"].tolist() == ["blue"] * 3 and seen["glasses"].tolist() == ["no"] * 3
    scores = model.adherence(images, [{"color": "blue", "glasses": True}, {"color": "red"}, {"color": "blue"}])
    assert scores == pytest.approx({"color": 2 / 3, "glasses": 0, "mean": 1 / 3})
    assert model.predict(images[:0])["color"].shape == (0,)
    with pytest.raises(ValueError):
        model.adherence(images, [{}] * 3)
    with pytest.raises(ValueError):
        model.adherence(images, [{"color": "blue"}])


def test_labels_of_flags():
    assert [label(v) for v in (True, False, "sky blue")] == ["yes", "no", "sky blue"]


# 3. Features and the reference
def test_features_do_not_depend_on_the_batch_and_tell_pictures_apart():
    from core.metrics import features

    net = features.load()
    images = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    images[1] = 255
    whole = net.features(images)
    assert whole.shape == (3, features.FEATURES) and np.isfinite(whole).all()
    np.testing.assert_allclose(whole, net.features(images, batch=1), atol=1e-4)
    assert np.abs(whole[0] - whole[1]).max() > 0.05


def test_the_reference_is_read_back_as_written(tmp_path):
    rng = np.random.default_rng(0)
    pictures = np.repeat(rng.integers(0, 256, (60, 1, 1, 3), dtype=np.uint8), 64, axis=1).repeat(64, axis=2)
    labels = reading("rb" * 30, "ny" * 30)
    records = [{"color": c, "glasses": g == "yes", "captions": []} for c, g in zip(*labels.values(), strict=True)]
    features = normal(60, 8)
    write(tmp_path, pictures, records, features, labels, VALUES, {"frechet": 1.5})
    judge = Reference.load(tmp_path)
    assert judge.pictures.shape == pictures.shape
    assert np.abs(judge.pictures[:, 32, 32].astype(int) - pictures[:, 32, 32]).mean() < 8
    np.testing.assert_allclose(judge.features, features, atol=0.01)
    assert judge.labels["color"].tolist() == labels["color"].tolist()
    assert judge.records[1] == {"color": "blue", "glasses": True} and judge.real == {"frechet": 1.5}


def test_the_shipped_yardstick_reads_the_shipped_portraits():
    from core.catalog import MODELS_DIR
    from core.metrics.attributes import load_folder

    judge, classifier = Reference.load(), load_folder(MODELS_DIR / "attributes-b")
    assert judge.pictures.shape == (2000, 64, 64, 3) and len(judge.records) == len(judge.features) == 2000
    scores = classifier.adherence(judge.pictures[:128], judge.records[:128])
    assert scores["mean"] > 0.95 and scores["mouth"] > 0.8
    # one picture many times over is what a collapsed generator shows
    assert judge.attribute_coverage(judge.pictures[:1].repeat(64, 0), classifier) < 0.1
    assert judge.attribute_coverage(judge.pictures[:256], classifier) > 0.9
