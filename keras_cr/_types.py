"""Names of the types that functions take and return. Nothing is imported for them at run time."""

import functools
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array: TypeAlias = np.ndarray
    ArrayLike: TypeAlias = npt.ArrayLike
else:
    Array = ArrayLike = Any

Tensor: TypeAlias = Any
"""A tensor of Keras' backend, or an array where one is taken; Keras publishes no types."""

Images: TypeAlias = Any
"""RGB 0..255: an array or a tensor `(B, H, W, 3)`, a list of images, or a stream of batches."""

StrPath: TypeAlias = str | os.PathLike[str]
"""Where a file or a folder is."""

Seed: TypeAlias = int | None
"""What draws start from; None: another start each time."""

Shape: TypeAlias = tuple[int | None, ...]
"""A tensor's, with None for a size that is not known yet."""

Dtype: TypeAlias = Any
"""A dtype policy: `"mixed_bfloat16"`, one of `keras.dtype_policies`, a config; None: default."""

Config: TypeAlias = dict[str, Any]
"""What a Keras object is made of again."""

Batch: TypeAlias = dict[str, Any]
"""What a step of pretraining is given, by name: `query`, `key`, `index`, ..."""

Logs: TypeAlias = Any
"""What Keras tells a callback: a dict of numbers, or None."""


_F = TypeVar("_F", bound=Callable)


def wraps(function: Any) -> Callable[[_F], _F]:
    """`functools.wraps`, after which type checkers still take a method for one.

    Args:
        function: what is wrapped, of a package without types.
    """
    return cast("Callable[[_F], _F]", functools.wraps(function))
