"""What tells a data set from another, wherever its folder lies."""

import hashlib
import os
from pathlib import PurePath

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
        paths = [os.path.abspath(path) for path in images]
        root = os.path.commonpath([os.path.dirname(path) for path in paths]) if paths else ""
        for path in paths:
            name = PurePath(os.path.relpath(path, root)).as_posix()
            line = f"{name}\0{os.path.getsize(path)}\n"
            found.update(line.encode("utf-8", "surrogateescape"))
    for values in (dataset.labels, dataset.is_train):
        found.update(b"none" if values is None else np.asarray(values, "int64").tobytes())
    return found.hexdigest()
