"""The backbones that have a name."""

from typing import Any

import keras

from keras_cr.models.imagenet import load_imagenet_weights
from keras_cr.models.resnet import resnet18, resnet34, resnet50
from keras_cr.models.squeezenet import squeezenet

BACKBONES = {
    "resnet18": resnet18,
    "resnet34": resnet34,
    "resnet50": resnet50,
    "squeezenet": squeezenet,
}


def backbone_from_name(name: str, weights: str | None = None, **kwargs: Any) -> keras.Model:
    """Builds a backbone by its name.

    Args:
        name: one of `"resnet18"`, `"resnet34"`, `"resnet50"`, `"squeezenet"`.
        weights: `"imagenet"`, or None for random ones. A ResNet's are torchvision's first
            (IMAGENET1K_V1, BSD-3-Clause; 45 to 98 MB), downloaded once and checked by their sha256;
            SqueezeNet's come with the package.
        **kwargs: as for `ResNet` and `SqueezeNet`: `seed`, `dtype`, `input_shape`, ...

    Raises:
        ValueError: the name is unknown, `weights` is neither, or what was downloaded is damaged.
        OSError: the weights can't be downloaded.
    """
    if name not in BACKBONES:
        raise ValueError(
            f"`backbone` must be a Keras model or one of {sorted(BACKBONES)}. Received: {name!r}"
        )
    if weights not in ("imagenet", None):
        raise ValueError(f"`weights` must be 'imagenet' or None. Received: {weights!r}")
    backbone = BACKBONES[name](**kwargs)
    if weights == "imagenet":
        load_imagenet_weights(backbone)
    return backbone
