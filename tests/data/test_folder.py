"""read_image_folder: layouts, splits, what is passed over and what is refused."""

import numpy as np
import pytest

from keras_cr.data import read_image_folder


def touch(root, *paths):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()


def test_class_folders_are_all_training_images(tmp_path):
    touch(tmp_path, "b/2.JPG", "b/1.png", "a/deep/3.gif", "a/4.bmp", "a/5.jpeg")
    data = read_image_folder(tmp_path)
    assert data.class_names == ["a", "b"]
    names = [path.removeprefix(str(tmp_path)) for path in data.images]
    assert names == ["/a/4.bmp", "/a/5.jpeg", "/a/deep/3.gif", "/b/1.png", "/b/2.JPG"]
    np.testing.assert_array_equal(data.labels, [0, 0, 0, 1, 1])
    assert data.is_train.all()


def test_hidden_and_foreign_files_are_passed_over(tmp_path):
    touch(tmp_path, "a/1.png", "a/._1.png", "a/.hidden.png", "a/notes.txt", "b/1.png")
    touch(tmp_path, ".cache/1.png", "__MACOSX/1.png", "b/.thumbs/1.png", "readme.md")
    assert len(read_image_folder(tmp_path)) == 2


@pytest.mark.parametrize("test_name", ["test", "val"])
def test_split_folders(tmp_path, test_name):
    touch(
        tmp_path, "train/a/1.png", "train/b/1.png", f"{test_name}/a/2.png", f"{test_name}/b/2.png"
    )
    data = read_image_folder(tmp_path)
    assert data.class_names == ["a", "b"]
    np.testing.assert_array_equal(data.is_train, [True, False, True, False])
    np.testing.assert_array_equal(data.labels, [0, 0, 1, 1])


def test_test_fraction_is_stratified_and_seeded(tmp_path):
    touch(tmp_path, *(f"{name}/{i}.png" for name in "ab" for i in range(10)), "c/only.png")
    first, again, other = (read_image_folder(tmp_path, 0.3, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(
        np.bincount(first.labels[~first.is_train], minlength=3), [3, 3, 0]
    )
    np.testing.assert_array_equal(first.is_train, again.is_train)
    assert (first.is_train != other.is_train).any()


@pytest.mark.parametrize(
    ("files", "is_train"),  # None: a fifth is held out
    [
        ([f"{split}/{name}/1.png" for split in ("train", "val") for name in "ab"], [1, 0, 1, 0]),
        ([f"{name}/{i}.png" for name in "ab" for i in range(5)], None),
        ([f"{name}/{i}.png" for name in ("test", "val") for i in range(5)], None),  # two classes
    ],
)
def test_no_test_fraction_takes_the_split_or_a_fifth(tmp_path, files, is_train):
    touch(tmp_path, *files)
    data = read_image_folder(tmp_path, test_fraction=None)
    if is_train is None:
        np.testing.assert_array_equal(np.bincount(data.labels[~data.is_train]), [1, 1])
        is_train = read_image_folder(tmp_path, test_fraction=0.2).is_train
    np.testing.assert_array_equal(data.is_train, is_train)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "no class folder and 0 images"),
        (["1.png", "2.png"], "no class folder and 2 images outside any"),
        (["a/1.png"], r"one class folder \(a\)"),
        (["a/1.png", "b/1.txt"], "1 of 2 class folders .* hold no image .*: b; fill or remove"),
        (["train/a/1.png", "train/b/1.png", "test/a/1.png", "test/z/1.png"], "lacks: z"),
    ],
)
def test_unusable_folders_are_refused(tmp_path, files, message):
    touch(tmp_path, *files)
    with pytest.raises(ValueError, match=message):
        read_image_folder(tmp_path)


def test_unusable_arguments_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"data_dir: .*absent.* is not a folder"):
        read_image_folder(tmp_path / "absent")
    with pytest.raises(ValueError, match=r"test_fraction: must lie in \[0, 1\); received 1"):
        read_image_folder(tmp_path, test_fraction=1)
    touch(tmp_path, *(f"{split}/{name}/1.png" for split in ("train", "test") for name in "ab"))
    with pytest.raises(ValueError, match=r"test_fraction: 0.2 asks for a split.*test"):
        read_image_folder(tmp_path, test_fraction=0.2)
