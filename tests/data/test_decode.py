"""Decoding: whatever a file holds becomes the RGB a person sees."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from keras_cr.data import load_image
from keras_cr.data.decode import decode_image, orientation
from tests.data.helpers import pixels

RGB = pixels(1, 24, 40)[0]
GREY = np.asarray(Image.fromarray(RGB).convert("L"))


def load(path, image, **options):
    """The image as a file, loaded in a graph; the path is a tensor, or TensorFlow folds it."""
    image.save(path, **options)
    loaded = tf.function(load_image)(tf.constant(str(path)))
    assert loaded.dtype == tf.uint8
    return loaded.numpy()


@pytest.mark.parametrize(
    ("mode", "suffix", "expected"),
    [
        ("L", "png", np.stack([GREY] * 3, axis=-1)),
        ("L", "jpg", np.stack([GREY] * 3, axis=-1)),
        ("L", "bmp", np.stack([GREY] * 3, axis=-1)),
        ("CMYK", "jpg", RGB),
        ("RGB", "gif", None),
        ("P", "png", None),
        ("P", "bmp", None),
        ("P", "gif", None),
        ("1", "png", None),
        ("RGBA", "bmp", RGB),
    ],
)
def test_modes_become_rgb(tmp_path, mode, suffix, expected):
    image = Image.fromarray(RGB)
    image = image.quantize(8) if mode == "P" else image.convert(mode)
    if expected is None:
        expected = np.asarray(image.convert("RGB"))
    loaded = load(tmp_path / f"image.{suffix}", image, quality=100)
    if suffix == "gif" and mode == "RGB":
        expected = np.asarray(Image.open(tmp_path / "image.gif").convert("RGB"))
    np.testing.assert_allclose(loaded, expected, atol=6 if suffix == "jpg" else 0)


def test_16_bits_are_scaled_not_clipped(tmp_path):
    values = np.linspace(0, 65535, 24 * 40).reshape(24, 40).astype("uint16")
    loaded = load(tmp_path / "grey.png", Image.fromarray(values))
    np.testing.assert_allclose(loaded, np.stack([values / 257] * 3, axis=-1), atol=1)
    assert len(np.unique(loaded)) == 256

    encoded = tf.io.encode_png(RGB.astype("uint16") * 257)
    np.testing.assert_array_equal(decode_image(encoded), RGB)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparent_pixels_are_laid_on_white(tmp_path, mode):
    image = Image.fromarray(RGB).convert(mode)
    alpha = np.tile(np.linspace(0, 255, 40).astype("uint8"), (24, 1))
    image.putalpha(Image.fromarray(alpha))
    colors = np.asarray(image.convert("RGB")).astype("float64")
    expected = (colors * alpha[..., None] + 255.0 * (255 - alpha[..., None])) / 255
    loaded = load(tmp_path / "image.png", image)
    np.testing.assert_allclose(loaded, expected, atol=0.51)
    assert (loaded[:, 0] == 255).all()


def test_a_palettes_transparent_color_is_white(tmp_path):
    image = Image.fromarray(np.repeat([[0, 1]], 24, axis=0).astype("uint8"), "P")
    image.putpalette([200, 30, 10, 0, 90, 250])
    loaded = load(tmp_path / "image.png", image, transparency=0)
    np.testing.assert_array_equal(loaded[5], [[255, 255, 255], [0, 90, 250]])


@pytest.mark.parametrize("endian", ["<", ">"])
@pytest.mark.parametrize("turn", range(1, 9))
def test_exif_turns_an_image(tmp_path, turn, endian):
    exif = Image.Exif()
    exif.endian = endian
    exif[0x010F] = "a maker's name"
    exif[0x0112] = turn
    loaded = load(tmp_path / "image.jpg", Image.fromarray(RGB), exif=exif, quality=95)
    shown = ImageOps.exif_transpose(Image.open(tmp_path / "image.jpg"))
    assert loaded.shape == (*shown.size[::-1], 3)
    np.testing.assert_allclose(loaded, shown, atol=6)
    assert orientation((tmp_path / "image.jpg").read_bytes()) == turn


def test_damaged_exif_turns_nothing(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "image.jpg"
    upright = load(path, Image.fromarray(RGB))
    Image.fromarray(RGB).save(path, exif=exif)
    whole = path.read_bytes()
    start = whole.index(b"Exif\0\0") + 6
    directory = start + 8
    for at, value in (
        (start, b"XX"),  # neither byte order
        (start + 4, b"\xff\xff\xff\xff"),  # a directory beyond the file
        (directory + 2, b"\x13\x01"),  # another tag
        (directory + 10, b"\x09\x00"),  # no orientation
    ):
        damaged = whole[:at] + value + whole[at + len(value) :]
        np.testing.assert_array_equal(decode_image(damaged), upright)


@pytest.mark.parametrize(
    "content", [b"", b"B", b"\xff\xd8", b"BM not an image", b"no image at all"]
)
def test_what_is_no_image_is_refused(content):
    with pytest.raises(tf.errors.OpError):
        decode_image(content)
