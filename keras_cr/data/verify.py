"""Is a data set's folder whole: counts against the official ones, and a look into every file."""

import functools
import hashlib
import io
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import tensorflow as tf

from keras_cr.data.aircraft import read_aircraft
from keras_cr.data.cars import read_cars
from keras_cr.data.cub import read_cub
from keras_cr.data.dataset import FineGrainedDataset
from keras_cr.data.folder import read_image_folder
from keras_cr.data.images import DOES_NOT_DECODE, data_fault
from keras_cr.data.report import OFFICIAL, Finding, Report, odd_counts

READERS: dict[str, Callable[[str | os.PathLike], FineGrainedDataset]] = {
    "aircraft": read_aircraft,
    "cars": read_cars,
    "cub": read_cub,
    "folder": functools.partial(read_image_folder, unlabelled=True),
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
) -> Report:
    """Reads a data set's folder as training would, and every image file in it once.

    Problems are what the reader refuses, counts that are not the official ones, files that are
    unreadable, truncated or smaller than 32 pixels, and equal files in both splits (a leak) or in
    two classes. Notes are what loads well all the same: images that are not RGB, that their EXIF
    data turn, whose box leaves them, equal files within a class and split, and hidden `._` files,
    which readers pass over. One file's bytes a thread are held, and 32 bytes an image.

    Args:
        data_dir: The folder.
        name: Its layout: `"aircraft"`, `"cars"`, `"cub"` or `"folder"`.
        progress: Called with the numbers of files read and of all files, from time to time.

    Returns:
        The report; `report.ok` says whether there is no problem.

    Raises:
        ValueError: `name` is unknown.
        ImportError: Pillow is not installed, or SciPy for `"cars"`.

    Example:

    >>> verify("data/CUB_200_2011", "cub").ok
    True
    """
    if name not in READERS:
        raise ValueError(f"name: must be one of {', '.join(READERS)}; received {name!r}.")
    _pillow()
    report = Report(name, os.fspath(data_dir))
    try:
        report.notes += _hidden_files(data_dir)
        dataset = READERS[name](data_dir)
    except (OSError, ValueError) as error:
        report.problems.append(Finding("layout", " ".join(str(error).split())))
        return report
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
    found = [
        os.path.join(folder, file)
        for folder, _, files in os.walk(Path(data_dir).expanduser(), followlinks=True)
        for file in files
        if file.startswith("._")
    ]
    return [Finding("hidden", text, path) for path in sorted(found)]


def _read_all(dataset: FineGrainedDataset, progress) -> Iterator[tuple]:
    """What `_read_one` finds in each image, in order."""
    number = len(dataset)
    boxes = dataset.boxes if dataset.boxes is not None else [None] * number
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, number, _TOGETHER):
            rows = slice(start, start + _TOGETHER)
            cut = [dataset.crop_bottom] * len(dataset.images[rows])
            yield from pool.map(_read_one, dataset.images[rows], boxes[rows], cut)
            if progress is not None:
                progress(min(start + _TOGETHER, number), number)


def _read_one(
    path: str, box: np.ndarray | None, crop_bottom: int
) -> tuple[bytes | None, list[Finding], list[Finding]]:
    """Digest (None where there is nothing to compare), problems and notes of a file."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        return None, [Finding("unreadable", error.strerror or str(error), path)], []
    header = _header(data)
    if fault := data_fault(tf.constant(data), crop_bottom):
        if fault != DOES_NOT_DECODE:
            kind = "small" if data else "unreadable"
        else:
            kind = "truncated" if header else "unreadable"
            fault += f", though it begins as {header[0]}" if header else ", it is no image"
        return None, [Finding(kind, fault, path)], []
    notes = [Finding(kind, text, path) for kind, text in _remarks(data, header, box)]
    return hashlib.sha256(data).digest(), [], notes


def _header(data: bytes) -> tuple[str, str, tuple[int, int], int] | None:
    """Format, mode, size as shown (width, height), and EXIF orientation; None for no image."""
    try:
        with _pillow().open(io.BytesIO(data)) as image:
            turn = image.getexif().get(0x0112, 1) if image.format in ("JPEG", "MPO") else 1
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
            same = f"the same file as {dataset.images[first]}"
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
