"""Which formats are read, by content and by suffix, and how large an image may be."""

import base64
import contextlib
import dataclasses
import struct

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from keras_cr.data import (
    UnreadableImageError,
    check_images,
    foreground_batches,
    image_batches,
    load_image,
    read_image_folder,
    read_images,
    two_views,
)
from keras_cr.data.decode import DECODE_ERRORS, decode_image, too_large
from keras_cr.data.files import MAX_PIXELS
from tests.data.helpers import STILL, dataset, encoded, pixels, png_header, save_image

SMOOTH = np.stack(np.broadcast_arrays(np.arange(0, 240, 6), np.arange(48)[:, None], 90), -1)
SMOOTH = SMOOTH.astype("uint8")  # 48 x 40
FRAMES = [Image.fromarray(SMOOTH).rotate(90 * i) for i in range(4)]
# 40 x 48 of (200, 100, 50); 200 x 300 of 128, in grey; 40 x 48 of (200, 100, 50) at half opacity;
# three frames of 40 x 48, black first
JXL = {
    name: base64.b64decode(text)
    for name, text in {
        "flat": "/wqJQCQIAAEAdABLGIsVANSIMe7uxj3AHuD4TYH2LwkgE9WTD8Q1LA==",
        "grey": "/woxQVDcCAgEAQBIAEsYixWAXf5/AKlUAPqXABLNAA==",
        "alpha": "/wqJwEoIABAAgABLGIsVANSIMe7uxj3AHuA42sDkFgkgEYVpCQRXLMQ1AA==",
        "moving": "/wqJBE0AICYIBAEAHABLGIsVggMACAQBAEQASxiLFYAd/v8AAFATAIhMIgEIBAUARABLGIsVgF3+/wAA"
        "UhMAxEVCAg==",
    }.items()
}


def decoded(data):
    return decode_image(data).numpy()


@pytest.mark.parametrize("options", [{"lossless": True}, {"quality": 95}])
def test_webp(options):
    np.testing.assert_allclose(decoded(encoded(SMOOTH, "WEBP", **options)), SMOOTH, atol=8)
    clear = Image.fromarray(SMOOTH).convert("RGBA")
    clear.putalpha(128)
    seen = Image.new("RGBA", clear.size, "white")
    seen.alpha_composite(clear)
    loaded = decoded(encoded(clear, "WEBP", **options))
    np.testing.assert_allclose(loaded, np.asarray(seen)[..., :3], atol=8)


@pytest.mark.parametrize("turn", [1, 3, 6, 8])
@pytest.mark.parametrize("prefix", [b"", b"Exif\0\0"])
def test_webp_is_turned_by_its_exif(turn, prefix):
    exif = Image.Exif()
    exif[0x0112] = turn
    data = encoded(SMOOTH, "WEBP", lossless=True, exif=prefix + exif.tobytes()[6:])
    shown = ImageOps.exif_transpose(Image.fromarray(SMOOTH)) if turn == 1 else None
    shown = shown or Image.fromarray(SMOOTH).transpose(
        {3: Image.ROTATE_180, 6: Image.ROTATE_270, 8: Image.ROTATE_90}[turn]
    )
    np.testing.assert_array_equal(decoded(data), np.asarray(shown))


@pytest.mark.parametrize(
    ("form", "options"),
    [("WEBP", {"lossless": True}), ("WEBP", {"quality": 95}), ("GIF", {}), ("PNG", {})],
)
def test_of_an_animation_the_first_frame_is_read(form, options):
    data = encoded(FRAMES[0], form, save_all=True, append_images=FRAMES[1:], loop=0, **options)
    np.testing.assert_allclose(decoded(data), SMOOTH, atol=0 if form == "PNG" else 16)


def test_a_frame_that_is_not_in_the_corner():
    data = bytearray(encoded(FRAMES[0], "GIF"))
    still = decoded(bytes(data))
    place = data.index(b"\x2c", 13 + 3 * 2 ** ((data[10] & 7) + 1))
    data[place + 1 : place + 5] = struct.pack("<HH", 9, 7)
    np.testing.assert_array_equal(decoded(bytes(data)), still)


def test_jpeg_xl():
    np.testing.assert_array_equal(decoded(JXL["flat"]), np.full((40, 48, 3), (200, 100, 50)))
    np.testing.assert_array_equal(decoded(JXL["grey"]), np.full((200, 300, 3), 128))
    np.testing.assert_array_equal(decoded(JXL["alpha"])[0, 0], [227, 177, 152])
    assert decoded(JXL["moving"]).shape == (40, 48, 3)


def test_a_file_is_what_it_holds_whatever_its_suffix(tmp_path):
    for form, suffix in (("JPEG", "png"), ("PNG", "jpg"), ("WEBP", "gif"), ("GIF", "jfif")):
        path = tmp_path / f"{form}.{suffix}"
        path.write_bytes(encoded(SMOOTH, form))
        assert load_image(path).shape == SMOOTH.shape
    check_images(dataset(4, images=sorted(tmp_path.iterdir())))


@pytest.mark.parametrize(
    "suffix",
    [
        "jpg",
        "JPEG",
        "jpe",
        "jif",
        "jfif",
        "pjp",
        "pjpeg",
        "png",
        "bmp",
        "dib",
        "gif",
        "webp",
        "jxl",
    ],
)
def test_suffixes_that_are_read(tmp_path, suffix):
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / f"1.{suffix}").write_bytes(encoded(SMOOTH, "PNG"))
    assert len(check_images(read_image_folder(tmp_path))[0]) == 2


@pytest.mark.parametrize(("form", "name"), [("TIFF", "TIFF"), ("AVIF", "AVIF")])
def test_a_format_that_is_not_read_is_named(tmp_path, form, name):
    path = tmp_path / "phone.jpg"
    path.write_bytes(encoded(SMOOTH, form))
    data = dataset(1, images=[path])
    with pytest.raises(UnreadableImageError, match=f"does not decode, it is a {name} file"):
        check_images(data)


def test_a_bmp_that_is_not_read_is_named(tmp_path):
    path = tmp_path / "scan.bmp"
    path.write_bytes(encoded(Image.new("1", (48, 40)), "BMP"))
    with pytest.raises(UnreadableImageError, match="does not decode, it is a 1-bit BMP file"):
        check_images(dataset(1, images=[path]))


def bombs():
    """Files of a few bytes that say 20,000 x 20,000, or as much as the format can."""
    size = 20_000
    lossless = struct.pack("<I", (16382 << 14) | 16382)
    sides = struct.pack("<I", size - 1)[:3]
    jpeg = bytearray(encoded(SMOOTH, "JPEG"))
    at = jpeg.index(b"\xff\xc0")
    jpeg[at + 5 : at + 9] = struct.pack(">HH", size, size)
    bmp = bytearray(encoded(SMOOTH, "BMP"))
    bmp[18:26] = struct.pack("<ii", size, -size)
    gif = bytearray(encoded(SMOOTH, "GIF"))
    at = gif.index(b"\x2c", 13 + 3 * 2 ** ((gif[10] & 7) + 1))
    gif[at + 5 : at + 9] = struct.pack("<HH", size, size)
    jxl = b"\xff\x0a" + ((2 << 1 | (size - 1) << 3 | 1 << 21) << 0).to_bytes(6, "little")
    parts = struct.pack(">I", 8 + 4 + 40) + b"jxlp" + bytes(4) + jxl.ljust(40, b"\0")
    boxes = b"\0\0\0\x0cJXL \r\n\x87\n" + struct.pack(">I", 12) + b"ftypjxl " + parts
    chunks = b"VP8X\n\0\0\0\0\0\0\0" + 2 * sides
    animation = b"VP8X\n\0\0\0\2\0\0\0" + 2 * sides + b"ANMF" + struct.pack("<I", 24)
    animation += bytes(6) + 2 * sides + bytes(4) + b"VP8 \0\0\0\0"
    return {
        "png": png_header(size, size),
        "jpeg": bytes(jpeg),
        "bmp": bytes(bmp),
        "gif": bytes(gif),
        "webp": _riff(b"VP8 \x0a\0\0\0\x10\0\0\x9d\x01\x2a" + 2 * struct.pack("<H", 16383)),
        "webp lossless": _riff(b"VP8L\x05\0\0\0\x2f" + lossless),
        "webp extended": _riff(chunks),
        "webp animation": _riff(animation),
        "jxl": jxl,
        "jxl in boxes": boxes,
    }


def _riff(chunks):
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WEBP" + chunks


@pytest.mark.parametrize("name", bombs())
def test_the_header_of_a_bomb_is_enough(name, tmp_path):
    data = bombs()[name]
    side = 16383 if name in ("webp", "webp lossless") else 20_000
    assert too_large(tf.constant(data), MAX_PIXELS) == (
        f"{side} x {side} pixels, more than max_pixels, 120,000,000"
    )
    with pytest.raises(tf.errors.InvalidArgumentError, match="more pixels than max_pixels"):
        decode_image(data)
    path = tmp_path / "bomb.png"
    path.write_bytes(data)
    with pytest.raises(UnreadableImageError, match=f"bomb.png: {side} x {side} pixels"):
        load_image(path)


@pytest.fixture
def large(tmp_path):
    """Images of 48 x 40, the second of 60 x 50, and a mask of that size."""
    for i, image in enumerate(pixels(4)):
        save_image(tmp_path / f"{i}.png", image)
    save_image(tmp_path / "1.png", np.zeros((50, 60)))
    save_image(tmp_path / "mask.png", np.full((50, 60), 255))
    return tmp_path


def test_the_limit_holds_wherever_images_are_read(large):
    paths = [large / f"{i}.png" for i in range(4)]
    data = dataset(4, images=paths)
    message = r"1 of 4 .*1.png \(60 x 50 pixels, more than max_pixels, 2,999\)"
    with pytest.raises(UnreadableImageError, match=message):
        check_images(data, max_pixels=2999)
    kept, bad = check_images(data, skip_bad=True, max_pixels=2999)
    assert (bad, kept.max_pixels, len(kept)) == ([str(paths[1])], 2999, 3)
    assert check_images(data, max_pixels=3000)[1] == []

    limited = dataclasses.replace(data, max_pixels=2999)
    with pytest.raises(tf.errors.InvalidArgumentError, match="max_pixels"):
        list(image_batches(limited, 32, 2))
    with pytest.raises(tf.errors.InvalidArgumentError, match="max_pixels"):
        list(two_views(limited, 32, 2, augmentation=STILL).take(2))
    with pytest.raises(UnreadableImageError, match=r"1.png: 60 x 50 pixels"):
        load_image(paths[1], max_pixels=2999)
    assert len(list(image_batches(data, 32, 4))) == 1


def test_the_limit_holds_for_masks(large):
    data = dataset(4, masks=[large / "mask.png"] * 4, max_pixels=2999)
    with pytest.raises(tf.errors.InvalidArgumentError, match="max_pixels"):
        list(foreground_batches(data, 32, 4))
    data = dataclasses.replace(data, max_pixels=3000)
    assert next(iter(foreground_batches(data, 32, 4))).numpy().all()


def test_bytes_are_limited_as_pixels_are(tmp_path):
    path = tmp_path / "sparse.png"
    with path.open("wb") as file:
        file.truncate(2**26 + 8 * 100 + 1)  # takes no place on the disk
    with pytest.raises(UnreadableImageError, match="67,109,665 bytes, more than 67,109,664"):
        load_image(path, max_pixels=100)


@pytest.mark.parametrize("value", [0, -1, 2.5, True, "9"])
def test_limits_that_are_none(value):
    with pytest.raises(ValueError, match=f"max_pixels: must be a positive .* {value!r}"):
        dataset(2, max_pixels=value)


def test_read_images_names_what_is_too_large(large, tmp_path):
    (tmp_path / "bomb.jpg").write_bytes(png_header(20_000, 20_000))
    with pytest.raises(UnreadableImageError, match=r"bomb.jpg' 20000 x 20000 pixels"):
        read_images([large / "0.png", tmp_path / "bomb.jpg"], 32)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "BMP", "WEBP", "moving WEBP", "JXL"])
def test_damaged_bytes_are_an_error_and_nothing_else(form):
    """Cut off anywhere, and with any byte changed: a picture, or TensorFlow's own error."""
    small = Image.fromarray(SMOOTH[:9, :7])
    if form == "moving WEBP":
        data = encoded(small, "WEBP", save_all=True, append_images=[small.rotate(180)])
    else:
        data = JXL["flat"] if form == "JXL" else encoded(small, form)
    random = np.random.default_rng(0)
    damaged = [data[:end] for end in random.integers(0, len(data), 6)]
    for place in random.integers(0, len(data), 18):
        damaged.append(data[:place] + bytes([random.integers(256)]) + data[place + 1 :])
    for content in damaged:
        with contextlib.suppress(*DECODE_ERRORS):
            assert decode_image(content, 10_000).shape[-1] == 3
