"""Few labels and class-disjoint splits."""

import numpy as np
import pytest

from keras_cr.evaluation.few_label import _drawn
from tests.data.helpers import dataset


def uneven():
    """Classes of 10, 5 and 1 training images, and 4 test images, shuffled."""
    labels = np.repeat([0, 1, 2, 0, 1], [10, 5, 1, 2, 2])
    is_train = np.arange(20) < 16
    order = np.random.default_rng(0).permutation(20)
    return dataset(20, labels=labels[order], is_train=is_train[order], class_names=["a", "b", "c"])


@pytest.mark.parametrize(
    ("fraction", "drawn"), [(0.1, [1, 1, 1]), (0.5, [5, 2, 1]), (0.95, [9, 4, 1]), (1, [10, 5, 1])]
)
def test_few_labels_are_a_share_of_every_class(fraction, drawn):
    data = uneven()
    few = data.few_labels(fraction, seed=3)
    train = few.split("train")
    np.testing.assert_array_equal(np.bincount(train.labels), drawn)
    np.testing.assert_array_equal(few.split("test").images, data.split("test").images)
    again, other = (data.few_labels(fraction, seed).split("train").images for seed in (3, 4))
    np.testing.assert_array_equal(train.images, again)
    assert fraction == 1 or not np.array_equal(train.images, other)


def test_few_labels_are_those_of_the_protocol():
    train = uneven().split("train")
    few = uneven().few_labels(0.2, seed=5).split("train")
    np.testing.assert_array_equal(few.images, train.images[_drawn(train.labels, 0.2, 5)])
    assert few.name == "blocks (20 % of the labels, seed 5)"


def test_classes_are_split():
    data = uneven()
    split = data.split_classes()
    assert set(split.split("train").labels) == {0, 1}
    assert set(split.split("test").labels) == {2}
    np.testing.assert_array_equal(split.labels, data.labels)
    assert (split.class_names, split.name) == (data.class_names, "blocks (classes 1-2 train)")
    assert set(data.split_classes(1).split("test").labels) == {1, 2}


@pytest.mark.parametrize("fraction", [0, -0.1, 1.5, float("nan")])
def test_wrong_fractions_are_refused(fraction):
    with pytest.raises(ValueError, match=r"fraction: must lie in \(0, 1\]; received"):
        uneven().few_labels(fraction)


def test_splits_that_cannot_be_are_refused():
    unlabelled = dataset(4, labels=None, class_names=[])
    with pytest.raises(ValueError, match="fraction: 'blocks' has no labels"):
        unlabelled.few_labels(0.5)
    with pytest.raises(ValueError, match="num_train: 'blocks' has no labels"):
        unlabelled.split_classes()
    for number in (0, 3):
        with pytest.raises(
            ValueError, match=f"num_train: must be from 1 to 2, .*received {number}"
        ):
            uneven().split_classes(number)
    with pytest.raises(ValueError, match="train split of 'blocks' is empty"):
        dataset(4, is_train=np.zeros(4)).few_labels(0.5)
    with pytest.raises(ValueError, match="crop_bottom: must be 0 or more.*received 20"):
        dataset(4, crop_bottom=20)
