"""The projection and prediction heads of self-supervised learning."""

from typing import Any

import keras
from keras import ops

from keras_cr._numbers import as_whole, plain_seed, whole_number
from keras_cr._types import Config, Seed, Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_cr")
class ProjectionHead(keras.layers.Layer):
    """A multi-layer perceptron: linear layers with ReLU between them, none after the last.

    Batch normalisation, if any, stands between a linear layer and its activation. MoCo v2's head is
    `ProjectionHead((2048, 128))`: Chen et al., "Improved Baselines with Momentum Contrastive
    Learning", 2020, section 3. Weights start as PyTorch's linear layers do (uniform, bounded by one
    over the root of the number of inputs).

    DINO's is `ProjectionHead((2048, 2048, 256), activation="gelu", prototypes=65536)`: Caron et
    al., "Emerging Properties in Self-Supervised Vision Transformers", ICCV 2021, appendix C. The
    last linear layer is a bottleneck, and the outputs are the cosines of it and the prototypes (a
    weight-normalised layer whose gain stays 1).

    Args:
        units: width of every layer, the last one's being the output's.
        batch_norm: after which layers: `"none"`, the `"hidden"` ones, or `"all"`.
        activation: `"relu"` or `"gelu"`.
        prototypes: number of learned directions that the outputs are compared with; 0: none.
        seed: seed of the initial weights.
        **kwargs: as for `keras.layers.Layer`.

    Input shape:
        `(B, C)`.

    Output shape:
        `(B, units[-1])`, in the compute dtype; not normalised. `(B, prototypes)`, in -1..1, where
        there are some.

    Raises:
        ValueError: `units` is empty or holds a number below 1, `prototypes` is negative, or
            `batch_norm` or `activation` is another word.
    """

    def __init__(
        self,
        units: tuple[int, ...] = (2048, 128),
        batch_norm: str = "none",
        seed: Seed = None,
        activation: str = "relu",
        prototypes: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        seed = plain_seed(seed)
        self.units = tuple(map(as_whole, units))
        if not self.units or any(width is None or width < 1 for width in self.units):
            raise ValueError(
                f"`units` must hold one positive integer a layer. Received: units={units!r}"
            )
        if batch_norm not in ("none", "hidden", "all"):
            raise ValueError(
                f"`batch_norm` must be 'none', 'hidden' or 'all'. Received: {batch_norm!r}"
            )
        if activation not in ("relu", "gelu"):
            raise ValueError(f"`activation` must be 'relu' or 'gelu'. Received: {activation!r}")
        self.batch_norm, self.seed, self.activation = batch_norm, seed, activation
        self.prototypes = whole_number("prototypes", prototypes, least=0)
        normalized = {"none": 0, "hidden": len(self.units) - 1, "all": len(self.units)}[batch_norm]
        self.norms = [
            keras.layers.BatchNormalization(
                momentum=0.9, epsilon=1e-5, dtype=self.dtype_policy, name=f"norm_{number}"
            )
            for number in range(normalized)
        ]
        self.linears = [
            keras.layers.Dense(
                width,
                kernel_initializer=self._initializer(number),
                dtype=self.dtype_policy,
                name=f"linear_{number}",
            )
            for number, width in enumerate(self.units)
        ]

    def build(self, input_shape: Shape) -> None:
        for linear, fan_in in zip(self.linears, (input_shape[-1], *self.units), strict=False):
            linear.build((None, fan_in))
        for norm, width in zip(self.norms, self.units, strict=False):
            norm.build((None, width))
        if self.prototypes:
            self.directions = self.add_weight(
                name="directions",
                shape=(self.units[-1], self.prototypes),
                initializer=self._initializer(len(self.units)),
            )

    def call(self, features: Tensor, training: bool = False) -> Tensor:
        for number, linear in enumerate(self.linears):
            features = linear(features)
            if number < len(self.norms):
                features = self.norms[number](features, training=training)
            if number < len(self.linears) - 1:
                features = self._activate(features)
        if self.prototypes:
            bottleneck = ops.normalize(features, axis=-1, epsilon=1e-12)
            directions = ops.normalize(self.directions, axis=0, epsilon=1e-12)
            features = ops.matmul(bottleneck, directions)
        return features

    def _activate(self, features):
        return ops.relu(features) if self.activation == "relu" else ops.gelu(features, False)

    def _initializer(self, number: int) -> keras.initializers.Initializer:
        """That of the layer of this number, counted from 0."""
        seed = None if self.seed is None else self.seed + number
        return keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform", seed=seed)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape[:-1], self.prototypes or self.units[-1])

    def get_config(self) -> Config:
        return super().get_config() | {
            "units": list(self.units),
            "batch_norm": self.batch_norm,
            "seed": self.seed,
            "activation": self.activation,
            "prototypes": self.prototypes,
        }
