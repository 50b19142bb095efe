"""What the training step says of a map."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from keras_cr.pretraining import Neighbours, Outcome, Rationale, SimCLR
from keras_cr.rationale.measures import correlation, relative_entropy
from tests.case import tiny_encoder
from tests.pretraining.objectives.test_moco import batch, moco


def test_entropy_of_a_map_is_relative_to_a_uniform_one():
    maps = np.zeros((4, 2, 3), "float32")
    maps[0] = 0.7  # uniform, whatever its sum
    maps[1, 1, 2] = 1.0  # one place
    maps[2, 0, :2] = 0.2  # two of six
    maps[3, 0, :2] = (0.75, 0.25)
    uneven = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25)) / np.log(6)
    expected = [1, 0, np.log(2) / np.log(6), uneven]
    np.testing.assert_allclose(relative_entropy(maps), expected, atol=1e-6)
    np.testing.assert_allclose(relative_entropy(1e-12 * maps), expected, atol=1e-6)
    np.testing.assert_allclose(relative_entropy(np.zeros((1, 3, 3), "float32")), [1], atol=1e-6)


def test_a_step_logs_the_entropy_of_the_branchs_map():
    rationale, data = Rationale.paper(), batch()
    pretrainer = moco(rationale)
    feature_map = pretrainer.encoder.feature_map(data["query"], training=True)
    maps = ops.convert_to_numpy(pretrainer.encoder.branch(feature_map, training=True))
    shares = maps.reshape(len(maps), -1)
    shares = shares / shares.sum(axis=1, keepdims=True)
    logs = np.log(np.where(shares > 0, shares, 1))
    expected = -(shares * logs).sum(axis=1).mean() / np.log(shares.shape[1])
    logged = moco(rationale).train_on_batch(data, return_dict=True)["map_entropy"]
    assert float(logged) == pytest.approx(expected, rel=1e-4)
    assert 0.1 < expected < 0.99


@pytest.mark.parametrize("height", [1.0, 1e-12, 1e-20, 1e-25])
def test_correlation_of_maps_however_low(height):
    """The GradCAM of a loss that is as good as 0 is lower than what float32 can square."""
    rng = np.random.default_rng(0)
    cams, maps = rng.uniform(size=(2, 4, 3, 5)).astype("float32")
    expected = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(cams, maps, strict=True)]
    found = correlation(np.float32(height) * cams, maps)
    np.testing.assert_allclose(found, expected, rtol=1e-3)
    np.testing.assert_array_equal(correlation(np.zeros_like(cams), maps), np.zeros(4))


class Counted(SimCLR):
    """Counts how often its loss is traced."""

    traces = 0

    def objective(self, student, teacher, batch):
        type(self).traces += 1
        return super().objective(student, teacher, batch)


class Steep(SimCLR):
    """The same loss, whose gradient is NaN: sqrt's at 0, times 0."""

    def objective(self, student, teacher, batch):
        outcome = super().objective(student, teacher, batch)
        steep = ops.sum(ops.sqrt(0.0 * ops.square(student["query"].projected)))
        return Outcome(outcome.loss + steep, outcome.logs)


@pytest.mark.parametrize(("objective", "finite"), [(SimCLR, True), (Steep, False)])
def test_a_gradient_that_is_not_finite_makes_the_logged_loss_so(objective, finite):
    pretrainer = objective(tiny_encoder(), rationale=None, projection_dim=4)
    pretrainer.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    logs = pretrainer.train_on_batch(batch(), return_dict=True)
    assert np.isfinite(logs["ssl_loss"])
    assert np.isfinite(logs["loss"]) == finite


def test_a_step_is_traced_once():
    Counted.traces = 0
    pretrainer = Counted(tiny_encoder(), rationale=Rationale(Neighbours(k=3)), projection_dim=4)
    pretrainer.compile(keras.optimizers.SGD(0.1, momentum=0.9))
    pretrainer.fit(tf.data.Dataset.from_tensors(batch()).repeat(3), epochs=2, verbose=0)
    assert Counted.traces == 1
