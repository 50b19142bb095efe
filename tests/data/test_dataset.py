"""FineGrainedDataset: subsets keep rows together, and wrong fields are refused."""

import numpy as np
import pytest

from tests.data.helpers import dataset


def test_split_and_take_keep_rows_together():
    boxes = np.arange(32, dtype="float32").reshape(8, 4)
    data = dataset(8, boxes=boxes, masks=[None, *"abcdefg"])

    train, test = data.split("train"), data.split("test")

    assert (len(train), len(test), test.num_classes) == (6, 2, 2)
    np.testing.assert_array_equal(test.images, data.images[6:])
    np.testing.assert_array_equal(test.labels, [0, 1])
    np.testing.assert_array_equal(test.boxes, boxes[6:])
    assert test.masks == ["f", "g"]
    assert test.name == data.name


def test_take_gives_the_asked_order_and_accepts_booleans():
    data = dataset(4, images=["a", "b", "c", "d"])
    assert data.take([2, 0, 2]).images == ["c", "a", "c"]
    assert data.take(np.array([True, False, False, True])).images == ["a", "d"]
    assert len(data.take([])) == 0
    with pytest.raises(IndexError):
        data.take([4])


def test_a_share_of_each_class_is_held_out_of_the_training_images():
    data = dataset(40, boxes=np.arange(160).reshape(40, 4))
    held = data.hold_out(0.4)
    np.testing.assert_array_equal(held.images, data.images[:30])
    np.testing.assert_array_equal(held.boxes, data.boxes[:30])
    assert held.name == "blocks (training images, 40 % held out)"
    test = held.split("test")
    assert np.bincount(test.labels).tolist() == [6, 6]
    np.testing.assert_array_equal(held.is_train, data.hold_out(0.4).is_train)
    assert (held.is_train != data.hold_out(0.4, seed=1).is_train).any()
    assert data.is_train.sum() == 30, "the data set itself stays"


@pytest.mark.parametrize(("fraction", "held_out"), [(0.01, 1), (0.99, 2)])
def test_both_parts_keep_an_image_of_each_class(fraction, held_out):
    test = dataset(8).hold_out(fraction).split("test")
    assert np.bincount(test.labels).tolist() == [held_out, held_out]


def test_what_can_not_be_held_out_is_refused():
    for fraction in (0, 1, -0.5):
        with pytest.raises(ValueError, match=f"fraction: .*received {fraction}"):
            dataset().hold_out(fraction)
    with pytest.raises(ValueError, match="fraction: 'blocks' has no labels"):
        dataset(labels=None, class_names=[]).hold_out(0.4)
    with pytest.raises(ValueError, match="class 'odd' of 'blocks' has a single training image"):
        dataset(labels=[0, 0, 0, 1, 0, 0, 1, 1]).hold_out(0.4)
    with pytest.raises(ValueError, match="train split of 'blocks' is empty"):
        dataset(is_train=np.zeros(8, bool)).hold_out(0.4)


def test_labels_are_optional():
    data = dataset(4, labels=None, class_names=[])
    assert data.split("train").labels is None
    assert data.num_classes == 0


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"labels": [0, 1]}, "labels: 2 rows for 4 images"),
        ({"is_train": [True]}, "is_train: 1 rows for 4"),
        ({"boxes": np.zeros((3, 4))}, "boxes: 3 rows for 4"),
        ({"masks": [None]}, "masks: 1 rows for 4"),
        ({"labels": [0, 1, 2, 0]}, r"labels: must lie in \[0, 2\).*from 0 to 2"),
        ({"labels": [0, -1, 1, 0]}, "received labels from -1 to 1"),
        ({"labels": [0.5, 0, 1, 1]}, "labels: must be integers.*float64"),
        ({"images": np.zeros((4, 8, 8, 3), "float32")}, "images: .*uint8.*float32"),
        ({"images": np.zeros((4, 8, 8), "uint8")}, r"\(4, 8, 8\)"),
    ],
)
def test_wrong_fields_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        dataset(4, **fields)


def test_wrong_boxes_are_refused():
    with pytest.raises(ValueError, match=r"boxes: .*\(N, 4\).*\(4, 3\)"):
        dataset(4, boxes=np.zeros((4, 3)))


def test_an_empty_or_unknown_split_is_refused():
    with pytest.raises(ValueError, match=r"test split of 'blocks' is empty.*test_fraction"):
        dataset(4, is_train=np.ones(4, bool)).split("test")
    with pytest.raises(ValueError, match="must be 'train' or 'test'; received 'val'"):
        dataset(4).split("val")


def test_a_repr_counts_and_shows_no_pixels():
    data = dataset(8, boxes=np.zeros((8, 4)), masks=[None, *"abcdefg"])
    size = "{1} x {2}".format(*data.images.shape)
    told = f"8 images (6 train, 2 test) of {size} pixels, 2 classes, 7 masks, boxes"
    assert repr(data) == str(data) == f"FineGrainedDataset({data.name!r}: {told})"
    many = dataset(1200, images=["a.jpg"] * 1200, labels=None, masks=np.ones((1200, 2, 2), bool))
    assert "1,200 images (" in repr(many)
    assert repr(many).endswith("test), no labels, masks)")
    assert "a.jpg" not in repr(many)
    assert "0 images" in repr(data.take([]))


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda data: data.hold_out(None), "fraction: must be a number; received None"),
        (lambda data: data.hold_out(0.4, seed=-1), "seed: must be an integer of 0 or more; .*-1"),
        (lambda data: data.few_labels("x"), "fraction: must be a number; received 'x'"),
        (lambda data: data.few_labels(0.4, seed=1.5), "seed: must be an integer of 0 or .* 1.5"),
        (lambda data: data.split_classes("x"), "num_train: must be .* received 'x'"),
    ],
)
def test_arguments_of_other_types_are_named(draw, message):
    with pytest.raises(ValueError, match=message):
        draw(dataset())
