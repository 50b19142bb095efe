"""All monitors in the `fit` of a pretrainer, and of an encoder and a classifier themselves."""

import keras
import numpy as np
import tensorflow as tf

from keras_cr import CommonRationaleClassifier
from keras_cr.callbacks import KNNMonitor, RationaleHealth, RationaleImages
from keras_cr.callbacks._history import read_history
from keras_cr.data import FineGrainedDataset
from tests.case import images, tiny_encoder
from tests.pretraining.objectives.test_moco import batch, moco


def labelled(size=32):
    pixels = images(12, size).astype("uint8")
    return FineGrainedDataset("blobs", pixels, np.arange(12) % 3, list("abc"), np.ones(12, bool))


def test_a_pretrainer_learns_the_same_with_and_without_monitors(tmp_path):
    views = tf.data.Dataset.from_tensors(batch()).repeat(2)
    health = RationaleHealth(tmp_path / "health.csv")
    monitors = [
        KNNMonitor(labelled(), 32, every=2),
        health,
        RationaleImages(images(3), tmp_path / "rationales"),
        keras.callbacks.CSVLogger(tmp_path / "history.csv"),
    ]
    plain, watched = moco(), moco()
    before = plain.fit(views, epochs=3, verbose=0).history
    after = watched.fit(views, epochs=3, verbose=0, callbacks=monitors).history
    for one, other in zip(plain.variables, watched.variables, strict=True):
        np.testing.assert_array_equal(one, other)
    added = set(after) - set(before)
    assert added == {"knn_train_top1", "knn_train_top1_average"}
    assert before == {name: values for name, values in after.items() if name not in added}
    assert np.isfinite(after["knn_train_top1"]).tolist() == [False, True, True]
    logged = read_history(tmp_path / "history.csv")
    assert float(logged[2]["knn_train_top1"]) == after["knn_train_top1"][2]
    rows = read_history(tmp_path / "health.csv")
    assert [float(row["map_entropy"]) for row in rows] == after["map_entropy"]
    assert len(list((tmp_path / "rationales").iterdir())) == 4


def test_a_classifier_and_a_bare_encoder_can_be_watched(tmp_path):
    dataset = labelled()
    classifier = CommonRationaleClassifier(tiny_encoder(), 3)
    classifier.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True)
    bare = tiny_encoder()
    bare.compile("sgd", "mse", run_eagerly=True)
    for model, target in ((classifier, dataset.labels), (bare, np.eye(12, 8))):
        sheets = RationaleImages(images(2), tmp_path / model.name)
        history = model.fit(
            *(dataset.images.astype("float32"), target),
            epochs=1,
            verbose=0,
            callbacks=[KNNMonitor(dataset, 32), sheets],
        )
        assert 0 <= history.history["knn_train_top1"][0] <= 1
        assert len(list((tmp_path / model.name).iterdir())) == 2
