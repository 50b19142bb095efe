"""Layers that only backbones of others have."""

import numpy as np

from keras_cr.layers import (
    GlobalResponseNormalization,
    LayerScale,
    PatchPositions,
    PrefixTokens,
    TokensToMap,
)
from tests.case import run_layer_test

MAPS = np.random.default_rng(0).normal(size=(2, 4, 6, 8)).astype("float32")


def test_every_one_as_a_layer():
    run_layer_test(LayerScale, {"initial": 0.5}, [MAPS], MAPS.shape, weights=(1, 0))
    run_layer_test(GlobalResponseNormalization, {}, [MAPS], MAPS.shape, weights=(2, 0))
    run_layer_test(PatchPositions, {"sides": (4, 6)}, [MAPS], MAPS.shape, weights=(1, 0))
    run_layer_test(PatchPositions, {"sides": (3, 3)}, [MAPS], MAPS.shape, weights=(1, 0))
    run_layer_test(PrefixTokens, {"number": 2}, [MAPS], (2, 26, 8), weights=(1, 0))


def test_response_normalization_by_hand():
    layer = GlobalResponseNormalization()
    layer.build(MAPS.shape)
    gamma, beta = np.linspace(-1, 1, 8), np.linspace(0, 1, 8)
    layer.gamma.assign(gamma)
    layer.beta.assign(beta)
    norms = np.sqrt((MAPS**2).sum(axis=(1, 2), keepdims=True))
    expected = MAPS + beta + gamma * MAPS * norms / (norms.mean(axis=-1, keepdims=True) + 1e-6)
    np.testing.assert_allclose(layer(MAPS), expected, rtol=1e-5, atol=1e-6)


def test_tokens_become_the_map_they_were():
    tokens = PrefixTokens(3)(MAPS)
    np.testing.assert_array_equal(TokensToMap(skip=3)(tokens, MAPS), MAPS)


def test_positions_of_another_size_keep_what_is_alike_everywhere():
    layer = PatchPositions((3, 3))
    layer.build(MAPS.shape)
    layer.grid.assign(np.ones((3, 3, 8)))
    np.testing.assert_allclose(layer(MAPS), MAPS + 1, rtol=1e-5)
