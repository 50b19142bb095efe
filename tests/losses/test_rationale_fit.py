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
    heights = scaled(cam) if normalization == "image" else cam
    expected = kl(heights, rationale, 0.3, over == "rows").mean()
    loss = RationaleFit(0.3, target_normalization=normalization, over=over)
    run_loss_test(loss, cam, rationale, expected)


def scaled(cam):
    low, high = cam.min((1, 2), keepdims=True), cam.max((1, 2), keepdims=True)
    return (cam - low) / (high - low)


@pytest.mark.parametrize("normalization", ["image", "none"])
def test_places_are_fitted_by_their_squared_error(normalization):
    cam, rationale = 1e-3 * maps(0), maps(1)
    heights = scaled(cam) if normalization == "image" else cam
    loss = RationaleFit(target_normalization=normalization, over="places")
    run_loss_test(loss, cam, rationale, ((heights - rationale) ** 2).mean())
    assert float(loss(7 * heights, heights)) == pytest.approx(
        0 if normalization == "image" else (36 * heights**2).mean(), abs=1e-9
    )
    shares = heights.reshape(3, -1).astype("float64")
    shares /= shares.sum(1, keepdims=True)
    np.testing.assert_allclose(np.asarray(loss.target(cam))[:, 0], shares, rtol=1e-4, atol=1e-7)
    expected = -(shares * np.log(np.maximum(shares, 1e-30))).sum(1) / np.log(20)
    np.testing.assert_allclose(loss.target_entropy(cam), expected, rtol=1e-4)
    np.testing.assert_allclose(loss.target_entropy(np.zeros((1, 2, 3))), [1], rtol=1e-6)


def test_a_perfect_fit_costs_nothing():
    target = scaled(maps(0))
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
