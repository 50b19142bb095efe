"""What backbones are built of, as PyTorch's libraries define it."""

import keras
from keras import layers, ops

from keras_cr._types import Dtype, Seed, Tensor
from keras_cr.layers import UnbiasedBatchNormalization

LAYER_NORM_EPSILON = 1e-6


class Builder:
    """Adds layers under one dtype policy, with a seed of its own for every kernel.

    Args:
        dtype: dtype policy of every layer.
        seed: seed of the initial weights.
        epsilon: of batch normalisation.
        padding: of strided convolutions: `"symmetric"`, both sides, as in PyTorch, or `"same"`,
            the far side first, as in TensorFlow.
    """

    def __init__(
        self, dtype: Dtype, seed: Seed, epsilon: float = 1e-5, padding: str = "symmetric"
    ) -> None:
        self.dtype = dtype
        self.epsilon = epsilon
        self.padding = padding
        self._seeds = None if seed is None else iter(range(1000 * seed, 1000 * seed + 1000))

    def seed(self) -> int | None:
        """A seed that no other kernel has."""
        return None if self._seeds is None else next(self._seeds)

    def initializer(self) -> keras.initializers.Initializer:
        """He's normal distribution over fan-out."""
        return keras.initializers.VarianceScaling(
            2.0, mode="fan_out", distribution="untruncated_normal", seed=self.seed()
        )

    def convolution(
        self,
        x: Tensor,
        filters: int,
        kernel: int,
        stride: int = 1,
        name: str | None = None,
        groups: int = 1,
        bias: bool = False,
    ) -> Tensor:
        return layers.Conv2D(
            filters,
            kernel,
            stride,
            groups=groups,
            use_bias=bias,
            kernel_initializer=self.initializer(),
            **self._padded(kernel, stride),
            name=name,
        )(self._pad(x, kernel, stride, name))

    def depthwise(
        self, x: Tensor, kernel: int, stride: int = 1, name: str | None = None, bias: bool = False
    ) -> Tensor:
        return layers.DepthwiseConv2D(
            kernel,
            stride,
            use_bias=bias,
            depthwise_initializer=self.initializer(),
            **self._padded(kernel, stride),
            name=name,
        )(self._pad(x, kernel, stride, name))

    def batch_norm(self, x: Tensor, name: str) -> Tensor:
        return UnbiasedBatchNormalization(epsilon=self.epsilon, dtype=self.dtype, name=name)(x)

    def activation(self, x: Tensor, function: str, name: str) -> Tensor:
        if function == "relu":
            return layers.ReLU(dtype=self.dtype, name=name)(x)
        function = gelu_tanh if function == "gelu_tanh" else function
        return layers.Activation(function, dtype=self.dtype, name=name)(x)

    def norm(self, x: Tensor, name: str) -> Tensor:
        return layers.LayerNormalization(epsilon=LAYER_NORM_EPSILON, dtype=self.dtype, name=name)(x)

    def dense(self, x: Tensor, units: int, name: str) -> Tensor:
        return layers.Dense(
            units, kernel_initializer=self.initializer(), dtype=self.dtype, name=name
        )(x)

    def patches(self, x: Tensor, filters: int, size: int, name: str) -> Tensor:
        """A linear map of patches that don't overlap; what is left at the far sides is dropped."""
        return layers.Conv2D(
            filters,
            size,
            size,
            data_format="channels_last",
            kernel_initializer=self.initializer(),
            dtype=self.dtype,
            name=name,
        )(x)

    def add(self, x: Tensor, y: Tensor, name: str) -> Tensor:
        return layers.Add(dtype=self.dtype, name=name)([x, y])

    def _padded(self, kernel, stride):
        by_hand = stride > 1 and kernel > 1 and self.padding == "symmetric"
        return {
            "padding": "valid" if by_hand else "same",
            "data_format": "channels_last",
            "dtype": self.dtype,
        }

    def _pad(self, x, kernel, stride, name):
        """Keras' "same" pads a strided convolution at the far side only; PyTorch both sides."""
        if self._padded(kernel, stride)["padding"] == "same":
            return x
        return layers.ZeroPadding2D(
            kernel // 2, data_format="channels_last", dtype=self.dtype, name=f"{name}_pad"
        )(x)


def gelu_tanh(x: Tensor) -> Tensor:
    """GELU's approximation by tanh, which Keras has no name for."""
    return ops.gelu(x, approximate=True)
