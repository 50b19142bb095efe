import math

import numpy as np
import pytest

from keras_cr.layers import ProjectionHead
from tests.case import run_layer_test


def test_layer():
    features = np.random.default_rng(0).standard_normal((3, 6)).astype("float32")
    run_layer_test(ProjectionHead, {"units": (5, 4), "seed": 0}, [features], (3, 4), weights=(4, 0))


def test_values():
    head = ProjectionHead((2, 1))
    head.build((None, 2))
    head.set_weights([np.eye(2), np.array([0.0, -1.0]), np.array([[1.0], [2.0]]), np.array([-9.0])])
    # The hidden layer is rectified, the last one is not.
    np.testing.assert_allclose(head(np.array([[-5.0, 3.0]])), [[-5.0]])


def test_prototypes():
    features = np.random.default_rng(0).standard_normal((3, 6)).astype("float32")
    options = {"activation": "gelu", "prototypes": 7, "batch_norm": "hidden", "seed": 0}
    run_layer_test(ProjectionHead, {"units": (5, 4)} | options, [features], (3, 7), weights=(7, 2))

    head = ProjectionHead((1, 2), activation="gelu", prototypes=2)
    head.build((None, 1))
    directions = np.array([[3.0, 0.0], [4.0, 0.5]])  # of lengths 5 and 0.5
    weights = [directions, [[1.0]], [0.0], [[2.0, 0.0]], [0.0, 1.0]]
    head.set_weights(list(map(np.array, weights)))
    hidden = -0.5 * (1 + math.erf(-0.5 / math.sqrt(2))) / 2
    bottleneck = np.array([2 * hidden, 1.0]) / np.hypot(2 * hidden, 1.0)
    np.testing.assert_allclose(head(np.array([[-0.5]]))[0], bottleneck @ [[0.6, 0], [0.8, 1]], 1e-5)


@pytest.mark.parametrize("wrong", [{"activation": "tanh"}, {"prototypes": -1}])
def test_bad_outputs(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ProjectionHead((2,), **wrong)


@pytest.mark.parametrize("units", [(), (0,), (4, 2.5)])
def test_bad_units(units):
    with pytest.raises(ValueError, match="units"):
        ProjectionHead(units)
