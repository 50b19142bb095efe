"""Synthetic fine-grained birds: a labelled, segmented data set drawn in seconds, with no download.

In the spirit of FunnyBirds (Hesse, Schaub-Meyer, Roth, ICCV 2023): all classes share one body plan
and differ only in which variant of each part they wear.
"""

import math
import os
import re
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np

from keras_cr._numbers import as_whole
from keras_cr.data._arguments import image_side
from keras_cr.data.dataset import FineGrainedDataset
from keras_cr.data.synthetic import parts
from keras_cr.data.synthetic.rendering import draw_image, pillow

_BACKGROUNDS = ("independent", "correlated")
_SUFFIXES = {"jpg": {"quality": 95, "subsampling": 0}, "png": {}}


def synthetic_birds(
    num_classes: int = 8,
    train_per_class: int = 40,
    test_per_class: int = 20,
    image_size: int = 96,
    seed: int = 0,
    background: str = "independent",
) -> FineGrainedDataset:
    """Draws fine-grained birds: species share parts, and only their combination tells them apart.

    A species is a variant of each of six parts: beak, crest, tail, body, eye and wing. Any two
    differ in two parts or more; classes `4 g .. 4 g + 3` form a genus that shares crest, tail and
    body. Species are the same for every seed. All else is drawn for each image, whatever its class:
    place, size (the bird fills some 12 to 34 % of the image), rotation, direction, pose,
    proportions, shades of its colours, light, sharpness, and a cluttered scene with leaves,
    berries, feathers and loose parts of any species.

    Each image has a generator of its own, seeded by seed, class, split and number: image `i` of a
    class and split is the same whatever the number of classes and images. NumPy and Pillow do the
    drawing; another version of theirs may change a pixel.

    Args:
        num_classes: Species, 2 to 2500.
        train_per_class: Training images a class, 1 or more.
        test_per_class: Test images a class, 0 or more.
        image_size: Side of the square images in pixels, 32 or more.
        seed: Non-negative; another seed gives other images of the same species.
        background: `"independent"` draws each image's family of background (sky, foliage, rocks,
            water, meadow or woods) uniformly. `"correlated"`, the hard setting, draws the class's
            preferred family with probability 0.7 and any of the six otherwise; the birds are the
            same ones, at the same places.

    Returns:
        A `FineGrainedDataset` with `images (N, image_size, image_size, 3)` uint8, `labels (N,)`,
        `is_train (N,)`, `boxes (N, 4)` as x, y, width, height in pixels, and `masks
        (N, image_size, image_size)` bool, in order of class, then training before test images.
        The mask is the bird, every part of it; the box is the mask's bounding box.

    Raises:
        ValueError: An argument is out of its range.
        ImportError: Pillow is not installed.

    Example:

    >>> birds = synthetic_birds(num_classes=4, train_per_class=10, test_per_class=5)
    >>> birds.images.shape
    (60, 96, 96, 3)
    """
    for name, value, low, high in (
        ("num_classes", num_classes, 2, parts.MAX_CLASSES),
        ("train_per_class", train_per_class, 1, math.inf),
        ("test_per_class", test_per_class, 0, math.inf),
        ("seed", seed, 0, math.inf),
    ):
        number = as_whole(value)
        if number is None or not low <= number <= high:
            span = f"of {low} or more" if high == math.inf else f"from {low} to {high}"
            raise ValueError(f"{name}: must be an integer {span}; received {value!r}.")
    image_size = image_side(image_size, least=32)
    if background not in _BACKGROUNDS:
        raise ValueError(f"background: must be one of {_BACKGROUNDS}; received {background!r}.")
    pillow()

    rows = [
        (label, split, index)
        for label in range(num_classes)
        for split, count in enumerate((train_per_class, test_per_class))
        for index in range(count)
    ]
    images = np.empty((len(rows), image_size, image_size, 3), np.uint8)
    masks = np.empty((len(rows), image_size, image_size), bool)
    for row, key in enumerate(rows):
        images[row], masks[row] = draw_image(key, image_size, seed, background == "correlated")
    labels, splits, _ = np.array(rows).T
    return FineGrainedDataset(
        name="synthetic_birds",
        images=images,
        labels=labels,
        class_names=[parts.species(label).name for label in range(num_classes)],
        is_train=splits == 0,
        boxes=np.stack([_bounding_box(mask) for mask in masks]),
        masks=masks,
    )


def write_cub_layout(
    dataset: FineGrainedDataset, folder: str | os.PathLike, image_format: str = "jpg"
) -> Path:
    """Writes a data set held in memory in the official layout of CUB-200-2011.

    The folder gets `CUB_200_2011/` with `images/001.Name/Name_0001.jpg`, `images.txt`,
    `image_class_labels.txt`, `train_test_split.txt` and `classes.txt`; `bounding_boxes.txt` where
    the data set has boxes; and `segmentations/001.Name/Name_0001.png` (0 and 255) beside
    `CUB_200_2011/` where it has masks. It appears complete or not at all.

    Args:
        dataset: Images `(N, H, W, 3)`, labels `(N,)`, and masks `(N, H, W)` or None.
        folder: A path that does not exist yet, or an empty folder.
        image_format: `"jpg"`, of quality 95, or `"png"`, which keeps every pixel.

    Returns:
        The path of `CUB_200_2011`, ready for `read_cub`.

    Raises:
        FileExistsError: `folder` is a file, or a folder that is not empty.
        ValueError: The data set's images or masks are paths, it has no labels, or `image_format`
            is unknown.
        ImportError: Pillow is not installed.

    Example:

    >>> write_cub_layout(synthetic_birds(2, 2, 2), "birds")
    PosixPath('birds/CUB_200_2011')
    """
    if image_format not in _SUFFIXES:
        raise ValueError(
            f"image_format: must be one of {tuple(_SUFFIXES)}; received {image_format!r}."
        )
    for field, optional in (("images", False), ("labels", False), ("masks", True)):
        value = getattr(dataset, field)
        if not (isinstance(value, np.ndarray) or (optional and value is None)):
            kind = "None" if value is None else "paths"
            raise ValueError(f"dataset: its {field} must be an array; received {kind}.")
    pillow()
    folder = Path(folder).expanduser()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f"folder: must be new or empty, and {str(folder)!r} is not.")

    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as parent:
        partial = Path(parent, folder.name)
        _write_files(dataset, partial, image_format)
        if folder.exists():
            folder.rmdir()
        os.replace(partial, folder)
    return folder / "CUB_200_2011"


def _write_files(dataset: FineGrainedDataset, folder: Path, image_format: str) -> None:
    Image, _, _ = pillow()
    names = [re.sub(r"[^\w-]+", "_", re.sub(r"^\d+\.", "", n)) for n in dataset.class_names]
    root, classes = folder / "CUB_200_2011", [f"{i:03d}.{name}" for i, name in enumerate(names, 1)]
    paths, seen = [], Counter()
    for label in dataset.labels.tolist():
        seen[label] += 1
        paths.append(f"{classes[label]}/{names[label]}_{seen[label]:04d}.{image_format}")

    def save(pixels: np.ndarray, file: Path, **options) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(file, **options)

    for path, pixels in zip(paths, dataset.images, strict=True):
        save(pixels, root / "images" / path, **_SUFFIXES[image_format])
    if dataset.masks is not None:
        half = 0 if dataset.masks.dtype == bool else 127
        for path, mask in zip(paths, dataset.masks, strict=True):
            foreground = np.uint8(255) * (mask > half)
            save(foreground, (folder / "segmentations" / path).with_suffix(".png"))

    columns = {
        "images": paths,
        "image_class_labels": [label + 1 for label in dataset.labels.tolist()],
        "train_test_split": [int(train) for train in dataset.is_train],
        "classes": classes,
    }
    if dataset.boxes is not None:
        boxes = dataset.boxes.tolist()
        columns["bounding_boxes"] = [" ".join(f"{side:.1f}" for side in box) for box in boxes]
    for name, column in columns.items():
        lines = (f"{number} {value}\n" for number, value in enumerate(column, 1))
        (root / f"{name}.txt").write_text("".join(lines), encoding="utf-8")


def _bounding_box(mask: np.ndarray) -> np.ndarray:
    """`(4,)`: x, y, width and height of a mask's pixels."""
    columns, rows = (np.flatnonzero(mask.any(axis)) for axis in (0, 1))
    return np.array([columns[0], rows[0], np.ptp(columns) + 1, np.ptp(rows) + 1], dtype=np.float64)
