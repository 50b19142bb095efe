"""A transformer's patch tokens, put back where their patches lie."""

from typing import Any

import keras
from keras import ops

from keras_cr._numbers import whole_number
from keras_cr._types import Config, Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_cr")
class TokensToMap(keras.layers.Layer):
    """Makes a feature map of tokens: the first of the patches is the top left one, rows follow.

    Args:
        height: rows of patches, `h`; None: those of the map that is given beside the tokens.
        width: columns of patches, `w`.
        skip: tokens in front of those of the patches: class, distillation and register tokens.
        **kwargs: as for `keras.layers.Layer`.

    Input shape:
        `(B, skip + h w, C)`; without a height, and the map of patches `(B, h, w, D)` that they
        were made of.

    Output shape:
        `(B, h, w, C)`.

    Raises:
        ValueError: there are more or fewer tokens, or `height` stands without `width`.

    Example:

    >>> TokensToMap(16, 16, skip=1)(tokens).shape  # (8, 257, 384)
    TensorShape([8, 16, 16, 384])
    """

    def __init__(
        self, height: int | None = None, width: int | None = None, skip: int = 0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if (height is None) != (width is None):
            raise ValueError(
                f"`height` and `width` go together. Received: height={height}, width={width}"
            )
        self.height = None if height is None else whole_number("height", height)
        self.width = None if width is None else whole_number("width", width)
        self.skip = whole_number("skip", skip, least=0)
        self.built = True  # no weights

    def call(self, tokens: Tensor, patches: Tensor | None = None) -> Tensor:
        height, width = self.height, self.width
        if height is None:
            height, width = ops.shape(patches)[1:3]
        elif tokens.shape[1] not in (None, self.skip + height * width):
            raise ValueError(
                f"`tokens` must be {self.skip + height * width} an image: {height} x {width} "
                f"patches and {self.skip} in front of them. Received shape: {tuple(tokens.shape)}"
            )
        size = (ops.shape(tokens)[0], height, width, tokens.shape[-1])
        return ops.reshape(tokens[:, self.skip :], size)

    def compute_output_shape(
        self, tokens_shape: Shape, patches_shape: Shape | None = None
    ) -> Shape:
        sides = (self.height, self.width) if patches_shape is None else tuple(patches_shape[1:3])
        return (tokens_shape[0], *sides, tokens_shape[-1])

    def get_config(self) -> Config:
        own = {"height": self.height, "width": self.width, "skip": self.skip}
        return super().get_config() | own
