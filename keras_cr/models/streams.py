"""The one checked reader of many images: arrays, lists, and streams of batches."""

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import keras
import numpy as np

from keras_cr._numbers import whole_number
from keras_cr._types import Images
from keras_cr.models.inputs import Seen, checked_images, refuse_paths

IMAGE_KEYS = ("image", "images")


def checked_batches(
    images: Images, batch_size: int = 64, argument: str = "images", rgb: bool = True
) -> Iterator[np.ndarray]:
    """Yields batches of images that have been checked, in order.

    Args:
        images: `(N, H, W, 3)`, RGB 0..255, or a list of images, as `checked_images` takes them; or
            an iterable of such batches: a `tf.data.Dataset`, a `keras.utils.PyDataset`, a
            generator, ... Of a batch that is a tuple the first element is taken, of one that is a
            dict `"image"` or `"images"`. Empty batches are passed over.
        batch_size: images at a time, where `images` is no iterable of batches.
        argument: what an error calls them.
        rgb: whether values must be RGB 0..255.

    Yields:
        `(B, H, W, 3)` arrays of one height and width.

    Raises:
        ValueError: as `checked_images`; the batches never end or differ in size, or there is no
            image. Whether a Python generator ends can't be known beforehand.
    """
    batch_size = whole_number("batch_size", batch_size)
    seen, size = Seen(argument, rgb), None
    for batch in _batches(images, batch_size, seen):
        batch = images_of(batch, argument)
        if _is_empty(batch):
            continue
        batch = keras.ops.convert_to_numpy(checked_images(batch, seen))
        size = size or batch.shape[1:3]
        if batch.shape[1:3] != size:
            raise ValueError(
                f"`{argument}` must be of one size; received a batch of shape {batch.shape} after "
                f"images of {size[0]} x {size[1]}. Resize them, as keras_cr.data.image_batches "
                "does."
            )
        yield batch
    if size is None:
        raise ValueError(f"`{argument}` must hold at least one image; received none.")


def images_of(batch: Any, argument: str = "images") -> Any:
    """The images of a batch as data sets yield it: alone, first in a tuple, or in a dict.

    Raises:
        ValueError: a dict does not show which of its entries the images are.
    """
    if isinstance(batch, tuple) and batch:
        return images_of(batch[0], argument)
    if isinstance(batch, list) and batch and _rank(batch[0]) == 4:
        return batch[0]
    if not isinstance(batch, dict):
        return batch
    keys = [key for key in IMAGE_KEYS if key in batch] or list(batch)
    if len(keys) != 1:
        raise ValueError(
            f"`{argument}` must name its images {' or '.join(map(repr, IMAGE_KEYS))} where its "
            f"batches are dicts; received the keys {sorted(map(str, batch))}. Choose with "
            "dataset.map(lambda batch: batch[...])."
        )
    return batch[keys[0]]


def refuse_endless(images: Images, argument: str = "images") -> None:
    """Raises a ValueError for a source of batches that says of itself that it never ends."""
    endless = isinstance(images, itertools.cycle)
    if hasattr(images, "cardinality"):
        endless = int(images.cardinality()) == -1  # tf.data.INFINITE_CARDINALITY
    if isinstance(images, keras.utils.PyDataset):
        endless = images.num_batches is None
    if endless:
        raise ValueError(
            f"`{argument}` must end; received an endless {type(images).__name__}. Leave out "
            "repeat(), or take(n) the batches to use."
        )


def _batches(images, batch_size: int, seen: Seen) -> Iterable:
    """The batches of whatever was given, unchecked."""
    argument = seen.argument
    refuse_paths(images, argument)
    if isinstance(images, dict):
        images = images_of(images, argument)
    if hasattr(images, "row_splits") or type(images).__name__ == "SparseTensor":
        checked_images(images, seen)  # says why not
    if hasattr(images, "shape") and not isinstance(images, np.ndarray):
        return _slices(images, batch_size)  # a tensor, or a file that is read part by part
    if isinstance(images, np.ndarray) or _is_list_of_images(images):
        if not _is_empty(images):  # looked at as a whole: dark images may come first
            images = checked_images(images, seen)
        seen.count = 0
        return _slices(images, batch_size)
    if hasattr(images, "images") and hasattr(images, "class_names"):
        raise ValueError(
            f"`{argument}` must be pixels; received the data set {images!r}. Read it: "
            "keras_cr.data.image_batches(dataset, image_size, batch_size)."
        )
    if not isinstance(images, Iterable):
        raise ValueError(
            f"`{argument}` must be an array (N, H, W, 3) or an iterable of batches (B, H, W, 3), "
            f"RGB 0..255; received a {type(images).__name__}."
        )
    refuse_endless(images, argument)
    return images


def _is_list_of_images(images) -> bool:
    """Whether a list holds images, and not batches of them."""
    if not isinstance(images, list | tuple) or not images:
        return False
    return not isinstance(images[0], list | tuple | dict) and _rank(images[0]) != 4


def _rank(array) -> int | None:
    shape = getattr(array, "shape", None)
    return None if shape is None else len(shape)


def _is_empty(batch) -> bool:
    shape = getattr(batch, "shape", None)
    return len(batch) == 0 if shape is None else len(shape) > 0 and shape[0] == 0


def _slices(images, batch_size: int) -> Iterator:
    for start in range(0, len(images), batch_size):
        yield images[start : start + batch_size]
