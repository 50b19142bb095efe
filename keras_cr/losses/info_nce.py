"""InfoNCE: a positive against negatives."""

from keras import ops

from keras_cr._types import Tensor


def info_nce_logits(
    positives: Tensor,
    negatives: Tensor | None,
    temperature: float = 0.2,
    exclude: Tensor | None = None,
) -> Tensor:
    """Logits of InfoNCE, the positive first.

    Args:
        positives: similarity of every query to its key, shape `(B,)`.
        negatives: similarity of every query to the negatives, shape `(B, N)`.
        temperature: divides the similarities, `tau` in the literature.
        exclude: booleans of shape `(B, N)`; True leaves a negative out (an old key of the same
            image, say).

    Returns:
        Logits of shape `(B, 1 + N)`, float32.

    Raises:
        ValueError: `temperature` is not positive.
    """
    if temperature <= 0:
        raise ValueError(f"`temperature` must be positive. Received: temperature={temperature!r}")
    positives = ops.cast(ops.expand_dims(positives, -1), "float32")
    negatives = ops.cast(negatives, "float32")
    logits = ops.concatenate([positives, negatives], axis=-1) / temperature
    if exclude is not None:
        kept = ops.zeros_like(exclude[:, :1])
        logits = ops.where(ops.concatenate([kept, exclude], axis=-1), -1e9, logits)
    return logits


def info_nce(logits: Tensor) -> Tensor:
    """Cross-entropy of each query's positive, which stands first.

    van den Oord et al., "Representation Learning with Contrastive Predictive Coding", 2018,
    equation 4; He et al., "Momentum Contrast", CVPR 2020, equation 1.

    Args:
        logits: shape `(B, 1 + N)`, from `info_nce_logits`.

    Returns:
        A loss for every query, shape `(B,)`.
    """
    return ops.logsumexp(logits, axis=-1) - logits[:, 0]
