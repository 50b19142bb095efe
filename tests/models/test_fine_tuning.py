"""Fine-tuning learns, with a Keras user's defaults: judged by logistic regression."""

import math
import pathlib
import tarfile

import keras
import numpy as np
import pytest

from keras_cr import CommonRationaleClassifier
from keras_cr.data import image_batches, read_cub, synthetic_birds
from tests.case import tiny_encoder

PHOTOS = pathlib.Path(__file__).parents[3] / "shared" / "data" / "mini_flowers.tar.gz"
OPTIMIZERS = {
    "adam": lambda: "adam",
    "adamw": lambda: "adamw",
    "sgd": lambda: keras.optimizers.SGD(0.01, momentum=0.9),
}


class FirstLoss(keras.callbacks.Callback):
    value = None

    def on_train_batch_end(self, batch, logs=None):
        self.value = logs["loss"] if self.value is None else self.value


def pixels(dataset, size):
    batches = image_batches(dataset, size, 64).as_numpy_iterator()
    return np.concatenate(list(batches)), dataset.labels


@pytest.fixture(scope="module")
def birds():
    """(images, labels) of 8 labelled and 10 test images of each of 6 drawn species."""
    dataset = synthetic_birds(num_classes=6, train_per_class=8, test_per_class=10, image_size=64)
    return pixels(dataset.split("train"), 64), pixels(dataset.split("test"), 64)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """The same of 15 and 20 photographs of each of 10 classes, where there are any."""
    if not PHOTOS.is_file():
        pytest.skip("needs ../shared/data/mini_flowers.tar.gz")
    folder = tmp_path_factory.mktemp("photos")
    with tarfile.open(PHOTOS) as archive:
        archive.extractall(folder, filter="data")
    dataset = read_cub(folder / "CUB_200_2011")
    dataset = dataset.take(np.flatnonzero(dataset.labels < 10))
    train, test = dataset.split("train"), dataset.split("test")
    rows = [np.flatnonzero(train.labels == label)[:15] for label in range(10)]
    return pixels(train.take(np.concatenate(rows)), 96), pixels(test, 96)


def fitted(train, optimizer, epochs, number):
    keras.utils.set_random_seed(0)
    model = CommonRationaleClassifier.from_preset("demo_squeezenet", num_classes=number)
    model.compile(OPTIMIZERS[optimizer](), "sparse_categorical_crossentropy", metrics=["accuracy"])
    first = FirstLoss()
    history = model.fit(*train, epochs=epochs, verbose=0, callbacks=[first]).history
    assert np.isfinite(history["loss"]).all()
    assert first.value == pytest.approx(math.log(number), rel=0.1)
    return model


def accuracy(model, test):
    return float(np.mean(model.predict(test[0], verbose=0).argmax(axis=1) == test[1]))


@pytest.mark.slow
def test_photographs_are_told_apart_as_well_as_by_logistic_regression(photos):
    train, test = photos
    probe = CommonRationaleClassifier.from_preset("demo_squeezenet", num_classes=10)
    probe.fit_head(*train)
    assert accuracy(probe, test) > 0.7
    model = fitted(train, "adam", epochs=10, number=10)
    assert accuracy(model, test) >= accuracy(probe, test) - 0.02


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", list(OPTIMIZERS))
def test_drawn_birds_are_learnt(birds, optimizer):
    train, _ = birds
    model = fitted(train, optimizer, epochs=10, number=6)
    assert accuracy(model, train) > 0.9


@pytest.mark.slow
def test_behind_augmentation_layers(birds):
    train, _ = birds
    keras.utils.set_random_seed(0)
    classifier = CommonRationaleClassifier.from_preset("demo_squeezenet", num_classes=6)
    model = keras.Sequential([keras.layers.RandomFlip(), classifier])
    for optimizer, epochs in (("adam", 4), (keras.optimizers.SGD(0.01, momentum=0.9), 16)):
        model.compile(optimizer, "sparse_categorical_crossentropy")
        history = model.fit(*train, epochs=epochs, verbose=0).history["loss"]
        assert np.isfinite(history).all()
    assert accuracy(model, train) > 0.9


@pytest.mark.parametrize("activation", ["softmax", None])
@pytest.mark.parametrize("number", [2, 6])
def test_fit_head_is_the_linear_probe(birds, activation, number):
    from keras_cr.evaluation import embed, linear_probe

    train, test = ((images[labels < number], labels[labels < number]) for images, labels in birds)
    model = CommonRationaleClassifier.from_preset("demo_squeezenet", num_classes=number)
    model = CommonRationaleClassifier(model.encoder, number, activation=activation)
    details = model.fit_head(*train)
    embeddings = [embed(model.encoder, images).embedding for images, _ in (train, test)]
    expected = linear_probe(embeddings[0], train[1], embeddings[1], test[1])
    assert accuracy(model, test) == pytest.approx(expected["top1"], abs=1e-6)
    assert details == {name: expected[name] for name in details}


def test_fit_head_matches_scikit_learns_probabilities(birds):
    from sklearn.linear_model import LogisticRegression

    images, labels = birds[0]
    model = CommonRationaleClassifier.from_preset("demo_squeezenet", num_classes=6)
    c = model.fit_head(images, labels)["c"]
    embeddings = model.encoder.predict(images, verbose=0)
    oracle = LogisticRegression(C=c, tol=1e-8, max_iter=5000).fit(embeddings, labels)
    np.testing.assert_allclose(
        model.predict(images, verbose=0), oracle.predict_proba(embeddings), atol=2e-3
    )


def test_fit_head_takes_data_sets_one_hot_labels_and_absent_classes(tmp_path):
    import tensorflow as tf

    rng = np.random.default_rng(0)
    labels = np.arange(16) % 2
    images = rng.uniform(0, 100, (16, 32, 32, 3)).astype("float32")
    images[labels == 1, ..., 0] += 150  # red ones, and blue ones
    images[labels == 0, ..., 2] += 150
    encoder = tiny_encoder()

    def outputs(*data):
        model = CommonRationaleClassifier(encoder, 3)
        model.fit_head(*data)
        return model, model.predict(images, verbose=0)

    model, expected = outputs(images, labels)
    assert (expected.argmax(axis=1) == labels).mean() > 0.8
    assert expected[:, 2].max() < 1e-6  # no image of the third class was seen
    dataset = tf.data.Dataset.from_tensor_slices((images, labels)).batch(5)
    for data in (
        (dataset,),
        (images, np.eye(3)[labels]),
        (images, labels[:, None]),
        ([(images[:7], labels[:7]), (images[7:], labels[7:])],),
    ):
        np.testing.assert_allclose(outputs(*data)[1], expected, atol=1e-4)
    model.save(tmp_path / "head.keras")
    loaded = keras.saving.load_model(tmp_path / "head.keras")
    np.testing.assert_allclose(loaded.predict(images, verbose=0), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 1, 2, 3], "`labels` must be integers from 0 to 2.*values from 0 to 3"),
        ([0, 1, -1, 1], "`labels` must be integers from 0 to 2"),
        ([0.5, 1, 0, 1], "`labels` must be integers from 0 to 2"),
        ([1, 1, 1, 1], "two classes or more. Received: only 1"),
        ([0, 1, 1], r"`labels` must be \(4,\) integers.*shape \(3,\)"),
        (["a", "b", "a", "b"], "`labels` must be integers; of names, np.unique.*such as 'a'"),
        (None, "`labels` must be given"),
    ],
)
def test_labels_that_fit_head_refuses(labels, message):
    model = CommonRationaleClassifier(tiny_encoder(), 3)
    before = model.get_weights()
    with pytest.raises(ValueError, match=message):
        model.fit_head(np.full((4, 32, 32, 3), 99.0, "float32"), labels)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.array([1, 2, 3, 1]), "`y` must be integers from 0 to 2.*from 1 to 3"),
        ([0, 1, -1, 2], "`y` must be integers from 0 to 2"),
        (np.array(["oak", "elm", "oak", "elm"]), "`y` must be integers; of names.*'oak'"),
    ],
)
def test_labels_that_fit_refuses(labels, message):
    model = CommonRationaleClassifier(tiny_encoder(), 3)
    model.compile("adam", "sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match=message):
        model.fit(np.full((4, 32, 32, 3), 99.0, "float32"), labels, verbose=0)
