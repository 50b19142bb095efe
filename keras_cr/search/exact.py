"""A store in memory that compares with every embedding: exact, and one file on disk."""

import json
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_cr._files import DAMAGED_ZIP, whole_file
from keras_cr.evaluation._checks import ranking_keys
from keras_cr.search.store import TYPES, Where, allowed

_COLUMN = "column:"


class ExactStore:
    """Embeddings as one array; a query is one matrix product with all of them.

    Args:
        names: N names, each once.
        vectors: (N, C) float32, unit length.
        columns: name -> (N,) values.
    """

    at_once = None

    def __init__(
        self,
        names: Sequence[str] = (),
        vectors: np.ndarray | None = None,
        columns: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        self._names = list(names)
        self._vectors = vectors
        self._columns = dict(columns or {})
        self._rows = {name: row for row, name in enumerate(self._names)}

    def __len__(self) -> int:
        return len(self._names)

    @property
    def columns(self) -> dict[str, type]:
        return {name: TYPES[values.dtype.kind] for name, values in self._columns.items()}

    @property
    def width(self) -> int | None:
        return None if self._vectors is None else self._vectors.shape[1]

    def names(self) -> list[str]:
        return list(self._names)

    def known(self, names: Collection[str]) -> set[str]:
        return self._rows.keys() & set(names)

    def add(
        self, names: Sequence[str], vectors: np.ndarray, columns: Mapping[str, np.ndarray]
    ) -> None:
        if self._vectors is None:
            self._vectors, self._columns = vectors, dict(columns)
        else:
            self._vectors = np.concatenate([self._vectors, vectors])
            self._columns = {
                name: np.concatenate([values, columns[name]])
                for name, values in self._columns.items()
            }
        self._rows |= {name: row for row, name in enumerate(names, len(self))}
        self._names += names

    def remove(self, names: Collection[str]) -> None:
        gone = set(names)
        kept = np.array([name not in gone for name in self._names], dtype=bool)
        self._vectors = self._vectors[kept]
        self._columns = {name: values[kept] for name, values in self._columns.items()}
        self._names = [name for name in self._names if name not in gone]
        self._rows = {name: row for row, name in enumerate(self._names)}

    def search(
        self, queries: np.ndarray, k: int, where: Where | None = None
    ) -> list[list[tuple[str, float]]]:
        rows = np.arange(len(self))
        for column, values in allowed(where, self.columns).items():
            rows = rows[np.isin(self._columns[column][rows], values)]
        if not len(rows):
            return [[] for _ in queries]
        gallery = self._vectors if len(rows) == len(self) else self._vectors[rows]
        k, found = min(k, len(rows)), []
        for _, keys in ranking_keys(queries, gallery, np.arange(len(rows))):  # type: ignore[arg-type]
            best = np.partition(keys, k - 1, axis=1)[:, :k]
            best.sort(axis=1)
            for query, positions in zip(queries[len(found) :], best & 0x7FFFFFFF, strict=False):
                similarity = gallery[positions] @ query
                names = [self._names[rows[position]] for position in positions]
                found.append(list(zip(names, similarity.tolist(), strict=True)))
        return found

    def vectors(self, names: Sequence[str] | None = None) -> np.ndarray:
        if names is None:
            return self._vectors  # type: ignore[return-value]
        return self._vectors[[self._rows[name] for name in names]]

    def values(self, names: Sequence[str]) -> list[dict[str, Any]]:
        rows = [self._rows[name] for name in names]
        columns = {name: values[rows].tolist() for name, values in self._columns.items()}
        if not columns:
            return [{} for _ in rows]
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    def save(self, path: str | os.PathLike, about: Mapping[str, Any]) -> None:
        """Writes everything to one file, whole or not at all.

        Args:
            path: the file.
            about: what JSON can hold.
        """
        columns = {f"{_COLUMN}{name}": values for name, values in self._columns.items()}
        with whole_file(path) as part, part.open("wb") as file:
            np.savez(
                file,
                about=np.array(json.dumps(about)),
                name=np.array(self._names, dtype=str),
                embedding=self._vectors,  # type: ignore[arg-type]
                **columns,  # type: ignore[arg-type]
            )

    @classmethod
    def load(cls, path: str | os.PathLike) -> "tuple[ExactStore, dict[str, Any]]":
        """Reads what `save` wrote: the store, and `about`.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it is no index, or damaged.
        """
        path = Path(path)
        try:
            with np.load(path) as file:
                about = json.loads(str(file["about"]))
                names, vectors = file["name"].tolist(), file["embedding"]
                columns = {
                    key.removeprefix(_COLUMN): file[key]
                    for key in file.files
                    if key.startswith(_COLUMN)
                }
        except FileNotFoundError:
            raise FileNotFoundError(f"There is no index at {str(path)!r}.") from None
        except PermissionError:
            raise
        except DAMAGED_ZIP as error:
            raise ValueError(
                f"{str(path)!r} is no index, or a damaged one ({error}); build it again."
            ) from error
        whole = vectors.ndim == 2 and vectors.dtype == np.float32
        whole = whole and all(values.dtype.kind in TYPES for values in columns.values())
        if not whole or {len(each) for each in (vectors, *columns.values())} != {len(names)}:
            raise ValueError(f"{str(path)!r} is a damaged index; build it again.")
        return cls(names, vectors, columns), about
