"""Keras' image data format is global, and none of ours."""

import keras
import numpy as np
import pytest

from keras_cr import CommonRationaleClassifier, CommonRationaleEncoder
from keras_cr.data import image_batches, synthetic_birds, two_views
from keras_cr.evaluation import embed, evaluate
from keras_cr.layers import ChannelRescaling
from keras_cr.models import ResNet, SqueezeNet
from keras_cr.pretraining import MoCo, Neighbours, Rationale, fit_rationale
from keras_cr.visualization import rationale_grid


@pytest.fixture
def channels_first():
    """A function that turns Keras' global setting to "channels_first"."""
    yield lambda: keras.config.set_image_data_format("channels_first")
    keras.config.set_image_data_format("channels_last")


def results(folder):
    """What every part of the package says of the same images."""
    keras.utils.set_random_seed(0)
    birds = synthetic_birds(2, 4, 2, 32)
    batch = birds.images.astype("float32")
    found = {}
    for backbone in (
        ResNet((1, 1), bottleneck=False, width=4, seed=0),
        SqueezeNet(((2, 4),), width=4, seed=0),
    ):
        encoder = CommonRationaleEncoder(backbone, num_detectors=2, image_size=32, seed=0)
        found[f"{backbone.name}, call"] = np.asarray(encoder(batch))
        found[f"{backbone.name}, map"] = embed(encoder, image_batches(birds, 32, 5)).rationale
    encoder.save_to_preset(folder)
    loaded = CommonRationaleEncoder.from_preset(str(folder))
    found["loaded"] = loaded.predict(batch, verbose=0)
    history = fit_rationale(loaded, batch, Rationale(Neighbours(k=2)), rounds=1, epochs=1)
    found["fit_rationale"] = [round(value, 4) for value in history[0].values()]
    classifier = CommonRationaleClassifier(loaded, 2)
    classifier.compile("sgd", "sparse_categorical_crossentropy")
    found["fit"] = classifier.fit(batch, birds.labels, verbose=0).history["loss"]
    pretrainer = MoCo(loaded, Rationale(Neighbours(k=2, bank_size=16)), queue_size=16)
    pretrainer.compile("sgd")
    views = two_views(birds, 32, 4, epochs=1)
    found["pretraining"] = pretrainer.fit(views, verbose=0).history["loss"]
    metrics = evaluate(encoder, birds, ("retrieval", "localization"))
    found["evaluate"] = [metrics["retrieval"]["map"], metrics["localization"]["energy"]]
    found["picture"] = np.asarray(rationale_grid(birds.images, found["squeezenet, map"]))
    return found


@pytest.mark.filterwarnings("ignore:The fitted maps:UserWarning")
def test_everything_is_the_same_under_channels_first(channels_first, tmp_path):
    expected = results(tmp_path / "last")
    channels_first()
    found = results(tmp_path / "first")
    assert set(found) == set(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=1e-6, err_msg=name)


def test_packaged_weights_under_channels_first(channels_first):
    batch = synthetic_birds(2, 1, 0, 64).images
    expected = CommonRationaleEncoder.from_preset("demo_squeezenet")(batch)
    channels_first()
    found = CommonRationaleEncoder.from_preset("demo_squeezenet")(batch)
    np.testing.assert_array_equal(found, expected)


def test_rescaling_by_channel(channels_first):
    values = np.random.default_rng(0).random((2, 5, 4, 3)).astype("float32")
    scale, offset = [1.0, 2.0, 3.0], [-1.0, 0.0, 1.0]
    expected = keras.layers.Rescaling(scale, offset)(values)
    channels_first()
    layer = ChannelRescaling(scale, offset)
    np.testing.assert_array_equal(layer(values), expected)
    twin = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    np.testing.assert_array_equal(twin(values), expected)


def test_a_backbone_that_was_built_for_channels_first_is_named(channels_first):
    channels_first()
    backbone = keras.applications.MobileNetV2(weights=None, include_top=False, alpha=0.35)
    with pytest.raises(ValueError, match=r"must take images \(H, W, 3\).*'channels_last'"):
        CommonRationaleEncoder(backbone)
