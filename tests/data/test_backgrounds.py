"""Objects before other images' backgrounds: what is kept, what is replaced, and by what."""

import numpy as np
import pytest
import tensorflow as tf

from keras_cr.data import Augmentation, BackgroundSwap, two_views
from keras_cr.data.backgrounds import window
from tests.data.helpers import STILL, dataset

SIDE = 32
WHOLE = Augmentation(scale=(1, 1), ratio=(1, 1), jitter=0, grayscale=0, blur=0, flip=0)


def flat(count: int = 8):
    """Images of one grey each, 10 i, with a white square in the upper left quarter."""
    images = np.zeros((count, SIDE, SIDE, 3), "uint8")
    images += (10 * np.arange(count, dtype="uint8"))[:, None, None, None]
    images[:, : SIDE // 2, : SIDE // 2] = 255
    return dataset(count, images=images)


def quarter(count: int = 8) -> np.ndarray:
    maps = np.zeros((count, 4, 4), "float32")
    maps[:, :2, :2] = 1
    return maps


def views(data, maps, augmentation=WHOLE, size=SIDE, **options):
    swap = None if maps is None else BackgroundSwap(maps, **{"probability": 1.0, **options})
    return next(iter(two_views(data, size, len(data), augmentation, backgrounds=swap)))


def test_the_object_stays_and_the_background_is_another_images():
    batch = views(flat(), quarter())
    for name in ("query", "key"):
        view, own = batch[name].numpy(), 10 * batch["index"].numpy()
        np.testing.assert_allclose(view[:, :11, :11], 255, atol=1)
        behind = view[:, 18:, 18:]
        assert (behind.std(axis=(1, 2, 3)) < 1e-3).all()
        shades = behind[:, 0, 0, 0]
        assert (np.abs(shades - own) > 5).all()  # never its own
        assert np.isin(np.rint(shades), 10 * np.arange(8)).all()
    assert (np.abs(batch["query"] - batch["key"]).max(axis=(1, 2, 3)) > 5).any()


def test_the_donors_own_object_is_taken_out_or_not():
    maps = quarter()
    maps[:, :2, :2], maps[0, 2:, 2:] = 0, 1  # the first image's map is where no object is
    maps[1:, :2, :2] = 1
    out = views(flat(), maps)
    row = int(np.flatnonzero(out["index"].numpy() == 0)[0])
    behind = out["query"][row, :12, :12].numpy()  # where the others have their objects
    assert behind.max() < 80
    kept = views(flat(), maps, filling="image")
    assert kept["query"][row, :12, :12].numpy().max() > 250


def test_the_mean_of_the_views_own_background():
    batch = views(flat(), quarter(), filling="mean")
    behind, own = batch["query"].numpy()[:, 20:, 20:, 0], 10 * batch["index"].numpy()
    assert behind.std(axis=(1, 2)).max() < 1e-3
    np.testing.assert_allclose(behind[:, 0, 0], own, atol=12)  # the object's edge shines through


def test_alpha_is_a_soft_threshold_of_the_enlarged_map():
    maps = np.linspace(0, 1, 16, dtype="float32").reshape(1, 4, 4)
    swap = BackgroundSwap(maps, level=0.3, softness=0.1)
    large = tf.image.resize(maps[..., None], (16, 16), "bicubic")[..., 0]
    expected = 1 / (1 + np.exp(-(large - 0.3) / 0.1))
    np.testing.assert_allclose(swap.alpha(maps), expected, atol=1e-6)


def test_a_fine_map_is_not_enlarged():
    maps = np.linspace(0, 1, 2 * 28 * 30, dtype="float32").reshape(2, 28, 30)
    expected = 1 / (1 + np.exp(-(maps - 0.5) / 0.05))
    np.testing.assert_allclose(BackgroundSwap(maps).alpha(maps), expected, atol=1e-5)


def test_a_window_is_where_the_crop_is():
    """A ramp cut out by fractions is the ramp that cropping and enlarging it gives."""
    ramp = np.tile(np.arange(SIDE, dtype="float32"), (SIDE, 1))[..., None]
    framed = np.pad(ramp, [[1, 1], [1, 1], [0, 0]], "symmetric")
    part = window(framed, tf.constant([0.25, 0.25, 0.75, 0.75]), SIDE)[..., 0].numpy()
    crop = tf.image.resize(ramp[8:24, 8:24], (SIDE, SIDE))[..., 0].numpy()
    np.testing.assert_allclose(part[:, 1:-1], crop[:, 1:-1], atol=1e-4)
    whole = window(framed, tf.constant([0.0, 0.0, 1.0, 1.0]), SIDE)
    np.testing.assert_allclose(whole, ramp, atol=1e-4)


def test_the_cut_follows_crops_and_flips():
    """Marked pixels stay marked, whatever the crop: the object is where its map says."""
    data, maps = flat(), quarter()
    augmentation = Augmentation(scale=(0.3, 0.9), jitter=0, grayscale=0, blur=0)
    plain = views(data, None, augmentation)
    swapped = views(data, maps, augmentation)
    for name in ("query", "key"):
        white = (plain[name].numpy()[..., :1] > 250).astype("float32")
        inside, outside = (
            -tf.nn.max_pool2d(-white, 7, 1, "SAME"),
            tf.nn.max_pool2d(white, 7, 1, "SAME"),
        )
        view = swapped[name].numpy()[..., 0]
        assert view[inside[..., 0] == 1].min() > 240
        assert view[outside[..., 0] == 0].max() < 120


def test_what_is_not_swapped_is_what_it_was():
    data, maps = dataset(8), np.random.default_rng(0).uniform(size=(8, 3, 3)).astype("float32")
    plain, never = views(data, None, STILL, 24), views(data, maps, STILL, 24, probability=0.0)
    for name in plain:
        np.testing.assert_array_equal(plain[name], never[name])
    one = views(data, maps, STILL, 24, views=("query",))
    np.testing.assert_array_equal(plain["key"], one["key"])
    np.testing.assert_array_equal(plain["image"], one["image"])
    assert not np.array_equal(plain["query"], one["query"])


def test_an_image_whose_map_shows_nothing_keeps_its_background():
    maps = quarter()
    maps[3] = 0
    plain, swapped = views(flat(), None), views(flat(), maps)
    row = int(np.flatnonzero(plain["index"].numpy() == 3)[0])
    for name in ("query", "key"):
        differs = (plain[name] != swapped[name]).numpy().any(axis=(1, 2, 3))
        assert not differs[row]
        assert np.delete(differs, row).all()


def test_small_crops_leave_the_others_as_they_are():
    data, maps = dataset(8), np.random.default_rng(0).uniform(size=(8, 3, 3)).astype("float32")
    options = {"image_size": 24, "batch_size": 8, "backgrounds": BackgroundSwap(maps)}
    without = next(iter(two_views(data, **options)))
    beside = next(iter(two_views(data, small_crops=2, small_size=16, **options)))
    for name in without:
        np.testing.assert_array_equal(without[name], beside[name])


def test_the_probability_is_each_views():
    data, maps = dataset(64), np.tile(np.eye(2, dtype="float32"), (64, 1, 1))
    plain, half = views(data, None, STILL, 24), views(data, maps, STILL, 24, probability=0.5)
    changed = np.stack(
        [(plain[v] != half[v]).numpy().any(axis=(1, 2, 3)) for v in ("query", "key")]
    )
    assert 0.3 < changed.mean() < 0.7
    assert len({tuple(pair) for pair in changed.T}) == 4  # both, either, none


def test_swaps_repeat_with_the_seed_and_go_on_at_any_epoch():
    data, maps = dataset(8), np.random.default_rng(0).uniform(size=(8, 3, 3)).astype("float32")
    swap = BackgroundSwap(maps)
    options = {"image_size": 24, "batch_size": 4, "backgrounds": swap, "small_crops": 2}
    run = list(two_views(data, epochs=2, **options))
    later = list(two_views(data, first_epoch=1, **options))
    for batch, again in zip(run[2:], later, strict=True):
        for name in batch:
            np.testing.assert_array_equal(batch[name], again[name])
    other = list(two_views(data, seed=1, epochs=2, **options))
    assert not np.array_equal(run[0]["query"], other[0]["query"])


def test_small_crops_and_few_donors():
    data, maps = flat(), quarter()
    swap = BackgroundSwap(maps, probability=1, views=("small",), max_donors=2)
    batch = next(
        iter(two_views(data, SIDE, 8, WHOLE, small_crops=3, small_size=16, backgrounds=swap))
    )
    plain = next(iter(two_views(data, SIDE, 8, WHOLE, small_crops=3, small_size=16)))
    np.testing.assert_array_equal(batch["query"], plain["query"])
    shades = np.unique(np.rint(batch["small"].numpy()[..., 0]))
    assert {0.0, 70.0} & set(shades)  # backgrounds of the first and the last image alone
    assert (batch["small"].numpy() != plain["small"].numpy()).any()


def test_files_of_any_shape(tmp_path):
    """Maps lie over the whole of an image, wide or high."""
    paths = []
    for number in range(6):
        image = np.full((40, 80, 3) if number % 2 else (80, 40, 3), 20 * number, "uint8")
        image[: image.shape[0] // 2, : image.shape[1] // 2] = 255
        paths.append(str(tmp_path / f"{number}.png"))
        tf.io.write_file(paths[-1], tf.io.encode_png(image))
    data = dataset(6, images=paths)
    augmentation = Augmentation(scale=(0.2, 0.5), jitter=0, grayscale=0, blur=0, flip=0)
    plain = views(data, None, augmentation)["query"].numpy()[..., 0]
    swapped = views(data, quarter(6), augmentation)["query"].numpy()[..., 0]
    agree = (plain > 250) == (swapped > 180)
    assert agree.mean() > 0.97


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"maps": np.zeros((8, 3))}, r"maps: must be \(N, h, w\).*float64 of shape \(8, 3\)"),
        ({"maps": np.full((8, 2, 2), 2.0)}, "maps: must lie in 0..1; received 2 to 2"),
        ({"maps": np.full((8, 2, 2), np.nan)}, "maps: must lie in 0..1"),
        ({"probability": 1.5}, r"probability: must lie in \[0, 1\]; received 1.5"),
        ({"softness": 0}, "softness: must be positive; received 0"),
        ({"filling": "sky"}, "filling: must be one of .*'sky'"),
        ({"views": "query"}, "views: must be some of .*'query'"),
        ({"views": ()}, r"views: must be some of .*received \(\)"),
        ({"views": ("whole",)}, "views: must be some of .*'whole'"),
        ({"max_donors": 1}, "max_donors: .*received 1"),
    ],
)
def test_bad_arguments(options, match):
    with pytest.raises(ValueError, match=match):
        BackgroundSwap(**{"maps": quarter()} | options)


def test_one_map_for_each_image():
    with pytest.raises(ValueError, match="backgrounds: maps must be one for each.*8.*received 5"):
        views(flat(), quarter(5))
