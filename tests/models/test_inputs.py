"""What is taken as a batch of images, and how the rest is named."""

import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_cr.models.inputs import Seen, checked_images
from keras_cr.models.streams import checked_batches
from tests.case import images


def pictures(number=2, mode="RGB", size=(24, 16), **options):
    return [Image.new(mode, size, **options) for _ in range(number)]


def test_a_batch_is_taken_as_it_is():
    for batch in (images(2), images(2).astype("uint8"), tf.constant(images(2))):
        assert checked_images(batch) is batch
    symbolic = keras.Input((None, None, 3))
    assert checked_images(symbolic) is symbolic


@pytest.mark.parametrize("dtype", ["uint8", "int32", "uint16", "float16", "float32", "float64"])
def test_every_real_dtype_of_rgb_is_taken(dtype):
    assert checked_images(images(2).astype(dtype)).dtype == dtype


def test_what_is_clear_is_turned_into_a_batch():
    batch = images(3)
    for given in (list(batch), tuple(batch), [batch], [tf.constant(each) for each in batch]):
        np.testing.assert_array_equal(checked_images(given), batch)
    np.testing.assert_array_equal(checked_images(batch[:1].tolist()), batch[:1])
    objects = np.empty(2, object)
    objects[:] = [batch[0], batch[1]]
    np.testing.assert_array_equal(checked_images(objects), batch[:2])


def test_gray_images_are_repeated():
    gray = images(2)[..., :1]
    expected = np.repeat(gray, 3, axis=-1)
    for given in (gray, list(gray), list(gray[..., 0]), tf.constant(gray)):
        np.testing.assert_array_equal(checked_images(given), expected)


def test_pillow_images_are_seen_as_a_person_sees_them():
    red = checked_images(pictures(color=(255, 0, 0)))
    assert red.shape == (2, 16, 24, 3)
    assert red.dtype == "uint8"
    np.testing.assert_array_equal(red[0, 0, 0], [255, 0, 0])
    transparent = checked_images(pictures(mode="RGBA", color=(0, 0, 0, 0)))
    assert (transparent == 255).all(), "laid on white, as files are"
    half = checked_images(pictures(mode="LA", color=(0, 128)))
    assert half[0, 0, 0, 0] == 127
    assert checked_images(pictures(mode="1", color=1)).min() == 255
    assert checked_images(pictures(mode="P")).shape == (2, 16, 24, 3)
    turned = Image.new("RGB", (24, 16))
    turned.getexif()[0x0112] = 6
    assert checked_images([turned]).shape == (1, 24, 16, 3)


SHAPES = {
    "a single image": (images(1)[0], r"\(32, 32, 3\).*image\[None\]"),
    "a single gray image": (images(1)[0, ..., 0], r"\(32, 32\).*\(B, H, W, 1\)"),
    "channels first": (np.moveaxis(images(2), -1, 1), r"moveaxis\(images, 1, -1\)"),
    "four channels": (np.ones((2, 8, 8, 4)), r"convert\('RGB'\)"),
    "two channels": (np.ones((2, 8, 8, 2)), r"must have shape \(B, H, W, 3\)"),
    "five dimensions": (images(2)[None], r"\(1, 2, 32, 32, 3\)"),
    "no images": (images(2)[:0], r"at least one image.*\(0, 32, 32, 3\)"),
    "no pixels": (images(2)[:, :0], "at least one image"),
    "an empty list": ([], "at least one image"),
    "different sizes": ([images(1)[0], images(1)[0, :16]], "32 x 32.*position 1 has 16 x 32"),
    "pictures of different sizes": (
        [*pictures(1), *pictures(1, size=(8, 8))],
        "different sizes.*read_images",
    ),
    "several batches": ([images(2), images(2)], r"list of images.*position 0"),
    "lists of different lengths": ([[1, 2], [3]], "different lengths"),
    "ragged": (tf.ragged.stack([images(1)[0], images(1)[0, :9]]), "different sizes"),
    "one picture": (pictures(1)[0], r"a single Pillow image.*\[image\]"),
    "nothing": (None, "Received a NoneType"),
    "a number": (3, r"\(B, H, W, 3\)"),
    "bool": (images(2) > 9, "numbers.*bool: a mask"),
    "complex": (images(2).astype("complex64"), "complex64"),
    "dates": (np.zeros((1, 8, 8, 3), "datetime64[s]"), "datetime64"),
    "16 bits": (pictures(mode="I;16"), "mode 'I;16'"),
    "symbolic, four channels": (keras.Input((8, 8, 4)), r"\(None, 8, 8, 4\)"),
}
PATHS = {
    "a path": pathlib.Path("a.jpg"),
    "a string": "a.jpg",
    "strings": ["a.jpg", "b.jpg"],
    "paths": [pathlib.Path("a.jpg")],
    "an array": np.array(["a.jpg"]),
    "objects": np.array(["a.jpg"], object),
    "bytes": [b"a.jpg"],
    "a tensor": tf.constant(["a.jpg"]),
}


@pytest.mark.parametrize("case", SHAPES)
def test_the_rest_is_named(case):
    given, message = SHAPES[case]
    with pytest.raises(ValueError, match=f"(?s)`views`.*{message}"):
        checked_images(given, Seen("views"))


@pytest.mark.parametrize("case", PATHS)
def test_paths_point_to_read_images(case):
    with pytest.raises(ValueError, match=r"`images` must be pixels.*read_images\(paths"):
        checked_images(PATHS[case])


RANGES = {
    "0..1": (images() / 255, "from 0.*Multiply images in 0..1 by 255"),
    "0..1, resized": (images() / 250, "Multiply images in 0..1"),
    "0..1, float16": ((images() / 255).astype("float16"), "Multiply images in 0..1"),
    "-1..1": (images() / 127.5 - 1, r"127.5 \* \(images \+ 1\)"),
    "-1..1, whole": (np.sign(images() - 99).astype("int8"), "values from -1 to 1"),
    "ImageNet's": ((images() / 255 - 0.45) / 0.225, "backbone does that itself"),
    "centred": (images() - 117, "Undo what normalises or centres"),
    "below 0": (-images(), "values from -25.*"),
    "16 bits": (images() * 257, "Divide 16-bit images by 257"),
    "16 bits, integers": ((images() * 257).astype("uint16"), "Divide 16-bit images by 257"),
}


@pytest.mark.parametrize("case", RANGES)
def test_other_ranges_are_refused(case):
    given, message = RANGES[case]
    for batch in (given, tf.constant(given), list(given), given[:1]):
        with pytest.raises(ValueError, match=f"`images` must be RGB 0..255.*{message}"):
            checked_images(batch)


def dark():
    """Images in 0..255 that hold no value above 1, and one that is merely dark."""
    rng = np.random.default_rng(0)
    batch = images()
    beside = np.concatenate([batch * 0.003, batch[:1]])
    return {
        "black": np.zeros_like(batch),
        "whole": rng.integers(0, 2, batch.shape).astype("float32"),
        "bytes": rng.integers(0, 2, batch.shape).astype("uint8"),
        "beside a brighter one": beside,
        "dim": batch * 0.01,
        "rounded": np.zeros_like(batch) - 1e-6,
    }


@pytest.mark.parametrize("case", dark())
def test_dark_images_are_taken(case):
    checked_images(dark()[case])


def test_sharp_resizing_and_noise_may_leave_the_range():
    checked_images(images() * 1.15 - 20)
    noise = np.random.default_rng(0).normal(0, 25, images().shape)
    checked_images(images() + noise)


def test_a_brighter_batch_vouches_for_a_darker_one_of_the_same_source():
    seen = Seen()
    checked_images(images(), seen)
    checked_images(images() * 0.003, seen)
    with pytest.raises(ValueError, match="from -0.9"):
        checked_images(images() / 127.5 - 1, seen)


def test_bytes_do_not_vouch_for_floats_beside_them():
    batch = images(2)
    with pytest.raises(ValueError, match="Multiply"):
        checked_images([batch[0].astype("uint8"), batch[1] / 255])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_values_that_are_not_finite_are_refused_with_the_image(value, dtype):
    batch = images(5).astype(dtype)
    batch[3, 2, 1, 0] = value
    for given in (batch, tf.constant(batch), list(batch)):
        with pytest.raises(ValueError, match="`images` must be finite.*the image at position 3"):
            checked_images(given)
    seen = Seen()
    checked_images(images(10), seen)
    with pytest.raises(ValueError, match="position 13"):
        checked_images(batch, seen)
    with pytest.raises(ValueError, match="position 3"):
        checked_images(batch, Seen(rgb=False))


def test_values_that_are_only_traced_pass():
    @tf.function
    def traced(batch):
        return checked_images(batch)

    assert traced(images() / 255).shape == images().shape
    batch = tf.Variable(images(2) / 255)
    with pytest.raises(ValueError, match="Multiply"):
        checked_images(batch)


def test_low_precision_tensors():
    checked_images(tf.cast(images(2), "bfloat16"))
    with pytest.raises(ValueError, match="Multiply"):
        checked_images(tf.cast(images(2) / 255, "bfloat16"))


def test_noise_does_not_hide_that_images_are_in_0_to_1():
    noise = np.random.default_rng(0).normal(0, 0.05, images(4).shape)
    for given in (images(4) / 255 + noise, np.clip(1.4 * images(4) / 255 - 0.1, -0.1, 1.3)):
        with pytest.raises(ValueError, match="Multiply images in 0..1 by 255"):
            checked_images(given)


def test_wide_floats_and_tensors_of_other_frameworks():
    assert checked_images(images(2).astype(np.longdouble)).dtype == "float64"
    torch = pytest.importorskip("torch", reason="torch is not installed: pip install torch")
    learnt = torch.tensor(images(2), requires_grad=True)
    np.testing.assert_array_equal(checked_images(learnt), images(2))


def test_a_sparse_tensor_is_named():
    sparse = tf.sparse.from_dense(images(2))
    for read in (checked_images, lambda given: list(checked_batches(given))):
        with pytest.raises(ValueError, match="`images` must be dense; received a sparse"):
            read(sparse)
