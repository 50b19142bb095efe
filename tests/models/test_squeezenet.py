import os
import pathlib

import keras
import numpy as np
import pytest

from keras_cr.models import SqueezeNet, backbone_from_name, squeezenet

SHARED = pathlib.Path(__file__).parents[3] / "shared" / "weights" / "squeezenet_v1_1_imagenet.keras"


def test_size():
    backbone = backbone_from_name("squeezenet")
    # The paper's 1.1 release has 1,235,496 parameters, 513,000 of them in its classifier.
    assert backbone.count_params() == 1_235_496 - 513_000
    assert backbone.compute_output_shape((2, 224, 224, 3)) == (2, 13, 13, 512)
    assert backbone.compute_output_shape((2, 97, 65, 3)) == (2, 5, 3, 512)


def test_the_mean_is_taken_inside():
    images = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)).astype("float32")
    inside, outside = squeezenet(seed=0), squeezenet(seed=0, normalize_images=False)
    centred = images - np.array([123, 117, 104], "float32")
    np.testing.assert_allclose(inside(images), outside(centred), rtol=1e-4, atol=1e-4)
    assert not np.allclose(inside(images), squeezenet(seed=1)(images))


def test_config_round_trip_keeps_the_dtype():
    small = SqueezeNet(((2, 3), (2, 3), (4, 5)), width=8, dtype="mixed_bfloat16", name="small")
    twin = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(small))
    twin.set_weights(small.get_weights())
    images = np.random.default_rng(0).uniform(0, 255, (2, 48, 48, 3)).astype("float32")
    assert keras.backend.standardize_dtype(twin(images).dtype) == "bfloat16"
    np.testing.assert_array_equal(
        keras.ops.cast(small(images), "float32"), keras.ops.cast(twin(images), "float32")
    )


@pytest.mark.skipif(
    not os.path.exists(SHARED), reason="needs the ImageNet weights as a .keras file"
)
def test_equals_the_network_its_weights_were_trained_in():
    original = keras.saving.load_model(SHARED, compile=False)
    ours = squeezenet()
    for layer in original.layers:
        if layer.weights and layer.name != "imagenet_mean":
            ours.get_layer(layer.name).set_weights(layer.get_weights())
    images = np.random.default_rng(0).uniform(0, 255, (2, 97, 160, 3)).astype("float32")
    np.testing.assert_allclose(ours(images), original(images), rtol=1e-5, atol=1e-4)
