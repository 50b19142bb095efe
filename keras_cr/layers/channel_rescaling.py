"""A scale and an offset for every channel."""

import keras

from keras_cr._types import Tensor


@keras.saving.register_keras_serializable(package="keras_cr")
class ChannelRescaling(keras.layers.Rescaling):
    """`inputs * scale + offset`, with channels last whatever Keras' image data format is.

    `keras.layers.Rescaling` asks for the global image data format each time it is called, and lays
    a scale of several channels along another axis where that is "channels_first".

    Args:
        scale: a number, or one a channel.
        offset: a number, or one a channel.
        **kwargs: as for `keras.layers.Layer`.

    Input shape:
        `(..., C)`.

    Output shape:
        The same, in the compute dtype.
    """

    def call(self, inputs: Tensor) -> Tensor:
        dtype = self.compute_dtype
        scale = self.backend.cast(self.scale, dtype)
        return self.backend.cast(inputs, dtype) * scale + self.backend.cast(self.offset, dtype)
