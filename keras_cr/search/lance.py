"""A store on disk, for collections that memory does not hold: LanceDB's folder format."""

import json
import os
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_cr._optional import installed
from keras_cr._text import printable
from keras_cr.search.store import RESERVED, Where, allowed

_TABLE, _ABOUT = "images", "about.json"
_TYPES = {"string": str, "int64": int, "double": float, "bool": bool}
_AT_ONCE = 1_000  # names in a question
_FEWEST = 256  # rows that an inverted file can be made of
_PROBES, _REFINED = 64, 10  # parts that are searched; found ones compared exactly, times k


class LanceStore:
    """Embeddings in a LanceDB table in a folder; changes are written at once.

    Every query compares with all rows, read from the disk, until `make_approximate` is called.

    Args:
        folder: the folder.
        table: LanceDB's table, or None while there is no row.
    """

    at_once = 8_192

    def __init__(self, folder: Path, connection: Any, table: Any) -> None:
        self.folder = folder
        self._connection = connection
        self._table = table

    @classmethod
    def create(cls, folder: str | os.PathLike, about: Mapping[str, Any]) -> "LanceStore":
        """Makes a new folder.

        Raises:
            FileExistsError: there is something already.
            ImportError: LanceDB is missing.
        """
        lancedb = _lancedb()
        folder = Path(folder).expanduser()
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            raise FileExistsError(
                f"`store`: {str(folder)!r} is there already; load it, or name another folder."
            ) from None
        (folder / _ABOUT).write_text(json.dumps(about))
        return cls(folder, lancedb.connect(folder), None)

    @classmethod
    def load(cls, folder: str | os.PathLike) -> "tuple[LanceStore, dict[str, Any]]":
        """The store in a folder, and what it was created with.

        Raises:
            ValueError: the folder is no index.
            ImportError: LanceDB is missing.
        """
        folder = Path(folder).expanduser()
        try:
            about = json.loads((folder / _ABOUT).read_text())
        except (OSError, ValueError) as error:
            raise ValueError(f"{str(folder)!r} is a folder without an index: {error}.") from error
        connection = _lancedb().connect(folder)
        try:
            table = connection.open_table(_TABLE)
        except (FileNotFoundError, ValueError):
            table = None
        return cls(folder, connection, table), about

    def __len__(self) -> int:
        return 0 if self._table is None else self._table.count_rows()

    @property
    def columns(self) -> dict[str, type]:
        fields = () if self._table is None else self._table.schema
        return {each.name: _TYPES[str(each.type)] for each in fields if each.name not in RESERVED}

    @property
    def width(self) -> int | None:
        return None if self._table is None else self._table.schema.field("embedding").type.list_size

    def names(self) -> list[str]:
        return [] if self._table is None else self._rows(["name"])["name"].to_pylist()

    def add(
        self, names: Sequence[str], vectors: np.ndarray, columns: Mapping[str, np.ndarray]
    ) -> None:
        import pyarrow

        for name in names:
            if not _is_text(name):
                raise ValueError(
                    f"`names`: {printable(name)!r} is no UTF-8, which LanceDB needs; rename the "
                    "file, or keep the index in memory."
                )
        width = vectors.shape[1]
        flat = pyarrow.array(np.ascontiguousarray(vectors, "float32").reshape(-1))
        rows = pyarrow.table(
            {
                "name": pyarrow.array(names, pyarrow.string()),
                "embedding": pyarrow.FixedSizeListArray.from_arrays(flat, width),
                **{name: pyarrow.array(values.tolist()) for name, values in columns.items()},
            }
        )
        if self._table is None:
            self._table = self._connection.create_table(_TABLE, rows)
        else:
            self._table.add(rows)

    def remove(self, names: Collection[str]) -> None:
        for part in _parts(names):
            self._table.delete(_one_of("name", part))

    def search(
        self, queries: np.ndarray, k: int, where: Where | None = None
    ) -> list[list[tuple[str, float]]]:
        terms = [_one_of(*each) for each in allowed(where, self.columns).items()]
        found = []
        for query in queries:
            asked = self._table.search(query).distance_type("dot").select(["name", "_distance"])
            if terms:
                asked = asked.where(" AND ".join(terms), prefilter=True)
            if self._table.list_indices():
                asked = asked.nprobes(_PROBES).refine_factor(_REFINED)
            rows = asked.limit(k).to_arrow()
            similarity = (1 - rows["_distance"].to_numpy()).tolist()
            found.append(list(zip(rows["name"].to_pylist(), similarity, strict=True)))
        return found

    def vectors(self, names: Sequence[str] | None = None) -> np.ndarray:
        rows = self._rows(["name", "embedding"], names)
        flat = rows["embedding"].combine_chunks().flatten().to_numpy()
        vectors = flat.reshape(len(rows), -1)
        if names is None:
            return vectors
        where = {name: row for row, name in enumerate(rows["name"].to_pylist())}
        return vectors[[where[name] for name in names]]

    def values(self, names: Sequence[str]) -> list[dict[str, Any]]:
        if not names:
            return []
        rows = self._rows(["name", *self.columns], names).to_pylist()
        by_name = {row.pop("name"): row for row in rows}
        return [by_name[name] for name in names]

    def known(self, names: Collection[str]) -> set[str]:
        names = list(filter(_is_text, names))
        if self._table is None or not names:
            return set()
        return set(self._rows(["name"], names)["name"].to_pylist())

    def discard_if_empty(self) -> None:
        """Removes the folder of an index into which no row ever came."""
        if self._table is None:
            shutil.rmtree(self.folder)

    def make_approximate(self) -> None:
        """Builds LanceDB's inverted file: queries look into some parts of it.

        Raises:
            ValueError: there are fewer rows than it needs.
        """
        if len(self) < _FEWEST:
            raise ValueError(f"{_FEWEST} images are needed for that; the index has {len(self)}.")
        from lancedb.index import IvfSq

        self._table.create_index("embedding", config=IvfSq(distance_type="dot"))

    def _rows(self, columns: list[str], names: Collection[str] | None = None):
        """A table of some columns, of all rows or those of some names."""
        import pyarrow

        asked = self._table.search().select(columns)
        if names is None:
            return asked.limit(max(len(self), 1)).to_arrow()
        parts = _parts(names)
        return pyarrow.concat_tables(
            asked.where(_one_of("name", part)).limit(len(part)).to_arrow() for part in parts
        )


def _parts(names: Collection[str]) -> Iterator[list[str]]:
    """Names in parts that a question has room for."""
    names = list(names)
    for start in range(0, len(names), _AT_ONCE):
        yield names[start : start + _AT_ONCE]


def _is_text(name: str) -> bool:
    """Whether LanceDB can keep a name: files may be called by bytes that aren't UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _one_of(column: str, values: Collection) -> str:
    """SQL for rows whose column has one of the values."""
    if not values:
        return "FALSE"
    return f"`{column}` IN ({', '.join(map(_literal, values))})"


def _literal(value: str | int | float | bool) -> str:
    """A value as SQL writes it."""
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _lancedb():
    with installed("An index in a folder", "LanceDB", "search"):
        import lancedb
    return lancedb
