"""Pooling by a vocabulary, against its formula and what it is for."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_cr.layers import VLADPooling


def drawn(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def fitted(channels=5, seed=1, **options):
    """A layer with words and a projection of some values."""
    layer = VLADPooling(**{"num_words": 3, "dimensions": 4} | options)
    layer.build((None, None, None, channels))
    layer.set_weights([drawn(weights.shape, seed + i) for i, weights in enumerate(layer.weights)])
    return layer


def by_hand(layer, maps, weights):
    """The docstring's formula, image by image and place by place, in float64."""
    words, projection = (np.asarray(w, "float64") for w in layer.weights)
    found = []
    for image, weight in zip(maps.astype("float64"), weights.astype("float64"), strict=True):
        for axis in (0, 1):
            size = weight.shape[axis]
            apart = np.arange(size)[:, None] - np.arange(size)
            blur = np.exp(-0.5 * (apart / (layer.smoothing * size)) ** 2) if layer.smoothing else 0
            blur = blur if layer.smoothing else np.eye(size)
            blur = blur / blur.sum(axis=1, keepdims=True)
            weight = np.moveaxis(np.tensordot(blur, weight, (1, axis)), 0, axis)
        z = np.zeros(words.shape)
        for y, x in np.ndindex(weight.shape):
            feature = image[y, x] / np.linalg.norm(image[y, x])
            share = np.exp(-np.square(feature - words).sum(axis=1) / layer.temperature)
            z += weight[y, x] * (share / share.sum())[:, None] * (feature - words)
        z = z / weight.sum()
        z = np.sign(z) * np.sqrt(np.abs(z))
        projected = np.einsum("kc,kcd->d", z, projection)
        found.append(projected / np.linalg.norm(projected))
    return np.array(found)


@pytest.mark.parametrize("options", [{}, {"smoothing": 0.2, "temperature": 2.0}, {"smoothing": 0}])
def test_the_formula(options):
    layer, maps = fitted(**options), drawn((2, 6, 5, 5))
    weights = np.abs(drawn((2, 6, 5), 3))
    expected = by_hand(layer, maps, weights)
    np.testing.assert_allclose(layer(maps, weights), expected, atol=2e-3)
    even = by_hand(layer, maps, np.ones_like(weights))
    for none in (None, np.zeros_like(weights)):  # equal weights for all places
        np.testing.assert_allclose(layer(maps, none), even, atol=2e-3)


def test_places_add_up_to_the_embedding_and_those_of_no_weight_have_no_part():
    layer, maps, weights = fitted(smoothing=0), drawn((2, 6, 5, 5)), np.abs(drawn((2, 6, 5), 3))
    weights[:, 2:] = 0
    parts = np.asarray(layer.parts(maps, weights))
    assert parts.shape == (2, 6, 5, 4)
    np.testing.assert_allclose(parts.sum(axis=(1, 2)), layer(maps, weights), atol=1e-5)
    assert not parts[:, 2:].any()
    assert np.abs(parts[:, :2]).max() > 0.01
    shares = np.asarray(layer.assignment(maps))
    np.testing.assert_allclose(shares.sum(axis=-1), 1, atol=1e-5)


def test_a_place_that_is_marked_a_little_is_smoothed_into_its_surroundings():
    weights = np.zeros((1, 10, 10), "float32")
    weights[0, 5, 5] = 1
    smoothed = np.asarray(fitted(smoothing=0.1).smoothed(weights))[0]
    assert smoothed.argmax() == 55
    assert smoothed[5, 6] == pytest.approx(np.exp(-0.5) * smoothed[5, 5], rel=0.05)
    np.testing.assert_array_equal(fitted(smoothing=0).smoothed(weights), weights)


def test_gradients_are_finite_where_a_root_is_steep():
    layer = fitted()
    layer.words.assign(np.zeros(layer.words.shape))
    for maps in (np.zeros((2, 4, 4, 5), "float32"), drawn((2, 4, 4, 5)), drawn((2, 4, 4, 5)) * 1e4):
        maps = tf.constant(maps)
        with tf.GradientTape() as tape:
            tape.watch(maps)
            loss = tf.reduce_sum(layer(maps, tf.ones((2, 4, 4))) * drawn((2, 4)))
        assert np.isfinite(tape.gradient(loss, maps)).all()
        assert np.isfinite(loss)


def test_sizes_that_are_not_known_when_it_is_traced():
    layer, maps, weights = fitted(), drawn((2, 6, 5, 5)), np.abs(drawn((2, 6, 5), 3))
    unknown = [tf.TensorSpec([None] * 3 + [5]), tf.TensorSpec([None] * 3)]
    traced = tf.function(layer, input_signature=unknown)
    np.testing.assert_allclose(traced(maps, weights), layer(maps, weights), atol=1e-6)


def test_saved_and_loaded(tmp_path):
    maps, weights = keras.Input((6, 5, 5)), keras.Input((6, 5))
    layer = fitted(temperature=0.3, smoothing=0.1, seed=2)
    model = keras.Model([maps, weights], layer(maps, weights))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    given = [drawn((2, 6, 5, 5)), np.abs(drawn((2, 6, 5), 3))]
    np.testing.assert_array_equal(loaded.predict(given, verbose=0), model.predict(given, verbose=0))
    assert not loaded.trainable_weights
    assert layer.compute_output_shape((2, 6, 5, 5)) == (2, 4)


@pytest.mark.parametrize(
    ("name", "value"),
    [("num_words", 0), ("dimensions", 1.5), ("temperature", 0), ("smoothing", -0.1)],
)
def test_refuses_what_can_not_be(name, value):
    with pytest.raises(ValueError, match=f"`{name}` must be"):
        VLADPooling(**{name: value})
