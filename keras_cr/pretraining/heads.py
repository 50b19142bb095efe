"""What objectives and tasks share: heads, and what is done to their outputs."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_cr._types import Seed, Tensor
from keras_cr.layers import ProjectionHead


def head(
    channels: int,
    units: tuple[int, ...],
    batch_norm: str = "none",
    seed: Seed = None,
    **options: Any,
) -> ProjectionHead:
    """A built `ProjectionHead` on `(B, channels)` that computes in float32 under every policy."""
    made = ProjectionHead(units, batch_norm, seed=seed, dtype="float32", **options)
    made.build((None, channels))
    return made


def places(feature_map: Tensor) -> Tensor:
    """A feature map `(B, h, w, C)` as rows of places: `(B, h * w, C)`."""
    batch, height, width, channels = ops.shape(feature_map)
    return ops.reshape(feature_map, (batch, height * width, channels))


def on_rows(layer: Callable, rows: Tensor) -> Tensor:
    """What a head in training mode makes of each row of `(B, N, C)`: `(B, N, D)`."""
    flat = layer(ops.reshape(rows, (-1, rows.shape[-1])), training=True)
    return ops.reshape(flat, (-1, rows.shape[1], flat.shape[-1]))


def unit(features: Tensor) -> Tensor:
    """Unit length along the last axis."""
    return ops.normalize(features, axis=-1, epsilon=1e-12)


def cosine(a: Tensor, b: Tensor) -> Tensor:
    """Cosine of each row of two batches, `(B,)`."""
    return ops.sum(unit(a) * unit(b), axis=-1)


def classified(logits: Tensor, labels: Tensor, label_smoothing: float = 0.0) -> tuple:
    """Mean cross-entropy and accuracy.

    Args:
        logits: `(..., K)`.
        labels: integers `(...)`, below K.
        label_smoothing: share of each label that is spread over all classes.

    Returns:
        `(loss, accuracy)`, both scalars.
    """
    labels = ops.cast(labels, "int32")
    loss = keras.losses.categorical_crossentropy(
        ops.one_hot(labels, logits.shape[-1]),
        logits,
        from_logits=True,
        label_smoothing=label_smoothing,
    )
    found = ops.cast(ops.argmax(logits, axis=-1) == labels, "float32")
    return ops.mean(loss), ops.mean(found)
