"""Stanford Cars: its three layouts give the same images, and exact errors."""

import shutil
import sys

import numpy as np
import pytest

from keras_cr.data import load_image, read_cars
from tests.data.helpers import dataset, pixels, save_image, write_cars

BOXES = np.array([[row, 2, 20, 10] for row in range(6)])
NAMES = ["AM General Hummer SUV 2000", "Ram C-V Cargo Van Minivan 2012"]


@pytest.fixture(params=["devkit", "list", "folders"])
def layout(request):
    return request.param


def write(root, layout="devkit"):
    return write_cars(dataset(6, boxes=BOXES, class_names=NAMES), root, layout)


def test_layouts(tmp_path, layout):
    data = read_cars(write(tmp_path, layout))
    assert (data.name, data.class_names) == ("stanford_cars", NAMES)
    rows = [0, 1, 2, 3, 4, 5]
    if layout == "folders":  # sorted by class, training before test images
        rows = [0, 2, 4, 1, 3, 5]
        assert data.boxes is None
    else:
        np.testing.assert_array_equal(data.boxes, BOXES)
    np.testing.assert_array_equal(data.labels, np.arange(6)[rows] % 2)
    np.testing.assert_array_equal(data.is_train, (np.arange(6) < 4)[rows])
    for path, image in zip(data.images, pixels(6)[rows], strict=True):
        np.testing.assert_allclose(load_image(path), image, atol=12)


def test_folders_extracted_into_their_own_name(tmp_path):
    expected = read_cars(write(tmp_path)).images
    moves = {"cars_train": "cars_train/cars_train", "devkit": "car_devkit/devkit"}
    for old, new in moves.items():
        (tmp_path / old).rename(tmp_path / "moved")
        (tmp_path / new).parent.mkdir()
        (tmp_path / "moved").rename(tmp_path / new)
    (tmp_path / "cars_test_annos_withlabels.mat").rename(
        tmp_path / "car_devkit/devkit/cars_test_annos_withlabels.mat"
    )
    found = read_cars(tmp_path).images
    assert [path.replace("cars_train/cars_train", "cars_train") for path in found] == expected


def test_a_list_of_one_image_a_split(tmp_path):
    data = dataset(2, boxes=BOXES[:2], class_names=NAMES, is_train=[True, False])
    read = read_cars(write_cars(data, tmp_path))
    np.testing.assert_array_equal(read.boxes, BOXES[:2])
    np.testing.assert_array_equal(read.is_train, [True, False])


def test_nothing_can_be_downloaded():
    with pytest.raises(FileNotFoundError, match=r"source .* is gone.*`data_dir`.*car_devkit.tgz"):
        read_cars(None)


def test_what_is_missing_is_named(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"data_dir: .*empty' holds no layout .*car_ims/"):
        read_cars(tmp_path / "empty")
    write(tmp_path)
    (tmp_path / "cars_train/00002.jpg").unlink()
    with pytest.raises(FileNotFoundError, match=r"00002.jpg: listed in .*train_annos.mat .*1 of 4"):
        read_cars(tmp_path)
    shutil.rmtree(tmp_path / "cars_train")
    with pytest.raises(
        FileNotFoundError, match=r"cars_train/00001.jpg: .* 4 of 4 .*cars_train.tgz"
    ):
        read_cars(tmp_path)
    (tmp_path / "cars_test_annos_withlabels.mat").unlink()
    with pytest.raises(FileNotFoundError, match=r"withlabels.mat: missing; .*cars_test_annos.mat"):
        read_cars(tmp_path)


def test_a_list_without_classes_is_named(tmp_path):
    write(tmp_path)
    labelled = tmp_path / "cars_test_annos_withlabels.mat"
    shutil.copy(tmp_path / "devkit/cars_test_annos.mat", labelled)
    with pytest.raises(
        ValueError, match=r"withlabels.mat: its annotations lack class; .*withlabels"
    ):
        read_cars(tmp_path)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (NAMES[:1], r"cars_train_annos.mat: class 2 of 00002.jpg is not from 1 to 1, .*cars_meta"),
        ([*NAMES, "Tesla"], r"cars_meta.mat: 1 of 3 classes have no image: Tesla"),
        ([*NAMES, NAMES[0]], r"cars_meta.mat: class 'AM General .*' is listed twice"),
        ([], r"cars_meta.mat: holds no class_names"),
    ],
)
def test_classes_that_do_not_fit_are_named(tmp_path, names, message):
    from scipy.io import savemat

    write(tmp_path)
    savemat(tmp_path / "devkit/cars_meta.mat", {"class_names": np.array(names, object)})
    with pytest.raises(ValueError, match=message):
        read_cars(tmp_path)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("class", 1.5, "class 1.5 of 000002.jpg is not from 1 to 2"),
        ("class", np.nan, "class nan of 000002.jpg is not from 1 to 2"),
        ("test", 2, "test of 000002.jpg must be 0 or 1; received 2"),
        ("test", np.nan, "test of 000002.jpg must be 0 or 1; received nan"),
        ("bbox_x1", np.inf, "the box of 000002.jpg must be finite, .* received inf, 3, 21, 12"),
        ("bbox_y2", 2, "the box of 000002.jpg must be finite, .* received 2, 3, 21, 2"),
        ("relative_im_path", "car_ims/000001.jpg", "cars_annos.mat: .*000001.jpg is listed twice"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_annotations_that_can_not_be_are_named(tmp_path, field, value, message):
    from scipy.io import loadmat, savemat

    file = write(tmp_path, "list") / "cars_annos.mat"
    content = loadmat(file, squeeze_me=True)
    content["annotations"][field][1] = value
    savemat(file, {name: content[name] for name in ("annotations", "class_names")})
    with pytest.raises(ValueError, match=message) as error:
        read_cars(tmp_path)
    assert "cars_annos.mat" in str(error.value)


@pytest.mark.parametrize("content", [b"", b"no MATLAB file", None])
def test_damaged_matlab_files_are_named(tmp_path, content):
    write(tmp_path)
    file = tmp_path / "devkit/cars_train_annos.mat"
    file.write_bytes(file.read_bytes()[:200] if content is None else content)
    with pytest.raises(ValueError, match=r"cars_train_annos.mat: is no MATLAB file") as error:
        read_cars(tmp_path)
    assert "\n" not in str(error.value)


def test_class_folders_need_both_splits(tmp_path):
    for name in "ab":
        save_image(tmp_path / "train" / name / "1.png", pixels(1)[0])
    with pytest.raises(FileNotFoundError, match="holds no layout of Stanford Cars"):
        read_cars(tmp_path)


def test_a_missing_scipy_is_told(tmp_path, monkeypatch):
    write(tmp_path)
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    with pytest.raises(ImportError, match=r'needs SciPy: pip install "keras-cr\[recipes\]"'):
        read_cars(tmp_path)


def test_folders_with_other_names_of_splits(tmp_path):
    root = write_cars(dataset(6, boxes=np.tile([2, 2, 20, 10], (6, 1))), tmp_path, "folders")
    (root / "train").rename(root / "Train")
    (root / "test").rename(root / "Testing")
    data = read_cars(root)
    assert (len(data), int(data.is_train.sum()), data.name) == (6, 4, "stanford_cars")
