"""The release's linear protocol against SGD written in NumPy."""

import keras
import numpy as np
import pytest

from keras_cr.evaluation import extract, sgd_probe
from keras_cr.evaluation.sgd_probe import augmented_batches
from tests.evaluation.test_evaluate import Colors, dataset


def batches(epoch, n=24, channels=6, classes=3):
    """Two batches of features near one of three directions, others in every epoch."""
    rng = np.random.default_rng(epoch)
    labels = rng.integers(classes, size=n)
    x = np.eye(channels)[labels] + 0.8 * rng.standard_normal((n, channels))
    x = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype("float32")
    return [
        ({"own": x[half], "twice": 2 * x[half]}, labels[half]) for half in np.split(np.r_[:n], 2)
    ]


def oracle(name, epochs, learning_rate, seed, channels=6, classes=3):
    """Softmax regression by SGD with Keras' momentum: v <- m v - lr g, w <- w + v."""
    initializer = keras.initializers.RandomNormal(stddev=0.01, seed=seed)
    weights = np.array(initializer((channels, classes)), "float64")
    values = [weights, np.zeros(classes)]
    velocity = [np.zeros_like(value) for value in values]
    for epoch in range(epochs):
        rate = learning_rate * 0.1 ** ((epoch >= 0.6 * epochs) + (epoch >= 0.8 * epochs))
        for features, labels in batches(epoch):
            x = features[name].astype("float64")
            logits = x @ values[0] + values[1]
            shares = np.exp(logits - logits.max(axis=1, keepdims=True))
            error = shares / shares.sum(axis=1, keepdims=True) - np.eye(classes)[labels]
            for i, gradient in enumerate((x.T @ error / len(x), error.mean(axis=0))):
                velocity[i] = 0.9 * velocity[i] - rate * gradient
                values[i] = values[i] + velocity[i]
    return values


def test_agrees_with_numpy():
    test_x = {
        name: np.concatenate([f[name] for f, _ in batches(99, n=400)]) for name in ("own", "twice")
    }
    found = sgd_probe(batches, test_x, num_classes=3, epochs=10, learning_rate=30.0, seed=4)
    assert list(found) == ["own", "twice"]
    for name, labels in found.items():
        weights, bias = oracle(name, 10, 30.0, seed=4)
        expected = (test_x[name] @ weights + bias).argmax(axis=1)
        assert np.mean(labels == expected) > 0.99  # float32 against float64 at the borders
    assert (found["own"] != found["twice"]).any()


def test_training_views_change_by_the_epoch_and_keep_their_labels():
    features = extract(Colors(), dataset(), image_size=16, batch_size=8)
    one_epoch = augmented_batches(features, seed=1)
    epochs = [list(one_epoch(number)) for number in (0, 0, 1)]
    for epoch in epochs:
        labels = np.concatenate([y for _, y in epoch])
        assert sorted(labels) == sorted(dataset().labels[:20])
        assert set(epoch[0][0]) == {"rationale", "average"}
    first, again, other = (epoch[0][0]["average"] for epoch in epochs)
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-3
    plain = features.x("train", "average")
    assert np.abs(first[:, None] - plain[None]).max(axis=-1).min() > 1e-4, "crops, not the images"


def test_refusals():
    test_x = {"own": np.zeros((1, 6), "float32")}
    with pytest.raises(ValueError, match="`epochs` must be at least 1"):
        sgd_probe(batches, test_x, 3, epochs=0)
    ones = {"own": np.ones((2, 6), "float32")}
    with pytest.raises(ValueError, match="diverged at `learning_rate`=1e\\+38 .own pooling"):
        sgd_probe(lambda epoch: [(ones, np.array([0, 1]))], ones, 3, epochs=9, learning_rate=1e38)
