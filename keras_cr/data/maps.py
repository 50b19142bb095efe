"""Maps of where objects are, given to make views by."""

import numpy as np

from keras_cr._types import Array


def checked_maps(maps: Array) -> np.ndarray:
    """Maps (N, h, w) as an array.

    Raises:
        ValueError: they are of another shape or type, or leave 0..1.
    """
    maps = np.asarray(maps)
    if maps.ndim != 3 or not maps.size or maps.dtype.kind not in "fiub":
        raise ValueError(
            f"maps: must be (N, h, w) numbers; received {maps.dtype} of shape {maps.shape}."
        )
    if not (np.isfinite(maps).all() and maps.min() >= 0 and maps.max() <= 1):
        raise ValueError(
            f"maps: must lie in 0..1; received {maps.min():g} to {maps.max():g}, or NaN."
        )
    return maps
