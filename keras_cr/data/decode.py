"""From a file's bytes to RGB as a person sees it: alpha, palettes and EXIF rotation are resolved.

What `tf.io.decode_image` gives for grey, CMYK, palette and 16-bit files is right or nearly so (16
bits are scaled to 8, not clipped); the rest is done here, in ops alone, so that `tf.data` runs it
outside Python.
"""

import os

import tensorflow as tf

from keras_cr.data._still import BYTES, apart, first_frame, webp_exif
from keras_cr.data.files import MAX_PIXELS, UnreadableImageError, read_file

_EXIF = (0xFF, 0xE1, None, None, *b"Exif\0\0")  # a segment's marker, its length, its name
_EXIF_WITHIN = 2**16  # bytes at a file's start that are searched
_IMAGE = tf.TensorSpec((None, None, None), tf.uint8)
DOES_NOT_DECODE = "does not decode"
# The text of some errors of TensorFlow holds bytes of the file, which Python then fails to decode.
DECODE_ERRORS = (tf.errors.OpError, UnicodeDecodeError)
FORMATS = "JPEG, PNG, BMP, GIF, WebP or JPEG XL"


def load_image(
    path: str | os.PathLike | tf.Tensor, crop_bottom: int = 0, max_pixels: int = MAX_PIXELS
) -> tf.Tensor:
    """Decodes a JPEG, PNG, BMP, GIF, WebP or JPEG XL file; usable in a graph.

    Args:
        path: The file's path; as a tensor in a graph, where nothing can look at it first, that of
            a regular file (`check_images` tells).
        crop_bottom: Rows at the bottom to leave out.
        max_pixels: The most pixels an image may have. The header says how many it has, so a larger
            one is refused before it takes any memory.

    Returns:
        (H, W, 3) uint8 RGB tensor, as `decode_image` gives it.

    Raises:
        UnreadableImageError: The file is missing, no regular file, no image, or too large. In a
            graph each of these is a `tf.errors.OpError`.
    """
    if tf.is_symbolic_tensor(path):
        image = decode_image(tf.io.read_file(path), max_pixels)
    else:
        path = os.fsdecode(path.numpy() if tf.is_tensor(path) else path)
        data = tf.constant(read_file(path, max_pixels))
        try:
            image = decode_image(data, max_pixels)
        except DECODE_ERRORS as error:
            fault = too_large(data, max_pixels) or DOES_NOT_DECODE
            raise UnreadableImageError.of(path, fault) from error
    return image[: tf.shape(image)[0] - crop_bottom] if crop_bottom else image


def decode_image(data: bytes | tf.Tensor, max_pixels: int = MAX_PIXELS) -> tf.Tensor:
    """Decodes the bytes of an image file, of an animation the first frame; usable in a graph.

    Grey images are repeated, CMYK and palettes become RGB, 16 bits are scaled to 8, transparent
    pixels are laid on white (a BMP's alpha is ignored, as it seldom means anything), and a JPEG or
    WebP image is turned as its EXIF orientation says.

    Args:
        data: The file's content, a scalar string.
        max_pixels: The most pixels the image may have.

    Returns:
        (H, W, 3) uint8 RGB tensor.

    Raises:
        tf.errors.OpError: The bytes do not decode, or the header says more pixels.
    """
    return _decode(data, tf.constant(max_pixels, tf.int64))


@tf.function(
    input_signature=[tf.TensorSpec((), tf.string), tf.TensorSpec((), tf.int64)], autograph=False
)  # traced once
def _decode(data: tf.Tensor, max_pixels: tf.Tensor) -> tf.Tensor:
    still = _within(data, max_pixels)
    image = tf.io.decode_image(still, channels=0, expand_animations=False)
    image = tf.ensure_shape(image, (None, None, None))
    image = tf.cond(tf.shape(image)[2] == 3, lambda: image, lambda: _to_rgb(image, still))
    turn = orientation(data)
    image = tf.cond(turn == 1, lambda: image, lambda: _turned(image, turn))
    return tf.ensure_shape(image, (None, None, 3))


def decode_mask(data: tf.Tensor, max_pixels: int = MAX_PIXELS) -> tf.Tensor:
    """Decodes the bytes of a mask, in graphs: (H, W, 1) uint8. Raises as `decode_image` does."""
    still = _within(data, tf.constant(max_pixels, tf.int64))
    mask = tf.io.decode_image(still, channels=1, expand_animations=False)
    return tf.ensure_shape(mask, (None, None, 1))


def _within(data: tf.Tensor, max_pixels: tf.Tensor) -> tf.Tensor:
    """The bytes of the file's first frame, if its header says no more than `max_pixels`."""
    still, size = first_frame(data)
    fits = tf.debugging.assert_less_equal(
        tf.reduce_prod(size), max_pixels, "more pixels than max_pixels"
    )
    with tf.control_dependencies([fits]):
        return tf.identity(still)


def too_large(data: tf.Tensor, max_pixels: int) -> str | None:
    """In words, that an image's header says more pixels than `max_pixels`; else None."""
    try:
        height, width = _size(data).numpy().tolist()
    except DECODE_ERRORS:  # no image: told of elsewhere
        return None
    if height * width <= max_pixels:
        return None
    return f"{width} x {height} pixels, more than max_pixels, {max_pixels:,}"


@tf.function(input_signature=[tf.TensorSpec((), tf.string)], autograph=False)
def _size(data: tf.Tensor) -> tf.Tensor:
    return first_frame(data)[1]


def orientation(data: tf.Tensor) -> tf.Tensor:
    """The EXIF orientation of a JPEG or WebP file: a scalar from 1 to 8, 1 where it has none.

    Args:
        data: The file's content, a scalar string.
    """
    is_jpeg = tf.strings.substr(data, 0, 2) == b"\xff\xd8"
    is_webp = tf.strings.substr(data, 0, 4) == b"RIFF"
    other = lambda: tf.cond(is_webp, lambda: _webp_orientation(data), lambda: 1)  # noqa: E731
    return tf.cond(is_jpeg, lambda: _jpeg_orientation(data), other)


def _jpeg_orientation(data: tf.Tensor) -> tf.Tensor:
    head = tf.io.decode_raw(tf.strings.substr(data, 0, _EXIF_WITHIN), tf.uint8)
    places = tf.where(head[: tf.maximum(tf.size(head) - len(_EXIF), 0)] == _EXIF[0])[:, 0]
    begins = tf.ones_like(places, tf.bool)
    for offset, byte in enumerate(_EXIF):
        if byte is not None:
            begins &= tf.gather(head, places + offset) == byte
    start = tf.cast(tf.boolean_mask(places, begins)[:1], tf.int32) + len(_EXIF)
    return tf.cond(tf.size(start) > 0, lambda: _orientation(head, start[0]), lambda: 1)


def _webp_orientation(data: tf.Tensor) -> tf.Tensor:
    block = tf.io.decode_raw(webp_exif(data), tf.uint8)
    return tf.cond(tf.size(block) >= 8, lambda: _orientation(block, 0), lambda: 1)


@apart(tf.TensorSpec((None,), tf.uint8), tf.TensorSpec((), tf.int32))
def _orientation(head: tf.Tensor, start: tf.Tensor) -> tf.Tensor:
    """The value of tag 0x0112 in the first directory of the TIFF block that begins at `start`."""

    def byte(at):  # a damaged header leads anywhere; the last byte answers for what lies outside
        return tf.cast(tf.gather(head, tf.clip_by_value(at, 0, tf.size(head) - 1)), tf.int32)

    big_endian = byte(start) == ord("M")

    def short(at):
        first, second = byte(at), byte(at + 1)
        return tf.where(big_endian, 256 * first + second, 256 * second + first)

    offset = tf.where(big_endian, short(start + 6), short(start + 4))  # never needs its upper half
    directory = start + offset
    entries = directory + 2 + 12 * tf.range(short(directory))
    found = tf.reduce_sum(tf.where(short(entries) == 0x0112, short(entries + 8), 0))
    return tf.where((found >= 1) & (found <= 8), found, 1)


@apart(_IMAGE, tf.TensorSpec((), tf.int32))
def _turned(image: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    turned = tf.cond(orientation >= 5, lambda: tf.transpose(image, (1, 0, 2)), lambda: image)
    flips = {0: (3, 4, 7, 8), 1: (2, 3, 6, 7)}
    for axis, orientations in flips.items():
        flipped = tf.reduce_any(orientation == orientations)
        turned = tf.cond(
            flipped, lambda t=turned, axis=axis: tf.reverse(t, [axis]), lambda t=turned: t
        )
    return turned


@apart(_IMAGE, BYTES)
def _to_rgb(image: tf.Tensor, data: tf.Tensor) -> tf.Tensor:
    """RGB from an image of 1 (grey, or a BMP's palette indices), 2 or 4 (with alpha) channels."""
    channels = tf.shape(image)[2]
    is_bmp = tf.strings.substr(data, 0, 2) == b"BM"

    def one():
        repeat = lambda: tf.repeat(image, 3, axis=2)  # noqa: E731
        return tf.cond(is_bmp, lambda: _bmp_colors(image, data), repeat)

    def two():
        return _on_white(tf.repeat(image[..., :1], 3, axis=2), image[..., 1:])

    def four():
        opaque = lambda: image[..., :3]  # noqa: E731
        return tf.cond(is_bmp, opaque, lambda: _on_white(image[..., :3], image[..., 3:]))

    return tf.switch_case(channels - 1, [one, two, lambda: image, four])


def _bmp_colors(indices: tf.Tensor, data: tf.Tensor) -> tf.Tensor:
    """The colours that a BMP's palette (blue, green, red, unused) gives its pixels."""

    def number(at):
        return tf.io.decode_raw(tf.strings.substr(data, at, 4), tf.int32)[0]

    start, end = 14 + number(14), number(10)  # behind both headers, before the pixels
    palette = tf.io.decode_raw(tf.strings.substr(data, start, end - start), tf.uint8)
    palette = tf.reshape(palette, (-1, 4))[:, 2::-1]
    return tf.gather(palette, tf.cast(indices[..., 0], tf.int32))


def _on_white(colors: tf.Tensor, alpha: tf.Tensor) -> tf.Tensor:
    colors, alpha = tf.cast(colors, tf.int32), tf.cast(alpha, tf.int32)
    return tf.cast((colors * alpha + 255 * (255 - alpha) + 127) // 255, tf.uint8)
