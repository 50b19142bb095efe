import numpy as np
import pytest

from keras_cr.layers import RationaleBranch, min_max_normalize
from tests.case import run_layer_test


def feature_map(batch=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((batch, 5, 4, 6)).astype("float32")


@pytest.mark.parametrize("normalization", ["image", "batch"])
def test_layer(normalization):
    run_layer_test(
        RationaleBranch,
        {"num_detectors": 4, "normalization": normalization, "seed": 1},
        [feature_map()],
        (3, 5, 4),
        output_dtype="float32",
        weights=(3, 2),
    )


def test_is_the_maximum_of_normalised_rectified_detectors():
    maps = feature_map()
    branch = RationaleBranch(num_detectors=3, seed=0)
    actual = branch(maps, training=True)
    scores = maps @ np.asarray(branch.detectors.kernel)[0, 0]
    scores = (scores - scores.mean((0, 1, 2))) / np.sqrt(scores.var((0, 1, 2)) + 1e-5)
    scores = np.maximum(scores, 0).max(-1)
    low, high = scores.min((1, 2), keepdims=True), scores.max((1, 2), keepdims=True)
    np.testing.assert_allclose(actual, (scores - low) / (high - low), atol=1e-4)


def test_a_map_depends_on_the_batch_only_when_asked_to():
    maps = feature_map(4)
    branch = RationaleBranch(num_detectors=2, seed=0)
    alone = branch(maps[:1])
    np.testing.assert_allclose(branch(maps)[:1], alone, atol=1e-6)
    whole = np.asarray(branch(maps, normalization="batch"))
    assert whole.min() == 0
    assert whole.max() == pytest.approx(1)
    assert whole.max((1, 2)).min() < 0.999


def test_an_image_at_which_nothing_fires_is_ranked_by_its_scores():
    branch = RationaleBranch(num_detectors=1, seed=0)
    maps = feature_map(2)
    branch(maps)
    branch.batch_norm.moving_mean.assign([100.0])  # every score lies far below zero
    scores = (maps @ np.asarray(branch.detectors.kernel)[0, 0])[..., 0]
    low, high = scores.min((1, 2), keepdims=True), scores.max((1, 2), keepdims=True)
    np.testing.assert_allclose(branch(maps), (scores - low) / (high - low), atol=1e-3)


def test_constant_map_is_all_zeros():
    branch = RationaleBranch(num_detectors=2, seed=0)
    assert not np.any(branch(np.ones((2, 3, 3, 6), "float32")))


def test_running_variance_is_unbiased():
    branch = RationaleBranch(num_detectors=2, seed=0)
    maps = feature_map(2)
    branch(maps, training=True)
    scores = (maps @ np.asarray(branch.detectors.kernel)[0, 0]).reshape(-1, 2)
    expected = 0.9 + 0.1 * scores.var(0, ddof=1)
    np.testing.assert_allclose(branch.batch_norm.moving_variance, expected, rtol=1e-5)


def test_bad_arguments():
    with pytest.raises(ValueError, match="num_detectors.*0"):
        RationaleBranch(num_detectors=0)
    with pytest.raises(ValueError, match="normalization.*'rows'"):
        RationaleBranch(normalization="rows")
    with pytest.raises(ValueError, match=r"\(B, H, W, C\).*\(2, 5\)"):
        RationaleBranch()(np.ones((2, 5), "float32"))
    with pytest.raises(ValueError, match="over='row'"):
        min_max_normalize(np.ones((1, 2, 2), "float32"), over="row")
