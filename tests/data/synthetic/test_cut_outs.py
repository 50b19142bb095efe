import dataclasses
import sys

import numpy as np
import pytest

from keras_cr.data import FineGrainedDataset, bent_cut_outs, read_cub, write_cub_layout

SIZE, CLASSES, TRAIN, TEST = 48, 6, 8, 4


@pytest.fixture(scope="module")
def squares():
    """White squares in the middle of plain backgrounds, which differ in warmth; 72 images.

    The red of a training image's background is an even number, a test image's an odd one.
    """
    rows = [(label, i < TRAIN) for label in range(CLASSES) for i in range(TRAIN + TEST)]
    labels, is_train = (np.array(column) for column in zip(*rows, strict=True))
    warmth = np.random.default_rng(0).permutation(len(rows))
    images = np.full((len(rows), SIZE, SIZE, 3), 120, np.uint8)
    images[..., 0] = (40 + 2 * warmth + ~is_train)[:, None, None]
    masks = np.zeros(images.shape[:3], bool)
    masks[:, 14:34, 14:34] = True
    images[masks] = 255
    names = [f"class {label}" for label in range(CLASSES)]
    return FineGrainedDataset("squares", images, labels, names, is_train, masks=masks)


@pytest.fixture(scope="module")
def bent(squares):
    return bent_cut_outs(squares, image_size=SIZE)


def corners(dataset):
    """The backgrounds' colours, where they are not hidden: (N, 3), and which images show them."""
    places = [(0, 0), (0, -1), (-1, 0), (-1, -1)]
    free = np.stack([~dataset.masks[:, y, x] for y, x in places])
    pixels = np.stack([dataset.images[:, y, x] for y, x in places])
    return pixels[free.argmax(0), np.arange(len(dataset))], free.any(0)


def test_fields(squares, bent):
    assert bent.name == "squares, bent"
    assert bent.images.shape == (72, SIZE, SIZE, 3)
    assert bent.masks.shape == (72, SIZE, SIZE)
    assert bent.masks.dtype == bool
    assert bent.class_names == squares.class_names
    np.testing.assert_array_equal(bent.labels, squares.labels)
    np.testing.assert_array_equal(bent.is_train, squares.is_train)
    for (x, y, width, height), mask in zip(bent.boxes.astype(int), bent.masks, strict=True):
        inside = mask[y : y + height, x : x + width]
        assert inside.sum() == mask.sum()
        assert all(edge.any() for edge in (inside[0], inside[-1], inside[:, 0], inside[:, -1]))


def test_objects_move_and_change_size_shape_and_color(squares, bent):
    middle = bent.boxes[:, :2] + bent.boxes[:, 2:] / 2
    assert middle.std(0).min() > 2
    area = bent.masks.mean((1, 2)) / squares.masks[0].mean()
    assert area.min() < 0.7
    assert area.max() > 1.2
    filled = bent.masks.sum((1, 2)) / bent.boxes[:, 2:].prod(1)
    assert filled.min() < 0.8  # a square alone, however it is scaled, fills its box
    means = np.array([i[m].mean(0) for i, m in zip(bent.images, bent.masks, strict=True)])
    assert means.std(0).min() > 15  # they were all white


def test_the_mask_is_the_object(bent):
    """Blue is 120 in every background, and 255 times 0.7 and 0.75 or more inside an object."""
    assert np.mean(bent.images[bent.masks, 2] > 130) > 0.95
    background = bent.images[~bent.masks, 2]
    assert np.mean(np.abs(background.astype(int) - 120) < 2) > 0.9


def test_backgrounds_come_from_the_same_split_and_lose_their_object(bent):
    colors, shown = corners(bent)
    odd = colors[shown, 0] % 2 == 1
    np.testing.assert_array_equal(odd, ~bent.is_train[shown])
    assert shown.mean() > 0.9
    assert len(np.unique(colors, axis=0)) > 20


def test_a_class_prefers_one_family_in_both_splits(squares):
    always = bent_cut_outs(squares, image_size=SIZE, correlation=1.0)
    colors, shown = corners(always)
    warmth = {
        split: np.sort(squares.images[squares.is_train == split, 0, 0, 0]) for split in (0, 1)
    }
    families = np.array(
        [
            np.searchsorted(warmth[split], red) * 6 // len(warmth[split])
            for split, red in zip(always.is_train, colors[:, 0], strict=True)
        ]
    )
    preferred = [set(families[shown & (always.labels == label)]) for label in range(CLASSES)]
    assert all(len(found) == 1 for found in preferred)
    assert set.union(*preferred) == set(range(6))


def test_correlation_changes_backgrounds_and_leaves_the_objects(squares, bent):
    free = bent_cut_outs(squares, image_size=SIZE, correlation=0.0)
    np.testing.assert_array_equal(free.masks, bent.masks)
    solid = bent.masks & (bent.images[..., 2] > 250)  # no part of the background shines through
    assert solid.any()
    np.testing.assert_allclose(free.images[solid], bent.images[solid], atol=8)
    changed = (corners(free)[0] != corners(bent)[0]).any(1)
    assert 0.4 < changed.mean() < 0.95


def test_seeds(squares, bent):
    again = bent_cut_outs(squares, image_size=SIZE)
    np.testing.assert_array_equal(again.images, bent.images)
    other = bent_cut_outs(squares, image_size=SIZE, seed=1)
    assert (other.masks != bent.masks).any((1, 2)).all()


def test_an_object_does_not_depend_on_the_other_images(squares, bent):
    fewer = squares.take(np.arange(40))
    np.testing.assert_array_equal(bent_cut_outs(fewer, image_size=SIZE).masks, bent.masks[:40])


def test_images_without_a_mask_are_left_out(squares, tmp_path):
    masks = squares.masks.copy()
    masks[3] = False
    dataset = dataclasses.replace(squares, masks=masks)
    kept = np.delete(np.arange(72), 3)
    bent = bent_cut_outs(dataset, image_size=SIZE)
    np.testing.assert_array_equal(bent.labels, squares.labels[kept])

    files = read_cub(write_cub_layout(dataset, tmp_path / "files", "png"))
    files.masks[3] = None
    from_files = bent_cut_outs(files, image_size=SIZE)
    np.testing.assert_array_equal(from_files.images, bent.images)
    np.testing.assert_array_equal(from_files.masks, bent.masks)


def test_an_object_that_fills_its_image_leaves_its_own_color(squares):
    full = dataclasses.replace(squares, masks=np.ones_like(squares.masks))
    bent = bent_cut_outs(full, image_size=SIZE)
    assert len(bent) == 72
    assert bent.images.std((0, 1, 2)).min() > 5


def test_bad_arguments(squares):
    for field in ("masks", "labels"):
        with pytest.raises(ValueError, match=f"'squares' has no {field}; "):
            bent_cut_outs(dataclasses.replace(squares, **{field: None}))
    for argument, value, message in (
        ("correlation", 1.1, "from 0 to 1; received 1.1"),
        ("correlation", float("nan"), "from 0 to 1; received nan"),
        ("image_size", 31, "of 32 or more; received 31"),
        ("image_size", 96.0, "must be an integer"),
        ("seed", -1, "of 0 or more; received -1"),
    ):
        with pytest.raises(ValueError, match=f"{argument}: .*{message}"):
            bent_cut_outs(squares, **{argument: value})
    few = squares.take(
        np.r_[np.flatnonzero(squares.is_train), np.flatnonzero(~squares.is_train)[:5]]
    )
    with pytest.raises(ValueError, match="test split of 'squares' has 5 images.* need 12 or more"):
        bent_cut_outs(few, image_size=SIZE)


def test_without_scipy_it_says_what_to_install(squares, monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.ndimage", None)
    with pytest.raises(ImportError, match=r'pip install "keras-cr\[recipes\]"'):
        bent_cut_outs(squares, image_size=SIZE)
