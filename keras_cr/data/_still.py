"""What an image file says of itself before it is decoded, and the first picture of a moving one.

A small file can hold a picture that fills the memory, so its size is read from the header first. Of
an animation only the first frame is handed on: TensorFlow's decoder holds all frames of a GIF in
memory, and an animated WebP file ends the process (TensorFlow 2.21). Ops alone, so that `tf.data`
runs all of it outside Python; bytes that lead nowhere are an `InvalidArgumentError`.

Formats: ITU T.81 (JPEG), W3C PNG, GIF89a, Microsoft's BITMAPINFOHEADER, RFC 9649 (WebP), ISO 18181
(JPEG XL).
"""

from collections.abc import Callable

import tensorflow as tf

_PNG, _JXL_BOX = b"\x89PNG\r\n\x1a\n", b"\0\0\0\x0cJXL \r\n\x87\n"
_JXL_HEADER = 16  # bytes, and more, that say the size
_JXL_WIDTHS = (1, 1, 12, 4, 3, 16, 5, 2)  # by its ratio's number, for heights of
_JXL_HEIGHTS = (1, 1, 10, 3, 2, 9, 4, 1)
_BYTES = tuple(bytes([value]) for value in range(256))

Still = tuple[tf.Tensor, tf.Tensor]  # a file's bytes, and (height, width) as its header says, int64


BYTES = tf.TensorSpec((), tf.string)


def apart(*signature: tf.TensorSpec) -> Callable:
    """Puts a part of a graph that few files need into a function of its own.

    A graph visits every op of a branch that is not taken, which here took longer than decoding.
    """
    return tf.function(
        input_signature=signature, autograph=False, experimental_attributes={"_noinline": True}
    )


def first_frame(data: tf.Tensor) -> Still:
    """The bytes of a file that holds one picture, and the size of that.

    Args:
        data: The bytes of any file, a scalar string.

    Returns:
        `data`, or the first frame alone where it is an animated GIF or WebP file; and its height
        and width, (2,) int64.

    Raises:
        tf.errors.InvalidArgumentError: The bytes are no JPEG, PNG, GIF, BMP, WebP or JPEG XL file,
            or end before what is needed.
    """
    is_jpeg = tf.strings.substr(data, 0, 3) == b"\xff\xd8\xff"
    data, size = tf.cond(is_jpeg, lambda: _jpeg(data), lambda: _other(data))
    sound = tf.debugging.assert_positive(size, "the header states no size")
    with tf.control_dependencies([sound]):
        return tf.ensure_shape(tf.identity(data), ()), tf.ensure_shape(tf.identity(size), (2,))


@apart(BYTES)
def webp_exif(data: tf.Tensor) -> tf.Tensor:
    """The EXIF block of a WebP file, a TIFF header first; empty where it has none."""
    extended = tf.strings.substr(data, 12, 4) == b"VP8X"

    def block():
        at = _chunk(data, b"EXIF")
        found = _at_most(data, at + 8, _little(_at_most(data, at + 4, 4)))
        named = tf.strings.substr(found, 0, 6) == b"Exif\0\0"  # as some writers have it
        return tf.where(named, _at_most(found, 6, tf.strings.length(found)), found)

    return tf.cond(extended, block, lambda: tf.constant(b""))


@apart(BYTES)
def _other(data: tf.Tensor) -> Still:
    """`first_frame` of what is no JPEG."""

    def begins(sign):
        return tf.strings.substr(data, 0, len(sign)) == sign

    readers = {
        _png: begins(_PNG),
        _gif: begins(b"GIF8"),
        _bmp: begins(b"BM"),
        _webp: begins(b"RIFF") & (_at_most(data, 8, 4) == b"WEBP"),
        _jxl: begins(b"\xff\n"),
        _jxl_in_boxes: begins(_JXL_BOX),
        _unknown: tf.constant(True),
    }
    branch = tf.argmax(tf.stack(list(readers.values())), output_type=tf.int32)  # the first True
    return tf.switch_case(branch, [lambda r=read: r(data) for read in readers])


def _unknown(data: tf.Tensor) -> Still:
    fault = tf.debugging.Assert(tf.strings.length(data) < 0, ["no image in a known format"])
    with tf.control_dependencies([fault]):
        return tf.identity(data), tf.zeros([2], tf.int64)


def _jpeg(data: tf.Tensor) -> Still:
    return data, tf.cast(tf.image.extract_jpeg_shape(data)[:2], tf.int64)


def _png(data: tf.Tensor) -> Still:
    return data, tf.stack([_big(_part(data, 20, 4)), _big(_part(data, 16, 4))])


def _bmp(data: tf.Tensor) -> Still:
    sides = tf.io.decode_raw(_part(data, 18, 8), tf.int32, little_endian=True)
    return data, tf.abs(tf.cast(sides[::-1], tf.int64))  # a negative height: the first row is first


@apart(BYTES)
def _gif(data: tf.Tensor) -> Still:
    raw = tf.io.decode_raw(data, tf.uint8)
    length = tf.size(raw)

    def byte(at):  # behind the end there are zeros: an empty block, which ends every row of blocks
        value = tf.cast(raw[tf.minimum(at, length - 1)], tf.int32)
        return tf.where(at < length, value, 0)

    def palette(flags):
        return tf.where(flags >= 128, 3 * tf.bitwise.left_shift(2, flags & 7), 0)

    def behind_blocks(at):
        (at,) = tf.while_loop(lambda at: byte(at) > 0, lambda at: (at + 1 + byte(at),), [at])
        return at + 1

    (at,) = tf.while_loop(
        lambda at: byte(at) == 0x21,  # an extension
        lambda at: (behind_blocks(at + 2),),
        [13 + palette(byte(10))],
    )
    end = behind_blocks(at + 11 + palette(byte(at + 9)))
    whole = tf.debugging.Assert((byte(at) == 0x2C) & (end <= length), ["no whole frame"])
    with tf.control_dependencies([whole]):
        size = tf.stack([_little(_part(data, at + 7, 2)), _little(_part(data, at + 5, 2))])
    parts = [
        tf.strings.substr(data, 0, at + 1),
        b"\0\0\0\0",  # its place in the animation: the decoder knows the frame's own size alone
        tf.strings.substr(data, at + 5, end - at - 5),
        b";",
    ]
    return tf.strings.join(parts), size


@apart(BYTES)
def _webp(data: tf.Tensor) -> Still:
    kind = _part(data, 12, 4)
    kinds = tf.stack([kind == b"VP8 ", kind == b"VP8L", kind == b"VP8X", True])
    readers = (_webp_lossy, _webp_lossless, _webp_extended, _unknown)
    branch = tf.argmax(kinds, output_type=tf.int32)
    return tf.switch_case(branch, [lambda r=read: r(data) for read in readers])


def _webp_lossy(data: tf.Tensor) -> Still:
    sides = tf.io.decode_raw(_part(data, 26, 4), tf.uint16, little_endian=True)
    return data, tf.cast(sides[::-1], tf.int64) & 0x3FFF


def _webp_lossless(data: tf.Tensor) -> Still:
    bits = _little(_part(data, 21, 4))
    return data, tf.stack([tf.bitwise.right_shift(bits, 14) & 0x3FFF, bits & 0x3FFF]) + 1


def _webp_extended(data: tf.Tensor) -> Still:
    flags = _little(_part(data, 20, 1))

    def frame():
        at = _chunk(data, b"ANMF")
        length = _little(_part(data, at + 4, 4))
        sides, content = _part(data, at + 14, 6), _part(data, at + 24, length - 16)
        alpha = tf.gather(_BYTES, flags & 0x10)
        body = [b"WEBPVP8X\n\0\0\0", alpha, b"\0\0\0", sides, content]
        body = tf.strings.join(body)
        return tf.strings.join([b"RIFF", _four_bytes(tf.strings.length(body)), body]), sides

    data, sides = tf.cond(flags & 2 > 0, frame, lambda: (data, _part(data, 24, 6)))
    height, width = tf.strings.substr(sides, 3, 3), tf.strings.substr(sides, 0, 3)
    return data, tf.stack([_little(height), _little(width)]) + 1


def _chunk(data: tf.Tensor, name: bytes) -> tf.Tensor:
    """Where a WebP file's first chunk of that name begins, or the end of the file."""
    length = tf.strings.length(data, "BYTE")

    def other(at):
        return (at < length) & (_at_most(data, at, 4) != name)

    def following(at):
        size = _little(_at_most(data, at + 4, 4))
        return (tf.cast(tf.minimum(size + (size & 1) + 8, 2**30), tf.int32) + at,)

    (at,) = tf.while_loop(other, following, [12])
    return at


@apart(BYTES)
def _jxl_in_boxes(data: tf.Tensor) -> Still:
    """JPEG XL inside a file of boxes: the codestream is in the box `jxlc`, or in several `jxlp`."""
    length = tf.cast(tf.strings.length(data), tf.int64)

    def sides(at):  # of a box and of its header
        short = _big(_at_most(data, at, 4))
        long = tf.cond(short == 1, lambda: _big(_part(data, at + 9, 7)), lambda: short)
        return tf.where(short == 0, length - at, long), tf.where(short == 1, 16, 8)

    def other(at):
        kind = _at_most(data, at + 4, 4)
        return (at < length) & (kind != b"jxlc") & (kind != b"jxlp")

    def following(at):
        return (at + tf.maximum(sides(at)[0], 8),)

    (at,) = tf.while_loop(other, following, [tf.constant(12, tf.int64)])
    size, header = sides(at)
    in_parts = _at_most(data, at + 4, 4) == b"jxlp"
    header += tf.where(in_parts, 4, 0)
    content = _at_most(data, at + tf.cast(header, tf.int64), size - tf.cast(header, tf.int64))
    enough = ~in_parts | (tf.strings.length(content) >= _JXL_HEADER)
    with tf.control_dependencies([tf.debugging.Assert(enough, ["the header is in parts"])]):
        return data, _jxl(tf.identity(content))[1]


@apart(BYTES)
def _jxl(data: tf.Tensor) -> Still:
    """The codestream's SizeHeader: bits from the lowest of each byte on, behind two bytes."""
    padded = tf.strings.join([data, bytes(_JXL_HEADER)])

    def bits(start, count):
        value = _little(tf.strings.substr(padded, 2 + start // 8, 5))
        value = tf.bitwise.right_shift(value, tf.cast(start % 8, tf.int64))
        return value & (tf.bitwise.left_shift(tf.ones((), tf.int64), tf.cast(count, tf.int64)) - 1)

    def small(start):
        return 8 * (bits(start, 5) + 1), start + 5

    def large(start):
        count = tf.gather([9, 13, 18, 30], bits(start, 2))
        return bits(start + 2, count) + 1, start + 2 + count

    def side(start):
        return tf.cond(bits(tf.constant(0), 1) == 1, lambda: small(start), lambda: large(start))

    height, at = side(tf.constant(1))
    ratio = bits(at, 3)
    over, under = (tf.gather(tf.constant(x, tf.int64), ratio) for x in (_JXL_WIDTHS, _JXL_HEIGHTS))
    width = tf.cond(ratio == 0, lambda: side(at + 3)[0], lambda: height * over // under)
    known = tf.debugging.Assert(tf.strings.substr(data, 0, 2) == b"\xff\n", ["no codestream"])
    with tf.control_dependencies([known]):
        return tf.identity(data), tf.stack([height, width])


def _part(data: tf.Tensor, at, count) -> tf.Tensor:
    """`count` bytes of `data`, which has to have them."""
    at, count = tf.cast(at, tf.int64), tf.cast(count, tf.int64)
    inside = (count >= 0) & (at + count <= tf.cast(tf.strings.length(data), tf.int64))
    with tf.control_dependencies([tf.debugging.Assert(inside, ["the file ends too soon"])]):
        return tf.strings.substr(data, at, count)


def _at_most(data: tf.Tensor, at, count) -> tf.Tensor:
    """`count` bytes of `data`, or those that are there."""
    length = tf.cast(tf.strings.length(data), tf.int64)
    at = tf.minimum(tf.cast(at, tf.int64), length)
    return tf.strings.substr(data, at, tf.maximum(tf.cast(count, tf.int64), 0))


def _little(data: tf.Tensor) -> tf.Tensor:
    """The number that up to seven bytes give, the lowest first; 0 of none."""
    values = tf.cast(tf.io.decode_raw(data, tf.uint8), tf.int64)
    return tf.reduce_sum(tf.bitwise.left_shift(values, 8 * tf.range(tf.size(values, tf.int64))))


def _big(data: tf.Tensor) -> tf.Tensor:
    """The number that up to seven bytes give, the highest first."""
    values = tf.cast(tf.io.decode_raw(data, tf.uint8), tf.int64)[::-1]
    return tf.reduce_sum(tf.bitwise.left_shift(values, 8 * tf.range(tf.size(values, tf.int64))))


def _four_bytes(number: tf.Tensor) -> tf.Tensor:
    """A number as text of four bytes, the lowest first."""
    values = tf.bitwise.right_shift(number, [0, 8, 16, 24]) & 255
    return tf.strings.reduce_join(tf.gather(_BYTES, values))
