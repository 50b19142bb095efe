"""Any images: one folder a class, with or without train/ and test/ above them; or no classes."""

import os
from pathlib import Path

import numpy as np

from keras_cr.data.dataset import FineGrainedDataset

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif")
HELD_OUT = 0.2  # share of each class, where test images are wanted and none are set apart


def read_image_folder(
    data_dir: str | os.PathLike,
    test_fraction: float | None = 0.0,
    seed: int = 0,
    unlabelled: bool = False,
) -> FineGrainedDataset:
    """Reads class folders, `data_dir/CLASS/...`, or `data_dir/{train,test}/CLASS/...`.

    A class's images may lie in folders below its own. Hidden files (`._` ones among them) and
    files with other suffixes than .jpg .jpeg .png .bmp .gif are passed over. A `train` folder that
    holds folders makes the second layout; its test images are in `test`, or in `val` where there
    is no `test`.

    Args:
        data_dir: The folder.
        test_fraction: Share of each class's images, in [0, 1), set aside as test images where the
            folder has no split of its own. A class keeps at least one training image. None takes
            the folder's own test images, or a fifth where it has none.
        seed: Decides which images are set aside.
        unlabelled: Whether images with no folder beside them are read as images without labels, all
            of them for training, instead of refused.

    Returns:
        The images sorted by class and path, classes sorted by name, without boxes and masks.
        With neither a split nor a `test_fraction` every image is a training image.

    Raises:
        FileNotFoundError: `data_dir` is not a folder.
        PermissionError: A folder in it may not be read.
        ValueError: There are fewer than two classes, a class without images, a test class that is
            not in `train`, or a `test_fraction` outside [0, 1) or given beside a test folder.

    Example:

    >>> dataset = read_image_folder("flowers", test_fraction=0.2)
    >>> train, test = dataset.split("train"), dataset.split("test")
    """
    root = Path(data_dir).expanduser()
    if not root.is_dir():
        raise FileNotFoundError(f"data_dir: {str(root)!r} is not a folder; give one of images.")
    if test_fraction is not None and not 0 <= test_fraction < 1:
        raise ValueError(f"test_fraction: must lie in [0, 1); received {test_fraction}.")

    if unlabelled and not _folders(root) and (images := image_files(root)):
        return FineGrainedDataset(
            name=root.resolve().name,
            images=images,
            labels=None,
            class_names=[],
            is_train=np.ones(len(images), dtype=bool),
        )
    train_root, test_root = root, None
    if (root / "train").is_dir() and _folders(root / "train"):
        train_root = root / "train"
        test_root = next((root / n for n in ("test", "val") if (root / n).is_dir()), None)
    if test_fraction is None:
        test_fraction = 0.0 if test_root else HELD_OUT
    if test_root and test_fraction:
        raise ValueError(
            f"test_fraction: {test_fraction} asks for a split, but {str(test_root)!r} already is "
            "one; leave test_fraction at 0, or give the train folder as data_dir."
        )
    train, test = _classes(train_root), _classes(test_root) if test_root else {}
    if foreign := sorted(set(test) - set(train)):
        raise ValueError(
            f"data_dir: {str(test_root)!r} has classes that {str(train_root)!r} lacks: "
            f"{', '.join(foreign[:5])}; both must hold the same class folders."
        )
    generator = np.random.default_rng(seed)
    images, labels, is_train = [], [], []
    for label, name in enumerate(train):
        kept = np.ones(len(train[name]), dtype=bool)
        held_out = min(round(test_fraction * len(kept)), len(kept) - 1)
        kept[generator.permutation(len(kept))[:held_out]] = False
        tests = test.get(name, [])
        images += [*train[name], *tests]
        labels += [label] * (len(kept) + len(tests))
        is_train += [*kept, *[False] * len(tests)]
    return FineGrainedDataset(
        name=root.resolve().name,
        images=images,
        labels=np.array(labels, dtype="int32"),
        class_names=list(train),
        is_train=np.array(is_train, dtype=bool),
    )


def _classes(root: Path) -> dict[str, list[str]]:
    """Class name -> sorted image paths, or the error that says what was found instead."""
    classes = {folder.name: image_files(folder) for folder in _folders(root)}
    if len(classes) < 2:
        loose = len(image_files(root)) - sum(map(len, classes.values()))
        found = f"one class folder ({next(iter(classes))})" if classes else "no class folder"
        raise ValueError(
            f"data_dir: {str(root)!r} holds {found} and {loose} images outside any; "
            "put the images into one folder a class, two classes or more; a folder that holds "
            "images and no folder is read without labels by recipes/train_folder.py "
            "(unlabelled=True)."
        )
    if empty := [name for name, images in classes.items() if not images]:
        raise ValueError(
            f"data_dir: {len(empty)} of {len(classes)} class folders in {str(root)!r} hold no "
            f"image ({' '.join(IMAGE_SUFFIXES)}): {', '.join(empty[:5])}; fill or remove them."
        )
    return classes


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir() and not _hidden(path.name))


def image_files(root: str | os.PathLike) -> list[str]:
    """The paths of the images in a folder and below it, sorted; hidden ones are passed over.

    Raises:
        OSError: A folder can't be read.
    """

    def fail(error: OSError):
        raise error

    found = []
    for folder, folders, names in os.walk(root, onerror=fail, followlinks=True):
        folders[:] = [name for name in folders if not _hidden(name)]
        found += [
            os.path.join(folder, name)
            for name in names
            if not _hidden(name) and name.lower().endswith(IMAGE_SUFFIXES)
        ]
    return sorted(found)


def _hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"
