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


@pytest.mark.parametrize("units", [(), (0,), (4, 2.5)])
def test_bad_units(units):
    with pytest.raises(ValueError, match="units"):
        ProjectionHead(units)
