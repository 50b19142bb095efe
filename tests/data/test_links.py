"""Links in folders of images: each real folder is searched once, and no image gets two labels."""

import os
import warnings

import pytest

from keras_cr.data import read_image_folder, verify
from keras_cr.data.walk import PassedOver, Walk
from tests.data.helpers import pixels, save_image


@pytest.fixture
def root(tmp_path):
    """`photos` with classes a (1.png, deep/2.png) and b (1.png), and `outside/3.png` beside it."""
    for name in ("photos/a/1.png", "photos/a/deep/2.png", "photos/b/1.png", "outside/3.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path / "photos"


def names(data):
    return [os.path.relpath(path, os.path.dirname(data.images[0]) + "/..") for path in data.images]


WHOLE = ["a/1.png", "a/deep/2.png", "b/1.png"]


@pytest.mark.parametrize(
    ("link", "target"),
    [
        ("a/loop", "."),
        ("a/deep/loop", ".."),
        ("a/up", ".."),  # the root
        ("a/out", "../.."),  # the root's own folder
        ("a/top", "/"),
        ("loop", "."),
        ("again", ".."),
    ],
)
def test_a_link_back_gives_nothing_twice_and_is_named(root, link, target):
    (root / link).symlink_to(target)
    with pytest.warns(UserWarning, match=rf"1 that link to a folder .* already \({root / link}\)"):
        data = read_image_folder(root)
    assert names(data) == WHOLE
    assert data.class_names == ["a", "b"]


def test_two_links_to_the_root_end(root):
    for name in ("a/x", "a/y", "b/x", "b/y", "x", "y"):
        (root / name).symlink_to(root)
    with pytest.warns(UserWarning, match=r"6 that link .* \.\.\.\)"):
        assert names(read_image_folder(root)) == WHOLE


def test_links_within_a_class_keep_the_real_path(root):
    (root / "a/also").symlink_to("deep")
    with pytest.warns(UserWarning, match="already"):
        assert names(read_image_folder(root)) == WHOLE


def test_links_to_elsewhere_are_followed(root):
    (root / "a/more").symlink_to(root.parent / "outside")
    (root / "c").symlink_to(root.parent / "outside2")
    (root.parent / "outside2").mkdir()
    (root.parent / "outside2/4.png").touch()
    (root / "b/5.png").symlink_to(root.parent / "outside/3.png")
    with warnings.catch_warnings(action="error"):
        data = read_image_folder(root)
    assert names(data) == [
        "a/1.png",
        "a/deep/2.png",
        "a/more/3.png",
        "b/1.png",
        "b/5.png",
        "c/4.png",
    ]
    assert data.labels.tolist() == [0, 0, 0, 1, 1, 2]


@pytest.mark.parametrize(
    ("links", "message"),
    [
        ({"c": "a"}, "c' and '.*/a' are one folder, .* two classes or splits"),
        ({"b/also": "../a"}, "b/also' and '.*/a' are one folder, .* of 'b' and of 'a'"),
        ({"b/also": "../a/deep"}, "also' and '.*deep' are one folder|deep' and '.*also' are one"),
        ({"a/z": "../../outside", "b/z": "../../outside"}, "b/z' and '.*a/z' are one folder"),
    ],
)
def test_a_folder_of_two_classes_is_refused(root, links, message):
    for link, target in links.items():
        (root / link).symlink_to(target)
    with pytest.raises(ValueError, match=message):
        read_image_folder(root)


def test_a_folder_of_both_splits_is_refused(root):
    (root / "a").rename(root.parent / "a")
    (root / "b").rename(root.parent / "b")
    for split in ("train", "test"):
        (root / split).mkdir()
        for name in "ab":
            (root / split / name).symlink_to(root.parent / name)
    with pytest.raises(ValueError, match=r"test/a' and '.*train/a' are one folder.*splits"):
        read_image_folder(root)


def test_one_folder_as_two_splits_is_refused(root):
    (root / "train").mkdir()
    for name in "ab":
        (root / name).rename(root / "train" / name)
    (root / "test").symlink_to("train")
    with pytest.raises(ValueError, match="one folder"):
        read_image_folder(root)


def test_broken_links_are_named(root):
    (root / "a/gone.jpg").symlink_to("nowhere.jpg")
    (root / "c").symlink_to("nowhere")
    (root / "b/self.png").symlink_to("self.png")
    (root / "b/notes.txt").symlink_to("nowhere.txt")
    with pytest.warns(UserWarning, match="Passed over") as told:
        assert names(read_image_folder(root)) == WHOLE
    (message,) = [str(each.message) for each in told]
    assert "Passed over 3 files or folders that may hold images: 3 that link to nothing" in message
    assert all(str(root / name) in message for name in ("a/gone.jpg", "c", "b/self.png"))


def test_verify_ends_and_notes_the_links(tmp_path):
    for row, image in enumerate(pixels(4)):
        save_image(tmp_path / "ab"[row % 2] / f"{row}.png", image)
    (tmp_path / "a/._x.png").touch()
    for name in ("a/x", "a/y", "x"):
        (tmp_path / name).symlink_to(tmp_path)
    report = verify(tmp_path, "folder")
    assert (report.ok, report.train) == (True, 4)
    assert [(note.kind, note.path.removeprefix(f"{tmp_path}/")) for note in report.notes] == [
        ("hidden", "a/._x.png"),
        ("passed_over", "x"),
        ("passed_over", "a/x"),
        ("passed_over", "a/y"),
    ]


def test_walk_is_sorted_and_tells_what_it_leaves_out(root):
    (root / "a/0.tif").touch()
    (root / "a/loop").symlink_to(".")
    walk = Walk(root)
    assert walk.images(root) == [str(root / name) for name in WHOLE]
    assert walk.passed_over == [
        PassedOver(str(root / "a/0.tif"), "in a format that is not read"),
        PassedOver(str(root / "a/loop"), "that link to a folder which is searched already"),
    ]


def test_a_deep_tree(tmp_path):
    deep = tmp_path / "a" / "/".join(["d"] * 200)
    deep.mkdir(parents=True)
    (deep / "1.png").touch()
    (tmp_path / "b").mkdir()
    (tmp_path / "b/1.png").touch()
    assert len(read_image_folder(tmp_path)) == 2
