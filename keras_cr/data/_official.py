"""What the readers of official folders share: tables of text, and the checks of every listing."""

import codecs
import math
import os
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_cr._text import printable
from keras_cr.data._arguments import folder_path


def find_root(data_dir: str | os.PathLike, folders: Sequence[str], file: str) -> Path | None:
    """The first of `data_dir` and the `folders` inside it that holds `file`."""
    given = folder_path(data_dir)
    candidates = (given, *(given / folder for folder in folders))
    return next((folder for folder in candidates if (folder / file).is_file()), None)


def read_table(
    path: Path,
    parse: Callable[[str], Any],
    expected: str,
    layout: str,
    of: dict | None = None,
    key: Callable[[str], Any] = int,
) -> dict[Any, Any]:
    """Reads lines `id value` into a dict.

    Args:
        path: The file.
        parse: Makes a value of its text; raises ValueError where it can't.
        expected: What a line holds, for messages.
        layout: Whose file it is, for messages.
        of: The table of `images.txt`, whose ids it must have, no more and no less.
        key: Makes an id of its text.

    Raises:
        FileNotFoundError: The file is missing.
        ValueError: A line is malformed, an id comes twice, there is no line, or ids differ.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: missing; it belongs to the official {layout} layout.")
    table = {}
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            continue
        try:
            name, value = line.split(maxsplit=1)
            name, value = key(name), parse(value.strip())
        except ValueError:
            raise ValueError(f"{path}:{number}: expected {expected}; received {line!r}.") from None
        if name in table:
            raise ValueError(f"{path}:{number}: id {name} is listed twice.")
        table[name] = value
    if not table:
        raise ValueError(f"{path}: holds no line; expected {expected} in each.")
    if of is not None and (odd := sorted(set(of) ^ set(table))):
        raise ValueError(
            f"{path}: its ids are not those of images.txt; {len(odd)} are in only one of the two, "
            f"the first is {odd[0]}."
        )
    return table


def read_names(path: Path, layout: str) -> list[str]:
    """Reads a file of one class name a line.

    Raises:
        FileNotFoundError: The file is missing.
        ValueError: It holds no name, or one twice.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: missing; it belongs to the official {layout} layout.")
    names = [line.strip() for line in _lines(path) if line.strip()]
    if not names:
        raise ValueError(f"{path}: holds no line; expected a class name in each.")
    check_names(names, path)
    return names


def check_names(names: Sequence[str], file: Path) -> None:
    """Raises ValueError if two classes of `file` have one name."""
    if (twice := _twice([unicodedata.normalize("NFC", name) for name in names])) is not None:
        raise ValueError(f"{file}: class {names[twice]!r} is listed twice.")


def sound_box(x: float, y: float, width: float, height: float) -> list[float]:
    """The box; raises ValueError where it is not finite, or has no area."""
    if not all(map(math.isfinite, (x, y, width, height))) or min(width, height) <= 0:
        raise ValueError(f"no box: {x}, {y}, {width} x {height}")
    return [x, y, width, height]


def check_listed(images: Sequence[Path], listing: Path, archive: str) -> None:
    """Checks that listed images are there.

    Args:
        images: The listed files.
        listing: The file that lists them.
        archive: What to extract again.

    Raises:
        FileNotFoundError: One is missing, or is no regular file.
        ValueError: One is listed twice.
    """
    if (twice := _twice([os.path.normpath(path) for path in images])) is not None:
        raise ValueError(f"{listing}: {printable(images[twice])} is listed twice; leave one out.")
    if missing := [path for path in images if not path.is_file()]:
        what = "no regular file" if missing[0].exists() else "missing"
        raise FileNotFoundError(
            f"{printable(missing[0])}: listed in {listing} but {what}, as are {len(missing)} of "
            f"{len(images)} listed files; extract {archive} again."
        )


def check_classes(labels: np.ndarray, class_names: Sequence[str], listing: Path) -> None:
    """Raises ValueError if a class of `listing` has no image."""
    if empty := sorted(set(range(len(class_names))) - set(labels.tolist())):
        names = ", ".join(class_names[label] for label in empty[:5])
        raise ValueError(
            f"{listing}: {len(empty)} of {len(class_names)} classes have no image: {names}; add "
            "images or leave the classes out."
        )


def _twice(values: Sequence[str]) -> int | None:
    """The place of the first value that stands at an earlier one already."""
    seen = set()
    for place, value in enumerate(values):
        if value in seen:
            return place
        seen.add(value)
    return None


def _lines(path: Path) -> list[str]:
    """A text file's lines, without the mark of its encoding that some editors write first."""
    data = path.read_bytes()
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ValueError(f"{path}: is text in UTF-16; save it as UTF-8.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        number = data[: error.start].count(b"\n") + 1
        raise ValueError(
            f"{path}:{number}: is not text in UTF-8 ({error.reason}); save the file as UTF-8."
        ) from None
    if "\0" in text:
        number = text[: text.index("\0")].count("\n") + 1
        raise ValueError(f"{path}:{number}: holds a null byte; save the file as text in UTF-8.")
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")  # names may hold other breaks
