"""Crops that are moved to where they hold their object."""

import numpy as np
import pytest

from keras_cr.data import Augmentation, BackgroundSwap, ObjectCrops, two_views
from tests.data.helpers import dataset

COUNT, SIDE, CELLS = 64, 40, 10
CROPS = Augmentation(scale=(0.2, 0.6), jitter=0, grayscale=0, blur=0, flip=0)


def scenes(height: int = SIDE, width: int = SIDE, part: int = 2, seed: int = 0):
    """Black images with a white rectangle of `part` by `part` of 10 x 10 places, and its maps."""
    rng = np.random.default_rng(seed)
    maps = np.zeros((COUNT, CELLS, CELLS), "float32")
    for map_, (row, column) in zip(
        maps, rng.integers(0, CELLS - part + 1, (COUNT, 2)), strict=True
    ):
        map_[row : row + part, column : column + part] = 1
    images = maps.repeat(height // CELLS, axis=1).repeat(width // CELLS, axis=2)
    images = np.repeat(255 * images[..., None], 3, axis=-1).astype("uint8")
    return dataset(COUNT, images=images), maps


def views(data, crops=None, **options):
    batches = two_views(data, SIDE, COUNT, CROPS, boxes=True, crops=crops, **options)
    return {name: value.numpy() for name, value in next(iter(batches)).items()}


def held(batch, part: int = 2, name: str = "query"):
    """Of each crop, the share of its object that it holds."""
    low, high = np.split(batch[f"{name}_box"], 2, axis=-1)
    shown = batch[name][..., 0].mean(axis=(-2, -1)) / 255 * np.prod(high - low, axis=-1)
    return shown / (part / CELLS) ** 2


@pytest.mark.parametrize("sides", [(40, 40), (40, 80)])
def test_most_crops_hold_their_object(sides):
    data, maps = scenes(*sides)
    plain, moved = held(views(data)), held(views(data, ObjectCrops(maps, share=0.75, tries=32)))
    assert np.mean(plain > 0.7) < 0.6
    assert np.mean(moved > 0.7) > 0.9
    most = held(views(data, ObjectCrops(maps, share=0.75, tries=2)))
    assert plain.mean() + 0.05 < most.mean() < moved.mean()


def test_size_and_colours_of_a_crop_stay():
    data, maps = scenes()
    plain, moved = views(data), views(data, ObjectCrops(maps))
    for name in ("query", "key"):
        (low, high), (old_low, old_high) = (
            np.split(batch[f"{name}_box"], 2, axis=1) for batch in (moved, plain)
        )
        np.testing.assert_allclose(high - low, old_high - old_low, atol=1e-6)
        assert low.min() >= 0
        assert high.max() <= 1
        stays = held(plain, name=name) > 0.51  # it held enough
        assert 10 < stays.sum() < 54
        np.testing.assert_array_equal(moved[name][stays], plain[name][stays])
        assert (low[~stays] != old_low[~stays]).any(axis=1).mean() > 0.8
    np.testing.assert_array_equal(moved["image"], plain["image"])
    np.testing.assert_array_equal(moved["index"], plain["index"])


def test_crops_stay_that_can_hold_no_more():
    """Where the object is larger than the crop, where there is none, and where none is wanted."""
    data, maps = scenes()
    plain = views(data)
    for each in (np.ones_like(maps), np.zeros_like(maps), 0.4 * maps):
        np.testing.assert_array_equal(views(data, ObjectCrops(each))["query"], plain["query"])
    np.testing.assert_array_equal(views(data, ObjectCrops(maps, share=0))["key"], plain["key"])


def test_a_crop_within_a_large_object_need_not_hold_it_all():
    data, maps = scenes(part=7)
    batch = views(data, ObjectCrops(maps, share=1.0, tries=64))
    moved, inside = held(batch, part=7), np.mean(batch["query"] > 200, axis=(1, 2, 3))
    assert np.mean(moved < 0.9) > 0.2
    assert np.mean((inside > 0.8) | (moved > 0.9)) > 0.95


def test_small_crops_and_backgrounds_beside():
    data, maps = scenes()
    crops = ObjectCrops(maps, share=0.9, tries=16)
    alone = views(data, crops)
    beside = views(data, crops, small_crops=2, small_size=16)
    np.testing.assert_array_equal(beside["query"], alone["query"])
    small = held(beside, name="small")
    assert small.mean() > held(views(data, small_crops=2, small_size=16), name="small").mean() + 0.1
    swap = BackgroundSwap(maps, probability=1.0, filling="mean")
    swapped = views(data, crops, backgrounds=swap)
    np.testing.assert_array_equal(swapped["query_box"], alone["query_box"])
    assert held(swapped).mean() > 0.8 * held(alone).mean()  # but for its soft edge


def test_the_same_seed_gives_the_same_crops_from_any_epoch():
    data, maps = scenes()
    crops = ObjectCrops(maps)
    both = list(two_views(data, SIDE, COUNT, CROPS, epochs=2, crops=crops))
    again = next(iter(two_views(data, SIDE, COUNT, CROPS, first_epoch=1, crops=crops)))
    np.testing.assert_array_equal(both[1]["query"], again["query"])


def test_what_can_not_be():
    data, maps = scenes()
    with pytest.raises(ValueError, match="crops: maps must be one for each.*64 in .*received 63"):
        views(data, ObjectCrops(maps[:63]))
    with pytest.raises(ValueError, match=r"share: must lie in \[0, 1\]; received 2"):
        ObjectCrops(maps, share=2)
    with pytest.raises(ValueError, match=r"level: must lie in \[0, 1\]; received -1"):
        ObjectCrops(maps, level=-1)
    with pytest.raises(ValueError, match="tries.*received 0"):
        ObjectCrops(maps, tries=0)
    with pytest.raises(ValueError, match="maps: must lie in 0..1"):
        ObjectCrops(2 * maps)
