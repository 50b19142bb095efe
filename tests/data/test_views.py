"""Views: what may differ differs, what must repeat repeats, and each change does what it says."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from keras_cr.data import Augmentation, image_batches, random_views, two_views
from tests.data.helpers import dataset, pixels, save_image

STILL = Augmentation(
    scale=(1.0, 1.0), ratio=(1.0, 1.0), jitter=0.0, grayscale=0.0, blur=0.0, flip=0.0
)


def batches(data, size=24, batch_size=4, **options):
    return list(two_views(data, size, batch_size, **options).as_numpy_iterator())


def apply(augmentation, image, size=40, count=32):
    """Views of one image for seeds (0, 0), (0, 1), ..."""
    seeds = tf.stack([tf.zeros(count, tf.int32), tf.range(count)], axis=1)
    views = tf.data.Dataset.from_tensor_slices(seeds)
    return np.stack(list(views.map(lambda seed: augmentation.apply(image, size, seed))))


def one(**changes):
    """Nothing random but `changes`."""
    return dataclasses.replace(STILL, **changes)


def test_shapes_types_and_range():
    views = two_views(dataset(10), 24, 4, epochs=2)
    assert int(views.cardinality()) == 4
    for batch in views:
        assert {name: value.dtype for name, value in batch.items()} == {
            "query": tf.float32,
            "key": tf.float32,
            "index": tf.int32,
            "image": tf.float32,
        }
        assert batch["query"].shape == batch["key"].shape == (4, 24, 24, 3)
        assert float(tf.reduce_min(batch["query"])) >= 0
        assert 1 < float(tf.reduce_max(batch["query"])) <= 255


def test_an_epoch_holds_each_image_at_most_once_in_a_new_order():
    first, second = np.split(
        np.concatenate([b["index"] for b in batches(dataset(10), batch_size=5, epochs=2)]), 2
    )
    assert sorted(first) == sorted(second) == list(range(10))
    assert list(first) != list(second)
    assert list(first) != list(range(10))


def test_draws_differ_by_image_view_and_epoch_and_repeat_with_the_seed():
    same = np.repeat(pixels(1), 8, axis=0)  # only the draws can make a difference
    data = dataset(8, images=same)
    runs = [batches(data, batch_size=8, epochs=2, seed=seed) for seed in (3, 3, 4)]
    drawn = np.concatenate([b[view] for run in runs for b in run for view in ("query", "key")])
    run = drawn.reshape(3, 32, -1)
    np.testing.assert_array_equal(run[0], run[1])
    assert len(np.unique(run[[0, 2]].reshape(64, -1), axis=0)) == 64


def test_a_continued_run_sees_what_the_whole_run_sees(tmp_path):
    paths = [tmp_path / f"{i}.png" for i in range(6)]
    for path, image in zip(paths, pixels(6), strict=True):
        save_image(path, image)
    whole = batches(dataset(6), epochs=4, seed=5)
    continued = batches(dataset(6, images=paths), epochs=2, first_epoch=2, seed=5)
    assert len(whole) == 4
    for one, other in zip(whole[2:], continued, strict=True):
        for name in ("query", "key", "index"):
            np.testing.assert_array_equal(one[name], other[name])


def test_index_names_the_image():
    images = np.stack([np.full((16, 16, 3), 20 * i, "uint8") for i in range(8)])
    for batch in batches(dataset(8, images=images), 16, augmentation=STILL):
        for view in ("query", "key"):
            np.testing.assert_array_equal(batch[view][:, 0, 0, 0], 20 * batch["index"])


def test_without_changes_the_image_stays():
    image = pixels(1, 40, 40)[0]
    np.testing.assert_allclose(STILL.apply(image, 40, (0, 1)), image, atol=1e-3)


@pytest.mark.parametrize("size", [16, 96])
def test_crops_have_the_asked_area_and_ratio(size):
    y, x = np.mgrid[:60, :80].astype("uint8")
    views = apply(one(scale=(0.2, 1.0), ratio=(3 / 4, 4 / 3)), np.stack([y, x, x], -1), size, 200)
    pixel = 1 if size == 16 else 0  # an average of pixels stays half a pixel off the border
    heights, widths = (np.ptp(views[..., i], axis=(1, 2)) + 1 + pixel for i in (0, 1))
    area, ratio = heights * widths / (60 * 80), widths / heights
    assert 0.15 < area.min() < 0.3
    assert 0.85 < area.max() < 1.1
    assert 0.65 < ratio.min() < 0.85
    assert 1.2 < ratio.max() < 1.5
    corners = views[:, 0, 0, :2]
    assert len(np.unique(corners, axis=0)) > 100


def test_a_crop_that_never_fits_becomes_the_central_one():
    image = np.zeros((20, 100, 3), "uint8")
    image[..., 0] = np.arange(100)
    columns = apply(one(ratio=(0.75, 4 / 3)), image, 27, 4)[:, 10, :, 0]  # the whole area: never
    np.testing.assert_allclose(columns.min(1), 36, atol=1)
    np.testing.assert_allclose(columns.max(1), 63, atol=1)


def test_a_shrunk_crop_skips_no_pixel():
    image = np.zeros((64, 64, 3), "uint8")
    image[::4, ::4] = 240
    np.testing.assert_allclose(STILL.apply(image, 16, (0, 0)), 15, atol=1e-3)


def test_flip_mirrors_half_of_the_views():
    image = pixels(1, 40, 40)[0]
    views = apply(one(flip=0.5), image, count=100)
    flipped = np.abs(views - image[:, ::-1]).max(axis=(1, 2, 3)) < 1e-3
    still = np.abs(views - image).max(axis=(1, 2, 3)) < 1e-3
    assert (flipped ^ still).all()
    assert 30 < flipped.sum() < 70


def test_grayscale_is_the_luma():
    image = pixels(1, 40, 40)[0]
    gray = image @ [0.299, 0.587, 0.114]
    views = apply(one(grayscale=1.0), image, count=2)
    np.testing.assert_allclose(views, np.stack([gray] * 3, -1)[None].repeat(2, 0), atol=1e-2)


def single(**strength):
    none = {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0}
    return one(jitter=1.0, **{**none, **strength})


def test_brightness_contrast_and_saturation_blend_as_defined():
    image = 100 + pixels(1, 40, 40)[0] // 5  # far from the clip
    gray = (image @ [0.299, 0.587, 0.114])[..., None]
    targets = {"brightness": 0 * gray, "contrast": gray.mean() + 0 * gray, "saturation": gray}
    for name, target in targets.items():
        views = apply(single(**{name: 0.4}), image, count=40)
        away = (image - target).ravel()
        factors = [away @ (view - target).ravel() / (away @ away) for view in views]
        for factor, view in zip(factors, views, strict=True):
            np.testing.assert_allclose(view, factor * image + (1 - factor) * target, atol=0.05)
        assert 0.6 <= min(factors) < 0.75, name
        assert 1.25 < max(factors) <= 1.401, name


def test_hue_turns_both_ways_and_keeps_the_value():
    image = np.full((40, 40, 3), (200, 40, 40), "uint8")
    views = apply(single(hue=0.1), image, size=8, count=40)[:, 0, 0]
    np.testing.assert_allclose(views.max(axis=1), 200, atol=0.1)
    np.testing.assert_allclose(views.min(axis=1), 40, atol=0.1)
    assert (views[:, 1] > 60).any()  # towards yellow
    assert (views[:, 2] > 60).any()  # towards magenta
    assert views[:, 1:].max() <= 40 + 160 * 0.6 + 0.1


def test_jitter_matches_the_steps_one_by_one():
    """Against tf.image, step after step in every order, on colours that no step clips."""
    image = 110 + pixels(1, 40, 40)[0] // 10
    augmentation = one(jitter=1.0, brightness=0.2, contrast=0.2, saturation=0.2, hue=0.1)
    seen = set()
    for number in range(60):
        draws = tf.random.stateless_uniform((35,), (0, number), alg="philox").numpy()
        change, order = 2 * draws[22:26] - 1, np.argsort(draws[26:30])
        expected = tf.cast(image, tf.float32)
        for step in order:
            factor = 1 + 0.2 * change[step]
            if step == 3:
                expected = tf.image.adjust_hue(expected, 0.1 * change[3])
                continue
            gray = tf.tensordot(expected, [0.299, 0.587, 0.114], 1)[..., None]
            target = (0 * gray, tf.reduce_mean(gray), gray)[step]
            expected = factor * expected + (1 - factor) * target
        view = augmentation.apply(image, 40, (0, number))
        np.testing.assert_allclose(view, expected, atol=0.05)
        seen.add(tuple(order))
    assert len(seen) > 15


def test_blur_keeps_the_mean_and_varies_its_sigma():
    image = np.zeros((41, 41, 3), "uint8")
    image[20, 20] = 255
    views = apply(one(blur=1.0), image, 41, 40)[..., 0]
    np.testing.assert_allclose(views.sum(axis=(1, 2)), 255, rtol=1e-3)
    offsets = np.arange(41) - 20
    sigma = np.sqrt((views.sum(axis=1) * offsets**2).sum(axis=1) / 255)
    assert sigma.min() < 0.5
    assert 1.6 < sigma.max() <= 2.0
    np.testing.assert_allclose(views, views.transpose(0, 2, 1), atol=1e-3)


def test_probabilities_are_kept():
    image = pixels(1, 40, 40)[0]
    changes = {"grayscale": 0.2, "blur": 0.5, "jitter": 0.8}
    for name, probability in changes.items():
        views = apply(one(**{name: probability}), image, count=150)
        share = np.mean(np.abs(views - image).max(axis=(1, 2, 3)) > 0.5)
        assert abs(share - probability) < 0.15, name


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 9}, r"batch_size: .*number of images, 8 in 'blocks'; received 9"),
        ({"batch_size": 0}, "batch_size: .*received 0"),
        ({"batch_size": 4, "epochs": 0}, "received epochs=0"),
        ({"batch_size": 4, "first_epoch": -1}, "first_epoch=-1"),
    ],
)
def test_wrong_arguments_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        two_views(dataset(8), 24, **options)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("flip", 1.5),
        ("brightness", -0.1),
        ("hue", 0.6),
        ("scale", (0.5, 1.2)),
        ("ratio", (2.0, 1.0)),
        ("sigma", (0.0, 1.0)),
    ],
)
def test_wrong_augmentations_are_refused(field, value):
    with pytest.raises(ValueError, match=f"{field}: must .*received"):
        Augmentation(**{field: value})


def test_whole_images_are_what_evaluation_sees():
    data = dataset(9)
    seen = np.concatenate(list(image_batches(data, 24, 4).as_numpy_iterator()))
    for batch in batches(data):
        np.testing.assert_allclose(batch["image"], seen[batch["index"]], atol=1e-3)
    assert set(batches(data, whole_images=False)[0]) == {"query", "key", "index"}


def test_random_views_hold_every_image_once_and_repeat_with_seed_and_epoch():
    data = dataset(10)
    runs = [
        list(random_views(data, 24, 4, Augmentation.moco_v2(), *numbers).as_numpy_iterator())
        for numbers in ((3, 0), (3, 0), (3, 1), (4, 0))
    ]
    assert [len(index) for _, index in runs[0]] == [4, 4, 2]
    views = [np.concatenate([v for v, _ in run]) for run in runs]
    orders = [np.concatenate([i for _, i in run]) for run in runs]
    assert all(sorted(order) == list(range(10)) for order in orders)
    assert (views[0].shape, views[0].dtype) == ((10, 24, 24, 3), np.float32)
    np.testing.assert_array_equal(views[0], views[1])
    for other in (2, 3):
        assert list(orders[0]) != list(orders[other])
        assert (views[0] != views[other]).any()
    with pytest.raises(ValueError, match="batch_size: .* 10 in 'blocks'; received 11"):
        random_views(data, 24, 11, Augmentation.moco_v2())
