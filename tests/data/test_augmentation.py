"""Augmentations: each change does what it says, as often as it says; recipes are the papers'."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from keras_cr.data import Augmentation
from tests.data.helpers import STILL, pixels


def apply(augmentation, image, size=40, count=32):
    """Views of one image for seeds (0, 0), (0, 1), ..."""
    seeds = tf.stack([tf.zeros(count, tf.int32), tf.range(count)], axis=1)
    views = tf.data.Dataset.from_tensor_slices(seeds)
    return np.stack(list(views.map(lambda seed: augmentation.apply(image, size, seed))))


def one(**changes):
    """Nothing random but `changes`."""
    return dataclasses.replace(STILL, **changes)


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


def test_the_kernel_cuts_the_blur_off():
    image = np.zeros((41, 41, 3), "uint8")
    image[20, 20] = 255
    rows = [
        one(blur=1.0, sigma=(2.0, 2.0), kernel=share).apply(image, 41, (0, 0))[20, :, 0]
        for share in (0.1, 0.25, None)
    ]
    assert [np.count_nonzero(row) for row in rows] == [5, 11, 13]
    weights = np.exp(-0.5 * (np.arange(-2, 3) / 2) ** 2)
    weights /= weights.sum()
    np.testing.assert_allclose(rows[0][18:23], 255 * weights[2] * weights, rtol=1e-4)


def test_solarization_inverts_from_128_up_after_the_blur():
    image = np.full((40, 40, 3), (127, 128, 250), "uint8")
    view = one(solarize=1.0).apply(image, 40, (0, 0))[0, 0]
    np.testing.assert_allclose(view, (127, 127, 5), atol=1e-3)
    stripes = np.zeros((40, 40, 3), "uint8")
    stripes[:, ::2] = 240  # 120 when blurred; when inverted before, 15 and 0
    view = one(solarize=1.0, blur=1.0, sigma=(2.0, 2.0)).apply(stripes, 40, (0, 0))
    np.testing.assert_allclose(view[:, 10:30], 120, atol=2)


def test_the_published_recipes():
    moco, simclr, half = Augmentation.moco_v2(), Augmentation.simclr(), Augmentation.simclr(0.5)
    colors = ("brightness", "contrast", "saturation", "hue")
    assert [getattr(moco, name) for name in colors] == [0.4, 0.4, 0.4, 0.1]
    assert [getattr(simclr, name) for name in colors] == [0.8, 0.8, 0.8, 0.2]
    assert [getattr(half, name) for name in colors] == [0.4, 0.4, 0.4, 0.1]
    query, key = Augmentation.byol()
    for byol in (query, key):
        assert [getattr(byol, name) for name in colors] == [0.4, 0.4, 0.2, 0.1]
    assert (query.blur, query.solarize) == (1.0, 0.0)
    assert (key.blur, key.solarize) == (0.1, 0.2)
    assert moco.scale == (0.2, 1.0)
    assert simclr.scale == query.scale == key.scale == (0.08, 1.0)
    for each in (moco, simclr, query, key):
        assert (each.jitter, each.grayscale, each.flip) == (0.8, 0.2, 0.5)
        assert (each.solarize > 0) == (each is key)
    with pytest.raises(ValueError, match="strength: must lie in .*received 1.5"):
        Augmentation.simclr(1.5)


def test_probabilities_are_kept():
    image = pixels(1, 40, 40)[0]
    changes = {"grayscale": 0.2, "blur": 0.5, "jitter": 0.8, "solarize": 0.3}
    for name, probability in changes.items():
        views = apply(one(**{name: probability}), image, count=150)
        share = np.mean(np.abs(views - image).max(axis=(1, 2, 3)) > 0.5)
        assert abs(share - probability) < 0.15, name


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("flip", 1.5),
        ("solarize", -0.2),
        ("kernel", 0.0),
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
