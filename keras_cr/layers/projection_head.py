"""The projection head of contrastive learning."""

import keras

from keras_cr._numbers import as_whole, plain_seed


@keras.saving.register_keras_serializable(package="keras_cr")
class ProjectionHead(keras.layers.Layer):
    """A multi-layer perceptron: linear layers with ReLU between them, none after the last.

    MoCo v2's head is `ProjectionHead((2048, 128))`: Chen et al., "Improved Baselines with Momentum
    Contrastive Learning", 2020, section 3. Weights start as PyTorch's linear layers do (uniform,
    bounded by one over the root of the number of inputs).

    Args:
        units: width of every layer, the last one's being the output's.
        seed: seed of the initial weights.
        **kwargs: as for `keras.layers.Layer`.

    Input shape:
        `(B, C)`.

    Output shape:
        `(B, units[-1])`, in the compute dtype; not normalised.

    Raises:
        ValueError: `units` is empty or holds a number below 1.
    """

    def __init__(self, units: tuple[int, ...] = (2048, 128), seed=None, **kwargs):
        super().__init__(**kwargs)
        seed = plain_seed(seed)
        self.units = tuple(map(as_whole, units))
        if not self.units or any(width is None or width < 1 for width in self.units):
            raise ValueError(
                f"`units` must hold one positive integer a layer. Received: units={units!r}"
            )
        self.seed = seed
        self.linears = [
            keras.layers.Dense(
                width,
                activation="relu" if number < len(self.units) - 1 else None,
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

    def call(self, features):
        for linear in self.linears:
            features = linear(features)
        return features

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.units[-1])

    def get_config(self):
        return super().get_config() | {"units": list(self.units), "seed": self.seed}
