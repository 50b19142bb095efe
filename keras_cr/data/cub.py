"""CUB-200-2011: the official folder, read as it is; or downloaded first, then read the same way."""

import functools
import os
from pathlib import Path

import numpy as np

from keras_cr.data._arguments import folder_path
from keras_cr.data._official import (
    check_classes,
    check_listed,
    check_names,
    find_root,
    read_table,
    sound_box,
)
from keras_cr.data.dataset import FineGrainedDataset
from keras_cr.data.download import Archive, fetch

_FOLDER = "CUB_200_2011"
_BOX = "an id, x, y, width, height, all finite and the sides above 0"
_table = functools.partial(read_table, layout=_FOLDER)

# TFDS 4.9.10, url_checksums/caltech_birds2011.txt
CUB_IMAGES = Archive(
    name="CUB_200_2011.tgz",
    url="https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz?download=1",
    sha256="0c685df5597a8b24909f6a7c9db6d11e008733779a671760afef78feb49bf081",
    size=1150585339,
)
CUB_SEGMENTATIONS = Archive(
    name="segmentations.tgz",
    url="https://data.caltech.edu/records/w9d68-gec53/files/segmentations.tgz?download=1",
    sha256="dc77f6cffea0cbe2e41d4201115c8f29a6320ecb04fffd2444f51b8066e4b84f",
    size=39272883,
)


def read_cub(
    data_dir: str | os.PathLike, segmentations_dir: str | os.PathLike | None = None
) -> FineGrainedDataset:
    """Reads the official CUB_200_2011 layout, or any data written in it.

    The text files are joined by image id, whatever the order of their lines; images come sorted by
    id. `bounding_boxes.txt` and the masks are optional.

    Args:
        data_dir: The CUB_200_2011 folder, or the folder that holds it.
        segmentations_dir: The folder of masks, with the images' relative paths and suffix .png;
            None looks for `segmentations` inside the CUB_200_2011 folder, then beside it.

    Returns:
        The dataset, with labels from 0 in the order of `classes.txt`'s ids.

    Raises:
        FileNotFoundError: A text file or a listed image is missing.
        ValueError: A line is malformed, the files disagree on ids, an image or a class is listed
            twice, or a class has no image.

    Example:

    >>> read_cub("data/CUB_200_2011").num_classes
    200
    """
    root = find_root(data_dir, [_FOLDER], "images.txt")
    if root is None:
        raise FileNotFoundError(
            f"data_dir: {os.fspath(data_dir)!r} holds no images.txt, neither itself nor in "
            f"{_FOLDER}/; give the folder extracted from {CUB_IMAGES.name} ({CUB_IMAGES.url})."
        )
    names = _table(root / "images.txt", str, "an id and a path")
    classes = _table(root / "classes.txt", str, "an id and a name")
    labels = _table(root / "image_class_labels.txt", int, "two integers", of=names)
    is_train = _table(root / "train_test_split.txt", _flag, "an id and 0 or 1", of=names)
    boxes = None
    if (root / "bounding_boxes.txt").is_file():
        boxes = _table(root / "bounding_boxes.txt", _box, _BOX, of=names)

    rank = {class_id: label for label, class_id in enumerate(sorted(classes))}
    if unknown := sorted(set(labels.values()) - set(rank)):
        raise ValueError(
            f"{root / 'image_class_labels.txt'}: class ids {unknown[:5]} are not in classes.txt."
        )
    ids = sorted(names)
    images = [root / "images" / names[i] for i in ids]
    check_listed(images, root / "images.txt", CUB_IMAGES.name)
    class_names = [classes[i] for i in sorted(classes)]
    check_names(class_names, root / "classes.txt")
    label_of = np.array([rank[labels[i]] for i in ids], dtype="int32")
    check_classes(label_of, class_names, root / "classes.txt")
    return FineGrainedDataset(
        name=root.resolve().name.lower(),
        images=[str(path) for path in images],
        labels=label_of,
        class_names=class_names,
        is_train=np.array([is_train[i] for i in ids], dtype=bool),
        boxes=boxes and np.array([boxes[i] for i in ids], dtype="float32"),  # type: ignore[arg-type]
        masks=_masks(root, [names[i] for i in ids], segmentations_dir),
    )


def download_cub(
    data_dir: str | os.PathLike | None = None,
    images: Archive = CUB_IMAGES,
    segmentations: Archive | None = CUB_SEGMENTATIONS,
) -> FineGrainedDataset:
    """Downloads, verifies and extracts the official archives with TFDS, then reads them.

    What was fetched once, also by TFDS's own `caltech_birds2011`, is not fetched again and needs
    no network. The images' archive has 1.1 GB.

    Args:
        data_dir: TFDS's data folder; None takes `$TFDS_DATA_DIR`, else ~/tensorflow_datasets.
        images: The archive that holds CUB_200_2011/.
        segmentations: The archive that holds segmentations/; None leaves the masks out.

    Returns:
        What `read_cub` returns of the extracted folders.

    Raises:
        ImportError: tensorflow_datasets is not installed.
        ConnectionError: An archive cannot be fetched.
        ValueError: An archive's size or checksum is not the expected one, or it does not extract.

    Example:

    >>> dataset = download_cub()
    """
    extracted = [
        fetch(archive, "caltech_birds2011", data_dir) if archive else None
        for archive in (images, segmentations)
    ]
    return read_cub(extracted[0], extracted[1] and extracted[1] / "segmentations")  # type: ignore[arg-type]


def _flag(text: str) -> bool:
    if text not in ("0", "1"):
        raise ValueError(text)
    return text == "1"


def _box(text: str) -> list[float]:
    x, y, width, height = map(float, text.split())
    return sound_box(x, y, width, height)


def _masks(root: Path, names: list[str], given) -> list[str | None] | None:
    if given is not None:
        folder = folder_path(given, "segmentations_dir")
        if not folder.is_dir():
            raise FileNotFoundError(f"segmentations_dir: {str(folder)!r} is not a folder of masks.")
    else:
        beside = (root / "segmentations", root.resolve().parent / "segmentations")
        folder = next((path for path in beside if path.is_dir()), None)
    if folder is None:
        return None
    paths = [(folder / name).with_suffix(".png") for name in names]
    masks = [str(path) if path.is_file() else None for path in paths]
    return masks if any(masks) else None
