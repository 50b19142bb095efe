"""A map that knows nothing of the image: photographers put their subject in the middle."""

import numpy as np

SHARPNESS = 8.0


def center_prior(height: int, width: int) -> np.ndarray:
    """The Gaussian exp(-8 [((y - yc) / H)^2 + ((x - xc) / W)^2]) at the centres of the cells.

    Args:
        height, width: of the map, in cells.

    Returns:
        (height, width) float64, at most 1.
    """
    y, x = ((np.arange(size) + 0.5) / size - 0.5 for size in (height, width))
    # one sum of both squares: cells equally far from the centre come out exactly equal
    return np.exp(-SHARPNESS * np.add.outer(np.abs(y) ** 2, np.abs(x) ** 2))
