"""A model that is quick to build, registered as one of keras_cr's."""

import keras
import numpy as np


@keras.saving.register_keras_serializable(package="keras_cr")
class TinyEncoder(keras.Model):
    """Averages a backbone's map and projects it."""

    def __init__(self, backbone, units=4, **kwargs):
        super().__init__(**kwargs)
        self.backbone = backbone
        self.units = units
        self.head = keras.layers.Dense(units, dtype=self.dtype_policy, name="head")
        self.head.build((None, backbone.output_shape[-1]))
        self.built = True

    def call(self, images):
        return self.head(keras.ops.mean(self.backbone(images), axis=(1, 2)))

    def get_config(self):
        backbone = keras.saving.serialize_keras_object(self.backbone)
        return super().get_config() | {"backbone": backbone, "units": self.units}

    @classmethod
    def from_config(cls, config):
        backbone = keras.saving.deserialize_keras_object(config["backbone"])
        return cls(**(config | {"backbone": backbone}))


@keras.saving.register_keras_serializable(package="keras_cr")
class OtherModel(TinyEncoder):
    """Another class, to ask for in vain."""


def tiny_backbone(pinned=None):
    """Rescaling, a convolution and batch normalisation (optionally of a pinned dtype)."""
    images = keras.Input((None, None, 3))
    x = keras.layers.Rescaling(1 / 255)(images)
    x = keras.layers.Conv2D(6, 3, name="conv")(x)
    return keras.Model(images, keras.layers.BatchNormalization(dtype=pinned, name="norm")(x))


def tiny_encoder(seed=0, **kwargs):
    """A TinyEncoder with every variable random, moving statistics too."""
    model = TinyEncoder(tiny_backbone(), **kwargs)
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        variable.assign(rng.uniform(0.5, 1.5, variable.shape))
    return model


def images(size=12):
    return np.random.default_rng(1).uniform(0, 255, (2, size, size, 3)).astype("float32")
