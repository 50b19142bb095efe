"""Transformers whose class token can join an encoder's embedding."""

from typing import Any

import keras

from keras_cr._types import Images, Tensor


class WithClassToken(keras.Model):
    """A functional model of images to a feature map that may know a class token beside it."""

    _both: Any = None

    def keep_class_token(self, images: Images, feature_map: Tensor, token: Tensor | None) -> None:
        """Keeps where the class token is.

        Args:
            images: the model's input, RGB 0..255.
            feature_map: its output.
            token: `(B, C)`, of the same layers; None: there is none.
        """
        if token is not None:
            self._both = _Untracked(keras.Model(images, [feature_map, token]))

    @property
    def has_class_token(self) -> bool:
        """Whether the backbone has a class token."""
        return self._both is not None

    @property
    def class_token_size(self) -> int:
        """Number of channels of the class token."""
        return self._both.model.output_shape[1][-1]

    def map_and_class_token(self, images: Images, training: bool = False) -> tuple[Tensor, Tensor]:
        """The feature map `(B, h, w, C)` and the class token `(B, C)`, of one pass."""
        return self._both.model(images, training=training)


class _Untracked:
    """Holds a model that shares its layers with another, so that Keras doesn't count it too."""

    def __init__(self, model: keras.Model):
        self.model = model
