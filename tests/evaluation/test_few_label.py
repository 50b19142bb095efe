import numpy as np
import pytest

from keras_cr.evaluation import few_label, linear_probe
from keras_cr.evaluation.few_label import _drawn
from tests.evaluation.test_classifiers import data


def test_all_labels_are_the_linear_probe_itself():
    split = data()
    result = few_label(*split, shares=(1.0,), draws=2, seed=5)
    expected = [linear_probe(*split, seed=seed)["top1"] for seed in (5, 6)]
    assert list(result) == ["100"]
    assert result["100"]["each"] == expected
    assert result["100"]["top1"] == pytest.approx(np.mean(expected))
    assert result["100"]["top1_std"] == pytest.approx(np.std(expected, ddof=1))
    assert result["100"]["images"] == 60


def test_a_share_is_drawn_class_by_class_and_repeats():
    train_x, train_y, test_x, test_y = data(noise=0.1)
    result = few_label(train_x, train_y, test_x, test_y, shares=(0.05, 0.2))
    assert [result[share]["images"] for share in ("5", "20")] == [4, 12]  # 15 images a class
    assert all(len(found["each"]) == 3 for found in result.values())
    assert result["20"]["top1"] > 0.9  # four far classes, three images of each
    assert result == few_label(train_x, train_y, test_x, test_y, shares=(0.05, 0.2))


def test_draws_differ_and_only_what_is_drawn_counts():
    """Features of images that no draw takes may be anything."""
    train_x, train_y, test_x, test_y = data(n=400)
    drawn = [_drawn(train_y, 0.1, seed) for seed in range(3)]
    assert (drawn[0] != drawn[1]).any()
    clean = few_label(train_x, train_y, test_x, test_y, shares=(0.1,))
    spoiled = np.where(np.any(drawn, axis=0)[:, None], train_x, 1e3)
    assert few_label(spoiled, train_y, test_x, test_y, shares=(0.1,)) == clean


def test_a_class_of_one_image_is_always_labelled():
    train_x, train_y, test_x, test_y = data()
    train_y = np.where(np.arange(60) == 7, 9, train_y)
    test_y = np.full(len(test_y), 9)
    test_x = np.tile(train_x[7], (len(test_x), 1))
    assert few_label(train_x, train_y, test_x, test_y, shares=(0.1,))["10"]["top1"] == 1


def test_refusals():
    with pytest.raises(ValueError, match=r"`shares` must lie in \(0, 1\]; received \(0, 0.5\)"):
        few_label(*data(), shares=(0, 0.5))
    with pytest.raises(ValueError, match="`draws`"):
        few_label(*data(), draws=0)
