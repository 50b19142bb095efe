"""Colours of an image tell where its object ends, which a coarse map doesn't."""

import numpy as np

from keras_cr.rationale.colours import SIDE, refine_by_colours

SHOWN = 96  # pixels of an image's side
CELLS = 6


def scenes(number: int = 6, seed: int = 0):
    """Images of an ellipse on another colour, both noisy, its masks, and coarse maps beside it."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SHOWN, :SHOWN] / SHOWN
    images, masks = np.zeros((number, SHOWN, SHOWN, 3)), np.zeros((number, SHOWN, SHOWN), bool)
    for image, mask in zip(images, masks, strict=True):
        cy, cx = rng.uniform(0.35, 0.65, 2)
        mask[:] = ((y - cy) / 0.14) ** 2 + ((x - cx) / 0.24) ** 2 < 1
        own, other = rng.permutation([[200, 60, 60], [60, 90, 180], [90, 180, 70]])[:2]
        image[:] = np.where(mask[..., None], own, other) + rng.normal(0, 20, image.shape)
    step = SHOWN // CELLS
    maps = masks.reshape(number, CELLS, step, CELLS, step).mean(axis=(2, 4))
    maps = 0.6 * maps + 0.4 * np.roll(maps, 1, axis=2)  # drawn to a side
    maps /= maps.max(axis=(1, 2), keepdims=True)
    return np.clip(images, 0, 255).astype("float32"), masks, maps.astype("float32")


def overlap(maps, masks) -> float:
    """Intersection over union of what lies above one half."""
    step = SHOWN // SIDE
    masks = masks.reshape(len(masks), SIDE, step, SIDE, step).mean(axis=(2, 4)) > 0.5
    found = maps > 0.5
    return float(np.mean((found & masks).sum((1, 2)) / (found | masks).sum((1, 2))))


def test_a_refined_map_ends_where_the_object_ends():
    images, masks, maps = scenes()
    coarse = overlap(refine_by_colours(maps, images, rounds=0), masks)
    assert coarse < 0.7
    assert overlap(refine_by_colours(maps, images, rounds=1), masks) > 0.85
    assert overlap(refine_by_colours(maps, images), masks) > 0.85


def test_where_colours_tell_nothing_a_map_stays():
    images, _, maps = scenes()
    grey = np.full_like(images, 128)
    enlarged = refine_by_colours(maps, grey, rounds=0)
    np.testing.assert_allclose(
        refine_by_colours(maps, grey), np.clip(enlarged, 0.01, 0.99), atol=2e-3
    )


def test_a_map_that_shows_nothing_shows_nothing():
    """However its few and low places look: an image without an object has none."""
    images, _, maps = scenes()
    low = 0.45 * maps
    refined = refine_by_colours(low, images)
    assert refined.max() < 0.5
    np.testing.assert_array_equal(refined, refine_by_colours(low, images, rounds=0))


def test_an_image_is_refined_by_its_own_colours():
    """The maps of a batch are those of its images alone, and lie in 0..1."""
    images, _, maps = scenes()
    refined = refine_by_colours(maps, images)
    assert refined.shape == (len(images), SIDE, SIDE)
    assert refined.dtype == "float32"
    assert refined.min() >= 0
    assert refined.max() <= 1
    alone = np.concatenate([refine_by_colours(maps[[n]], images[[n]]) for n in range(len(maps))])
    np.testing.assert_allclose(refined, alone, atol=1e-5)
