"""Any images: one folder a class, with or without splits above them; or no classes."""

import os
import warnings
from pathlib import Path
from typing import Literal

import numpy as np

from keras_cr._text import printable
from keras_cr.data._arguments import folder_path, real, whole
from keras_cr.data._layout import (
    UNLABELLED,
    Layout,
    check_same_classes,
    class_images,
    layout_of,
)
from keras_cr.data.dataset import FineGrainedDataset
from keras_cr.data.walk import PassedOver, Walk, told

HELD_OUT = 0.2  # share of each class, where test images are wanted and none are set apart
OUT_OF_SPLIT = "outside any split"
_ROLES = ("train", "test", "out")


def read_image_folder(
    data_dir: str | os.PathLike,
    test_fraction: float | None = 0.0,
    seed: int = 0,
    unlabelled: bool = False,
    validation: Literal["train", "test", "out"] | None = None,
) -> FineGrainedDataset:
    """Reads class folders, `data_dir/CLASS/...`, or `data_dir/{train,test}/CLASS/...`.

    A class's images may lie in folders below its own. Files are read by their suffix: .jpg .jpeg
    .jpe .jif .jfif .pjp .pjpeg .png .bmp .dib .gif .webp .jxl. Hidden files and
    folders (`._` ones among them) and those of systems (`__MACOSX`, `@eaDir`) are left alone;
    every other file that looks like an image and is not read is counted and named in a warning.
    Links are followed, each real folder once.

    Splits are known by the usual names in any case: train, training; test, testing; val, valid,
    validation, dev, eval; where both are told so, by names such as `training_set`, `1_train` and
    `seg_test` too. A training folder that holds folders makes the second layout. Where
    there is no test folder, the validation folder's images are the test images; where there is
    one, they are left out with a warning, unless `validation` says otherwise.

    Args:
        data_dir: The folder.
        test_fraction: Share of each class's images, in [0, 1), set aside as test images where the
            folder has no split of its own. A class keeps at least one training image. None takes
            the folder's own test images, or a fifth where it has none.
        seed: Decides which images are set aside.
        unlabelled: Whether images with no class folder are read as images without labels, instead
            of refused: all for training where they lie in `data_dir` itself.
        validation: What the images of a validation folder are: `"train"` or `"test"` images beside
            those of that split's own folder, or left `"out"`. None: as above.

    Returns:
        The images sorted by class and path, classes sorted by name, without boxes and masks.
        With neither a split nor a `test_fraction` every image is a training image.

    Raises:
        FileNotFoundError: `data_dir` is not a folder.
        PermissionError: A folder in it may not be read.
        ValueError: There are fewer than two classes, a class without images, a test class that is
            not in the training folder, a folder that is no split beside those that are, a folder
            that two classes or splits share by a link, or a `test_fraction` outside [0, 1) or given
            beside a test folder; or `validation` is another word.

    Warns:
        UserWarning: Something that looks like images was passed over; it says what.

    Example:

    >>> dataset = read_image_folder("flowers", test_fraction=0.2)
    >>> train, test = dataset.split("train"), dataset.split("test")
    """
    dataset, passed_over, remarks = read_folder(
        data_dir, test_fraction, seed, unlabelled, validation
    )
    if text := told(passed_over):
        remarks = [*remarks, text]
    for remark in remarks:
        warnings.warn(remark, stacklevel=2)
    return dataset


def read_folder(
    data_dir: str | os.PathLike,
    test_fraction: float | None = 0.0,
    seed: int = 0,
    unlabelled: bool = False,
    validation: str | None = None,
) -> tuple[FineGrainedDataset, list[PassedOver], list[str]]:
    """`read_image_folder`, with what it would warn of: what was passed over, and other remarks."""
    root, seed = folder_path(data_dir), whole("seed", seed, least=0)
    if not root.is_dir():
        raise FileNotFoundError(
            f"data_dir: {printable(root)!r} is not a folder; give one of images."
        )
    if test_fraction is not None and not 0 <= real("test_fraction", test_fraction) < 1:
        raise ValueError(f"test_fraction: must lie in [0, 1); received {test_fraction}.")
    if validation not in (None, *_ROLES):
        raise ValueError(
            f"validation: must be one of {', '.join(_ROLES)} or None; received {validation!r}."
        )
    walk = Walk(root)
    layout = layout_of(root, walk)
    parts = _parts(layout, root, test_fraction, validation, walk)
    if layout.splits:
        loose = walk.loose_images(root)
        walk.passed_over += [PassedOver(path, OUT_OF_SPLIT) for path in loose]
    if layout.has_classes:
        images, labels, is_train, class_names = _classes(parts, walk, test_fraction, seed)
    else:
        images, is_train = _without_classes(parts, walk, root, unlabelled)
        labels, class_names = None, []
    dataset = FineGrainedDataset(
        name=printable(root.resolve().name),
        images=images,
        labels=labels,
        class_names=class_names,
        is_train=np.array(is_train, dtype=bool),
    )
    return dataset, walk.passed_over, layout.remarks


Parts = dict[str, list[Path]]  # "train" and "test" -> the folders whose images it has


def _parts(
    layout: Layout, root: Path, test_fraction: float | None, validation: str | None, walk: Walk
) -> Parts:
    """Decides what becomes of each split's folder."""
    if not layout.splits:
        return {"train": [root], "test": []}
    for folder in layout.splits.values():
        walk.claim(str(folder))
    parts = {split: [layout.splits[split]] if split in layout.splits else [] for split in _ROLES}
    if held := layout.splits.get("validation"):
        role = validation or ("out" if parts["test"] else "test")
        parts[role].append(held)
        if role == "out":
            images = walk.images(held)
            layout.remarks.append(
                f"Left out {len(images)} validation images in {printable(held)!r}; to train on "
                "them, move them into the training folder, or give read_image_folder "
                "validation='train'."
            )
    if parts["test"] and test_fraction:
        raise ValueError(
            f"test_fraction: {test_fraction} asks for a split, but "
            f"{printable(parts['test'][0])!r} already is one; leave test_fraction at 0, or give "
            "the train folder as data_dir."
        )
    return parts


def _classes(
    parts: Parts, walk: Walk, test_fraction: float | None, seed: int
) -> tuple[list[str], np.ndarray, list[bool], list[str]]:
    """Images, labels, whether they are training images, and the classes' names."""
    found = {}
    for split in ("train", "test"):
        found[split] = {}
        for root in parts[split]:
            prefix = f"{root.name}/" if parts["train"] != [root] or parts["test"] else ""
            classes = class_images(root, walk, prefix)
            if root != parts["train"][0]:
                check_same_classes(found["train"], classes, parts["train"][0], root)
            for name, images in classes.items():
                found[split].setdefault(name, []).extend(images)
    if test_fraction is None:
        test_fraction = 0.0 if parts["test"] else HELD_OUT
    generator = np.random.default_rng(seed)
    images, labels, is_train = [], [], []
    for label, name in enumerate(found["train"]):
        own, tests = found["train"][name], found["test"].get(name, [])
        kept = np.ones(len(own), dtype=bool)
        held_out = min(round(test_fraction * len(kept)), len(kept) - 1)
        kept[generator.permutation(len(kept))[:held_out]] = False
        images += [*own, *tests]
        labels += [label] * (len(own) + len(tests))
        is_train += [*kept, *[False] * len(tests)]
    return images, np.array(labels, dtype="int32"), is_train, list(found["train"])


def _without_classes(
    parts: Parts, walk: Walk, root: Path, unlabelled: bool
) -> tuple[list[str], list[bool]]:
    """Images, and whether they are training images."""
    found = {
        split: [path for folder in parts[split] for path in walk.loose_images(folder)]
        for split in ("train", "test")
    }
    if not unlabelled or not found["train"]:
        number = sum(map(len, found.values()))
        seen = f" {text}" if (text := told(walk.passed_over)) else ""
        raise ValueError(
            f"data_dir: {printable(root)!r} holds no class folder and {number} images outside any; "
            f"put the images into one folder a class, two classes or more; {UNLABELLED}.{seen}"
        )
    images = [*found["train"], *found["test"]]
    return images, [True] * len(found["train"]) + [False] * len(found["test"])
