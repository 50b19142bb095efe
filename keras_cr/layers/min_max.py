"""Min-max normalisation of score maps."""

from keras import ops

from keras_cr._replicas import gather
from keras_cr._types import Tensor

_AXES = {"image": (1, 2), "batch": (0, 1, 2)}


def min_max_normalize(maps: Tensor, over: str = "image", epsilon: float = 1e-7) -> Tensor:
    """Maps scores to 0..1: `x - min`, divided by `epsilon` plus its maximum.

    Args:
        maps: scores, shape `(B, H, W)`, a float dtype of 32 bits or more.
        over: `"image"` takes minimum and maximum for each image on its own; `"batch"` takes them
            over the whole batch, of all replicas, as the authors' release does.
        epsilon: added to the divisor; a constant map becomes all zeros.

    Returns:
        A tensor of shape `(B, H, W)`.

    Raises:
        ValueError: `over` is neither `"image"` nor `"batch"`.
    """
    if over not in _AXES:
        raise ValueError(f"`over` must be 'image' or 'batch'. Received: over={over!r}")
    shifted = maps - _extreme(ops.min, maps, over)
    return shifted / (epsilon + _extreme(ops.max, shifted, over))


def _extreme(function, maps, over: str):
    found = function(maps, axis=_AXES[over], keepdims=True)
    return function(gather(found), axis=0, keepdims=True) if over == "batch" else found
