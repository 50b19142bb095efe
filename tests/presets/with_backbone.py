"""A small encoder whose backbone comes from elsewhere, and what compares two of them."""

import keras
import numpy as np

from keras_cr import CommonRationaleEncoder
from keras_cr.models import load_backbone


def small_backbone(seed=0):
    """A convolution and batch normalisation, stride 8, with random weights and statistics."""
    images = keras.Input((None, None, 3))
    x = keras.layers.Rescaling(1 / 255)(images)
    x = keras.layers.Conv2D(24, 3, strides=8, name="conv")(x)
    x = keras.layers.BatchNormalization(name="norm")(x)
    model = keras.Model(images, keras.layers.Dropout(0.1)(x), name="small")
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        variable.assign(rng.uniform(0.5, 1.5, variable.shape))
    return model


def encoder_over(handle, seed=0, **options):
    """An encoder with a random branch over the backbone at a handle."""
    backbone, source = load_backbone(handle, **options)
    return CommonRationaleEncoder(
        backbone, num_detectors=2, image_size=64, seed=seed, backbone_source=source
    )


def images(side=64):
    return np.random.default_rng(1).uniform(0, 255, (2, side, side, 3)).astype("float32")


def assert_same(model, other, side=64):
    """Two encoders see the same, bit for bit."""
    mine, its = model.encode(images(side)), other.encode(images(side))
    for name, value in mine.items():
        np.testing.assert_array_equal(value, its[name], err_msg=name)


def size(folder):
    """Bytes of a folder's files."""
    return sum(path.stat().st_size for path in folder.iterdir())
