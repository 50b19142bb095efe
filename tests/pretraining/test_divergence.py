"""Steps that are not finite: skipped without a trace, counted, named, and not without end."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from keras_cr.pretraining import MoCo, Neighbours, Outcome, Rationale, pretrain
from keras_cr.pretraining.divergence import DivergedError
from tests.case import tiny_encoder
from tests.pretraining.test_loop import SIDE, pretrainer, scenes

EVERY = list(range(32))


class Poisoned(MoCo):
    """MoCo, whose loss is NaN on some images."""

    def objective(self, student, teacher, batch):
        outcome = super().objective(student, teacher, batch)
        met = tf.reduce_any(batch["index"][:, None] == self.poison[None])
        return Outcome(ops.where(met, np.nan, outcome.loss), outcome.logs)


class Follow(keras.callbacks.Callback):
    """Everything that a pretrainer holds, before and after each step."""

    def __init__(self):
        super().__init__()
        self.before, self.changed = None, []

    def held(self):
        variables = (*self.model.variables, *self.model.optimizer.variables)
        found = {each.path: each.numpy() for each in variables}
        for name, part in (("twin", self.model.twin), ("bank", self.model.neighbours)):
            found |= {f"{name} {n}": each.numpy() for n, each in enumerate(part.variables)}
        for metric in self.model.metrics:
            found |= {f"{metric.name} {n}": float(v) for n, v in enumerate(metric.variables)}
        return found

    def on_train_batch_begin(self, batch, logs=None):
        self.before = self.held()

    def on_train_batch_end(self, batch, logs=None):
        pairs = {name: (self.before[name], now) for name, now in self.held().items()}
        self.changed.append({n for n, pair in pairs.items() if not np.array_equal(*pair)})


@pytest.fixture(scope="module")
def made():
    rationale = Rationale(Neighbours(k=3, bank_size=32), foregrounds=None)
    poisoned = pretrainer(Poisoned, rationale=rationale, queue_size=32)
    poisoned.poison = tf.Variable([5], shape=(None,))
    return poisoned


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The loss, a gradient")
def test_a_skipped_step_leaves_everything_as_it_was(made):
    follow = Follow()
    told = "not finite at step . of epoch ., on the images .*number 5.*The step is skipped"
    with pytest.warns(UserWarning, match=told) as warned:
        history = pretrain(made, scenes(), SIDE, 8, 2, callbacks=[follow], on_nan="skip").history
    assert len([each for each in warned if "skipped" in str(each.message)]) == 2
    assert history["skipped_steps"] == [1, 1]
    assert np.isfinite(history["loss"]).all()
    taken = [changed for changed in follow.changed if changed != {"skipped_steps 0"}]
    assert len(follow.changed) - len(taken) == 2
    for part in ("twin", "queue", "bank", "moving_mean", "iteration", "momentum", "loss 0"):
        assert any(part in name for name in set().union(*taken)), part

    made.poison.assign(EVERY)
    for images, batch_size, told in (
        (16, 8, "at any step of epoch 1. Lower"),
        (24, 2, "at step 10 of epoch 1, .* is the last of 10 in a row. Lower"),
    ):
        before = [variable.numpy() for variable in made.variables]
        with pytest.raises(DivergedError, match=told):
            pretrain(made, scenes(images), SIDE, batch_size, 1, on_nan="skip")
        for one, other in zip(before, made.variables, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("on_nan", ["stop", "skip"])
@pytest.mark.filterwarnings("ignore:The loss, a gradient")
def test_statistics_that_are_not_finite_end_it_though_the_loss_is(on_nan):
    """Normalised by its own batch, a map of any size has a finite loss; inference divides by it."""
    made = pretrainer(rationale=Rationale(Neighbours(k=3, bank_size=32), foregrounds=None))
    kernel = made.encoder.branch.detectors.kernel
    kernel.assign(kernel.value * 1e25)
    before = made.encoder.branch.batch_norm.moving_variance.numpy()
    with pytest.raises(DivergedError, match="running mean of .* not finite at .*epoch 1"):
        pretrain(made, scenes(), SIDE, 8, 1, on_nan=on_nan)
    if on_nan == "skip":
        after = made.encoder.branch.batch_norm.moving_variance.numpy()
        np.testing.assert_array_equal(after, before)


def test_what_can_not_be_asked():
    with pytest.raises(ValueError, match="`on_nan` must be one of stop, skip. Received: 'no'"):
        MoCo(tiny_encoder(), queue_size=8).set_on_nan("no")
