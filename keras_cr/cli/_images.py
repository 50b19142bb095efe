"""The images a command is given: found, checked, read batch by batch."""

import argparse
import collections
import glob
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from keras_cr._progress import tracked

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from keras_cr.data import FineGrainedDataset


def find_images(arguments: Sequence[str], without: "Sequence[Path]" = ()) -> dict[str, str]:
    """The image files that arguments name, each once.

    Args:
        arguments: files, whatever their suffix; folders, searched with all folders below them; or
            patterns, of which `**` stands for any folders. In folders and patterns, hidden files
            and those with the suffix of no image are passed over.
        without: files and folders to pass over, such as pictures of an earlier call.

    Returns:
        {path: its name, which for an image from a folder is the path below that folder}, in the
        order of the arguments and sorted within each.

    Raises:
        FileNotFoundError: an argument names no image.
    """
    from keras_cr.data.folder import IMAGE_SUFFIXES, image_files

    left_out = [os.path.abspath(path) for path in without]
    found, seen = {}, set()
    for argument in arguments:
        given = os.path.expanduser(argument)
        exists = os.path.exists(given)
        named = []
        for path in [given] if exists else sorted(glob.glob(given, recursive=True)):
            if os.path.isdir(path):
                named += [(image, os.path.relpath(image, path)) for image in image_files(path)]
            elif exists or path.lower().endswith(IMAGE_SUFFIXES):
                named.append((path, os.path.basename(path)))
        if not named:
            what = "holds no image" if exists else "is no file or folder, and no image matches it"
            raise FileNotFoundError(f"IMAGES: {argument!r} {what} ({' '.join(IMAGE_SUFFIXES)}).")
        for path, name in named:
            whole = os.path.abspath(path)
            if whole not in seen and not any(_within(whole, folder) for folder in left_out):
                found[path] = name
            seen.add(whole)
    if not found:
        raise FileNotFoundError(
            f"IMAGES: {', '.join(map(repr, arguments[:3]))} hold nothing but what --output is to "
            "replace; name other images."
        )
    return found


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder + os.sep)


def readable_images(
    args: argparse.Namespace, without: "Sequence[Path]" = ()
) -> "tuple[FineGrainedDataset, list[str]]":
    """The images of `args.images` as a data set without labels, and their names.

    Args:
        args: with `images` and `skip_bad`.
        without: as for `find_images`.

    Raises:
        FileNotFoundError: as `find_images`.
        UnreadableImageError: an image can't be read and `--skip-bad` is off, or none can.
    """
    from keras_cr.data import FineGrainedDataset

    found = find_images(args.images, without)
    dataset = FineGrainedDataset(
        name=", ".join(args.images[:3]) + (", ..." if len(args.images) > 3 else ""),
        images=list(found),
        labels=None,
        class_names=[],
        is_train=[False] * len(found),
    )
    dataset, _ = checked(dataset, args)
    return dataset, [found[path] for path in dataset.images]


def checked(
    dataset: "FineGrainedDataset", args: argparse.Namespace
) -> "tuple[FineGrainedDataset, list[str]]":
    """`keras_cr.data.check_images` as `--skip-bad` says; tells on stderr what is left out."""
    from keras_cr.data import check_images

    dataset, bad = check_images(dataset, skip_bad=args.skip_bad)
    if bad:
        print(f"Left out {len(bad)} unreadable images:", *bad, sep="\n  ", file=sys.stderr)
    return dataset, bad


def batches(
    dataset: "FineGrainedDataset", image_size: int, batch_size: int, title: str
) -> "Iterator[np.ndarray]":
    """The images as evaluation sees them, (B, image_size, image_size, 3) float32, RGB 0..255.

    A line on stderr, under `title`, tells how many of them have been dealt with.
    """
    from keras_cr.data import image_batches

    stream = image_batches(dataset, image_size, batch_size).as_numpy_iterator()
    return tracked(stream, title, len(dataset), leave=False)


def picture_names(names: Iterable[str]) -> list[str]:
    """Names of PNG files, one an image: `a/b.jpg` gives `a/b.png`.

    Equal ones are numbered, `a/b-2.png`, and so are those that differ in case alone, which some
    file systems don't tell apart.
    """
    pictures, taken = [], set()
    numbers = collections.Counter()
    for name in names:
        stem = os.path.splitext(name)[0]
        picture = f"{stem}.png"
        while picture.lower() in taken:
            numbers[stem.lower()] += 1
            picture = f"{stem}-{1 + numbers[stem.lower()]}.png"
        taken.add(picture.lower())
        pictures.append(picture)
    return pictures
