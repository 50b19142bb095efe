import numpy as np
import pytest

from keras_cr.losses import RationaleFit
from tests.case import run_loss_test


def softmax(x):
    x = np.exp(x - x.max(-1, keepdims=True))
    return x / x.sum(-1, keepdims=True)


def maps(seed):
    return np.random.default_rng(seed).random((3, 4, 5)).astype("float32")


def kl(cam, rationale, temperature, rows):
    shape = (len(cam), 4 if rows else 1, -1)
    p = softmax(cam.reshape(shape).astype("float64") / temperature)
    q = softmax(rationale.reshape(shape).astype("float64") / temperature)
    return (p * np.log(p / q)).sum((1, 2))


@pytest.mark.parametrize("over", ["map", "rows"])
@pytest.mark.parametrize("normalization", ["image", "none"])
def test_loss(over, normalization):
    cam, rationale = 1e-3 * maps(0), maps(1)
    scaled = cam
    if normalization == "image":
        low, high = cam.min((1, 2), keepdims=True), cam.max((1, 2), keepdims=True)
        scaled = (cam - low) / (high - low)
    expected = kl(scaled, rationale, 0.3, over == "rows").mean()
    loss = RationaleFit(0.3, target_normalization=normalization, over=over)
    run_loss_test(loss, cam, rationale, expected)


def test_a_perfect_fit_costs_nothing():
    target = maps(0)
    target -= target.min((1, 2), keepdims=True)
    target /= target.max((1, 2), keepdims=True)
    assert float(RationaleFit(0.2)(7e-6 * target, target)) == pytest.approx(0, abs=1e-5)


def test_target_entropy_tells_an_empty_target():
    cam = 1e-3 * maps(0)
    raw = RationaleFit(1.0, target_normalization="none").target_entropy(cam)
    assert np.all(np.asarray(raw) > 0.99999)
    p = np.asarray(RationaleFit(0.1).target(cam)).reshape(3, -1)
    np.testing.assert_allclose(p.sum(1), 1, rtol=1e-5)
    expected = -(p * np.log(p)).sum(1) / np.log(20)
    np.testing.assert_allclose(RationaleFit(0.1).target_entropy(cam), expected, rtol=1e-4)
    assert np.all(expected < 0.9)


def test_an_all_zero_cam_asks_for_a_uniform_map():
    target = RationaleFit(0.4).target(np.zeros((1, 2, 3), "float32"))
    np.testing.assert_allclose(target, np.full((1, 1, 6), 1 / 6), rtol=1e-6)


def test_bad_arguments():
    for keyword, value in (
        ("temperature", 0),
        ("target_normalization", "batch"),
        ("over", "columns"),
    ):
        with pytest.raises(ValueError, match=keyword):
            RationaleFit(**{keyword: value})
    with pytest.raises(ValueError, match="single place"):
        RationaleFit()(np.ones((2, 1, 1)), np.ones((2, 1, 1)))
