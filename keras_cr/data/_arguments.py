"""Numbers, folders and maps that the readers of images and the makers of views are given."""

import numbers
import os
import reprlib
from pathlib import Path
from typing import Any

import numpy as np

from keras_cr._numbers import as_sides, as_whole
from keras_cr._types import Array, StrPath


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


def share(name: str, value: Any) -> Any:
    """`value`, a number in 0..1.

    Raises:
        ValueError: it is none; the message names the argument.
    """
    if not 0 <= real(name, value) <= 1:
        raise ValueError(f"{name}: must lie in [0, 1]; received {value}.")
    return value


def object_maps(maps: Array) -> np.ndarray:
    """Maps `(N, h, w)` of where objects are, as an array.

    Raises:
        ValueError: they are of another shape or type, or leave 0..1.
    """
    maps = np.asarray(maps)
    if maps.ndim != 3 or not maps.size or maps.dtype.kind not in "fiub":
        raise ValueError(
            f"maps: must be (N, h, w) numbers; received {maps.dtype} of shape {maps.shape}."
        )
    if not (np.isfinite(maps).all() and maps.min() >= 0 and maps.max() <= 1):
        raise ValueError(
            f"maps: must lie in 0..1; received {maps.min():g} to {maps.max():g}, or NaN."
        )
    return maps


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
