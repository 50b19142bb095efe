import numpy as np
import pytest

from keras_cr.layers import FeatureQueue
from tests.case import run_layer_test


def queue(size=5, dim=3):
    layer = FeatureQueue(size, seed=0)
    layer.build((None, dim))
    return layer


def rows(*values):
    return np.repeat(np.array(values, "float32")[:, None], 3, axis=1)


def test_layer():
    queries = np.random.default_rng(0).standard_normal((2, 3)).astype("float32")
    run_layer_test(
        FeatureQueue,
        {"size": 7, "seed": 0},
        [queries],
        (2, 7),
        output_dtype="float32",
        weights=(0, 3),
    )


def test_starts_with_random_unit_vectors():
    features = np.asarray(queue(50).features)
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, rtol=1e-5)
    assert np.unique(features.round(4), axis=0).shape == (50, 3)


def test_the_oldest_give_way_and_the_pointer_wraps():
    layer = queue(5)
    layer.enqueue(rows(1, 2, 3), indices=[7, 8, 9])
    layer.enqueue(rows(4, 5, 6), indices=[10, 11, 12])
    np.testing.assert_array_equal(layer.features, rows(6, 2, 3, 4, 5))
    np.testing.assert_array_equal(layer.indices, [12, 8, 9, 10, 11])
    assert int(layer.pointer) == 1
    np.testing.assert_array_equal(
        layer.same_image([8, 99]), [[False, True, False, False, False], [False] * 5]
    )
    layer.enqueue(rows(7))
    np.testing.assert_array_equal(layer.indices, [12, -1, 9, 10, 11])
    assert not np.any(layer.same_image([-1])), "unknown images are nobody's"


def test_similarities_are_inner_products():
    layer = queue(4)
    queries = np.random.default_rng(1).standard_normal((2, 3)).astype("float32")
    np.testing.assert_allclose(layer(queries), queries @ np.asarray(layer.features).T, rtol=1e-5)


def test_bad_sizes():
    with pytest.raises(ValueError, match="size=0"):
        FeatureQueue(0)
    with pytest.raises(ValueError, match="6 keys.*size=5"):
        queue(5).enqueue(rows(1, 2, 3, 4, 5, 6))
