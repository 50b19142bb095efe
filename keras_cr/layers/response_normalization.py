"""Global response normalisation: channels compete by how strong they are in the whole image."""

from typing import Any

import keras
from keras import ops

from keras_cr._types import Config, Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_cr")
class GlobalResponseNormalization(keras.layers.Layer):
    """`x + beta + gamma * x * n`, `n` being a channel's norm over the map by the channels' mean.

    Woo et al., "ConvNeXt V2: Co-designing and Scaling ConvNets with Masked Autoencoders", CVPR
    2023, section 3.2. It starts as the identity.

    Args:
        epsilon: added to the mean of the norms.
        **kwargs: as for `keras.layers.Layer`.

    Input shape:
        `(B, h, w, C)`.

    Output shape:
        The same.
    """

    def __init__(self, epsilon: float = 1e-6, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.epsilon = float(epsilon)

    def build(self, input_shape: Shape) -> None:
        channels = (input_shape[-1],)
        self.gamma = self.add_weight(name="gamma", shape=channels, initializer="zeros")
        self.beta = self.add_weight(name="beta", shape=channels, initializer="zeros")

    def call(self, inputs: Tensor) -> Tensor:
        wide = ops.cast(inputs, keras.backend.result_type(self.compute_dtype, "float32"))
        norms = ops.sqrt(ops.sum(ops.square(wide), axis=(1, 2), keepdims=True))
        relative = norms / (ops.mean(norms, axis=-1, keepdims=True) + self.epsilon)
        scaled = self.gamma * inputs * ops.cast(relative, self.compute_dtype)
        return inputs + self.beta + scaled

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> Config:
        return super().get_config() | {"epsilon": self.epsilon}
