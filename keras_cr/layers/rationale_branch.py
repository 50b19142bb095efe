"""The branch that predicts the common rationale (arXiv 2303.01669)."""

from typing import Any

import keras
from keras import ops

from keras_cr._numbers import plain_seed, whole_number
from keras_cr._types import Config, Seed, Shape, Tensor
from keras_cr.layers.batch_normalization import UnbiasedBatchNormalization
from keras_cr.layers.min_max import min_max_normalize
from keras_cr.layers.reproducible_uniform import ReproducibleUniform


@keras.saving.register_keras_serializable(package="keras_cr")
class RationaleBranch(keras.layers.Layer):
    """Predicts where an image shows what many images have in common.

    `num_detectors` 1x1 convolutions without bias, batch normalisation, ReLU, the maximum over the
    detectors, and a min-max normalisation of the resulting map. Its small capacity is the point: it
    is fitted to the GradCAM of a self-supervised loss and can only keep what recurs across images.

    At an image where no detector fires, the map would be empty and could not be trained; there the
    scores before ReLU are taken, whose order of places still says something. (Not in the paper; it
    concerns `normalization="image"` only.)

    Normalisations run in float32 (float64 under a float64 policy), whatever the dtype policy.

    Args:
        num_detectors: number of 1x1 detectors, `K` in the paper.
        normalization: `"image"` normalises each map on its own; `"batch"` takes minimum and maximum
            over the whole batch, as the authors' release does (an image's map then depends on its
            neighbours in the batch).
        seed: seed of the detectors' initial weights, which are the same under every backend.
        **kwargs: as for `keras.layers.Layer`.

    Input shape:
        `(B, H, W, C)`, a feature map.

    Output shape:
        `(B, H, W)`, values in 0..1, float32. A map without any contrast is all zeros.

    Raises:
        ValueError: `num_detectors` is not a positive integer, `normalization` is unknown, or the
            input is not 4-D.

    Example:

    >>> branch = RationaleBranch(num_detectors=32)
    >>> branch(keras.random.normal((2, 7, 7, 512))).shape
    TensorShape([2, 7, 7])
    """

    def __init__(
        self, num_detectors: int = 1, normalization: str = "image", seed: Seed = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if normalization not in ("image", "batch"):
            raise ValueError(
                f"`normalization` must be 'image' or 'batch'. Received: {normalization!r}"
            )
        self.num_detectors = whole_number("num_detectors", num_detectors)
        self.normalization = normalization
        self.seed = plain_seed(seed)

    def build(self, input_shape: Shape) -> None:
        if len(input_shape) != 4 or input_shape[-1] is None:
            raise ValueError(
                "RationaleBranch needs a feature map of shape (B, H, W, C) with C known. "
                f"Received: input_shape={tuple(input_shape)}"
            )
        precise = keras.backend.result_type(self.compute_dtype, "float32")
        self.detectors = keras.layers.Conv2D(
            self.num_detectors,
            1,
            use_bias=False,
            data_format="channels_last",
            kernel_initializer=ReproducibleUniform(1 / 3, seed=self.seed),
            dtype=self.dtype_policy,
            name="detectors",
        )
        self.batch_norm = UnbiasedBatchNormalization(dtype=precise, name="batch_norm")
        self.detectors.build(input_shape)
        self.batch_norm.build((*input_shape[:-1], self.num_detectors))

    def scores(self, feature_map: Tensor, training: bool = False) -> Tensor:
        """Every detector's normalised response, before ReLU: `(B, H, W, num_detectors)`."""
        return self.batch_norm(self.detectors(feature_map), training=training)

    def call(
        self, feature_map: Tensor, training: bool = False, normalization: str | None = None
    ) -> Tensor:
        return self.combine(self.scores(feature_map, training=training), normalization)

    def combine(self, scores: Tensor, normalization: str | None = None) -> Tensor:
        """The map of the detectors' `scores`: `(B, H, W, num_detectors)` to `(B, H, W)`."""
        over = normalization or self.normalization
        scores = ops.max(scores, axis=-1)
        fired = ops.relu(scores)  # the maximum of the rectified is the rectified maximum
        if over == "image":
            fires = ops.any(scores > 0, axis=(1, 2), keepdims=True)
            fired = ops.where(fires, fired, scores)
        return min_max_normalize(fired, over=over)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return tuple(input_shape[:-1])

    def get_config(self) -> Config:
        return super().get_config() | {
            "num_detectors": self.num_detectors,
            "normalization": self.normalization,
            "seed": self.seed,
        }
