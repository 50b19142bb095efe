"""Where the objects are, as masks and boxes say it, in the geometry that evaluation sees."""

import numpy as np
import tensorflow as tf

from keras_cr.data._arguments import image_side, whole
from keras_cr.data.dataset import FineGrainedDataset
from keras_cr.data.decode import decode_mask
from keras_cr.data.files import check_files
from keras_cr.data.images import (
    file_names,
    geometry,
    image_reader,
    in_batches,
    resize_and_crop,
)


def foreground(
    dataset: FineGrainedDataset, image_size: int, crop: bool = True
) -> np.ndarray | None:
    """Returns where the object is, in the geometry of `image_batches(dataset, image_size, ...)`.

    The masks say it where an image has one, else its box. All of it is held in memory
    (200 KB an image at 224 pixels); `foreground_batches` gives it batch by batch.

    Args:
        dataset: The images.
        image_size: Side of the maps in pixels.
        crop: As for `image_batches`.

    Returns:
        (N, image_size, image_size) float32, 1 on the object and 0 elsewhere, or None where
        the dataset has neither masks nor boxes.

    Raises:
        ValueError: Some images, but not all, have neither a mask nor a box.
    """
    image_size = image_side(image_size)
    batches = foreground_batches(dataset, image_size, batch_size=64, crop=crop)
    if batches is None:
        return None
    empty = np.zeros((0, image_size, image_size), "float32")
    return np.concatenate([empty, *batches.as_numpy_iterator()])


def foreground_batches(
    dataset: FineGrainedDataset, image_size: int, batch_size: int, crop: bool = True
) -> tf.data.Dataset | None:
    """Returns where the objects are, in the order and geometry of `image_batches`.

    Args:
        dataset: The images; a mask goes before a box where an image has both.
        image_size: Side of the maps in pixels.
        batch_size: Maps a batch.
        crop: As for `image_batches`.

    Returns:
        A `tf.data.Dataset` of (B, image_size, image_size) float32 in {0, 1}, or None where the
        dataset has neither masks nor boxes.

    Raises:
        ValueError: Some images, but not all, have neither a mask nor a box.
    """
    image_size, batch_size = image_side(image_size), whole("batch_size", batch_size)
    masks, boxes = dataset.masks, dataset.boxes

    def cut(mask):
        return mask[: tf.shape(mask)[0] - dataset.crop_bottom] if dataset.crop_bottom else mask

    if isinstance(masks, np.ndarray):
        with tf.device("CPU:0"):
            pixels = tf.constant(masks.astype("uint8"))
        return in_batches(
            dataset,
            lambda i: _mask_foreground(cut(tf.gather(pixels, i)[..., None]), image_size, crop),
            batch_size,
        )
    paths = [path or "" for path in masks or [None] * len(dataset)]
    if boxes is None and not any(paths):
        return None
    if boxes is None and not all(paths):
        raise ValueError(
            f"masks: {paths.count('')} of {len(paths)} images of {dataset.name!r} have none and "
            "boxes is None; give boxes, or take() the images that have a mask."
        )
    read = image_reader(dataset)
    check_files([path for path in paths if path], dataset.max_pixels)
    paths = tf.constant(file_names(paths), tf.string)
    boxes = tf.constant(np.zeros((len(dataset), 4), "float32") if boxes is None else boxes)

    def load_mask(path):
        return decode_mask(tf.io.read_file(path), dataset.max_pixels)

    def foreground(index):
        path = tf.gather(paths, index)
        return tf.cond(
            path != "",
            lambda: _mask_foreground(cut(load_mask(path)), image_size, crop),
            lambda: _box_foreground(
                tf.gather(boxes, index), tf.shape(read(index)), image_size, crop
            ),
        )

    return in_batches(dataset, foreground, batch_size)


def _mask_foreground(mask: tf.Tensor, image_size: int, crop: bool) -> tf.Tensor:
    """Half the range and more is foreground: 3 of 5 annotators in CUB's masks; 1 in 0/1 masks."""
    threshold = tf.where(tf.reduce_max(mask) > 1, 128, 1)
    mask = tf.cast(tf.cast(mask, tf.int32) >= threshold, tf.float32)
    return tf.cast(resize_and_crop(mask, image_size, crop)[..., 0] >= 0.5, tf.float32)


def _box_foreground(box: tf.Tensor, shape: tf.Tensor, image_size: int, crop: bool) -> tf.Tensor:
    """1 where a pixel's centre, taken back to the original image, lies inside the box."""
    size, offset = geometry(shape, image_size, crop)
    scale = tf.cast(size, tf.float32) / tf.cast(shape[:2], tf.float32)
    centers = tf.range(image_size, dtype=tf.float32) + 0.5
    y = (centers + tf.cast(offset[0], tf.float32)) / scale[0]
    x = (centers + tf.cast(offset[1], tf.float32)) / scale[1]
    rows = (y >= box[1]) & (y < box[1] + box[3])
    columns = (x >= box[0]) & (x < box[0] + box[2])
    return tf.cast(rows[:, None] & columns[None, :], tf.float32)
