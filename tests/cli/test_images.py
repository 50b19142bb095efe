"""Which images arguments name, and what their pictures are called."""

import os

import numpy as np
import pytest

from keras_cr.cli._images import batches, find_images, picture_names
from tests.cli.conftest import NAMES
from tests.data.helpers import dataset


def test_folders_are_searched_and_sorted(photos):
    assert find_images([str(photos)]) == {str(photos / name): name for name in NAMES}


def test_files_keep_the_given_order_and_come_once(photos):
    given = [str(photos / name) for name in ("d.jpeg", "b/deep/3.bmp")]
    again = os.path.join(photos, "b", "..", "d.jpeg")
    assert find_images([*given, again]) == {given[0]: "d.jpeg", given[1]: "3.bmp"}
    assert list(find_images([*given, str(photos)]))[:3] == [*given, str(photos / "a/1.png")]


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("a/*", {"a/1.png": "1.png", "a/2.jpg": "2.jpg"}),
        ("?.*", {"c.png": "c.png", "d.jpeg": "d.jpeg"}),
        ("**/1.png", {"a/1.png": "1.png", "b/1.png": "1.png"}),
        ("[b]", {"b/1.png": "1.png", "b/deep/3.bmp": "deep/3.bmp"}),
    ],
)
def test_patterns(photos, pattern, names):
    found = find_images([str(photos / pattern)])
    assert found == {str(photos / path): name for path, name in names.items()}


def test_a_name_that_looks_like_a_pattern(tmp_path):
    path = tmp_path / "wren [1].png"
    path.touch()
    assert find_images([str(path)]) == {str(path): "wren [1].png"}


def test_home_and_what_is_left_out(photos, monkeypatch):
    monkeypatch.setenv("HOME", str(photos))
    without = [photos / "a", photos / "d.jpeg", photos / "b/1"]
    names = ("b/1.png", "b/deep/3.bmp", "c.png")
    assert find_images(["~"], without) == {str(photos / name): name for name in names}
    with pytest.raises(FileNotFoundError, match="nothing but what --output is to replace"):
        find_images(["~/a"], without)


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("absent.png", "is no file or folder, and no image matches it"),
        ("*.txt", "is no file or folder, and no image matches it"),
        (".cache", r"holds no image \(.jpg .jpeg .jpe .* .webp .jxl\)\."),
    ],
)
def test_arguments_without_images(photos, argument, message):
    (photos / ".cache/4.png").unlink(missing_ok=True)
    with pytest.raises(FileNotFoundError, match=message):
        find_images([str(photos / "c.png"), str(photos / argument)])


def test_picture_names_are_told_apart():
    names = ["a/1.jpg", "a/1.png", "A/1.gif", "a/1-2.jpg", "b/1.tar.png", "1", "a/1.bmp"]
    expected = ["a/1", "a/1-2", "A/1-3", "a/1-2-2", "b/1.tar", "1", "a/1-4"]
    assert picture_names(names) == [f"{stem}.png" for stem in expected]


def test_batches_are_the_images_in_order(capsys):
    data = dataset(5)
    parts = list(batches(data, 40, 2, "Reading"))
    assert [len(part) for part in parts] == [2, 2, 1]
    np.testing.assert_array_equal(np.concatenate(parts), data.images[:, :, 4:44])
    assert capsys.readouterr().out == ""
