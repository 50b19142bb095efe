"""Batch normalisation in training: NumPy's numbers, whichever kernel computes them."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_cr.attribution.gradient import value_and_gradient
from keras_cr.layers import UnbiasedBatchNormalization
from keras_cr.layers.batch_normalization import running_statistics


def made(dtype="float32", shape=(None, 2, 3, 4)):
    layer = UnbiasedBatchNormalization(momentum=0.8, epsilon=1e-3, dtype=dtype)
    layer.build(shape)
    rng = np.random.default_rng(1)
    for weight in layer.weights:
        weight.assign(rng.uniform(0.5, 1.5, weight.shape))
    return layer


@pytest.mark.parametrize("shape", [(5, 2, 3, 4), (30, 4)], ids=["map", "rows"])
def test_outputs_and_running_statistics(shape):
    layer, x = made(shape=shape), np.random.default_rng(0).normal(2, 3, shape).astype("float32")
    gamma, beta, mean, variance = (weight.numpy() for weight in layer.weights)
    outputs = ops.convert_to_numpy(layer(x, training=True))
    rows = x.reshape(-1, 4).astype("float64")
    expected = (x - rows.mean(0)) / np.sqrt(rows.var(0) + 1e-3) * gamma + beta
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-5)
    kept = 0.8 * mean + 0.2 * rows.mean(0), 0.8 * variance + 0.2 * rows.var(0, ddof=1)
    np.testing.assert_allclose(layer.moving_mean.numpy(), kept[0], rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance.numpy(), kept[1], rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16", "float64"])
def test_the_fused_kernel_gives_keras_gradients(dtype):
    x = np.random.default_rng(0).normal(2, 3, (5, 2, 3, 4))
    weights = np.random.default_rng(2).normal(size=x.shape)

    def gradient(layer):
        def loss(x):
            return ops.sum(ops.cast(layer(x, training=True), "float64") * weights)

        value, found = value_and_gradient(loss, ops.cast(x, layer.compute_dtype))
        statistics = [weight.numpy() for weight in layer.weights[2:]]
        return ops.convert_to_numpy(ops.cast(found, "float64")), float(value), statistics

    fused, plain = made(dtype), made(dtype)
    plain._can_be_fused = lambda inputs: False
    for ours, theirs in zip(gradient(fused), gradient(plain), strict=True):
        tolerance = 2e-2 if dtype == "mixed_bfloat16" else 1e-4
        np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance / 10)
    compute_dtype = "bfloat16" if dtype == "mixed_bfloat16" else dtype
    assert keras.backend.standardize_dtype(fused(x, training=True).dtype) == compute_dtype


def test_one_value_a_channel_is_no_division_by_zero():
    layer = made()
    layer(np.ones((1, 1, 1, 4), "float32"), training=True)
    assert np.isfinite(layer.moving_variance.numpy()).all()


def test_the_running_statistics_of_a_model_are_of_layers_in_use():
    """KerasCV's blocks have some that are never called, and so never built."""

    class Block(keras.Model):
        def __init__(self):
            super().__init__()
            self.used, self.idle = (keras.layers.BatchNormalization() for _ in range(2))

        def call(self, inputs):
            return self.used(inputs)

    block = Block()
    assert running_statistics(block) == []
    block(np.zeros((1, 2, 2, 3), "float32"))
    found = running_statistics(block)
    assert [each.path for each in found] == [
        block.used.moving_mean.path,
        block.used.moving_variance.path,
    ]
