"""What tells a data set from another, or an image, wherever its folder lies."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path, PurePath

import numpy as np

from keras_cr.data.dataset import FineGrainedDataset


def digest(dataset: FineGrainedDataset) -> str:
    """The sha256 of a data set's images, labels and split.

    Of files their names below their common folder and their sizes count, not what is in them; of
    arrays every pixel. A folder that was moved is the same data set.

    Args:
        dataset: any.

    Returns:
        64 hexadecimal digits.
    """
    found, images = hashlib.sha256(), dataset.images
    if isinstance(images, np.ndarray):
        found.update(repr((images.shape, str(images.dtype))).encode())
        found.update(np.ascontiguousarray(images).tobytes())
    else:
        found.update(_told(images))
    for values in (dataset.labels, dataset.is_train):
        found.update(b"none" if values is None else np.asarray(values, "int64").tobytes())
    return found.hexdigest()


def foreground_digest(dataset: FineGrainedDataset) -> str:
    """The sha256 of where a data set says that its objects are, as `digest` tells its images.

    Args:
        dataset: any.

    Returns:
        64 hexadecimal digits.
    """
    found, masks = hashlib.sha256(), dataset.masks
    if isinstance(masks, list):
        found.update(repr([mask is not None for mask in masks]).encode())
        found.update(_told([mask for mask in masks if mask is not None]))
    for values in (None if isinstance(masks, list) else masks, dataset.boxes):
        if values is not None:
            found.update(repr((values.shape, str(values.dtype))).encode())
            found.update(np.ascontiguousarray(values).tobytes())
    return found.hexdigest()


def shared_images(dataset: FineGrainedDataset) -> np.ndarray:
    """Which images that are not for training are the same, byte for byte, as one that is.

    Of files only those are read that are as long as one on the other side.

    Args:
        dataset: any.

    Returns:
        Their positions, ascending.
    """
    images, train = dataset.images, dataset.is_train
    files = not isinstance(images, np.ndarray)
    sizes = np.array([os.path.getsize(path) for path in images] if files else [0] * len(images))
    both = np.intersect1d(sizes[train], sizes[~train])

    def told(row: int) -> bytes:
        content = Path(images[row]).read_bytes() if files else images[row].tobytes()  # type: ignore[union-attr]
        return hashlib.sha256(content).digest()

    rows = np.flatnonzero(np.isin(sizes, both))
    known = {told(row) for row in rows[train[rows]]}
    return np.array([row for row in rows[~train[rows]] if told(row) in known], "int64")


def names_below(paths: Sequence[str]) -> list[str]:
    """What files are called below their common folder, wherever that lies."""
    paths = [os.path.abspath(path) for path in paths]
    root = os.path.commonpath([os.path.dirname(path) for path in paths]) if paths else ""
    return [PurePath(os.path.relpath(path, root)).as_posix() for path in paths]


def _told(paths: Sequence[str]) -> bytes:
    """Files' names and sizes."""
    lines = (
        f"{name}\0{os.path.getsize(path)}\n"
        for name, path in zip(names_below(paths), paths, strict=True)
    )
    return "".join(lines).encode("utf-8", "surrogateescape")
