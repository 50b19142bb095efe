"""From a file's bytes to RGB as a person sees it: alpha, palettes and EXIF rotation are resolved.

What `tf.io.decode_image` gives for grey, CMYK, palette and 16-bit files is right or nearly so (16
bits are scaled to 8, not clipped); the rest is done here, in ops alone, so that `tf.data` runs it
outside Python.
"""

import tensorflow as tf

_EXIF = (0xFF, 0xE1, None, None, *b"Exif\0\0")  # a segment's marker, its length, its name
_EXIF_WITHIN = 2**16  # bytes at a file's start that are searched


def load_image(path: str | tf.Tensor, crop_bottom: int = 0) -> tf.Tensor:
    """Decodes a JPEG, PNG, BMP or GIF file (a GIF's first frame); usable in a graph.

    Args:
        path: The file's path.
        crop_bottom: Rows at the bottom to leave out.

    Returns:
        (H, W, 3) uint8 RGB tensor, as `decode_image` gives it.

    Raises:
        tf.errors.OpError: The file is missing or does not decode.
    """
    image = decode_image(tf.io.read_file(path))
    return image[: tf.shape(image)[0] - crop_bottom] if crop_bottom else image


@tf.function(input_signature=[tf.TensorSpec((), tf.string)], autograph=False)  # traced once
def decode_image(data: bytes | tf.Tensor) -> tf.Tensor:
    """Decodes the bytes of an image file; usable in a graph.

    Grey images are repeated, CMYK and palettes become RGB, 16 bits are scaled to 8, transparent
    pixels are laid on white (a BMP's alpha is ignored, as it seldom means anything), and a JPEG is
    turned as its EXIF orientation says.

    Args:
        data: The file's content, a scalar string.

    Returns:
        (H, W, 3) uint8 RGB tensor.

    Raises:
        tf.errors.OpError: The bytes do not decode.
    """
    image = tf.io.decode_image(data, channels=0, expand_animations=False)
    image = tf.ensure_shape(image, (None, None, None))
    channels = tf.shape(image)[2]
    image = tf.cond(channels == 3, lambda: image, lambda: _to_rgb(image, channels, data))
    is_jpeg = tf.strings.substr(data, 0, 2) == b"\xff\xd8"
    image = tf.cond(is_jpeg, lambda: _turned(image, orientation(data)), lambda: image)
    return tf.ensure_shape(image, (None, None, 3))


def orientation(data: tf.Tensor) -> tf.Tensor:
    """The EXIF orientation of a JPEG file: a scalar from 1 to 8, 1 where it has none.

    Args:
        data: The file's content, a scalar string.
    """
    head = tf.io.decode_raw(tf.strings.substr(data, 0, _EXIF_WITHIN), tf.uint8)
    starts = tf.maximum(tf.size(head) - len(_EXIF), 0)
    begins = tf.ones([starts], tf.bool)
    for offset, byte in enumerate(_EXIF):
        if byte is not None:
            begins &= head[offset : offset + starts] == byte
    place = tf.argmax(begins, output_type=tf.int32)
    return tf.cond(tf.reduce_any(begins), lambda: _orientation(head, place + len(_EXIF)), lambda: 1)


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


def _turned(image: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    def turn():
        turned = tf.cond(orientation >= 5, lambda: tf.transpose(image, (1, 0, 2)), lambda: image)
        flips = {0: (3, 4, 7, 8), 1: (2, 3, 6, 7)}
        for axis, orientations in flips.items():
            flipped = tf.reduce_any(orientation == orientations)
            turned = tf.cond(
                flipped, lambda t=turned, axis=axis: tf.reverse(t, [axis]), lambda t=turned: t
            )
        return turned

    return tf.cond(orientation == 1, lambda: image, turn)


def _to_rgb(image: tf.Tensor, channels: tf.Tensor, data: tf.Tensor) -> tf.Tensor:
    """RGB from an image of 1 (grey, or a BMP's palette indices), 2 or 4 (with alpha) channels."""
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
