"""Is a data set's folder whole: counts against the official ones, and a look into every file."""

import dataclasses
import functools
import hashlib
import io
import os
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from keras_cr._text import printable
from keras_cr.data._arguments import folder_path
from keras_cr.data.aircraft import read_aircraft
from keras_cr.data.cars import read_cars
from keras_cr.data.cub import read_cub
from keras_cr.data.dataset import FineGrainedDataset
from keras_cr.data.decode import DOES_NOT_DECODE
from keras_cr.data.files import MAX_PIXELS, UnreadableImageError, check_max_pixels, read_file
from keras_cr.data.folder import read_folder
from keras_cr.data.images import data_fault
from keras_cr.data.report import OFFICIAL, Finding, Report, odd_counts
from keras_cr.data.walk import PassedOver, Walk

Reading = tuple[FineGrainedDataset, list[PassedOver], list[str]]  # as `read_folder` returns it


def _all_of(read: Callable[[str | os.PathLike], FineGrainedDataset]) -> Callable[..., Reading]:
    """A reader of an official layout, which passes over nothing."""
    return lambda data_dir: (read(data_dir), [], [])


READERS: dict[str, Callable[[str | os.PathLike], Reading]] = {
    "aircraft": _all_of(read_aircraft),
    "cars": _all_of(read_cars),
    "cub": _all_of(read_cub),
    "folder": functools.partial(read_folder, unlabelled=True),
}
_TOGETHER = 64  # files in the threads' queue: memory holds the bytes of a few of them
_MODES = {
    "1": "black and white",
    "CMYK": "CMYK",
    "L": "grey",
    "LA": "grey with alpha",
    "P": "palette",
    "RGBA": "alpha",
}


def verify(
    data_dir: str | os.PathLike,
    name: str,
    progress: Callable[[int, int], None] | None = None,
    max_pixels: int = MAX_PIXELS,
) -> Report:
    """Reads a data set's folder as training would, and every image file in it once.

    Problems are what the reader refuses, counts that are not the official ones, files that are
    unreadable, truncated, smaller than 32 pixels or too large, and equal files in both splits (a
    leak) or in two classes. Notes are what loads well all the same: images that are not RGB, that
    their EXIF data turn, whose box leaves them, equal files within a class and split, names that
    are no UTF-8, hidden `._` files, which readers pass over, and in `"folder"` whatever else looks
    like images and is passed over. One file's bytes a thread are held, and 32 bytes an image.

    Args:
        data_dir: The folder.
        name: Its layout: `"aircraft"`, `"cars"`, `"cub"` or `"folder"`.
        progress: Called with the numbers of files read and of all files, from time to time.
        max_pixels: The most pixels an image may have, as its header says.

    Returns:
        The report; `report.ok` says whether there is no problem.

    Raises:
        ValueError: `name` is unknown, or `max_pixels` is not positive.
        ImportError: Pillow is not installed, or SciPy for `"cars"`.

    Example:

    >>> verify("data/CUB_200_2011", "cub").ok
    True
    """
    if name not in READERS:
        raise ValueError(f"name: must be one of {', '.join(READERS)}; received {name!r}.")
    check_max_pixels(max_pixels)
    _pillow()
    folder_path(data_dir)  # for its error
    report = Report(name, os.fspath(data_dir))
    try:
        report.notes += _hidden_files(data_dir)
        dataset, passed_over, remarks = READERS[name](data_dir)
    except (OSError, ValueError) as error:
        report.problems.append(Finding("layout", " ".join(str(error).split())))
        return report
    report.notes += [Finding("passed_over", each.why, each.path) for each in passed_over]
    report.notes += [Finding("split", remark) for remark in remarks]
    dataset = dataclasses.replace(dataset, max_pixels=max_pixels)
    _count(report, dataset)
    digests, rows = [], []
    for row, (digest, problems, notes) in enumerate(_read_all(dataset, progress)):
        report.problems += problems
        report.notes += notes
        if digest is not None:
            digests.append(digest)
            rows.append(row)
    _compare(report, dataset.take(rows), digests)
    return report


def _count(report: Report, dataset: FineGrainedDataset) -> None:
    report.train = int(dataset.is_train.sum())
    report.test = len(dataset) - report.train
    report.classes = dataset.num_classes
    if dataset.labels is not None:
        train, test = (
            np.bincount(dataset.labels[rows], minlength=dataset.num_classes).tolist()
            for rows in (dataset.is_train, ~dataset.is_train)
        )
        counts = zip(train, test, strict=True)
        report.per_class = dict(zip(dataset.class_names, counts, strict=True))
    for text in odd_counts(vars(report), OFFICIAL.get(report.name, {})):
        report.problems.append(Finding("count", text))


def _hidden_files(data_dir: str | os.PathLike) -> list[Finding]:
    text = "left by macOS; readers pass over it"
    root = Path(data_dir).expanduser()
    folders = Walk(root).folders(root) if root.is_dir() else []
    found = [os.path.join(folder, file) for folder in folders for file in os.listdir(folder)]
    paths = sorted(path for path in found if os.path.basename(path).startswith("._"))
    return [Finding("hidden", text, path) for path in paths]


def _read_all(dataset: FineGrainedDataset, progress) -> Iterator[tuple]:
    """What `_read_one` finds in each image, in order."""
    number = len(dataset)
    boxes = dataset.boxes if dataset.boxes is not None else [None] * number
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, number, _TOGETHER):
            rows = slice(start, start + _TOGETHER)
            read = functools.partial(
                _read_one, crop_bottom=dataset.crop_bottom, max_pixels=dataset.max_pixels
            )
            yield from pool.map(read, dataset.images[rows], boxes[rows])
            if progress is not None:
                progress(min(start + _TOGETHER, number), number)


def _read_one(
    path: str, box: np.ndarray | None, crop_bottom: int, max_pixels: int
) -> tuple[bytes | None, list[Finding], list[Finding]]:
    """Digest (None where there is nothing to compare), problems and notes of a file."""
    notes = []
    if printable(path) != path:
        notes.append(Finding("name", "its name is no text in UTF-8; it is read all the same", path))
    try:
        data = read_file(path, max_pixels)
    except UnreadableImageError as error:
        return None, [Finding("unreadable", error.fault, path)], notes  # type: ignore[arg-type]
    if fault := data_fault(data, crop_bottom, max_pixels=max_pixels):
        kind, text = fault
        if kind == "broken":
            header = _header(data)
            kind = "truncated" if header and text == DOES_NOT_DECODE else "unreadable"
            if text == DOES_NOT_DECODE:
                text += f", though it begins as {header[0]}" if header else ", it is no image"
        return None, [Finding(kind, text, path)], notes
    notes += [Finding(kind, text, path) for kind, text in _remarks(data, _header(data), box)]
    return hashlib.sha256(data).digest(), [], notes


def _header(data: bytes) -> tuple[str, str, tuple[int, int], int] | None:
    """Format, mode, size as shown (width, height), and EXIF orientation; None for no image."""
    try:
        with warnings.catch_warnings(action="ignore"), _pillow().open(io.BytesIO(data)) as image:
            turned = image.format in ("JPEG", "MPO", "WEBP")
            turn = image.getexif().get(0x0112, 1) if turned else 1
            size = image.size[::-1] if turn in (5, 6, 7, 8) else image.size
            return image.format, image.mode, size, turn
    except Exception:  # whatever damage does to a header
        return None


def _remarks(data: bytes, header: tuple | None, box: np.ndarray | None) -> Iterator[tuple]:
    if header is None:
        return
    form, mode, (width, height), turn = header
    if form == "PNG" and data[24] == 16:
        yield "color", "16 bits a channel, loaded as 8"
    elif mode != "RGB":
        yield "color", f"{_MODES.get(mode, mode)}, loaded as RGB"
    if turn in range(2, 9):
        yield "rotated", f"turned when loaded, by EXIF orientation {turn}"
    if box is not None:
        x, y, w, h = box.tolist()
        if min(x, y) < -1 or x + w > width + 1 or y + h > height + 1:
            yield "box", f"box {x:g}, {y:g}, {w:g} x {h:g} leaves the image of {width} x {height}"


def _compare(report: Report, dataset: FineGrainedDataset, digests: list[bytes]) -> None:
    """Finds equal files; `digests` has one for each image."""
    if not digests:
        return
    keys = np.frombuffer(b"".join(digests), "V32")
    order = np.argsort(keys, kind="stable")
    groups = np.split(order, np.flatnonzero(keys[order][1:] != keys[order][:-1]) + 1)
    for group in sorted((g for g in groups if len(g) > 1), key=lambda g: g[0]):
        train = group[dataset.is_train[group]]
        first = train[0] if len(train) else group[0]
        for row in group[group != first]:
            same = f"the same file as {printable(dataset.images[first])}"
            finding = functools.partial(Finding, path=dataset.images[row])
            if dataset.is_train[row] != dataset.is_train[first]:
                report.problems.append(finding("leak", f"a test image, {same}, a training image"))
            elif dataset.labels is not None and dataset.labels[row] != dataset.labels[first]:
                other = dataset.class_names[dataset.labels[first]]
                report.problems.append(finding("conflict", f"{same}, of class {other!r}"))
            else:
                report.notes.append(finding("duplicate", same))


def _pillow():
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError('verify needs Pillow: pip install "keras-cr[recipes]"') from error
    return Image
