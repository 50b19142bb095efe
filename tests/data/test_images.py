"""Reading images: formats, broken files, the geometry of evaluation and of the foreground."""

import numpy as np
import pytest
import tensorflow as tf

from keras_cr.data import (
    UnreadableImageError,
    check_images,
    foreground,
    foreground_batches,
    image_batches,
    load_image,
    read_images,
)
from tests.data.helpers import dataset, pixels, save_image


@pytest.fixture
def files(tmp_path):
    paths = [tmp_path / f"{i}.png" for i in range(4)]
    for path, image in zip(paths, pixels(4), strict=True):
        save_image(path, image)
    return paths


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "gif"])
def test_load_image_gives_rgb(tmp_path, suffix):
    image = np.full((12, 20, 3), (250, 120, 10), "uint8")
    save_image(tmp_path / f"image.{suffix}", image)
    loaded = tf.function(load_image)(str(tmp_path / f"image.{suffix}"))
    assert loaded.dtype == tf.uint8
    np.testing.assert_allclose(loaded, image, atol=3)


def test_grey_images_become_rgb(tmp_path):
    save_image(tmp_path / "grey.png", np.full((8, 9), 77))
    np.testing.assert_array_equal(load_image(str(tmp_path / "grey.png")), np.full((8, 9, 3), 77))


def test_broken_files_are_named_or_left_out(files):
    data = dataset(4, images=files)
    assert check_images(data) == (data, [])
    files[1].write_bytes(files[1].read_bytes()[:60])
    files[3].write_bytes(b"")

    named = r"2 of 4 .*1.png \(does not decode\), .*3.png \(empty file\); .*skip_bad=True"
    with pytest.raises(UnreadableImageError, match=named):
        check_images(data)
    kept, bad = check_images(data, skip_bad=True, workers=2)

    assert bad == [str(files[1]), str(files[3])]
    assert kept.images == [str(files[0]), str(files[2])]
    np.testing.assert_array_equal(kept.labels, [0, 0])


def test_images_that_are_too_small_are_bad(files):
    save_image(files[2], pixels(1, 32, 24)[0])
    data = dataset(4, images=files)
    with pytest.raises(UnreadableImageError, match=r"2.png \(24 x 32 pixels, fewer than 32 on a"):
        check_images(data)
    assert check_images(data, skip_bad=True)[1] == [str(files[2])]
    assert check_images(data, min_side=24)[1] == []


def test_rows_at_the_bottom_are_cut_off_files_and_masks(files, tmp_path):
    mask = np.zeros((40, 48))
    mask[30:] = 255
    save_image(tmp_path / "mask.png", mask)
    data = dataset(4, images=files, masks=[tmp_path / "mask.png"] * 4, crop_bottom=8)
    (batch,) = image_batches(data, 32, batch_size=4)
    np.testing.assert_allclose(batch, pixels(4)[:, :32, 8:40], atol=1e-3)
    np.testing.assert_array_equal(foreground(data, 32)[0, :, 0], np.arange(32) >= 30)
    boxes = dataset(4, images=files, boxes=[[0, 30, 48, 10]] * 4, crop_bottom=8)
    np.testing.assert_array_equal(foreground(boxes, 32)[0, :, 0], np.arange(32) >= 30)
    assert check_images(data.take([0, 1]))[1] == []
    with pytest.raises(UnreadableImageError, match=r"48 x 40 pixels, 9 rows of them cut off"):
        check_images(dataset(4, images=files, crop_bottom=9))


def test_only_broken_or_missing_files_are_an_error_even_when_skipped():
    with pytest.raises(UnreadableImageError, match=r"4 of 4 images of 'blocks' .*\.\.\."):
        check_images(dataset(4, images=[f"/absent/{i}.png" for i in range(4)]), skip_bad=True)


def test_image_batches_keep_order_and_the_last_batch(files):
    from_files = list(image_batches(dataset(4, images=files), 40, batch_size=3))
    from_pixels = list(image_batches(dataset(4), 40, batch_size=3))
    assert [batch.shape for batch in from_files] == [(3, 40, 40, 3), (1, 40, 40, 3)]
    assert from_files[0].dtype == tf.float32
    for one, other in zip(from_files, from_pixels, strict=True):
        np.testing.assert_array_equal(one, other)
    center = pixels(4)[:, :, 4:-4]  # the shorter side is 40 already: only the crop is left
    np.testing.assert_allclose(tf.concat(from_files, 0), center, atol=1e-3)


@pytest.mark.parametrize("shape", [(30, 61), (61, 30), (17, 17), (5, 90)])
def test_any_shape_becomes_the_central_square(shape):
    image = np.zeros((1, *shape, 3), "uint8")
    image[:, shape[0] // 2 :, :, 0] = 200
    image[:, :, shape[1] // 2 :, 1] = 100
    (batch,) = image_batches(dataset(1, images=image), 32, batch_size=1)
    assert batch.shape == (1, 32, 32, 3)
    np.testing.assert_allclose(batch[0, :6, :6, 0], 0, atol=1)
    np.testing.assert_allclose(
        batch[0, -6:, -6:], np.broadcast_to([200, 100, 0], (6, 6, 3)), atol=1
    )


def test_read_images_gives_the_pixels_of_image_batches(files):
    images = read_images([files[2], str(files[0])], image_size=24)
    (batch,) = image_batches(dataset(2, images=[files[2], files[0]]), 24, batch_size=2)
    assert (images.shape, images.dtype) == ((2, 24, 24, 3), np.uint8)
    np.testing.assert_array_equal(images, np.rint(batch))
    assert read_images([], 24).shape == (0, 24, 24, 3)


def test_read_images_refuses(files):
    files[1].write_bytes(files[1].read_bytes()[:60])
    with pytest.raises(UnreadableImageError, match=r"1\.png' does not decode; .* PNG"):
        read_images(files, 24)
    with pytest.raises(UnreadableImageError, match=r"absent\.png' does not exist"):
        read_images([files[0], "absent.png"], 24)
    with pytest.raises(ValueError, match=r"must be N files; received an array \(2, 8, 8, 3\)"):
        read_images(np.zeros((2, 8, 8, 3)), 24)
    with pytest.raises(ValueError, match="received one, 'a.png'"):
        read_images("a.png", 24)
    with pytest.raises(ValueError, match="image_size: must be a positive integer; received 0"):
        read_images(files, 0)


def test_foreground_has_the_geometry_of_the_images():
    images = np.zeros((1, 40, 60, 3), "uint8")
    images[0, 8:24, 20:36] = 255
    masks = images[..., 0]
    boxes = np.array([[20, 8, 16, 16]])
    for size in (20, 40, 80):
        (seen,) = image_batches(dataset(1, images=images), size, 1)
        expected = seen[..., 0].numpy() > 127.5
        for place in ({"masks": masks}, {"masks": masks > 0}, {"boxes": boxes}):
            found = foreground(dataset(1, images=images, **place), size)
            assert found.dtype == np.float32
            np.testing.assert_array_equal(found, expected)


def test_foreground_takes_the_mask_where_there_is_one_and_else_the_box(tmp_path):
    mask = np.zeros((40, 48))
    mask[:20] = 255
    save_image(tmp_path / "mask.png", mask)
    boxes = np.tile([0.0, 30.0, 48.0, 10.0], (3, 1))
    data = dataset(3, masks=[None, str(tmp_path / "mask.png"), None], boxes=boxes)
    found = foreground(data, 40)
    np.testing.assert_array_equal(found[1, :, 0], np.arange(40) < 20)
    np.testing.assert_array_equal(found[[0, 2], :, 0], [np.arange(40) >= 30] * 2)
    sizes = [len(batch) for batch in foreground_batches(data, 40, batch_size=2)]
    assert sizes == [2, 1]


def test_foreground_of_unknown_places():
    assert foreground(dataset(2), 16) is None
    with pytest.raises(ValueError, match=r"masks: 1 of 2 images .* boxes is None; give boxes"):
        foreground(dataset(2, masks=["a.png", None]), 16)
