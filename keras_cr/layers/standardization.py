"""Embeddings as a linear classifier likes them: centred, of one scale whatever the encoder."""

from typing import Any

import keras
from keras import ops

from keras_cr._types import Config, Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_cr")
class EmbeddingStandardization(keras.layers.Layer):
    """Scales embeddings to unit length, takes off their running mean and multiplies by a constant.

    What all images have in common says nothing of their classes and slows gradient descent down;
    the constant sets how far the optimizers' usual steps move a linear layer's outputs. Training
    and inference use the same mean, so a batch of one or two images does no harm: the mean of all
    images seen at first, a moving average later.

    Args:
        scale: what centred embeddings are multiplied by.
        momentum: share of the old mean that is kept at each step, once `1 / (1 - momentum)` batches
            have been seen.
        **kwargs: as for `keras.layers.Layer`.

    Input shape:
        `(B, C)`.

    Output shape:
        `(B, C)`, float32 (float64 under a float64 policy).

    Raises:
        ValueError: `scale` is not positive, or `momentum` is not in [0, 1).

    Example:

    >>> EmbeddingStandardization(scale=16.0)(embeddings, training=True)
    """

    def __init__(self, scale: float = 16.0, momentum: float = 0.9, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)
        if not scale > 0:
            raise ValueError(f"`scale` must be positive. Received: scale={scale!r}")
        if not 0 <= momentum < 1:
            raise ValueError(f"`momentum` must be in [0, 1). Received: momentum={momentum!r}")
        self.scale = float(scale)
        self.momentum = float(momentum)

    def build(self, input_shape: Shape) -> None:
        def weight(name, shape):
            return self.add_weight(
                name=name,
                shape=shape,
                initializer="zeros",
                dtype=keras.backend.result_type(self.compute_dtype, "float32"),
                trainable=False,
                autocast=False,
                aggregation="mean",
            )

        self.mean = weight("mean", (input_shape[-1],))
        self.batches = weight("batches", ())

    def call(self, embeddings: Tensor, training: bool = False) -> Tensor:
        embeddings = ops.cast(embeddings, self.mean.dtype)
        embeddings = ops.normalize(embeddings, axis=-1, epsilon=1e-12)
        if training and self.trainable:
            self.batches.assign(self.batches + 1.0)
            share = ops.maximum(1.0 - self.momentum, 1.0 / self.batches)
            seen = ops.stop_gradient(ops.mean(embeddings, axis=0))
            self.mean.assign(self.mean + share * (seen - self.mean))
        return self.scale * (embeddings - self.mean)

    def adapt_to(self, mean: Tensor) -> None:
        """Takes a mean of unit-length embeddings, `(C,)`, as of many images."""
        self.mean.assign(mean)
        self.batches.assign(1.0 / (1.0 - self.momentum))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> Config:
        return super().get_config() | {"scale": self.scale, "momentum": self.momentum}
