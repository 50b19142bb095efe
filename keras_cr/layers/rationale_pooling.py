"""Pooling of a feature map by a rationale (arXiv 2303.01669)."""

from typing import Any

import keras
from keras import ops

from keras_cr._types import Config, Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_cr")
class RationalePooling(keras.layers.Layer):
    """Averages a feature map over its positions, weighted by a rationale.

    `sum_p w(p) phi(p) / sum_p w(p)`, in float32 whatever the dtype policy. An image whose weights
    are all zero (a branch that fires nowhere) is averaged with equal weights, so an embedding is
    never empty.

    Args:
        normalize: whether the result is scaled to unit length.
        **kwargs: as for `keras.layers.Layer`.

    Input shape:
        `(B, H, W, C)`, a feature map, and `(B, H, W)`, weights of 0 or more. Without weights the
        plain average is taken.

    Output shape:
        `(B, C)`, float32 (float64 under a float64 policy).

    Example:

    >>> RationalePooling()(feature_map, rationale)
    """

    def __init__(self, normalize: bool = True, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)
        self.normalize = normalize
        self.built = True  # no weights

    def call(self, feature_map: Tensor, rationale: Tensor | None = None) -> Tensor:
        dtype = keras.backend.result_type(self.compute_dtype, "float32")
        feature_map = ops.cast(feature_map, dtype)
        if rationale is None:
            pooled = ops.mean(feature_map, axis=(1, 2))
        else:
            weights = ops.cast(rationale, dtype)
            total = ops.sum(weights, axis=(1, 2), keepdims=True)
            weights = ops.where(total > 0, weights, ops.ones_like(weights))
            weights = weights / ops.sum(weights, axis=(1, 2), keepdims=True)
            # The axis k is for LiteRT, whose converter writes an einsum without a free axis on
            # either side wrongly (google-ai-edge/LiteRT issue 9023).
            pooled = ops.einsum("bhwk,bhwc->bck", ops.expand_dims(weights, -1), feature_map)
            pooled = ops.squeeze(pooled, axis=-1)
        return ops.normalize(pooled, axis=-1, epsilon=1e-12) if self.normalize else pooled

    def compute_output_shape(
        self, feature_map_shape: Shape, rationale_shape: Shape | None = None
    ) -> Shape:
        return (feature_map_shape[0], feature_map_shape[-1])

    def get_config(self) -> Config:
        return super().get_config() | {"normalize": self.normalize}
