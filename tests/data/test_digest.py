"""What tells one data set from another, and what does not."""

import dataclasses
import shutil

import numpy as np

from keras_cr.data import read_image_folder, synthetic_birds
from keras_cr.data.digest import digest, foreground_digest, names_below, shared_images
from tests.data.helpers import save_image


def folder(place):
    for name in ("a/1.png", "a/2.png", "b/1.png", "b/2.png"):
        save_image(place / name, np.full((8, 8, 3), len(name), "uint8"))
    return place


def test_a_folder_that_was_moved_is_the_same(tmp_path, monkeypatch):
    first = read_image_folder(folder(tmp_path / "first"))
    shutil.copytree(tmp_path / "first", tmp_path / "deep" / "second")
    second = read_image_folder(tmp_path / "deep" / "second")
    assert digest(first) == digest(second)
    monkeypatch.chdir(tmp_path)
    assert names_below(["first/a/1.png", "first/b/2.png"]) == ["a/1.png", "b/2.png"]
    assert names_below(second.images) == names_below(first.images)
    save_image(tmp_path / "deep" / "second" / "a" / "1.png", np.zeros((9, 9, 3), "uint8"))
    assert digest(first) != digest(second)


def test_images_of_both_splits_are_found(tmp_path):
    place = folder(tmp_path / "train")
    shutil.copytree(place, tmp_path / "test")
    save_image(tmp_path / "test" / "a" / "1.png", np.zeros((8, 8, 3), "uint8"))
    for same in ("a/2.png", "b/1.png", "b/2.png"):
        assert (tmp_path / "test" / same).stat().st_size == (place / same).stat().st_size
    both = read_image_folder(tmp_path)
    found = [names_below(both.images)[row] for row in shared_images(both)]
    # one picture under four names: whatever equals a training image counts
    assert found == ["test/a/2.png", "test/b/1.png", "test/b/2.png"]
    birds = synthetic_birds(2, train_per_class=2, test_per_class=1, image_size=32)
    assert not len(shared_images(birds))
    images = birds.images.copy()
    test, train = np.flatnonzero(~birds.is_train)[0], np.flatnonzero(birds.is_train)[0]
    images[test] = images[train]
    assert shared_images(dataclasses.replace(birds, images=images)).tolist() == [test]


def test_masks_and_boxes_have_their_own(tmp_path):
    birds = synthetic_birds(2, train_per_class=2, test_per_class=1, image_size=32)
    files = list(map(str, sorted(folder(tmp_path / "masks").rglob("*.png"))))
    masks = [*files, None, None]
    changes = [
        {},
        {"masks": np.roll(birds.masks, 1, axis=0)},
        {"masks": None},
        {"masks": masks},
        {"masks": masks[::-1]},
        {"boxes": np.full((6, 4), 3.0)},
    ]
    all_of_them = [dataclasses.replace(birds, **change) for change in changes]
    assert len(set(map(foreground_digest, all_of_them))) == len(changes)
    assert len(set(map(digest, all_of_them))) == 1
