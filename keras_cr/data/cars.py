"""Stanford Cars: the original annotations in MATLAB files, or class folders, read as they are."""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from keras_cr.data._arguments import folder_path
from keras_cr.data._layout import folders_in, split_of
from keras_cr.data._official import check_classes, check_listed, check_names, find_root
from keras_cr.data.dataset import FineGrainedDataset
from keras_cr.data.folder import read_image_folder

CARS_LAYOUTS = (
    "cars_train/, cars_test/ and devkit/ (from cars_train.tgz, cars_test.tgz and car_devkit.tgz) "
    "with cars_test_annos_withlabels.mat; or car_ims/ (car_ims.tgz) with cars_annos.mat; or class "
    "folders in train/ and test/"
)
_NAME = "stanford_cars"
_FOLDERS = ("stanford_cars", "car_data", "car_data/car_data")
_DEVKITS = ("devkit", "car_devkit/devkit", "stanford_cars/devkit")
_LABELLED = "cars_test_annos_withlabels.mat"
_BOX = ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2")


def read_cars(data_dir: str | os.PathLike | None) -> FineGrainedDataset:
    """Reads Stanford Cars from a folder in one of three layouts.

    - The original files: `cars_train/`, `cars_test/`, `devkit/` with `cars_meta.mat` and
      `cars_train_annos.mat`, and `cars_test_annos_withlabels.mat` in `devkit/` or beside it.
    - The later, single list: `car_ims/` and `cars_annos.mat`.
    - Class folders in `train/` and `test/`, as the set is handed on today; no boxes.

    A folder within a folder of its own name, as archives are often extracted, is accepted too.

    Args:
        data_dir: The folder. None is refused: the original source is gone, and nothing can be
            downloaded.

    Returns:
        The dataset, training images first in the first and third layout, in the order of
        `cars_annos.mat` in the second, with labels in the order of the class names, and boxes as
        x, y, width, height counted from 0 (the files count pixels from 1 and include the last).

    Raises:
        FileNotFoundError: There is no folder in one of the layouts, or a file in it is missing.
        ValueError: A MATLAB file can't be read or lacks a field; a class, a box or a split is none;
            an image or a class is listed twice, or a class has no image.
        ImportError: SciPy, which reads MATLAB files, is not installed.

    Example:

    >>> read_cars("data/stanford_cars").num_classes
    196
    """
    if data_dir is None:
        raise FileNotFoundError(
            "data_dir: Stanford Cars can't be downloaded, its source (ai.stanford.edu/~jkrause) is "
            f"gone; get a copy and name its folder as `data_dir`. It must hold {CARS_LAYOUTS}."
        )
    given = folder_path(data_dir)
    if devkit := find_root(given, _DEVKITS, "cars_meta.mat"):
        return _read_devkit(devkit, (given, devkit.parent, devkit))
    if root := find_root(given, _FOLDERS, "cars_annos.mat"):
        return _read_single_list(root)
    for root in (given, *(given / folder for folder in _FOLDERS)):
        if root.is_dir() and {"train", "test"} <= {
            split_of(path.name) for path in folders_in(root)
        }:
            return dataclasses.replace(read_image_folder(root), name=_NAME)
    raise FileNotFoundError(
        f"data_dir: {os.fspath(data_dir)!r} holds no layout of Stanford Cars; it must hold "
        f"{CARS_LAYOUTS}."
    )


@dataclasses.dataclass
class _Part:
    """The images that one file lists, and what it says of them."""

    file: Path
    images: list[Path]
    annotations: np.ndarray
    is_train: np.ndarray


def _read_devkit(devkit: Path, places: Sequence[Path]) -> FineGrainedDataset:
    test_file = next((p / _LABELLED for p in places if (p / _LABELLED).is_file()), None)
    if test_file is None:
        raise FileNotFoundError(
            f"{devkit / _LABELLED}: missing; put it there, since the devkit's cars_test_annos.mat "
            "does not have the classes."
        )
    files = {"cars_train": devkit / "cars_train_annos.mat", "cars_test": test_file}
    parts = []
    for name, file in files.items():
        annotations = _annotations(file, ("fname", "class", *_BOX))
        folders = [place / inner for place in places for inner in (f"{name}/{name}", name)]
        folder = next((folder for folder in folders if folder.is_dir()), places[0] / name)
        images = [folder / str(fname) for fname in annotations["fname"]]
        check_listed(images, file, f"{name}.tgz")
        parts.append(_Part(file, images, annotations, np.full(len(images), name == "cars_train")))
    return _dataset(devkit / "cars_meta.mat", parts)


def _read_single_list(root: Path) -> FineGrainedDataset:
    file = root / "cars_annos.mat"
    annotations = _annotations(file, ("relative_im_path", "class", "test", *_BOX))
    images = [root / str(path) for path in annotations["relative_im_path"]]
    check_listed(images, file, "car_ims.tgz")
    test = _numbers(file, annotations, ("test",))[:, 0]
    if len(wrong := np.flatnonzero((test != 0) & (test != 1))):
        raise ValueError(
            f"{file}: test of {images[wrong[0]].name} must be 0 or 1; received {test[wrong[0]]:g}."
        )
    is_train = test == 0
    return _dataset(file, [_Part(file, images, annotations, is_train)])


def _dataset(names_file: Path, parts: list[_Part]) -> FineGrainedDataset:
    class_names = [str(name) for name in _load(names_file, "class_names")]
    check_names(class_names, names_file)
    labels, boxes = [], []
    for part in parts:
        number = _numbers(part.file, part.annotations, ("class",))[:, 0]
        known = np.isin(number, np.arange(1, len(class_names) + 1))
        if len(wrong := np.flatnonzero(~known)):
            raise ValueError(
                f"{part.file}: class {number[wrong[0]]:g} of {part.images[wrong[0]].name} is not "
                f"from 1 to {len(class_names)}, the classes of {names_file.name}."
            )
        corners = _numbers(part.file, part.annotations, _BOX)
        sound = np.isfinite(corners).all(axis=1)
        sound[sound] = (corners[sound, :2] <= corners[sound, 2:]).all(axis=1)
        if len(wrong := np.flatnonzero(~sound)):
            received = ", ".join(f"{side:g}" for side in corners[wrong[0]])
            raise ValueError(
                f"{part.file}: the box of {part.images[wrong[0]].name} must be finite, its first "
                f"corner above and left of its last; received {received}."
            )
        first, last = corners[:, :2], corners[:, 2:]
        labels.append(number.astype("int32") - 1)
        boxes.append(np.concatenate([first - 1, last - first + 1], axis=1))
    labels = np.concatenate(labels)
    check_classes(labels, class_names, names_file)
    return FineGrainedDataset(
        name=_NAME,
        images=[path for part in parts for path in part.images],  # type: ignore[misc]
        labels=labels,
        class_names=class_names,
        is_train=np.concatenate([part.is_train for part in parts]),
        boxes=np.concatenate(boxes),
    )


def _annotations(file: Path, fields: Sequence[str]) -> np.ndarray:
    """The structured array `annotations`, each field an object array (N,)."""
    annotations = _load(file, "annotations")
    if missing := [field for field in fields if field not in (annotations.dtype.names or ())]:
        hint = f"; {_LABELLED} has the classes of the test images" if "class" in missing else ""
        raise ValueError(f"{file}: its annotations lack {', '.join(missing)}{hint}.")
    return annotations


def _numbers(file: Path, annotations: np.ndarray, fields: Sequence[str]) -> np.ndarray:
    try:
        columns = [[float(value) for value in annotations[field]] for field in fields]
    except (TypeError, ValueError) as error:
        raise ValueError(f"{file}: {', '.join(fields)} must be numbers ({error}).") from None
    return np.array(columns).T


def _load(file: Path, variable: str) -> np.ndarray:
    """A variable of a MATLAB file, at least one-dimensional."""
    if not file.is_file():
        raise FileNotFoundError(f"{file}: missing; it belongs to the layout of Stanford Cars.")
    try:
        from scipy.io import loadmat
    except ImportError as error:
        raise ImportError(f'Reading {file} needs SciPy: pip install "keras-cr[recipes]"') from error
    with file.open("rb") as opened:
        try:
            content = loadmat(opened, squeeze_me=True)
        except Exception as error:  # a damaged file can raise nearly anything
            raise ValueError(f"{file}: is no MATLAB file that can be read ({error}).") from error
    if variable not in content or not np.size(content[variable]):
        raise ValueError(f"{file}: holds no {variable}; it belongs to the layout of Stanford Cars.")
    return np.atleast_1d(content[variable])
