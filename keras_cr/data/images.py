"""Reading images: decode one, check all once, and batches in the geometry of evaluation.

Evaluation geometry: the shorter side is resized to `image_size` (bilinear, antialiased, aspect
kept) and the centre is cropped to a square, as in the paper's protocol. Foreground maps go through
the same resize and crop, so a place in one is the same place in the other. Boxes and masks are
those of the image as it is shown: turned as EXIF says, before `crop_bottom` cuts rows off.
"""

import dataclasses
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import tensorflow as tf

from keras_cr._progress import Verbose, tracked
from keras_cr._text import printable
from keras_cr.data._arguments import image_side, whole
from keras_cr.data.cache import cached
from keras_cr.data.dataset import FineGrainedDataset
from keras_cr.data.decode import (
    DECODE_ERRORS,
    DOES_NOT_DECODE,
    FORMATS,
    decode_image,
    load_image,
    too_large,
)
from keras_cr.data.files import (
    MAX_PIXELS,
    MISSING,
    UnreadableImageError,
    check_files,
    foreign_format,
    read_file,
)

MIN_SIDE = 32  # pixels; there is nothing to be seen in less
_NAMED = 3  # bad files an error names before it only counts them


def image_reader(
    dataset: FineGrainedDataset, cache: str | os.PathLike | None = None
) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns a function for graphs: position in the dataset -> (H, W, 3) uint8 image.

    Args:
        dataset: The images, as paths or pixels.
        cache: `"memory"`, or a folder, to keep what has been decoded; None keeps nothing. Pixels
            need no cache and get none. See `keras_cr.data.cache`.

    Raises:
        UnreadableImageError: A file is missing, empty or no regular file.
        ValueError: The cache can't be written or is too large for the machine.
    """
    images = dataset.images
    if not isinstance(images, np.ndarray):
        check_files(images, dataset.max_pixels)
        images = file_names(images)
    with tf.device("CPU:0"):
        images = tf.constant(images)  # captured, not written into the graph: no 2 GB limit
    if isinstance(dataset.images, np.ndarray):
        return lambda index: tf.gather(images, index)

    def read(index):
        return load_image(tf.gather(images, index), dataset.crop_bottom, dataset.max_pixels)

    return read if cache is None else cached(read, dataset, cache)


def file_names(paths: Sequence[str]) -> list[bytes]:
    """Paths as TensorFlow takes them: as bytes, which need not be text in UTF-8."""
    return [os.fsencode(path) for path in paths]


def check_images(
    dataset: FineGrainedDataset,
    skip_bad: bool = False,
    workers: int | None = None,
    min_side: int = MIN_SIDE,
    max_pixels: int | None = None,
    verbose: Verbose = "auto",
) -> tuple[FineGrainedDataset, list[str]]:
    """Decodes every image file once, so that a bad one is met before training and not in it.

    Args:
        dataset: The images to check; pixels held as an array pass as they are.
        skip_bad: Whether to leave bad images out instead of raising.
        workers: Number of decoding threads; None takes one for each processor.
        min_side: Pixels that the shorter side of an image must have.
        max_pixels: The most pixels an image may have, by its header, so that a small file can't
            fill the memory; None takes the dataset's `max_pixels`. What is returned keeps it.
        verbose: 0 shows no progress, 1 and `"auto"` show it on stderr; 2 in few lines.

    Returns:
        The dataset, without its bad images, and the paths of these.

    Raises:
        UnreadableImageError: An image is missing, empty, no regular file, may not be read, does not
            decode, is too small or too large, and `skip_bad` is False; or all are.
        ValueError: `max_pixels` is not positive.

    Example:

    >>> dataset, bad = check_images(read_image_folder("parts"), skip_bad=True)
    """
    if max_pixels is not None:
        dataset = dataclasses.replace(dataset, max_pixels=max_pixels)
    if isinstance(dataset.images, np.ndarray):
        return dataset, []

    def check(path):
        return image_fault(path, dataset.crop_bottom, min_side, dataset.max_pixels)

    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        found, total = pool.map(check, dataset.images), len(dataset)
        faults = list(tracked(found, "Checking images", total, verbose=verbose, single=True))
    bad = [row for row, fault in enumerate(faults) if fault]
    if not bad:
        return dataset, []
    if not skip_bad or len(bad) == len(dataset):
        named = ", ".join(
            f"{printable(dataset.images[row])} ({faults[row]})" for row in bad[:_NAMED]
        )
        named += ", ..." if len(bad) > _NAMED else ""
        way_out = "repair or remove them"
        if len(bad) < len(dataset):
            way_out += ", or leave them out with skip_bad=True"
        raise UnreadableImageError(
            f"{len(bad)} of {len(dataset)} images of {dataset.name!r} can't be used: {named}; "
            f"{way_out}."
        )
    good = [row for row, fault in enumerate(faults) if not fault]
    return dataset.take(good), [dataset.images[row] for row in bad]


def image_fault(
    path: str, crop_bottom: int = 0, min_side: int = MIN_SIDE, max_pixels: int = MAX_PIXELS
) -> str | None:
    """Why an image file can't be used, in some words; None for a good one.

    Args:
        path: The file.
        crop_bottom: Rows at the bottom that are left out.
        min_side: Pixels that the shorter side must have.
        max_pixels: Pixels that the image may have at most.
    """
    try:
        data = read_file(path, max_pixels)
    except UnreadableImageError as error:
        return error.fault
    kind_and_text = data_fault(data, crop_bottom, min_side, max_pixels)
    return kind_and_text and kind_and_text[1]


def data_fault(
    data: bytes, crop_bottom: int = 0, min_side: int = MIN_SIDE, max_pixels: int = MAX_PIXELS
) -> tuple[str, str] | None:
    """As `image_fault`, of a file's bytes: its kind (`broken`, `small`, `large`), and in words."""
    content = tf.constant(data)
    try:
        height, width, _ = decode_image(content, max_pixels).shape
    except DECODE_ERRORS:
        if fault := too_large(content, max_pixels):
            return "large", fault
        form = foreign_format(data)
        return "broken", DOES_NOT_DECODE + (f", it is a {form} file" if form else "")
    if min(height - crop_bottom, width) < min_side:
        cut = f", {crop_bottom} rows of them cut off" if crop_bottom else ""
        return "small", f"{width} x {height} pixels{cut}, fewer than {min_side} on a side"
    return None


def image_batches(
    dataset: FineGrainedDataset, image_size: int, batch_size: int, crop: bool = True
) -> tf.data.Dataset:
    """Returns the images in order, resized and centre-cropped as evaluation sees them.

    Args:
        dataset: The images.
        image_size: Side of the square images in pixels.
        batch_size: Images a batch; the last batch holds what is left.
        crop: False squashes the whole image into the square, so that nothing of it is cut off.

    Returns:
        A `tf.data.Dataset` of (B, image_size, image_size, 3) float32 RGB in 0..255.

    Raises:
        ValueError: `image_size` or `batch_size` is not a positive integer.
    """
    image_size, batch_size = image_side(image_size), whole("batch_size", batch_size)
    read = image_reader(dataset)
    return in_batches(dataset, lambda index: whole_image(read(index), image_size, crop), batch_size)


def read_images(paths: Sequence[str | os.PathLike] | np.ndarray, image_size: int) -> np.ndarray:
    """Reads some files into memory, resized and centre-cropped as evaluation sees them.

    For files that are more than memory holds, see `image_batches`.

    Args:
        paths: N image files.
        image_size: Side of the square images in pixels.

    Returns:
        (N, image_size, image_size, 3) uint8 RGB.

    Raises:
        UnreadableImageError: A file is missing or does not decode.
        ValueError: `paths` is a single path or holds pixels, or `image_size` is not a positive
            integer.

    Example:

    >>> images = read_images(["sparrow.jpg", "wren.jpg"], image_size=224)
    """
    if isinstance(paths, str | os.PathLike):
        raise ValueError(f"paths: must be a sequence of files; received one, {str(paths)!r}.")
    if len(shape := np.asarray(paths, dtype=object).shape) != 1:
        raise ValueError(f"paths: must be N files; received an array {shape}.")
    image_size = image_side(image_size)
    images = np.empty((len(paths), image_size, image_size, 3), "uint8")
    for image, path in zip(images, map(os.fspath, paths), strict=True):  # type: ignore[arg-type]
        try:
            pixels = resize_and_crop(load_image(path), image_size)
        except UnreadableImageError as error:
            fault = "does not exist" if error.fault == MISSING else error.fault
            raise UnreadableImageError(
                f"paths: {printable(path)!r} {fault}; give files in {FORMATS}."
            ) from error
        image[:] = np.rint(np.clip(pixels, 0, 255))  # see image_batches
    return images


def whole_image(image: tf.Tensor, image_size: int, crop: bool = True) -> tf.Tensor:
    """An (H, W, 3) RGB image as evaluation sees it: (image_size, image_size, 3) float32, 0..255.

    `crop` is as for `image_batches`.
    """
    image = resize_and_crop(image, image_size, crop)
    return tf.clip_by_value(image, 0.0, 255.0)  # the resize's rounding can leave it by a hair


def resize_and_crop(image: tf.Tensor, image_size: int, crop: bool = True) -> tf.Tensor:
    """Resizes the shorter side to `image_size`, antialiased, and crops the centre.

    Args:
        image: (H, W, C) tensor of any numeric type.
        image_size: Side of the result in pixels.
        crop: As for `image_batches`.

    Returns:
        (image_size, image_size, C) float32 tensor in the image's own range.
    """
    size, offset = geometry(tf.shape(image), image_size, crop)
    image = tf.image.resize(image, size, antialias=True)
    image = tf.slice(image, [offset[0], offset[1], 0], [image_size, image_size, -1])
    return tf.ensure_shape(image, (image_size, image_size, None))


def geometry(shape: tf.Tensor, image_size: int, crop: bool = True) -> tuple[tf.Tensor, tf.Tensor]:
    """Height and width after the resize, and the corner of the central square in it."""
    if not crop:
        return tf.constant([image_size, image_size]), tf.constant([0, 0])
    sides = tf.cast(shape[:2], tf.float32)
    size = tf.cast(tf.round(sides * (image_size / tf.reduce_min(sides))), tf.int32)
    return size, (size - image_size) // 2


def in_batches(dataset: Any, function: Callable[..., Any], batch_size: int) -> tf.data.Dataset:
    """Batches of what a function makes of each position, in order."""
    positions = tf.data.Dataset.range(len(dataset))
    function = tf.autograph.experimental.do_not_convert(function)  # as in `two_views`
    images = positions.map(function, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return images.batch(batch_size).prefetch(tf.data.AUTOTUNE)
