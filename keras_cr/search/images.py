"""The images an index is given: a folder, files, pixels or a data set, each with its name."""

import collections
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_cr.data import FineGrainedDataset
from keras_cr.data.walk import Walk, told
from keras_cr.search.store import column_of
from keras_cr.visualization._inputs import read

Images = FineGrainedDataset | str | os.PathLike | Sequence[str | os.PathLike] | np.ndarray


def as_dataset(images: Images) -> tuple[FineGrainedDataset, str | None]:
    """Images as a data set, and the folder that was named, if it was one.

    Raises:
        FileNotFoundError: a folder is not there, or holds no image.
        ValueError: there is none, or pixels that are not uint8 (N, H, W, 3).
    """
    if isinstance(images, FineGrainedDataset):
        return images, None
    folder = None
    if isinstance(images, str | os.PathLike):
        folder = os.path.abspath(os.path.expanduser(images))
        images = _in_folder(folder)
    elif not isinstance(images, np.ndarray):
        images = list(images)
    if not len(images):
        raise ValueError("`images` must hold an image or more; it is empty.")
    return FineGrainedDataset("images", images, None, [], np.zeros(len(images), bool)), folder  # type: ignore[arg-type]


def _in_folder(folder: str) -> list[str]:
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"`images`: there is no folder {folder!r}; give a list for files.")
    walk = Walk(folder)
    if not (images := walk.images(folder)):
        raise FileNotFoundError(
            f"`images`: {folder!r} holds no image. {told(walk.passed_over)}".rstrip()
        )
    return images


def names_of(
    dataset: FineGrainedDataset, names: Sequence[str] | None, folder: str | None
) -> list[str]:
    """The images' names: those given, or their paths, below `folder` where they lie in it.

    Raises:
        ValueError: pixels without names, another number of names, or one that is there twice.
    """
    if names is None:
        if isinstance(dataset.images, np.ndarray):
            raise ValueError("`names` must be given for images that are pixels: one each.")
        names = [below(path, folder) for path in dataset.images]
    names = [os.fspath(name) for name in names]
    if len(names) != len(dataset):
        raise ValueError(f"`names`: {len(names)} for {len(dataset)} images.")
    name, times = collections.Counter(names).most_common(1)[0]
    if times > 1:
        raise ValueError(f"`names` must differ; {name!r} is there {times} times.")
    return names


def below(path: str, folder: str | None) -> str:
    """A path as it is named below a folder; outside of it, in full."""
    if folder is None:
        return path
    inside = os.path.relpath(os.path.abspath(path), folder)
    return os.path.abspath(path) if inside.split(os.sep)[0] == os.pardir else inside


def columns_of(
    dataset: FineGrainedDataset, metadata: Mapping[str, Sequence] | None
) -> dict[str, np.ndarray]:
    """A data set's classes and the caller's own metadata, as columns.

    Raises:
        ValueError: a column has another length or holds neither text, numbers nor booleans.
    """
    columns: dict[str, Sequence] = {}
    if dataset.labels is not None:
        columns["class"] = [str(dataset.class_names[label]) for label in dataset.labels]
    columns |= metadata or {}
    return {str(name): column_of(name, values, len(dataset)) for name, values in columns.items()}


def as_queries(images: Any) -> tuple[bool, list | np.ndarray]:
    """Whether a query is a single one, and queries as a list of files or uint8 (Q, H, W, 3).

    Raises:
        ValueError: they are neither files nor RGB 0..255.
    """
    if isinstance(images, str | os.PathLike):
        return True, [images]
    if isinstance(images, list | tuple) and all(isinstance(i, str | os.PathLike) for i in images):
        return False, list(images)
    pixels = np.asarray(images)
    if pixels.ndim not in (3, 4) or pixels.shape[-1] != 3 or not pixels.size:
        raise ValueError(
            "`images` must be a file, a list of files, or RGB pixels of shape (H, W, 3) or "
            f"(Q, H, W, 3); received {_received(images, pixels)}."
        )
    single = pixels.ndim == 3
    return single, read(pixels[None] if single else pixels)


def _received(images: Any, pixels: np.ndarray) -> str:
    numbers = pixels.ndim and pixels.dtype.kind in "biuf"
    return f"shape {pixels.shape}" if numbers else f"{images!r:.200}"
