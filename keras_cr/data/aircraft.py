"""FGVC-Aircraft 2013b: the official folder, read as it is; or downloaded first."""

import os
from pathlib import Path
from typing import Literal

import numpy as np

from keras_cr.data._official import (
    check_classes,
    check_listed,
    find_root,
    read_names,
    read_table,
    sound_box,
)
from keras_cr.data.dataset import FineGrainedDataset
from keras_cr.data.download import Archive, fetch

BANNER = 20  # rows at the bottom of every image that name its owner
_LAYOUT = "FGVC-Aircraft 2013b"
_FOLDERS = ("data", "fgvc-aircraft-2013b/data")
_CLASSES = {
    "variant": "variants.txt",
    "family": "families.txt",
    "manufacturer": "manufacturers.txt",
}

# As several projects state what the URL serves; the MD5 sum on the page beside it is another's.
AIRCRAFT = Archive(
    name="fgvc-aircraft-2013b.tar.gz",
    url="https://www.robots.ox.ac.uk/~vgg/data/fgvc-aircraft/archives/fgvc-aircraft-2013b.tar.gz",
    sha256="e4e323d410e29f0370c81eabdcbb0e2b813acea1de22891b70b58ff41bfc9834",
    size=2753340328,
)


def read_aircraft(
    data_dir: str | os.PathLike,
    annotation: Literal["variant", "family", "manufacturer"] = "variant",
) -> FineGrainedDataset:
    """Reads the official layout of FGVC-Aircraft 2013b, or any data written in it.

    Training images are those of `trainval`. The bottom 20 rows of every image, which name its
    owner, are cut off whenever one is read (`crop_bottom`), as the data set's authors ask.
    `images_box.txt` is optional.

    Args:
        data_dir: The folder `data`, the folder `fgvc-aircraft-2013b` that holds it, or the folder
            that holds that one.
        annotation: The level of the labels: 100 variants, 70 families or 41 manufacturers.

    Returns:
        The dataset, sorted by image id, with labels in the order of `variants.txt`, and boxes as
        x, y, width, height counted from 0 (the file counts pixels from 1 and includes the last).

    Raises:
        FileNotFoundError: A text file or a listed image is missing.
        ValueError: `annotation` is none of the three, a line is malformed, an image is in both
            splits or lacks a box, a class is unknown or has no image.

    Example:

    >>> aircraft = read_aircraft("data/fgvc-aircraft-2013b")
    >>> aircraft.num_classes
    100
    """
    if annotation not in _CLASSES:
        raise ValueError(
            f"annotation: must be one of {', '.join(_CLASSES)}; received {annotation!r}."
        )
    listing = f"images_{annotation}_trainval.txt"
    root = find_root(data_dir, _FOLDERS, listing)
    if root is None:
        raise FileNotFoundError(
            f"data_dir: {os.fspath(data_dir)!r} holds no {listing}, neither itself nor in "
            f"{' or '.join(_FOLDERS)}; give the folder extracted from {AIRCRAFT.name} "
            f"({AIRCRAFT.url})."
        )
    class_names = read_names(root / _CLASSES[annotation], _LAYOUT)
    splits = {
        split: _table(root / f"images_{annotation}_{split}.txt", str, "an id and a class")
        for split in ("trainval", "test")
    }
    if both := sorted(set(splits["trainval"]) & set(splits["test"])):
        raise ValueError(
            f"{root / listing}: {len(both)} images are listed for the test split too, the first is "
            f"{both[0]}."
        )
    class_of = splits["trainval"] | splits["test"]
    rank = {name: label for label, name in enumerate(class_names)}
    if unknown := sorted(set(class_of.values()) - set(rank)):
        raise ValueError(
            f"{root / listing}: classes {unknown[:5]}, there or in the test split's file, are not "
            f"in {_CLASSES[annotation]}."
        )
    ids = sorted(class_of)
    labels = np.array([rank[class_of[i]] for i in ids], dtype="int32")
    check_classes(labels, class_names, root / _CLASSES[annotation])
    images = [root / "images" / f"{i}.jpg" for i in ids]
    check_listed(images, root / listing, AIRCRAFT.name)
    return FineGrainedDataset(
        name="fgvc_aircraft" + ("" if annotation == "variant" else f"_{annotation}"),
        images=[str(path) for path in images],
        labels=labels,
        class_names=class_names,
        is_train=np.array([i in splits["trainval"] for i in ids], dtype=bool),
        boxes=_boxes(root / "images_box.txt", ids),
        crop_bottom=BANNER,
    )


def download_aircraft(
    data_dir: str | os.PathLike | None = None, archive: Archive = AIRCRAFT
) -> FineGrainedDataset:
    """Downloads, verifies and extracts the official archive with TFDS's downloader, and reads it.

    What was fetched once is not fetched again and needs no network. The archive has 2.8 GB.

    Args:
        data_dir: TFDS's data folder; None takes `$TFDS_DATA_DIR`, else ~/tensorflow_datasets.
        archive: The archive that holds fgvc-aircraft-2013b/.

    Returns:
        What `read_aircraft` returns of the extracted folder.

    Raises:
        ImportError: tensorflow_datasets is not installed.
        ConnectionError: The archive cannot be fetched.
        ValueError: The archive's size or checksum is not the expected one, or it does not extract.

    Example:

    >>> dataset = download_aircraft()
    """
    return read_aircraft(fetch(archive, "fgvc_aircraft", data_dir))


def _table(path: Path, parse, expected: str) -> dict:
    return read_table(path, parse, expected, _LAYOUT, key=str)


def _boxes(path: Path, ids: list[str]) -> np.ndarray | None:
    if not path.is_file():
        return None
    boxes = _table(path, _box, "an id, xmin, ymin, xmax, ymax, all finite and in order")
    if missing := [i for i in ids if i not in boxes]:
        raise ValueError(
            f"{path}: {len(missing)} of {len(ids)} images have no line, the first is {missing[0]}."
        )
    return np.array([boxes[i] for i in ids], dtype="float32")


def _box(text: str) -> list[float]:
    x, y, last_x, last_y = map(float, text.split())
    return sound_box(x - 1, y - 1, last_x - x + 1, last_y - y + 1)
