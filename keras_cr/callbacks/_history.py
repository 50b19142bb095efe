"""CSV files with a row an epoch, which a resumed run goes on with."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from keras_cr._csv import read_csv, write_csv


def read_history(path: Path) -> list[dict[str, str]]:
    """The rows of a history.csv, none if there is no such file."""
    if not path.is_file():
        return []
    return read_csv(path)[1]


def add_row(path: Path, row: Mapping) -> None:
    """Writes the row of its `epoch` after those of earlier ones; later ones are left out.

    A row's cell is empty where it has no value.
    """
    rows = [earlier for earlier in read_history(path) if int(earlier["epoch"]) < row["epoch"]]
    write_history(path, [*rows, row])


def write_history(path: Path, rows: Sequence[Mapping]) -> None:
    """Writes all rows; the file appears whole or not at all, with the columns of all of them."""
    write_csv(path, list(dict.fromkeys(name for row in rows for name in row)), rows)
