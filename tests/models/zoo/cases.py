"""What a case of the zoo is, and how its package preprocesses images."""

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import numpy as np


@dataclasses.dataclass(frozen=True)
class Case:
    """A backbone, and how to get its map without `keras_cr`.

    Attributes:
        name: of the family, for the table in docs/backbones.md.
        package: what must be installed.
        build: the model.
        preprocess: what its package does to RGB 0..255.
        size: side of the images.
        skip: tokens in front of the patches'; None: the output is a map.
        run: the tokens or the map, from the model and its images.
    """

    name: str
    package: str
    build: Callable[[], keras.Model]
    preprocess: Callable[[np.ndarray], np.ndarray]
    size: int = 56
    skip: int | None = None
    run: Callable[[keras.Model, Any], Any] = lambda model, images: model(images)

    def expected(self, model: keras.Model, images: np.ndarray) -> np.ndarray:
        """The model's map of these images, its tokens put in place one by one."""
        found = keras.ops.convert_to_numpy(self.run(model, self.preprocess(images.copy())))
        if self.skip is None:
            return found
        side = round((found.shape[1] - self.skip) ** 0.5)
        placed = np.empty((len(found), side, side, found.shape[-1]), "float32")
        for row in range(side):
            for column in range(side):
                placed[:, row, column] = found[:, self.skip + row * side + column]
        return placed


def by_converter(mean, deviation):
    """KerasHub's own image converter."""

    def preprocess(images):
        import keras_hub

        converter = keras_hub.layers.ImageConverter(
            scale=[1 / 255 / each for each in deviation],
            offset=[-m / d for m, d in zip(mean, deviation, strict=True)],
        )
        return keras.ops.convert_to_numpy(converter(images))

    return preprocess


def application(module: str):
    """`preprocess_input` of a module of keras.applications."""
    return lambda images: getattr(keras.applications, module).preprocess_input(images)


def named(entry: str):
    """A model that takes its images in a dict."""
    return lambda model, images: model({entry: images})


def siglip_tokens(model, images):
    """The model gives what its head pools of the tokens; this is all of it but the head."""
    tokens = model.embedding(images)
    for block in model.encoder_layers:
        tokens = block(tokens)
    return model.post_layer_norm(tokens)


def hub(kind: str, **options) -> Callable[[], keras.Model]:
    def build():
        import keras_hub

        return getattr(keras_hub.models, kind)(**options)

    return build


def cv(kind: str, **options) -> Callable[[], keras.Model]:
    def build():
        import keras_cv

        return getattr(keras_cv.models, kind)(**options)

    return build
