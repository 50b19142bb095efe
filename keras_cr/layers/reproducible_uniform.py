"""Initial weights that depend on the seed alone, whatever the backend."""

import math
from typing import Any

import keras
import numpy as np

from keras_cr._types import Config, Dtype, Tensor

_MULTIPLIERS = np.array([0xD2511F53, 0xCD9E8D57], "uint64")
_WEYL = np.array([0x9E3779B9, 0xBB67AE85], "uint32")
_KEY = np.array([0x3EC8F720, 0x02461E29], "uint32")  # under which TensorFlow scrambles a seed
_LARGEST_SEED = 2**31 - 2  # Keras takes seeds for TensorFlow modulo this number


class ReproducibleUniform(keras.initializers.VarianceScaling):
    """Uniform numbers between -l and l, the same ones under every backend: l^2 = 3 scale / fan_in.

    They are those that Keras' `VarianceScaling` draws under TensorFlow on CPU and GPU in float32,
    computed by NumPy: the generator is Philox 4x32-10 (Salmon et al., "Parallel Random Numbers: As
    Easy as 1, 2, 3", SC 2011).

    Args:
        scale: as above.
        seed: an integer; None draws one, and a `keras.random.SeedGenerator` draws as Keras does.
    """

    def __init__(self, scale: float = 1.0, seed: Any = None) -> None:
        super().__init__(scale, "fan_in", "uniform", seed)

    def __call__(self, shape: Any, dtype: Dtype = None) -> Tensor:
        if not isinstance(self.seed, int):
            return super().__call__(shape, dtype)
        limit = np.float32(math.sqrt(3 * self.scale / max(1, math.prod(shape[:-1]))))
        values = uniform(math.prod(shape), self.seed).reshape(shape)
        return keras.ops.convert_to_tensor(values * (limit + limit) - limit, dtype)

    def get_config(self) -> Config:
        config = super().get_config()
        return {name: config[name] for name in ("scale", "seed")}


def uniform(number: int, seed: int) -> np.ndarray:
    """So many float32 numbers of [0, 1), as `tf.random.stateless_uniform` draws them.

    Args:
        number: how many.
        seed: as Keras' random functions take it.
    """
    start = np.array([[seed % _LARGEST_SEED, 0, 0, 0]], "uint32")
    mixed = _philox(start, _KEY)[0]
    counters = np.zeros((-(-number // 4), 4), "uint32")
    counters[:, 0] = np.arange(len(counters))
    counters[:, 2:] = mixed[2:]
    bits = _philox(counters, mixed[:2]).reshape(-1)[:number]
    return (bits & 0x7FFFFF | 0x3F800000).view("float32") - np.float32(1)  # 23 bits of [1, 2)


def _philox(counters: np.ndarray, key: np.ndarray) -> np.ndarray:
    """Philox 4x32-10 of counters `(n, 4)` under a key `(2,)`, all uint32."""
    for _ in range(10):
        products = counters[:, ::2] * _MULTIPLIERS
        high, low = (products >> np.uint64(32)).astype("uint32"), products.astype("uint32")
        left = high[:, ::-1] ^ counters[:, 1::2] ^ key
        counters = np.stack([left[:, 0], low[:, 1], left[:, 1], low[:, 0]], axis=1)
        key = key + _WEYL
    return counters
