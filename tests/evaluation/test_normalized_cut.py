"""The control that cuts each feature map in two: on maps whose answer is known by hand."""

import numpy as np
import pytest

from keras_cr.evaluation._normalized_cut import normalized_cut


def scene(size, top, left, side, channels=6, noise=0.2, seed=0):
    """A square of one feature on a ground of another, its mask, and noise in all channels."""
    rng = np.random.default_rng(seed)
    maps = rng.normal(0, noise, (1, size, size, channels)).astype("float32")
    mask = np.zeros((1, size, size), bool)
    mask[:, top : top + side, left : left + side] = True
    maps[..., 0] += np.where(mask, 3.0, 1.0)
    maps[..., 1] += np.where(mask, 1.0, 3.0)
    return maps, mask


@pytest.mark.parametrize("place", [(2, 2), (5, 0), (0, 5)])
@pytest.mark.parametrize("size", [9, 30])
def test_the_part_that_the_border_is_not_on(size, place):
    """Anywhere, at the border too; of 900 places in the size of 400."""
    top, left = (each * size // 9 for each in place)
    maps, mask = scene(size, top, left, 4 * size // 9)
    weights = normalized_cut(maps, np.array([2, 2, 0, 0, 0, 0], "float32"))
    assert weights.shape == mask.shape
    assert weights.dtype == "float32"
    inner = weights[mask].mean()
    assert inner > 0.6 > 0.4 > weights[~mask].mean() + 0.1
    both = np.minimum(weights > 0.5, mask).sum() / np.maximum(weights > 0.5, mask).sum()
    assert both > 0.85, both


@pytest.mark.parametrize("size", [1, 2, 3])
def test_small_and_flat_maps_are_finite(size):
    for maps in (np.zeros((2, size, size, 4), "float32"), np.ones((2, size, size, 4), "float32")):
        weights = normalized_cut(maps, np.zeros(4, "float32"))
        assert weights.shape == (2, size, size)
        assert ((weights >= 0) & (weights <= 1)).all()


def test_images_do_not_depend_on_one_another():
    maps = np.concatenate([scene(9, 2, 3, 4, seed=seed)[0] for seed in range(3)])
    mean = maps.mean(axis=(0, 1, 2))
    together = normalized_cut(maps, mean)
    for image, expected in zip(maps, together, strict=True):
        np.testing.assert_allclose(normalized_cut(image[None], mean)[0], expected, atol=1e-5)
