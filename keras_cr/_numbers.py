"""Whole numbers and image sizes as users give them: Python's, NumPy's, pairs."""

import math
import numbers
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np


def as_whole(value: Any) -> int | None:
    """The integer that a value is, of Python, NumPy or a tensor; None where it is none.

    Booleans and floats such as 3.0 are none.
    """
    if isinstance(value, bool | np.bool_):
        return None
    try:
        return operator.index(value)
    except TypeError:
        return None


def whole_number(name: str, value: Any, least: int = 1) -> int:
    """`value` as an int of `least` or more.

    Raises:
        ValueError: it is none; the message names the argument.
    """
    whole = as_whole(value)
    if whole is None or whole < least:
        kind = "a positive integer" if least == 1 else f"an integer of {least} or more"
        raise ValueError(f"`{name}` must be {kind}. Received: {name}={value!r}")
    return whole


def positive_number(name: str, value: Any, hint: str = "") -> float:
    """`value` as a float above 0.

    Raises:
        ValueError: it is none; the message names the argument and ends with `hint`.
    """
    real = isinstance(value, numbers.Real) and not isinstance(value, bool | np.bool_)
    if not (real and 0 < value < math.inf):
        raise ValueError(f"`{name}` must be a positive number. Received: {name}={value!r}{hint}")
    return float(value)


def weight_number(name: str, value: Any) -> float:
    """`value` as a finite float of 0 or more, as factors and weights of losses are.

    Raises:
        ValueError: it is none; the message names the argument.
    """
    real = isinstance(value, numbers.Real) and not isinstance(value, bool | np.bool_)
    if not (real and 0 <= value < math.inf):
        raise ValueError(f"`{name}` must be a number of 0 or more. Received: {name}={value!r}")
    return float(value)


def plain_seed(seed: Any) -> Any:
    """A seed as Keras takes and saves it: NumPy's integers as Python's, all else as it is."""
    whole = as_whole(seed)
    return seed if whole is None else whole


def as_sides(value: Any) -> tuple[int, int] | None:
    """Height and width in pixels of `160` or `(160, 224)`; None where a value is neither."""
    pair = value if isinstance(value, Sequence | np.ndarray) and np.shape(value) else (value,) * 2
    if isinstance(pair, str) or len(pair) != 2:
        return None
    height, width = map(as_whole, pair)
    return None if None in (height, width) or min(height, width) < 1 else (height, width)  # type: ignore[return-value]


def sides(name: str, value: Any) -> tuple[int, int]:
    """`value`, a side or a pair of them, as height and width in pixels.

    Raises:
        ValueError: it is neither; the message names the argument.
    """
    if (pair := as_sides(value)) is None:
        raise ValueError(
            f"`{name}` must be a positive integer, the side in pixels, or a pair (height, width). "
            f"Received: {name}={value!r}"
        )
    return pair


def square_side(name: str, value: Any) -> int:
    """`value`, a side or a pair of equal ones, as the side in pixels of square images.

    Raises:
        ValueError: it is neither; the message names the argument.
    """
    height, width = sides(name, value)
    if height != width:
        raise ValueError(
            f"`{name}` must be one number here, or a pair of equal ones: images are square. "
            f"Received: {name}={value!r}"
        )
    return height
