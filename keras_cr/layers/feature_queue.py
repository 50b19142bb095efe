"""The queue of old keys that momentum contrast uses as negatives."""

from typing import Any

import keras
from keras import ops

from keras_cr._numbers import plain_seed, whole_number
from keras_cr._types import Config, Seed, Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_cr")
class FeatureQueue(keras.layers.Layer):
    """A first-in, first-out store of features, and the similarity of queries to them.

    He et al., "Momentum Contrast for Unsupervised Visual Representation Learning", CVPR 2020,
    section 3.2. It starts full of random unit vectors. Features, pointer and image numbers are
    weights, so they are saved with the model and training goes on where it stopped.

    Args:
        size: number of features kept.
        seed: seed of the first, random content.
        **kwargs: as for `keras.layers.Layer`.

    Input shape:
        `(B, D)`, queries of unit length.

    Output shape:
        `(B, size)`, inner products of the queries with the stored features, float32
        (float64 under a float64 policy).

    Raises:
        ValueError: `size` is not a positive integer, or a batch is larger than the queue.

    Example:

    >>> queue = FeatureQueue(size=1024)
    >>> similarities = queue(queries)       # (B, 1024)
    >>> queue.enqueue(keys)                 # the oldest B features give way
    """

    def __init__(self, size: int = 65536, seed: Seed = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size = whole_number("size", size)
        self.seed = plain_seed(seed)

    def build(self, input_shape: Shape) -> None:
        def unit_vectors(shape, dtype=None):
            vectors = keras.random.normal(shape, dtype=dtype, seed=self.seed)
            return ops.normalize(vectors, axis=-1, epsilon=1e-12)

        def weight(name, shape, initializer, dtype):
            return self.add_weight(
                name=name,
                shape=shape,
                initializer=initializer,
                dtype=dtype,
                trainable=False,
                autocast=False,
                aggregation="only_first_replica",
            )

        precise = keras.backend.result_type(self.compute_dtype, "float32")
        self.features = weight("features", (self.size, input_shape[-1]), unit_vectors, precise)
        self.indices = weight(
            "indices", (self.size,), lambda s, dtype: -ops.ones(s, dtype), "int32"
        )
        self.pointer = weight("pointer", (), "zeros", "int32")

    def call(self, queries: Tensor) -> Tensor:
        return ops.matmul(ops.cast(queries, self.features.dtype), ops.transpose(self.features))

    def enqueue(self, keys: Tensor, indices: Tensor | None = None) -> None:
        """Stores a batch of keys in place of the oldest features.

        Args:
            keys: shape `(B, D)`, with `B` at most `size`.
            indices: which image each key came from, integers of shape `(B,)`, -1 or None if
                unknown.
        """
        batch = keys.shape[0]
        if batch is not None and batch > self.size:
            raise ValueError(
                f"A batch of {batch} keys does not fit a queue of size={self.size}: "
                "make the queue larger or the batch smaller."
            )
        batch = ops.shape(keys)[0]
        if indices is None:
            indices = -ops.ones((batch,), "int32")
        places = (self.pointer + ops.arange(batch, dtype="int32")) % self.size
        places = ops.expand_dims(places, -1)
        keys = ops.cast(keys, self.features.dtype)
        indices = ops.cast(indices, "int32")
        self.features.assign(ops.scatter_update(self.features, places, keys))
        self.indices.assign(ops.scatter_update(self.indices, places, indices))
        self.pointer.assign((self.pointer + batch) % self.size)

    def same_image(self, indices: Tensor) -> Tensor:
        """Which stored features came from the given images: booleans, shape `(B, size)`."""
        indices = ops.expand_dims(ops.cast(indices, "int32"), -1)
        return ops.logical_and(indices >= 0, indices == ops.expand_dims(self.indices, 0))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], self.size)

    def get_config(self) -> Config:
        return super().get_config() | {"size": self.size, "seed": self.seed}
