"""What the drawing functions take: images as arrays or files, and what belongs to them."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_cr._types import ArrayLike

IMAGE_SIZE = 224  # pixels; the side that files are read at unless told otherwise


def as_sequence(images: Any) -> Sequence | np.ndarray:
    """Something with a length and rows: a list as it is, all else as an array."""
    return images if isinstance(images, list | tuple) else np.atleast_1d(np.asarray(images))


def read(
    images: Any,
    image_size: int = IMAGE_SIZE,
    rows: Sequence[int] | np.ndarray | None = None,
    name: str = "images",
) -> np.ndarray:
    """Returns images as uint8 (N, H, W, 3).

    Args:
        images: (N, H, W, 3), RGB 0..255, or a sequence of N files.
        image_size: the side in pixels that files are read at, in the geometry of evaluation.
        rows: which of them to return; None returns all. Others are neither read nor looked at.
        name: what an error calls them.

    Raises:
        ValueError: if there is none, they are not RGB 0..255, or a file does not decode.
    """
    images = as_sequence(images)
    if len(images) and isinstance(images[0], str | os.PathLike):
        from keras_cr.data import read_images  # it needs TensorFlow, which arrays do not

        return read_images(images if rows is None else [images[row] for row in rows], image_size)  # type: ignore[arg-type]
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[-1] != 3 or 0 in images.shape:
        raise ValueError(
            f"`{name}` must have shape (N, H, W, 3), RGB, or be N files; received shape "
            f"{images.shape}."
        )
    images = images if rows is None else images[rows]
    if images.dtype == np.uint8:
        return images
    low, high = images.min(), images.max()
    if not (low > -0.5 and high < 255.5) or 0 < high <= 1:  # resizing rounds
        raise ValueError(
            f"`{name}` must be RGB 0..255; received values from {low:.3g} to {high:.3g}. "
            "Multiply images in 0..1 by 255."
        )
    return np.rint(images).astype("uint8")


def check_maps(maps: ArrayLike, count: int) -> np.ndarray:
    """Returns maps as float32 (N, h, w), one for each of `count` images.

    Raises:
        ValueError: if the shape is another, or a value leaves 0..1.
    """
    maps = np.asarray(maps, dtype="float32")
    if maps.ndim != 3 or len(maps) != count or 0 in maps.shape:
        raise ValueError(
            f"`maps` must have shape (N, h, w), one map for each of the {count} images; "
            f"received shape {maps.shape}."
        )
    if not (maps.min() >= -1e-3 and maps.max() <= 1 + 1e-3):
        raise ValueError(
            "`maps` must lie in 0..1, as a rationale does; received values from "
            f"{maps.min():.3g} to {maps.max():.3g}. Divide by the maximum."
        )
    return maps


def check_titles(titles: Sequence[str] | None, count: int) -> None:
    """Raises a ValueError unless there are none or one for each of `count` images."""
    if titles is not None and len(titles) != count:
        raise ValueError(
            f"`titles` must have one line for each of the {count} images; received {len(titles)}."
        )


def check_labels(
    labels: ArrayLike, count: int, name: str, class_names: Sequence[str] | None = None
) -> np.ndarray:
    """Returns labels as int64 or strings, (N,), one for each of `count` images.

    Raises:
        ValueError: if they are neither integers nor strings, or don't fit the names.
    """
    labels = np.asarray(labels)
    if labels.shape != (count,):
        raise ValueError(
            f"`{name}` must have one label an image, shape ({count},); received shape "
            f"{labels.shape}."
        )
    if labels.dtype.kind not in "iuOTUS":
        raise ValueError(f"`{name}` must be integers or strings; received {labels.dtype}.")
    labels = labels.astype("int64" if labels.dtype.kind in "iu" else str)
    if class_names is None:
        return labels
    if labels.dtype.kind != "i":
        raise ValueError(f"`class_names` are for integer labels; `{name}` are strings.")
    if labels.min() < 0 or labels.max() >= len(class_names):
        raise ValueError(
            f"`{name}` must be positions in the {len(class_names)} `class_names`; received values "
            f"from {labels.min()} to {labels.max()}."
        )
    return labels


def check_positions(positions: ArrayLike, name: str, ndim: int, count: int) -> np.ndarray:
    """Returns at least one position among `count` things, as integers of `ndim` dimensions.

    Raises:
        ValueError: if the shape is another, or a value is no such position.
    """
    positions = np.asarray(positions)
    if positions.ndim != ndim or positions.size == 0 or positions.dtype.kind not in "iu":
        raise ValueError(
            f"`{name}` must be at least one integer, in {ndim} dimension(s); received "
            f"{positions.dtype} of shape {positions.shape}."
        )
    if positions.min() < 0 or positions.max() >= count:
        raise ValueError(
            f"`{name}` must be from 0 to {count - 1}; received values from {positions.min()} to "
            f"{positions.max()}."
        )
    return positions
