"""Views: what may differ differs, and what must repeat repeats."""

from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_cr.data import Augmentation, image_batches, random_views, two_views
from keras_cr.pretraining import MoCo
from tests.case import tiny_encoder
from tests.data.helpers import STILL, dataset, pixels, save_image


def batches(data, size=24, batch_size=4, **options):
    return list(two_views(data, size, batch_size, **options).as_numpy_iterator())


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


def test_every_sample_is_drawn_for_itself():
    """Copies of one image: crops, flips, colours and blurs differ, and the two views' too."""
    count = 256
    y, x = np.mgrid[:60, :80].astype("uint8")
    dot = np.zeros((25, 25, 3), "uint8")
    dot[12, 12] = 255
    gray = np.full((8, 8, 3), 100, "uint8")

    def drawn(image, size, measure, **changes):
        data = dataset(count, images=np.repeat(image[None], count, axis=0))
        (batch,) = batches(data, size, count, augmentation=replace(STILL, **changes))
        return [measure(batch[view]) for view in ("query", "key")]

    crops = drawn(
        np.stack([y, x, x], -1),
        12,
        lambda view: view[:, [0, 0, -1, -1], [0, 0, -1, -1], [0, 1, 0, 1]],  # top, left, ...
        scale=(0.2, 1.0),
        ratio=(3 / 4, 4 / 3),
        flip=0.5,
    )
    tops = [crop[:, 0] for crop in crops]
    flips = [crop[:, 1] > crop[:, 3] for crop in crops]
    offsets = np.arange(25) - 12
    sigmas = drawn(dot, 25, lambda view: np.sqrt(view[..., 0].sum(1) @ offsets**2 / 255), blur=1.0)
    colors = drawn(gray, 8, lambda view: view[:, 0, 0, 0], jitter=1.0, hue=0.0)

    assert len(np.unique(np.concatenate(crops), axis=0)) > 0.99 * 2 * count
    for values in (colors, sigmas):
        assert len(np.unique(np.concatenate(values))) > 0.98 * 2 * count
    bound = 4 / np.sqrt(count)  # four standard errors of a correlation, 8 of a share of one half
    for view in range(2):
        assert abs(flips[view].mean() - 0.5) < bound / 2
        quartiles = np.quantile(sigmas[view], (0.25, 0.5, 0.75))
        np.testing.assert_allclose(quartiles, (0.575, 1.05, 1.525), atol=1.9 * bound / 2)
    for query, key in (tops, flips, sigmas, colors):
        assert abs(np.corrcoef(query, key)[0, 1]) < bound
        for values in (query, key):  # nor does an image's draw tell the next one's
            assert abs(np.corrcoef(values[1:], values[:-1])[0, 1]) < bound


def test_threads_change_nothing():
    views = two_views(dataset(10), 24, 5, epochs=2, seed=2)
    options = tf.data.Options()
    options.threading.private_threadpool_size = 1
    options.autotune.enabled = False
    many, one = (list(each.as_numpy_iterator()) for each in (views, views.with_options(options)))
    for name in many[0]:
        np.testing.assert_array_equal([b[name] for b in many], [b[name] for b in one])


def test_draws_are_those_of_earlier_versions_however_an_epoch_is_planned(monkeypatch):
    """A run that was started with an earlier version goes on with its own views."""
    whole = batches(dataset(10), seed=7, first_epoch=2)
    assert np.concatenate([batch["index"] for batch in whole]).tolist() == [7, 5, 6, 9, 0, 1, 2, 3]
    query, key = (107.77, 82.25, 125.18, 72.47), (79.58, 137.88, 128.85, 168.04)
    np.testing.assert_allclose(whole[0]["query"].mean((1, 2, 3)), query, atol=0.02)
    np.testing.assert_allclose(whole[0]["key"].mean((1, 2, 3)), key, atol=0.02)
    monkeypatch.setattr("keras_cr.data.views._PLANNED", 3)
    for batch, in_parts in zip(whole, batches(dataset(10), seed=7, first_epoch=2), strict=True):
        for name, values in batch.items():
            np.testing.assert_array_equal(values, in_parts[name])


def test_two_augmentations_make_the_query_and_the_key():
    still = batches(dataset(8), augmentation=(STILL, replace(STILL, grayscale=1.0)))
    for batch in still:
        assert np.ptp(batch["query"], axis=-1).max() > 1
        assert np.ptp(batch["key"], axis=-1).max() < 1e-2
    for wrong in ((STILL,), (STILL, None), "byol"):
        with pytest.raises(ValueError, match="augmentation: must be an Augmentation or a pair"):
            two_views(dataset(8), 24, 4, augmentation=wrong)


def test_small_crops_come_beside_the_views_and_leave_them_alone():
    y, x = np.mgrid[:60, :80].astype("uint8")
    data = dataset(40, images=np.repeat(np.stack([y, x, x], -1)[None], 40, axis=0))
    plain = replace(STILL, scale=(0.5, 1.0))
    (without,) = batches(data, batch_size=40, augmentation=plain)
    (batch,) = batches(data, batch_size=40, augmentation=plain, small_crops=3, small_size=12)
    for name, values in without.items():
        np.testing.assert_array_equal(values, batch[name])
    small = batch["small"]
    assert (small.shape, small.dtype) == ((40, 3, 12, 12, 3), np.float32)
    heights, widths = (np.ptp(small[..., axis], axis=(2, 3)) + 1 for axis in (0, 1))
    area = heights * widths / (60 * 80)
    assert 0.03 < area.min() < 0.06
    assert 0.11 < area.max() < 0.16
    assert len(np.unique(small.reshape(120, -1), axis=0)) > 110


def test_boxes_say_where_views_lie_and_leave_them_alone():
    y, x = np.mgrid[:60, :80].astype("uint8")
    data = dataset(40, images=np.repeat(np.stack([y, x, x], -1)[None], 40, axis=0))
    options = {"batch_size": 40, "small_crops": 1, "small_size": 12}
    options["augmentation"] = replace(STILL, scale=(0.2, 1.0), ratio=(0.7, 1.4), flip=0.5)
    (without,), (batch,) = batches(data, **options), batches(data, boxes=True, **options)
    for name, values in without.items():
        np.testing.assert_array_equal(values, batch[name])
    for view in ("query", "key", "small"):
        box = batch[f"{view}_box"] * [60, 80, 60, 80]
        flip = batch[f"{view}_flip"]
        assert (batch[f"{view}_box"].dtype, flip.dtype) == ("float32", "int32")
        assert 0.2 < flip.mean() < 0.8
        np.testing.assert_allclose(box, np.round(box), atol=1e-4)  # whole pixels
        edges = [batch[view][..., 0, 0, 0], batch[view][..., 0, 0, 1]]
        edges += [batch[view][..., -1, -1, 0] + 1, batch[view][..., -1, -1, 1] + 1]
        edges = np.stack(edges, axis=-1)
        mirrored = np.stack([batch[view][..., 0, -1, 1], batch[view][..., 0, 0, 1] + 1], axis=-1)
        edges[..., 1::2] = np.where(flip[..., None] == 1, mirrored, edges[..., 1::2])
        pixel = (box[..., 2:] - box[..., :2]).max() / (12 if view == "small" else 24)
        np.testing.assert_allclose(edges, box, atol=max(pixel / 2, 0.5) + 0.1)


def test_a_pretrainer_leaves_small_crops_unused():
    gray = replace(STILL, grayscale=1.0)
    options = {"small_crops": 1, "small_size": 32, "small_augmentation": gray}
    (batch,) = batches(dataset(8), size=64, batch_size=8, augmentation=STILL, **options)
    assert np.ptp(batch["small"], axis=-1).max() < 1e-2 < np.ptp(batch["query"], axis=-1).max()
    losses = []
    for small in (True, False):
        pretrainer = MoCo(tiny_encoder(), rationale=None, projection_dim=6, queue_size=16, seed=3)
        pretrainer.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
        views = {name: values for name, values in batch.items() if small or name != "small"}
        losses.append(pretrainer.train_on_batch(views, return_dict=True)["loss"])
    assert losses[0] == losses[1]


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


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 9}, r"batch_size: .*number of images, 8 in 'blocks'; received 9"),
        ({"batch_size": 0}, "batch_size: .*received 0"),
        ({"batch_size": 4, "epochs": 0}, "received epochs=0"),
        ({"batch_size": 4, "first_epoch": -1}, "first_epoch=-1"),
        ({"batch_size": 4, "small_crops": -1}, "received small_crops=-1"),
        ({"batch_size": 4, "small_crops": 1, "small_size": 0}, "small_size=0"),
        ({"batch_size": 4, "small_augmentation": STILL}, "1 or more with a small_augmentation"),
    ],
)
def test_wrong_arguments_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        two_views(dataset(8), 24, **options)


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
