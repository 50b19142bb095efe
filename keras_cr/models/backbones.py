"""The backbones that have a name."""

import keras

from keras_cr.models.resnet import resnet18, resnet34, resnet50
from keras_cr.models.squeezenet import squeezenet

BACKBONES = {
    "resnet18": resnet18,
    "resnet34": resnet34,
    "resnet50": resnet50,
    "squeezenet": squeezenet,
}


def backbone_from_name(name: str, **kwargs) -> keras.Model:
    """Builds a backbone by its name.

    Args:
        name: one of `"resnet18"`, `"resnet34"`, `"resnet50"`, `"squeezenet"`.
        **kwargs: as for `ResNet` and `SqueezeNet`: `seed`, `dtype`, `input_shape`, ...

    Raises:
        ValueError: the name is unknown.
    """
    if name not in BACKBONES:
        raise ValueError(
            f"`backbone` must be a Keras model or one of {sorted(BACKBONES)}. Received: {name!r}"
        )
    return BACKBONES[name](**kwargs)
