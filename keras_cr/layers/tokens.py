"""From a map of patches to a transformer's tokens; `tokens_to_map` is the way back."""

from typing import Any

import keras
from keras import ops

from keras_cr._types import Config, Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_cr")
class PatchPositions(keras.layers.Layer):
    """Adds a learnt vector for each place of a map; for a map of another size, interpolated ones.

    Args:
        sides: height and width of the map that the vectors were learnt for.
        **kwargs: as for `keras.layers.Layer`.

    Input shape:
        `(B, h, w, C)`.

    Output shape:
        The same. Bicubic with antialiasing where `h` or `w` differ from `sides`, as in timm.
    """

    def __init__(self, sides: tuple[int, int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sides = tuple(sides)

    def build(self, input_shape: Shape) -> None:
        self.grid = self.add_weight(
            name="grid",
            shape=(*self.sides, input_shape[-1]),
            initializer=keras.initializers.TruncatedNormal(stddev=0.02),
        )

    def call(self, inputs: Tensor) -> Tensor:
        if tuple(inputs.shape[1:3]) == self.sides:
            return inputs + ops.convert_to_tensor(self.grid)
        resized = ops.image.resize(
            ops.cast(ops.convert_to_tensor(self.grid), "float32"),
            ops.shape(inputs)[1:3],
            interpolation="bicubic",
            antialias=True,
            data_format="channels_last",
        )
        return inputs + ops.cast(resized, self.compute_dtype)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> Config:
        return super().get_config() | {"sides": self.sides}


@keras.saving.register_keras_serializable(package="keras_cr")
class PrefixTokens(keras.layers.Layer):
    """Patches in a row, behind learnt tokens: the class token, with its position, and registers.

    Args:
        number: of learnt tokens.
        **kwargs: as for `keras.layers.Layer`.

    Input shape:
        `(B, h, w, C)`.

    Output shape:
        `(B, number + h w, C)`.
    """

    def __init__(self, number: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.number = number

    def build(self, input_shape: Shape) -> None:
        self.tokens = self.add_weight(
            name="tokens",
            shape=(1, self.number, input_shape[-1]),
            initializer=keras.initializers.TruncatedNormal(stddev=0.02),
        )

    def call(self, inputs: Tensor) -> Tensor:
        batch, height, width, channels = ops.shape(inputs)
        patches = ops.reshape(inputs, (batch, height * width, channels))
        first = ops.broadcast_to(self.tokens, (batch, self.number, channels))
        return ops.concatenate([ops.cast(first, patches.dtype), patches], axis=1)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        batch, height, width, channels = input_shape
        known = height is not None and width is not None
        return (batch, self.number + height * width if known else None, channels)

    def get_config(self) -> Config:
        return super().get_config() | {"number": self.number}
