"""read_image_folder: layouts, splits, what is passed over and what is refused."""

import warnings

import numpy as np
import pytest

from keras_cr.data import read_aircraft, read_cars, read_cub, read_image_folder


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


HERE = ["test/cat/1.png", "test/b/1.png"]
SPLITS = [f"{split}/{name}/1.png" for split in ("train", "test") for name in "ab"]


@pytest.mark.parametrize("train", ["Train", "TRAIN", "training", "Training"])
@pytest.mark.parametrize("test", ["Test", "testing", "val", "Valid", "VALIDATION", "dev", "eval"])
def test_the_usual_names_of_splits(tmp_path, train, test):
    touch(tmp_path, *(f"{split}/{name}/1.png" for split in (train, test) for name in "ab"))
    with warnings.catch_warnings(action="error"):
        data = read_image_folder(tmp_path)
    assert data.class_names == ["a", "b"]
    np.testing.assert_array_equal(data.is_train, [True, False, True, False])


def test_what_becomes_of_validation_images(tmp_path):
    touch(tmp_path, *SPLITS, "Valid/a/2.png", "Valid/b/2.png", "Valid/b/3.png")
    with pytest.warns(
        UserWarning, match=r"Left out 3 validation images .*Valid.*validation='train"
    ):
        data = read_image_folder(tmp_path)
    np.testing.assert_array_equal(data.is_train, [True, False, True, False])
    with warnings.catch_warnings(action="error"):
        for role, train, test in (("train", [2, 3], [1, 1]), ("test", [1, 1], [2, 3])):
            data = read_image_folder(tmp_path, validation=role)
            assert np.bincount(data.labels[data.is_train]).tolist() == train
            assert np.bincount(data.labels[~data.is_train]).tolist() == test
    with pytest.warns(UserWarning, match="Left out 3"):
        read_image_folder(tmp_path, validation="out")
    with pytest.raises(ValueError, match="validation: must be one of train, test, out or None"):
        read_image_folder(tmp_path, validation="valid")


def test_validation_images_without_a_test_folder(tmp_path):
    touch(tmp_path, *(f"{split}/{name}/1.png" for split in ("train", "val") for name in "ab"))
    assert read_image_folder(tmp_path).is_train.tolist() == [True, False, True, False]
    assert read_image_folder(tmp_path, validation="train").is_train.all()
    with pytest.warns(UserWarning, match="Left out 2"):
        assert len(read_image_folder(tmp_path, validation="out")) == 2
    touch(tmp_path, "val/z/1.png")
    with pytest.raises(ValueError, match="lacks: z"):
        read_image_folder(tmp_path, validation="train")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([*SPLITS, "extra/a/1.png"], "extra in .* is no split, beside test, train"),
        ([*SPLITS, "extra/1.tif"], "extra in .* is no split"),
        ([*SPLITS, "Train/a/1.png"], "Train, train in .* are both names of the train split"),
        ([*SPLITS, "testing/a/1.png"], "test, testing in .* both names of the test split"),
        ([*SPLITS, "val/1.png"], "val in .* holds no class folder, beside test, train; sort"),
        (["train/a/1.png", "train/b/1.png", "test/1.png"], "test in .* holds no class folder"),
        (["test/a/1.png", "test/b/1.png"], "holds test and no training folder"),
        (["a/1.png", "b/1.png", "test/a/1.png"], "a, b in .* is no split, beside test"),
        (["Train/1.png", "Test/1.png"], "no class folder and 2 images .*unlabelled=True"),
        (["train/1.png"], "no class folder and 1 images .*unlabelled=True"),
        (["train/1.png", "test/1.png", "extra/1.png"], "extra in .* is no split"),
        (["train/Cat/1.png", "train/b/1.png", *HERE], r"cat \('Cat' there differs in"),
        (["1.png", "2.jpg"], "no class folder and 2 images .*unlabelled=True"),
        (["a/1.png", "b/1.heic"], r"hold no image .*: b; .* in a format .*b/1.heic"),
        (["1.heic"], "no class folder and 0 images .* 1 in a format that is not read"),
    ],
)
def test_folders_that_are_not_clear_are_refused(tmp_path, files, message):
    touch(tmp_path, *files)
    with pytest.raises(ValueError, match=message) as error:
        read_image_folder(tmp_path)
    assert "\n" not in str(error.value)


def test_splits_without_classes(tmp_path):
    touch(tmp_path, "Train/1.png", "Train/2.png", "valid/3.png")
    data = read_image_folder(tmp_path, unlabelled=True)
    assert data.labels is None
    np.testing.assert_array_equal(data.is_train, [True, True, False])


def test_a_class_may_be_called_train(tmp_path):
    touch(tmp_path, "bus/1.png", "train/1.png", "car/1.png")
    with pytest.warns(UserWarning, match="train in .*: read as classes, though named as splits"):
        assert read_image_folder(tmp_path).class_names == ["bus", "car", "train"]


def test_folders_without_images_beside_splits_are_no_matter(tmp_path):
    touch(tmp_path, *SPLITS, "annotations/1.xml", "readme.md", "labels.csv")
    with warnings.catch_warnings(action="error"):
        assert len(read_image_folder(tmp_path)) == 4


@pytest.mark.parametrize("files", [SPLITS, ["a/1.png", "b/1.png"]])
def test_images_outside_are_counted_and_named(tmp_path, files):
    touch(tmp_path, *files, "stray.jpg", "other.webp")
    with pytest.warns(UserWarning, match=r"2 outside any .*other.webp, .*stray.jpg"):
        assert len(read_image_folder(tmp_path)) == len(files)


def test_images_that_are_not_read_are_counted_and_named(tmp_path):
    touch(
        tmp_path, "a/1.png", "b/1.png", "a/deep/2.TIF", "b/x.CR2", "a/p.svg", "a/q.avif", "b/t.txt"
    )
    with pytest.warns(UserWarning, match="Passed over") as told:
        assert len(read_image_folder(tmp_path)) == 2
    (message,) = (str(each.message) for each in told)
    assert message.startswith("Passed over 4 files or folders that may hold images: 4 in a format")
    assert message.endswith(", ...); save them as PNG or JPEG.")
    assert str(tmp_path / "a/deep/2.TIF") in message


def test_what_systems_leave_behind_is_no_image(tmp_path):
    touch(tmp_path, "a/1.png", "b/1.png", "a/Thumbs.db", "a/.DS_Store", "a/._1.png", "lost+found/x")
    touch(
        tmp_path, "a/@eaDir/1.png/SYNOPHOTO_THUMB_M.jpg", "__MACOSX/a/1.png", "$RECYCLE.BIN/1.png"
    )
    with warnings.catch_warnings(action="error"):
        assert len(read_image_folder(tmp_path)) == 2


def test_class_names_that_differ_in_case_alone_stay_apart(tmp_path):
    touch(tmp_path, "A/1.png", "a/1.png")
    assert read_image_folder(tmp_path).class_names == ["A", "a"]


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("training_set", "test_set"),
        ("trainset", "testset"),
        ("train_images", "test_images"),
        ("seg_train", "seg_test"),
        ("1_train", "2_test"),
        ("01-Training Data", "02-Validation Data"),
        ("train ", " test"),
        ("ｔｒａｉｎ", "ｔｅｓｔ"),
        ("train", "test_set"),
    ],
)
def test_wider_names_of_splits(tmp_path, train, test):
    touch(tmp_path, *(f"{split}/{name}/1.png" for split in (train, test) for name in "ab"))
    data = read_image_folder(tmp_path)
    assert data.class_names == ["a", "b"]
    assert data.is_train.tolist() == [True, False, True, False]


@pytest.mark.parametrize(
    "splits", [("labeled", "unlabeled"), ("Lernen", "Prüfen"), ("art", "photo")]
)
@pytest.mark.parametrize("inner", ["ab", "abc"])
def test_folders_that_hold_the_same_classes_are_no_classes(tmp_path, splits, inner):
    first, second = splits
    touch(tmp_path, *(f"{first}/{name}/1.png" for name in "abc"))
    touch(tmp_path, *(f"{second}/{name}/1.png" for name in inner))
    message = f"{first}, {second} in .* hold folders of the same names .* train/ and test/, or give"
    with pytest.raises(ValueError, match=message):
        read_image_folder(tmp_path)


def test_many_classes_may_hold_folders_of_the_same_names(tmp_path):
    touch(tmp_path, *(f"{name}/{day}/1.png" for name in "abcd" for day in ("monday", "friday")))
    assert read_image_folder(tmp_path).class_names == ["a", "b", "c", "d"]


def test_folders_below_classes_may_share_one_name(tmp_path):
    touch(tmp_path, *(f"{name}/images/1.png" for name in "abc"), "a/more/1.png", "b/other/1.png")
    touch(tmp_path, "test set/1.png")  # no training set beside it
    assert read_image_folder(tmp_path).class_names == ["a", "b", "c", "test set"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            [f"{name}/{split}/1.png" for name in "ab" for split in ("train", "test")],
            "2 of 2 folders in .* hold the splits test, train: a, b. .*above them",
        ),
        (["a/1.png", *(f"ds/{split}" for split in SPLITS)], "ds' is no class folder: it holds the"),
        ([f"ds/{split}" for split in SPLITS], "1 of 1 folders .*: ds. .* give one as data_dir"),
        (["a/1.png", "c/images.txt", "c/images/1/1.png"], "c' is no class folder: .*read_cub"),
        (["\xe9/1.png", "e\u0301/1.png"], "two classes in .* are called '\xe9', written in diff"),
        (["images.txt", "images/1/1.png", "masks/1/1.png"], "has the layout that .*read_cub reads"),
    ],
)
def test_folders_above_splits_and_layouts_are_no_classes(tmp_path, files, message):
    touch(tmp_path, *files)
    with pytest.raises(ValueError, match=message):
        read_image_folder(tmp_path)


@pytest.mark.parametrize("read", [read_image_folder, read_cub, read_aircraft, read_cars])
@pytest.mark.parametrize(
    ("data_dir", "message"),
    [
        (3, "data_dir: must be a path; received 3"),
        ("~nouser/x", "data_dir: '~nouser/x' can't be a path"),
        ("x" * 5000, r"data_dir: 'x{9,20}\.\.\.x{9,20}' can't be a path"),
    ],
)
def test_what_is_no_path_is_refused(read, data_dir, message):
    with pytest.raises(ValueError, match=message):
        read(data_dir)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"data_dir": None}, "data_dir: must be a path; received None"),
        ({"test_fraction": "0.3"}, "test_fraction: must be a number; received '0.3'"),
        ({"seed": -1}, "seed: must be an integer of 0 or more; received -1"),
    ],
)
def test_arguments_of_other_types_are_named(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        read_image_folder(**({"data_dir": tmp_path} | arguments))


@pytest.mark.parametrize(
    "name",
    ["x.jpg~", "x.jpg_large", "x.JPG ", "x.jpg?w=300", "x.jpg_original", "x.png.1", "x.jpg (2)"],
)
def test_names_that_go_on_after_the_suffix_are_named(tmp_path, name):
    touch(tmp_path, "a/1.png", "b/1.png", f"a/{name}", "a/x.jpg.txt", "a/x.jpgs", "b/x.png.json")
    with pytest.warns(UserWarning, match="Passed over 1 file .* 1 whose name goes on .*rename"):
        assert len(read_image_folder(tmp_path)) == 2


@pytest.mark.parametrize("suffix", ["apng", "j2c", "bpg", "avifs", "heics", "xbm"])
def test_more_formats_that_are_not_read_are_named(tmp_path, suffix):
    touch(tmp_path, "a/1.png", "b/1.png", f"a/x.{suffix}")
    with pytest.warns(UserWarning, match="Passed over 1 file .* 1 in a format that is not read"):
        assert len(read_image_folder(tmp_path)) == 2
