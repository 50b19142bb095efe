"""Every way into a model of images is checked, whatever kind of data goes in."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_cr import CommonRationaleClassifier, CommonRationaleEncoder
from keras_cr.models import ResNet
from tests.case import images, tiny_encoder

X, Y = images(6), np.arange(6) % 2


class Batches(keras.utils.PyDataset):
    def __init__(self, x):
        super().__init__()
        self.x = x

    def __len__(self):
        return 3

    def __getitem__(self, index):
        rows = slice(2 * index, 2 * index + 2)
        return self.x[rows], Y[rows]


def classifier(**options):
    model = CommonRationaleClassifier(tiny_encoder(), 2)
    model.compile(keras.optimizers.SGD(0.01), "sparse_categorical_crossentropy", **options)
    return model


def dataset(x):
    return tf.data.Dataset.from_tensor_slices((x, Y)).batch(2)


def generator(x):
    for start in (0, 2, 4):
        yield x[start : start + 2], Y[start : start + 2]


WAYS = {
    "call": lambda model, x: model(x),
    "call in training": lambda model, x: model(x, training=True),
    "encode": lambda model, x: model.encoder.encode(x),
    "predict": lambda model, x: model.predict(x, verbose=0),
    "predict a dataset": lambda model, x: model.predict(dataset(x), verbose=0),
    "predict_on_batch": lambda model, x: model.predict_on_batch(x),
    "fit": lambda model, x: model.fit(x, Y, verbose=0),
    "fit a dataset": lambda model, x: model.fit(dataset(x), verbose=0),
    "fit a generator": lambda model, x: model.fit(generator(x), verbose=0),
    "fit a PyDataset": lambda model, x: model.fit(Batches(x), verbose=0),
    "fit a dict": lambda model, x: model.fit({"image": x}, Y, verbose=0),
    "validation": lambda model, x: model.fit(X, Y, validation_data=(x, Y), verbose=0),
    "validation dataset": lambda model, x: model.fit(X, Y, validation_data=dataset(x), verbose=0),
    "evaluate": lambda model, x: model.evaluate(x, Y, verbose=0),
    "evaluate a dataset": lambda model, x: model.evaluate(dataset(x), verbose=0),
    "train_on_batch": lambda model, x: model.train_on_batch(x, Y),
    "test_on_batch": lambda model, x: model.test_on_batch(x, Y),
    "eager fit": lambda model, x: (
        model.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True),
        model.fit(x, Y, verbose=0),
    ),
}


# What the others are given is looked at before a graph is made, which takes far longer than a step.
IN_A_GRAPH = ("predict", "predict a dataset", "fit", "fit a dataset", "evaluate a dataset")


def wrong():
    infinite = X.copy()
    infinite[1, 0, 0, 0] = np.inf
    return {
        "0..1": (X / 255, "Multiply images in 0..1 by 255"),
        "bool": (X > 100, "bool"),
        "infinite": (infinite, "the image at position 1"),
        "too small": (X[:, :8, :8], r"larger images.*1 x 1 for images of \(8, 8\)"),
        "channels first": (np.moveaxis(X, -1, 1), "moveaxis"),
    }


@pytest.mark.parametrize("way", WAYS)
def test_every_way_in_is_checked_before_anything_is_learned(way):
    model = classifier(run_eagerly=way not in IN_A_GRAPH)
    learned = [*model.encoder.weights, *model.head.weights, model.standardize.mean]
    before = [np.array(weight) for weight in learned]
    for given, message in wrong().values():
        with pytest.raises(ValueError, match=message) as caught:
            WAYS[way](model, given)
        assert "\n" not in str(caught.value)
    if "validation" not in way:
        for old, new in zip(before, learned, strict=True):
            np.testing.assert_array_equal(old, new)
    WAYS[way](model, X)


@pytest.mark.parametrize("way", ["fit a dataset", "fit a generator", "predict a dataset"])
def test_a_later_batch_of_a_stream_is_looked_at_too(way):
    late = X.copy()
    late[5, 0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="NaN or infinity in the image at position 5"):
        WAYS[way](classifier(), late)


def test_a_later_dark_batch_is_none_of_another_range():
    dark = X.copy()
    dark[2:] *= 0.003
    model = classifier()
    for way in ("fit a dataset", "fit a generator", "predict a dataset", "fit", "predict"):
        WAYS[way](model, dark)
    assert np.isfinite(model.predict(dark, verbose=0)).all()


def test_two_epochs_that_begin_with_a_dark_batch():
    order = iter([X[:2], X[2:4] * 0.003, X[:2] * 0.003, X[2:4]])
    stream = tf.data.Dataset.from_generator(
        lambda: (next(order) for _ in range(2)), output_signature=tf.TensorSpec((2, 32, 32, 3))
    ).map(lambda x: (x, tf.constant([0, 1])))
    history = classifier().fit(stream, epochs=2, steps_per_epoch=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert len(history["loss"]) == 2


def test_a_stream_is_read_once_and_in_its_order():
    asked, model = [], classifier()

    def read(index):
        asked.append(int(index))
        return X[int(index)], Y[int(index)]

    def signature(index):
        x, y = tf.py_function(read, [index], (tf.float32, tf.int64))
        return tf.ensure_shape(x, (32, 32, 3)), tf.ensure_shape(y, ())

    stream = tf.data.Dataset.range(6).map(signature).batch(2)
    model.fit(stream, verbose=0)
    assert asked == list(range(6))
    model.evaluate(stream, verbose=0)
    model.predict(stream, verbose=0)
    assert asked == 3 * list(range(6))
    drawn = []

    def once():
        for batch in generator(X):
            drawn.append(len(drawn))
            yield batch

    model.fit(once(), verbose=0)
    assert drawn == [0, 1, 2]


def test_a_watched_stream_trains_as_arrays_do():
    histories = []
    for stream in (dataset(X), dataset(X.astype("uint8").astype("float32")), Batches(X)):
        keras.utils.set_random_seed(0)
        model = classifier()
        model.fit(stream, epochs=2, shuffle=False, verbose=0)
        histories.append(model.predict(X, verbose=0))
    np.testing.assert_allclose(histories[0], histories[2], atol=1e-6)


def test_sizes_that_change_within_a_stream():
    stream = tf.data.Dataset.from_generator(
        lambda: iter([X[:2], X[:2, :24, :24], X[:2, :8, :8]]),
        output_signature=tf.TensorSpec((None, None, None, 3)),
    )
    with pytest.raises(ValueError, match=r"1 x 1 for images of \(8, 8\)"):
        tiny_encoder().predict(stream, verbose=0)


def test_keras_own_errors_stay():
    with pytest.raises(ValueError, match="Unrecognized data type"):
        classifier().fit({1, 2}, Y, verbose=0)
    with pytest.raises(ValueError, match="compile"):
        CommonRationaleClassifier(tiny_encoder(), 2).fit(X, Y, verbose=0)


def test_layers_before_the_model():
    model = keras.Sequential([keras.layers.RandomFlip(), keras.layers.Rescaling(255), classifier()])
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(X / 255, Y, verbose=0)
    assert model(X / 255).shape == (len(X), 2)


def test_a_backbone_that_takes_normalised_images():
    backbone = ResNet((1,), bottleneck=False, width=4, normalize_images=False, seed=0)
    encoder = CommonRationaleEncoder(backbone, num_detectors=1)
    normalised = X / 127.5 - 1
    assert encoder.predict(normalised, verbose=0).shape == (6, 4)
    with pytest.raises(ValueError, match="finite"):
        encoder(normalised * np.nan)


def test_gradients_reach_the_images():
    batch = tf.constant(X[:2])
    with tf.GradientTape() as tape:
        tape.watch(batch)
        loss = tf.reduce_sum(tiny_encoder()(batch) ** 3)
    assert np.abs(tape.gradient(loss, batch)).max() > 0
