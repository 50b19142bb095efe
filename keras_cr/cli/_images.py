"""The images a command is given: found, checked, read batch by batch."""

import argparse
import collections
import glob
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from keras_cr._progress import tracked
from keras_cr._text import printable

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from keras_cr.data import FineGrainedDataset
    from keras_cr.data.walk import PassedOver


def find_images(arguments: Sequence[str], without: "Sequence[Path]" = ()) -> dict[str, str]:
    """The image files that arguments name, each once.

    Args:
        arguments: files, whatever their suffix; folders, searched with all folders below them; or
            patterns, of which `**` stands for any folders. In folders and patterns, hidden files
            and those with the suffix of no image are passed over; those that look like images all
            the same are named on stderr. Each real folder is searched once.
        without: files and folders to pass over, such as pictures of an earlier call.

    Returns:
        {path: its name, which for an image from a folder is the path below that folder}, in the
        order of the arguments and sorted within each.

    Raises:
        FileNotFoundError: an argument names no image, or what is no regular file.
    """
    from keras_cr.data.files import IMAGE_SUFFIXES
    from keras_cr.data.walk import told

    left_out = [_real(os.fspath(path)) for path in without]
    found, seen, passed_over = {}, set(), []
    for argument in arguments:
        given = os.path.expanduser(argument)
        exists = os.path.lexists(given)
        named, others = _named(given) if exists else _matching(given)
        if not named:
            what = "holds no image" if exists else "is no file or folder, and no image matches it"
            suffixes, seen_others = " ".join(IMAGE_SUFFIXES), told(others)
            raise FileNotFoundError(
                f"IMAGES: {printable(argument)!r} {what} ({suffixes}). {seen_others}".rstrip()
            )
        passed_over += others
        for path, name in named:
            whole = _real(path)
            if whole not in seen and not any(_within(whole, folder) for folder in left_out):
                found[path] = name
            seen.add(whole)
    if not found:
        raise FileNotFoundError(
            f"IMAGES: {', '.join(map(repr, map(printable, arguments[:3])))} hold nothing but what "
            "--output is to replace; name other images."
        )
    if passed_over:
        print(told(list(dict.fromkeys(passed_over))), file=sys.stderr)
    return found


def _named(path: str) -> "tuple[list[tuple[str, str]], list[PassedOver]]":
    """The images of a file or folder, with their names, and what was passed over.

    Raises:
        FileNotFoundError: it is neither.
    """
    from keras_cr.data.files import file_fault
    from keras_cr.data.walk import Walk

    if os.path.isdir(path):
        walk = Walk(path)
        images = walk.images(path)
        return [(image, os.path.relpath(image, path)) for image in images], walk.passed_over
    if not os.path.isfile(path) and (fault := file_fault(path)):
        raise FileNotFoundError(f"IMAGES: {printable(path)!r}: {fault}.")
    return [(path, os.path.basename(path))], []


def _matching(pattern: str) -> "tuple[list[tuple[str, str]], list[PassedOver]]":
    """As `_named`, of all that a pattern matches."""
    from keras_cr.data.walk import PassedOver, look_at

    images, passed_over = [], []
    for path in sorted(_expanded(pattern)):
        if os.path.isdir(path):
            inside, others = _named(path)
            images += inside
            passed_over += others
            continue
        is_image, why = look_at(path, os.path.isfile(path))
        if is_image:
            images.append((path, os.path.basename(path)))
        elif why:
            passed_over.append(PassedOver(path, why))
    return images, passed_over


def _expanded(pattern: str) -> list[str]:
    """`glob.glob(pattern, recursive=True)`, but `**` enters each real folder once."""
    from keras_cr.data.walk import Walk

    parts = pattern.split(os.sep)
    if "**" not in parts:
        return glob.glob(pattern)
    place = parts.index("**")
    before, after = os.sep.join(parts[:place]), os.sep.join(parts[place + 1 :])
    before += os.sep if parts[:place] == [""] else ""
    found = []
    for base in glob.glob(before) if before else [os.curdir]:
        for folder in Walk(base).folders(base) if os.path.isdir(base) else ():
            folder = os.path.normpath(folder) if not before else folder
            inside = "" if folder == os.curdir else glob.escape(os.path.join(folder, ""))
            found += _expanded(inside + after) if after else [folder]
    return found


def _real(path: str) -> str:
    """A file's own name in its real folder: a link to a file is another file."""
    folder, name = os.path.split(os.path.abspath(path))
    return os.path.join(os.path.realpath(folder), name)


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder + os.sep)


def tell_of_pictures_among(arguments: Sequence[str], output: "Path") -> None:
    """Says on stderr where `output` lies among images, which pictures in it then seem to be."""
    place = os.path.realpath(output)
    folders = [folder for each in arguments if os.path.isdir(folder := os.path.expanduser(each))]
    if any(_within(place, os.path.realpath(folder)) for folder in folders):
        print(
            f"Note: --output {printable(os.fspath(output))!r} lies in IMAGES: other commands will "
            "take its pictures for photographs. A folder beside it keeps them apart.",
            file=sys.stderr,
        )


def readable_images(
    args: argparse.Namespace, without: "Sequence[Path]" = ()
) -> "tuple[FineGrainedDataset, list[str]]":
    """The images of `args.images` as a data set without labels, and their names.

    Args:
        args: with `images`, `skip_bad` and `max_pixels`.
        without: as for `find_images`.

    Raises:
        FileNotFoundError: as `find_images`.
        UnreadableImageError: an image can't be read and `--skip-bad` is off, or none can.
    """
    found = find_images(args.images, without)
    dataset, _ = checked(unlabelled(args, list(found)), args)
    return dataset, [found[path] for path in dataset.images]


def unlabelled(args: argparse.Namespace, paths: list[str]) -> "FineGrainedDataset":
    """Images of `args.images` as a data set without labels."""
    from keras_cr.data import FineGrainedDataset

    return FineGrainedDataset(
        name=", ".join(map(printable, args.images[:3])) + (", ..." if len(args.images) > 3 else ""),
        images=paths,
        labels=None,
        class_names=[],
        is_train=[False] * len(paths),  # type: ignore[arg-type]
    )


def checked(
    dataset: "FineGrainedDataset", args: argparse.Namespace
) -> "tuple[FineGrainedDataset, list[str]]":
    """`keras_cr.data.check_images` as the flags say; tells on stderr what is left out."""
    from keras_cr.data import check_images

    dataset, bad = check_images(dataset, skip_bad=args.skip_bad, max_pixels=args.max_pixels)
    if bad:
        paths = map(printable, bad)
        print(f"Left out {len(bad)} unreadable images:", *paths, sep="\n  ", file=sys.stderr)
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
