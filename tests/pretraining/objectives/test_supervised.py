"""Learning from labels: which labels are taken, and what the classifier learns."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_cr.pretraining import AuxiliaryTask, MoCo, Outcome, Rationale, Supervised
from tests.case import tiny_encoder
from tests.pretraining.objectives.test_moco import batch


def supervised(rationale=None, num_classes=4, **options):
    pretrainer = Supervised(tiny_encoder(), rationale, num_classes=num_classes, **options)
    pretrainer.compile(keras.optimizers.Adam(0.01))
    return pretrainer


def labelled(labels):
    return batch(8) | {"label": np.asarray(labels)}


def test_labels_are_learnt_and_their_rationale_is_fitted():
    views = tf.data.Dataset.from_tensors(batch(8)).repeat(60)
    pretrainer = supervised(Rationale.paper())
    history = pretrainer.fit(views, epochs=2, steps_per_epoch=30, verbose=0).history
    assert history["accuracy"][-1] > 0.9
    assert history["ssl_loss"][-1] < 0.5 * np.log(4)
    assert history["fit_loss"][-1] < history["fit_loss"][0]
    assert history["cam_peak"][-1] > 0


BAD = [
    ([0, 1, 2, 3, 0, 1, 2, 4], "`label` must be integers from 0 to 3.*values from 0 to 4"),
    ([0, 1, 2, 3, 0, 1, 2, -1], "`label` must be integers from 0 to 3.*values from -1 to 3"),
    ([0, 1, 2, 3, 0, 1, 2, 0.5], "`label` must be integers from 0 to 3"),
    ([0, 1, 2, 3, 0, 1, 2, np.nan], "`label` must be finite"),
    (list("abcdabcd"), "`label` must be integers; of names"),
    (np.eye(8)[:, :4], r"`label` must be integers \(B,\), one an image. Received: shape \(8, 4\)"),
]


@pytest.mark.parametrize(("labels", "message"), BAD)
def test_bad_labels_are_told_wherever_they_come_from(labels, message):
    pretrainer = supervised()
    with pytest.raises(ValueError, match=message):
        pretrainer.train_on_batch(labelled(labels))
    with pytest.raises(ValueError, match=message):
        pretrainer.fit(labelled(labels), verbose=0)


def good_then(bad):
    yield batch(8)
    yield labelled(bad)


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 2

    def __getitem__(self, index):
        return list(good_then(BAD[0][0]))[index]


def test_bad_labels_are_told_in_later_batches_of_a_stream():
    good, bad = batch(8), labelled(BAD[0][0])
    both = {name: np.concatenate([good[name], bad[name]]) for name in good}
    for views in (
        tf.data.Dataset.from_tensor_slices(both).batch(8),
        good_then(BAD[0][0]),
        Batches(),
    ):
        with pytest.raises(ValueError, match=BAD[0][1]):
            supervised().fit(views, steps_per_epoch=2, shuffle=False, verbose=0)


def test_labels_must_be_there():
    unlabelled = {name: values for name, values in batch(8).items() if name != "label"}
    message = r"Supervised needs 'label'.*two_views\(..., labels=True\)"
    for views in (tf.data.Dataset.from_tensors(unlabelled), unlabelled):
        with pytest.raises(ValueError, match=message):
            supervised().fit(views, verbose=0)


class ByLabel(AuxiliaryTask):
    """A task with labels of its own."""

    labels = True

    def __init__(self, num_classes, **kwargs):
        super().__init__(**kwargs)
        self.num_classes = num_classes

    def objective(self, pretrainer, student, batch):
        return Outcome(0.0 * keras.ops.mean(keras.ops.cast(batch["label"], "float32")))

    def get_config(self):
        return super().get_config() | {"num_classes": self.num_classes}


def test_a_tasks_labels_are_looked_at_too():
    pretrainer = MoCo(tiny_encoder(), None, queue_size=16, auxiliary=[ByLabel(3)])
    assert pretrainer.needs_labels
    pretrainer.compile("sgd")
    with pytest.raises(ValueError, match="from 0 to 2.*values from 0 to 3"):
        pretrainer.train_on_batch(batch(8))
    with pytest.raises(ValueError, match="MoCo needs 'label'"):
        pretrainer.train_on_batch({name: batch(8)[name] for name in ("query", "key")})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_classes": 1}, "`num_classes` must be an integer of 2 or more"),
        ({"label_smoothing": 1}, "`label_smoothing` must be 0 or more and below 1.*=1"),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        supervised(**options)
