"""Min-max normalisation of score maps."""

from keras import ops

_AXES = {"image": (1, 2), "batch": (0, 1, 2)}


def min_max_normalize(maps, over: str = "image", epsilon: float = 1e-7):
    """Maps scores to 0..1: `x - min`, divided by `epsilon` plus its maximum.

    Args:
        maps: scores, shape `(B, H, W)`, a float dtype of 32 bits or more.
        over: `"image"` takes minimum and maximum for each image on its own; `"batch"` takes them
            over the whole batch, as the authors' release does.
        epsilon: added to the divisor; a constant map becomes all zeros.

    Returns:
        A tensor of shape `(B, H, W)`.

    Raises:
        ValueError: `over` is neither `"image"` nor `"batch"`.
    """
    if over not in _AXES:
        raise ValueError(f"`over` must be 'image' or 'batch'. Received: over={over!r}")
    axes = _AXES[over]
    shifted = maps - ops.min(maps, axis=axes, keepdims=True)
    return shifted / (epsilon + ops.max(shifted, axis=axes, keepdims=True))
