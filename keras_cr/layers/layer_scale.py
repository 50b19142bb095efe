"""A learnt scale for every channel of a residual branch."""

from typing import Any

import keras

from keras_cr._types import Config, Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_cr")
class LayerScale(keras.layers.Layer):
    """Multiplies each channel by a learnt number.

    Touvron et al., "Going Deeper with Image Transformers", ICCV 2021, section 2.1.

    Args:
        initial: what every channel's number starts at.
        **kwargs: as for `keras.layers.Layer`.

    Input shape:
        `(..., C)`.

    Output shape:
        The same.
    """

    def __init__(self, initial: float = 1e-6, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.initial = float(initial)

    def build(self, input_shape: Shape) -> None:
        self.gamma = self.add_weight(
            name="gamma",
            shape=(input_shape[-1],),
            initializer=keras.initializers.Constant(self.initial),
        )

    def call(self, inputs: Tensor) -> Tensor:
        return inputs * self.gamma

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> Config:
        return super().get_config() | {"initial": self.initial}
