"""Numbers and folders that the readers of images are given."""

import numbers
import os
import reprlib
from pathlib import Path
from typing import Any

import numpy as np

from keras_cr._numbers import as_sides, as_whole
from keras_cr._types import StrPath


def whole(name: str, value: Any, least: int = 1) -> int:
    """`value` as an int of `least` or more; NumPy's integers are taken, booleans are not.

    Raises:
        ValueError: it is none; the message names the argument.
    """
    number = as_whole(value)
    if number is None or number < least:
        kind = "a positive integer" if least == 1 else f"an integer of {least} or more"
        raise ValueError(f"{name}: must be {kind}; received {value!r}.")
    return number


def image_side(value: Any, name: str = "image_size", least: int = 1) -> int:
    """The side of square images in pixels, of a number or a pair of equal ones.

    Raises:
        ValueError: it is neither, or too small; the message names the argument.
    """
    sides = as_sides(value)
    if sides is None:
        return whole(name, value, least)
    if sides[0] != sides[1]:
        raise ValueError(
            f"{name}: images are read as squares, so it must be one number or a pair of equal "
            f"ones; received {value!r}."
        )
    return whole(name, sides[0], least)


def real(name: str, value: Any) -> Any:
    """`value`, a number of Python or NumPy.

    Raises:
        ValueError: it is none; the message names the argument.
    """
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Real):
        raise ValueError(f"{name}: must be a number; received {reprlib.repr(value)}.")
    return value


def folder_path(value: StrPath, name: str = "data_dir") -> Path:
    """`value` as a path, `~` resolved, whether there is anything or not.

    Raises:
        ValueError: it can't be a path; the message names the argument.
    """
    if not isinstance(value, str | os.PathLike):
        raise ValueError(f"{name}: must be a path; received {reprlib.repr(value)}.")
    try:
        path = Path(value).expanduser()
        path.exists()
    except (OSError, RuntimeError, TypeError, ValueError) as error:
        if isinstance(error, PermissionError):
            return path
        why = getattr(error, "strerror", None) or error
        raise ValueError(
            f"{name}: {reprlib.repr(os.fspath(value))} can't be a path ({why})."
        ) from error
    return path
