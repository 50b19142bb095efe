"""BYOL beside the rationale that the authors' release fits in its second path."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_cr.models import CommonRationaleEncoder
from keras_cr.pretraining import BYOL, Rationale


def unit(x):
    return x / tf.norm(x, axis=-1, keepdims=True)


@pytest.fixture
def maps():
    drawn = np.maximum(np.random.default_rng(5).standard_normal((2, 4, 6, 6, 8)), 0)
    return dict(zip(("query", "key"), tf.constant(10 * drawn, "float32"), strict=True))


def test_a_step_of_the_reference_is_the_releases_formula(maps):
    """The loss is minus the mean cosine; the GradCAM is the first view's, and twice as high."""
    inputs = keras.Input((6, 6, 8))
    backbone = keras.Model(inputs, keras.layers.Identity()(inputs))
    encoder = CommonRationaleEncoder(backbone, num_detectors=5, seed=0)
    pretrainer = BYOL(
        encoder,
        Rationale.reference("byol"),
        projection_dim=6,
        hidden_dim=8,
        objective_weight=0.5,
    )
    teacher = pretrainer.teach(maps)
    with tf.GradientTape() as tape:
        tape.watch(maps)
        total, logs, embedding = pretrainer.compute_losses(maps, teacher, tape)
    gradients = tape.gradient(total, maps)
    assert embedding is None

    heads, branch = pretrainer.heads, encoder.branch
    with tf.GradientTape() as tape:
        tape.watch(maps)
        with tf.GradientTape() as inner:
            inner.watch(maps)
            loss = 0
            for view, other in (("query", "key"), ("key", "query")):
                pooled = tf.reduce_mean(maps[view], axis=(1, 2))
                predicted = heads["predict"](heads["project"](pooled, training=True), training=True)
                cosines = tf.reduce_sum(unit(predicted) * unit(teacher[other].projected), axis=-1)
                loss -= tf.reduce_mean(cosines) / 2
        with tape.stop_recording():
            slope = inner.gradient(loss, maps["query"])
        cam = tf.nn.relu(tf.reduce_sum(maps["query"] * 2 * slope, axis=-1))
        scores = tf.nn.relu(branch.scores(maps["query"], training=True))
        found = tf.reduce_max(scores, axis=-1)
        found -= tf.reduce_min(found)
        found /= 1e-7 + tf.reduce_max(found)
        target, fitted = (tf.nn.softmax(tf.reshape(x, (4, 36)) / 0.4) for x in (cam, found))
        divergence = tf.reduce_sum(target * tf.math.log(target / fitted))
        by_hand = loss + 0.01 * divergence
    expected = tape.gradient(by_hand, maps)
    assert float(logs["ssl_loss"]) == pytest.approx(2 + 2 * float(loss), rel=1e-5)
    assert float(logs["fit_loss"]) == pytest.approx(float(divergence), rel=1e-4)
    assert float(total) == pytest.approx(1 + float(by_hand), rel=1e-5)
    for name, gradient in gradients.items():
        scale = np.abs(expected[name]).max()
        np.testing.assert_allclose(gradient, expected[name], atol=1e-4 * scale)
