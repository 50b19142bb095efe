"""Each objective's loss against the formula of its paper, written in NumPy."""

import numpy as np
import pytest

from keras_cr.pretraining import OBJECTIVES, Rotation, View

SIZES = {
    "moco": {"projection_dim": 6, "queue_size": 16},
    "byol": {"projection_dim": 6, "hidden_dim": 8},
    "simclr": {"projection_dim": 6},
    "simsiam": {"projection_dim": 6, "hidden_dim": 4},
    "barlow_twins": {"projection_dim": 6},
    "vicreg": {"projection_dim": 6},
    "supervised": {"num_classes": 4},
    "pretext": {"auxiliary": [Rotation()]},
    "dino": {"prototypes": 12, "hidden_dim": 8, "bottleneck_dim": 6, "small_crops": 0},
    "densecl": {"projection_dim": 6, "queue_size": 16},
    "patch_wise": {"prototypes": 12, "hidden_dim": 8, "bottleneck_dim": 6, "small_crops": 0},
    "lejepa": {"projection_dim": 6, "hidden_dim": 8, "directions": 16, "small_crops": 0},
}


def small(name, encoder, **options):
    return OBJECTIVES[name](encoder, **SIZES[name] | options)


@pytest.fixture
def projections():
    rng = np.random.default_rng(0)
    return rng.standard_normal((4, 5, 6)).astype("float32")


def loss(name, projections, batch=None, **options):
    """Of two students' and two teachers' projections, the students' predictions being 0.5 less."""
    from tests.case import tiny_encoder

    pretrainer = small(name, tiny_encoder(), rationale=None, **options)
    views = [View(None, None, each, each - 0.5) for each in projections]
    student = dict(zip(("query", "key"), views[:2], strict=True))
    teacher = dict(zip(("query", "key"), views[2:], strict=True))
    return float(pretrainer.objective(student, teacher, batch or {}).loss)


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def test_byol(projections):
    one, two, slow_one, slow_two = projections

    def distance(prediction, target):
        return 2 - 2 * (unit(prediction - 0.5) * unit(target)).sum(axis=1)

    expected = (distance(one, slow_two) / 2 + distance(two, slow_one) / 2).mean()
    assert loss("byol", projections) == pytest.approx(expected, rel=1e-5)


def test_simsiam(projections):
    one, two = projections[:2]

    def distance(prediction, target):
        return -(unit(prediction - 0.5) * unit(target)).sum(axis=1)

    expected = (distance(one, two) / 2 + distance(two, one) / 2).mean()
    assert loss("simsiam", projections) == pytest.approx(expected, rel=1e-5)


def test_simclr(projections):
    z = unit(np.concatenate(projections[:2]))
    similarity = np.exp(z @ z.T / 0.1)
    total = 0
    for i in range(10):
        partner = (i + 5) % 10
        total -= np.log(similarity[i, partner] / (similarity[i].sum() - similarity[i, i]))
    assert loss("simclr", projections) == pytest.approx(total / 10, rel=1e-4)


def test_barlow_twins(projections):
    one, two = ((x - x.mean(0)) / x.std(0) for x in projections[:2])
    c = one.T @ two / 5
    expected = ((1 - np.diag(c)) ** 2).sum() + 0.0051 * ((c**2).sum() - (np.diag(c) ** 2).sum())
    assert loss("barlow_twins", projections) == pytest.approx(expected, rel=1e-3)


def test_vicreg(projections):
    one, two = projections[:2]

    def variance(x):
        return np.maximum(0, 1 - np.sqrt(x.var(axis=0, ddof=1) + 1e-4)).mean()

    def covariance(x):
        c = np.cov(x.T)
        return ((c**2).sum() - (np.diag(c) ** 2).sum()) / 6

    expected = 25 * ((one - two) ** 2).mean() + 25 * (variance(one) + variance(two)) / 2
    expected += covariance(one) + covariance(two)
    assert loss("vicreg", projections) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_supervised(projections, smoothing):
    logits, labels = projections[0], np.array([0, 5, 2, 2, 3])
    options = {"num_classes": 6, "label_smoothing": smoothing}
    shares = np.full((5, 6), smoothing / 6)
    shares[np.arange(5), labels] += 1 - smoothing
    logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    expected = -(shares * logs).sum(axis=1).mean()
    found = loss("supervised", projections, {"label": labels}, **options)
    assert found == pytest.approx(expected, rel=1e-5)


def test_pretext_has_no_loss_of_its_own(projections):
    assert loss("pretext", projections) == 0
