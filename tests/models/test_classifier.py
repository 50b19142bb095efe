import keras
import numpy as np
import pytest

from keras_cr import CommonRationaleClassifier, CommonRationaleEncoder
from keras_cr.models.encoder import POOLINGS
from tests.case import images, tiny_encoder


def labelled(number=24):
    """Dark and bright images: two classes a few steps can tell apart."""
    labels = np.arange(number) % 2
    return images(number) * (0.2 + 0.8 * labels[:, None, None, None]), labels


def test_plain_compile_and_fit():
    x, y = labelled()
    classifier = CommonRationaleClassifier(tiny_encoder(), num_classes=2)
    classifier.compile(
        keras.optimizers.Adam(0.02), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    history = classifier.fit(x, y, batch_size=8, epochs=15, verbose=0).history
    assert history["loss"][-1] < 0.5 * history["loss"][0]
    assert classifier.evaluate(x, y, verbose=0, return_dict=True)["accuracy"] > 0.9
    np.testing.assert_allclose(classifier.predict(x, verbose=0).sum(1), 1, rtol=1e-5)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_logits_of_every_pooling(pooling):
    classifier = CommonRationaleClassifier(tiny_encoder(pooling=pooling), 5, activation=None)
    x, y = labelled(8)
    classifier.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    classifier.fit(x, y, verbose=0)  # the head starts at zero
    logits = classifier(images(3))
    assert logits.shape == (3, 5)
    assert np.asarray(logits).min() < 0


def test_save_and_load_and_train_on(tmp_path):
    x, y = labelled()
    classifier = CommonRationaleClassifier(tiny_encoder(), 2, dropout=0.1)
    classifier.compile("adam", "sparse_categorical_crossentropy")
    classifier.fit(x, y, verbose=0)
    classifier.save(tmp_path / "classifier.keras")
    loaded = keras.saving.load_model(tmp_path / "classifier.keras")
    np.testing.assert_allclose(
        loaded.predict(x, verbose=0), classifier.predict(x, verbose=0), rtol=1e-6
    )
    assert int(loaded.optimizer.iterations) == 1
    loaded.fit(x, y, verbose=0)


def test_from_preset(tmp_path):
    x, y = labelled()
    encoder = tiny_encoder()
    encoder.save_to_preset(tmp_path / "encoder")
    classifier = CommonRationaleClassifier.from_preset(str(tmp_path / "encoder"), num_classes=2)
    np.testing.assert_allclose(classifier.encoder(x), encoder(x), atol=1e-6)
    classifier.compile("adam", "sparse_categorical_crossentropy")
    classifier.fit(x, y, verbose=0)

    classifier.save_to_preset(tmp_path / "classifier")
    path = str(tmp_path / "classifier")
    again = CommonRationaleClassifier.from_preset(path)
    np.testing.assert_allclose(again(x), classifier(x), atol=1e-6)
    other_head = CommonRationaleClassifier.from_preset(path, num_classes=3)
    assert other_head(x).shape == (24, 3)
    np.testing.assert_allclose(other_head.encoder(x), classifier.encoder(x), atol=1e-6)


def test_bad_arguments(tmp_path):
    with pytest.raises(ValueError, match="CommonRationaleEncoder. Received: Sequential"):
        CommonRationaleClassifier(keras.Sequential(), 3)
    with pytest.raises(ValueError, match="num_classes.*1"):
        CommonRationaleClassifier(tiny_encoder(), 1)
    tiny_encoder().save_to_preset(tmp_path / "encoder")
    with pytest.raises(ValueError, match="num_classes"):
        CommonRationaleClassifier.from_preset(str(tmp_path / "encoder"))
    with pytest.raises(TypeError, match="classes"):
        CommonRationaleClassifier.from_preset(str(tmp_path / "encoder"), classes=3)
    with pytest.raises(TypeError, match="weights"):
        CommonRationaleEncoder.from_preset(str(tmp_path / "encoder"), weights=None)
