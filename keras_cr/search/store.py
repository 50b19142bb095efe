"""Where an index keeps its embeddings: what every store offers, and what they share."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from keras_cr._types import ArrayLike

Where = Mapping[str, Any]
RESERVED = ("name", "embedding")
TYPES = {"U": str, "i": int, "f": float, "b": bool}  # by the kind of a NumPy dtype


class Store(Protocol):
    """Names, each with a vector of unit length and a value in every column.

    Attributes:
        at_once: rows that are added at a time; None adds all or none.
        columns: the columns, each with the type of its values: str, int, float or bool.
        width: numbers a vector; None while the store is empty.
    """

    at_once: int | None
    columns: Mapping[str, type]
    width: int | None

    def __len__(self) -> int: ...

    def names(self) -> list[str]:
        """All names, in the order in which they were added."""
        ...

    def known(self, names: Collection[str]) -> set[str]:
        """Those of the names that are there."""
        ...

    def add(
        self, names: Sequence[str], vectors: np.ndarray, columns: Mapping[str, np.ndarray]
    ) -> None:
        """Adds rows whose names are new. The first ones decide on the width and the columns."""
        ...

    def remove(self, names: Collection[str]) -> None:
        """Removes rows; all names are there."""
        ...

    def search(
        self, queries: np.ndarray, k: int, where: Where | None = None
    ) -> list[list[tuple[str, float]]]:
        """The `k` nearest by cosine similarity, nearest first, of those that `where` lets in.

        Args:
            queries: (Q, C), of unit length.
            k: the most that are found for a query.
            where: as `allowed`.

        Returns:
            For each query up to `k` pairs of a name and its similarity.
        """
        ...

    def vectors(self, names: Sequence[str] | None = None) -> np.ndarray:
        """Vectors by their names, all of them for None, (n, C) float32."""
        ...

    def values(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """The columns' values, name by name, as Python's own types."""
        ...


def allowed(where: Where | None, columns: Mapping[str, type]) -> dict[str, list]:
    """A filter as the values that each column may have; rows must fit all columns.

    Args:
        where: {column: a value, or a list, tuple or set of values}; None lets all in.
        columns: the columns that there are, and their types.

    Raises:
        ValueError: a column is unknown, or a value is of another type than the column's.
    """
    found = {}
    for column, values in (where or {}).items():
        if column not in columns:
            known = ", ".join(map(repr, columns)) or "none"
            raise ValueError(f"`where`: there is no column {column!r}; the index has {known}.")
        several = isinstance(values, list | tuple | set | frozenset | np.ndarray)
        found[column] = [plain(column, value) for value in (values if several else [values])]
        kind = columns[column]
        for value in found[column]:
            if _group(type(value)) != _group(kind):
                raise ValueError(f"`where`: {column!r} holds {_group(kind)}; received {value!r}.")
    return found


def plain(column: str, value: Any) -> str | int | float | bool:
    """A column's value as Python's own type.

    Raises:
        ValueError: it is no text, number or boolean.
    """
    value = value.item() if isinstance(value, np.generic) else value
    if not isinstance(value, str | int | float | bool):
        raise ValueError(
            f"{column!r}: values must be text, numbers or booleans; received {value!r}."
        )
    return value


def column_of(name: str, values: ArrayLike, count: int) -> np.ndarray:
    """A column as an array of text, whole numbers, numbers or booleans, (count,).

    Raises:
        ValueError: it is none, has another length, or a name that is taken.
    """
    if name in RESERVED or not name.isidentifier():
        raise ValueError(
            f"metadata: a column's name must be an identifier other than {' and '.join(RESERVED)}; "
            f"received {name!r}."
        )
    values = [plain(name, value) for value in values]
    array = np.array(values)
    alike = len({_group(type(value)) for value in values}) == 1
    if array.shape != (count,) or array.dtype.kind not in TYPES or not alike:
        raise ValueError(
            f"metadata: {name!r} must have one value for each of the {count} images, all of them "
            f"text, numbers or booleans; received {array.dtype} of shape {array.shape}."
        )
    return array


def like(name: str, values: np.ndarray, kind: type) -> np.ndarray:
    """A column that is added, as the type of what is there.

    Raises:
        ValueError: it is of another one.
    """
    given = TYPES[values.dtype.kind]
    if given is int and kind is float:
        return values.astype("float64")
    if given is not kind:
        raise ValueError(
            f"metadata: {name!r} is of the type {kind.__name__}; received {given.__name__}."
        )
    return values


def _group(kind: type) -> str:
    """What a type's values are compared with."""
    if issubclass(kind, bool):
        return "booleans"
    return "text" if issubclass(kind, str) else "numbers"
