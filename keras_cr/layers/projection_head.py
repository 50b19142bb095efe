"""The projection and prediction heads of self-supervised learning."""

import keras

from keras_cr._numbers import as_whole, plain_seed


@keras.saving.register_keras_serializable(package="keras_cr")
class ProjectionHead(keras.layers.Layer):
    """A multi-layer perceptron: linear layers with ReLU between them, none after the last.

    Batch normalisation, if any, stands between a linear layer and its ReLU. MoCo v2's head is
    `ProjectionHead((2048, 128))`: Chen et al., "Improved Baselines with Momentum Contrastive
    Learning", 2020, section 3. Weights start as PyTorch's linear layers do (uniform, bounded by one
    over the root of the number of inputs).

    Args:
        units: width of every layer, the last one's being the output's.
        batch_norm: after which layers: `"none"`, the `"hidden"` ones, or `"all"`.
        seed: seed of the initial weights.
        **kwargs: as for `keras.layers.Layer`.

    Input shape:
        `(B, C)`.

    Output shape:
        `(B, units[-1])`, in the compute dtype; not normalised.

    Raises:
        ValueError: `units` is empty or holds a number below 1, or `batch_norm` is another word.
    """

    def __init__(
        self, units: tuple[int, ...] = (2048, 128), batch_norm: str = "none", seed=None, **kwargs
    ):
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
        self.batch_norm, self.seed = batch_norm, seed
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
                kernel_initializer=keras.initializers.VarianceScaling(
                    1 / 3,
                    mode="fan_in",
                    distribution="uniform",
                    seed=None if seed is None else seed + number,
                ),
                dtype=self.dtype_policy,
                name=f"linear_{number}",
            )
            for number, width in enumerate(self.units)
        ]

    def build(self, input_shape):
        for linear, fan_in in zip(self.linears, (input_shape[-1], *self.units), strict=False):
            linear.build((None, fan_in))
        for norm, width in zip(self.norms, self.units, strict=False):
            norm.build((None, width))

    def call(self, features, training=False):
        for number, linear in enumerate(self.linears):
            features = linear(features)
            if number < len(self.norms):
                features = self.norms[number](features, training=training)
            if number < len(self.linears) - 1:
                features = keras.ops.relu(features)
        return features

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.units[-1])

    def get_config(self):
        return super().get_config() | {
            "units": list(self.units),
            "batch_norm": self.batch_norm,
            "seed": self.seed,
        }
