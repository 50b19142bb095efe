"""Boxes around what a map marks, and how well they agree with boxes around the object."""

from collections.abc import Sequence

import keras
import numpy as np

from keras_cr._numbers import square_side
from keras_cr._types import Array

THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
DEFAULT_THRESHOLD = 0.5
_CHUNK = 64  # maps enlarged at once


def map_boxes(maps: np.ndarray, image_size: int, threshold: float = DEFAULT_THRESHOLD) -> Array:
    """The tight box around the largest region that a map marks, for each map.

    A map is enlarged bilinearly to the image; the region is the largest connected one (sides and
    corners touch) of values of `threshold` times the map's maximum and more, as class activation
    maps are turned into boxes (Zhou et al., "Learning deep features for discriminative
    localization", 2016). A map without contrast or energy marks the whole image.

    Args:
        maps: (N, h, w), not negative.
        image_size: side of the square images in pixels.
        threshold: share of the maximum, in (0, 1].

    Returns:
        (N, 4) float32: x, y, width, height in pixels of the square image.

    Raises:
        ValueError: if `threshold` is out of range.
        ImportError: if scipy is missing.
    """
    return _boxes_at(maps, image_size, (threshold,))[0]


def foreground_boxes(foreground: np.ndarray) -> np.ndarray:
    """The tight box around each mask's pixels above one half.

    Args:
        foreground: (N, S, S) in 0..1.

    Returns:
        (N, 4) float32: x, y, width, height in pixels; zeros for an empty mask.
    """
    return np.stack([_tight(mask > 0.5) for mask in np.asarray(foreground)])


def box_iou(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes, row by row.

    Args:
        boxes: (N, 4), x, y, width and height.
        others: (N, 4), as many, in the same unit.

    Returns:
        (N,), in 0..1.
    """
    boxes, others = np.asarray(boxes, "float64"), np.asarray(others, "float64")
    low = np.maximum(boxes[:, :2], others[:, :2])
    high = np.minimum(boxes[:, :2] + boxes[:, 2:], others[:, :2] + others[:, 2:])
    common = np.prod(np.maximum(high - low, 0), axis=1)
    union = np.prod(boxes[:, 2:], axis=1) + np.prod(others[:, 2:], axis=1) - common
    return common / np.maximum(union, 1e-12)


def choose_threshold(
    maps: np.ndarray,
    boxes: np.ndarray,
    image_size: int,
    grid: Sequence[float] = THRESHOLDS,
) -> float:
    """The threshold of `grid` whose boxes have the best mean IoU; to be asked on train.

    Args:
        maps: (N, h, w), as for `map_boxes`.
        boxes: (N, 4), true boxes in pixels of the square image.
        image_size: side of the square images in pixels.
        grid: thresholds to choose from; the smaller wins a tie.
    """
    candidates = _boxes_at(maps, image_size, grid)
    scores = [float(box_iou(found, boxes).mean()) for found in candidates]
    return float(grid[int(np.argmax(scores))])


def _boxes_at(maps, image_size: int, thresholds: Sequence[float]) -> np.ndarray:
    """(thresholds, N, 4); each map is enlarged once for all of them."""
    if not all(0 < threshold <= 1 for threshold in thresholds):
        raise ValueError(f"`threshold` must lie in (0, 1]; received {tuple(thresholds)}.")
    image_size = square_side("image_size", image_size)
    maps = np.asarray(maps, "float32")
    result = np.empty((len(thresholds), len(maps), 4), "float32")
    for start in range(0, len(maps), _CHUNK):
        large = keras.ops.image.resize(
            maps[start : start + _CHUNK, ..., None],
            (image_size, image_size),
            interpolation="bilinear",
            data_format="channels_last",
        )
        for row, values in enumerate(keras.ops.convert_to_numpy(large)[..., 0], start):
            peak = values.max()
            for column, threshold in enumerate(thresholds):
                result[column, row] = _tight(_largest_region(values >= threshold * peak))
    return result


def _largest_region(marked: np.ndarray) -> np.ndarray:
    try:
        from scipy.ndimage import label
    except ImportError as error:
        raise ImportError('Boxes need scipy: pip install "keras-cr[recipes]"') from error
    regions, count = label(marked, structure=np.ones((3, 3)))
    if count < 2:
        return marked
    return regions == np.bincount(regions.ravel())[1:].argmax() + 1


def _tight(marked: np.ndarray) -> np.ndarray:
    rows, columns = np.flatnonzero(marked.any(axis=1)), np.flatnonzero(marked.any(axis=0))
    if not len(rows):
        return np.zeros(4, "float32")
    height, width = rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1
    return np.array([columns[0], rows[0], width, height], "float32")
