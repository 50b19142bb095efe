"""Cutting, rearranging and averaging, against loops in NumPy."""

import keras
import numpy as np
import pytest

from keras_cr.pretraining.auxiliary.tiles import (
    averaged,
    cut,
    grid_on,
    random_orders,
    rearranged,
    regions,
)


def random_images(height, width):
    return np.random.default_rng(0).uniform(0, 255, (2, height, width, 3)).astype("float32")


@pytest.mark.parametrize(("height", "width", "grid"), [(6, 9, 3), (8, 11, 3), (5, 5, 2)])
def test_tiles_go_where_they_are_told(height, width, grid):
    images = random_images(height, width)
    sources = np.random.default_rng(1).permuted(np.tile(np.arange(grid**2), (2, 1)), axis=1)
    tall, wide = height // grid, width // grid
    top, left = (height - grid * tall) // 2, (width - grid * wide) // 2

    def tile(place):
        row, column = divmod(place, grid)
        rows = slice(top + row * tall, top + (row + 1) * tall)
        return rows, slice(left + column * wide, left + (column + 1) * wide)

    expected = images.copy()
    tiles = np.asarray(cut(images, grid))
    for image in range(2):
        for place, source in enumerate(sources[image]):
            expected[image][tile(place)] = images[image][tile(source)]
            np.testing.assert_array_equal(tiles[image, place], images[image][tile(place)])
    found = rearranged(images, sources, grid)
    np.testing.assert_array_equal(found, expected)
    back = rearranged(found, np.argsort(sources, axis=1), grid)
    np.testing.assert_array_equal(back, images)


def test_every_order_is_as_likely():
    orders = np.asarray(random_orders(4000, 3, keras.random.SeedGenerator(0)))
    np.testing.assert_array_equal(np.sort(orders, axis=1), np.tile(np.arange(3), (4000, 1)))
    _, counts = np.unique(orders, axis=0, return_counts=True)
    assert len(counts) == 6
    assert np.abs(counts / 4000 - 1 / 6).max() < 0.03


@pytest.mark.parametrize(("side", "grid"), [(6, 3), (7, 3), (4, 7), (7, 7)])
def test_regions_are_averages_by_area(side, grid):
    """On maps whose places are repeated until the grid divides them, those are plain means."""
    maps = random_images(side, side)
    fine = maps.repeat(grid, axis=1).repeat(grid, axis=2)
    expected = fine.reshape(2, grid, side, grid, side, 3).mean(axis=(2, 4))
    np.testing.assert_allclose(averaged(maps, grid, grid), expected, rtol=1e-5)
    flat = expected.reshape(2, grid * grid, 3)
    np.testing.assert_allclose(regions(maps, grid), flat, rtol=1e-5)


def test_what_can_not_be_cut():
    with pytest.raises(ValueError, match=r"3 x 3 tiles.*Received shape: \(2, 2, 9, 3\)"):
        cut(random_images(2, 9), 3)
    with pytest.raises(ValueError, match=r"known beforehand.*None"):
        cut(keras.KerasTensor((None, None, 9, 3)), 3)
    assert grid_on(random_images(5, 4), 7) == 4
    assert grid_on(random_images(5, 4), 3) == 3
    with pytest.raises(ValueError, match="two a side. Received a map of 1 x 4: use larger images"):
        grid_on(random_images(1, 4), 7)
