import numpy as np

from keras_cr.layers import RationalePooling
from tests.case import run_layer_test


def test_layer():
    rng = np.random.default_rng(0)
    maps, weights = rng.random((2, 3, 4, 5), "float32"), rng.random((2, 3, 4), "float32")
    for inputs in ([maps], [maps, weights]):
        run_layer_test(RationalePooling, {}, inputs, (2, 5), output_dtype="float32", weights=(0, 0))


def test_values():
    maps = np.zeros((1, 1, 2, 2), "float32")
    maps[0, 0] = [[3.0, 4.0], [30.0, 0.0]]
    pool = RationalePooling(normalize=False)
    np.testing.assert_allclose(pool(maps), [[16.5, 2.0]])
    np.testing.assert_allclose(pool(maps, np.array([[[2.0, 0.0]]])), [[3.0, 4.0]])
    np.testing.assert_allclose(pool(maps, np.array([[[0.9, 0.1]]])), [[5.7, 3.6]], rtol=1e-6)
    unit = RationalePooling()
    np.testing.assert_allclose(unit(maps, np.array([[[2.0, 0.0]]])), [[0.6, 0.8]], rtol=1e-6)


def test_weights_without_any_signal_fall_back_to_the_average():
    maps = np.random.default_rng(0).random((2, 3, 3, 4), "float32")
    weights = np.zeros((2, 3, 3), "float32")
    weights[1, 0, 0] = 1e-30
    pool = RationalePooling()
    np.testing.assert_allclose(pool(maps, weights)[0], pool(maps)[0], rtol=1e-6)
    np.testing.assert_allclose(
        pool(maps, weights)[1], maps[1, 0, 0] / np.linalg.norm(maps[1, 0, 0]), rtol=1e-5
    )


def test_sums_in_float32_under_a_low_precision_policy():
    maps = np.full((1, 32, 32, 1), 1.0, "float32")
    maps[0, 0, 0] = 1.01
    pool = RationalePooling(normalize=False, dtype="bfloat16")
    np.testing.assert_allclose(pool(maps), [[1 + 0.01 / 1024]], rtol=1e-6)
