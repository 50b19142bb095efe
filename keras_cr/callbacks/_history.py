"""CSV files with a row an epoch, which a resumed run goes on with."""

import csv
from collections.abc import Mapping
from pathlib import Path

from keras_cr._files import whole_file


def read_history(path: Path) -> list[dict[str, str]]:
    """The rows of a history.csv, none if there is no such file."""
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def add_row(path: Path, row: Mapping) -> None:
    """Writes the row of its `epoch` after those of earlier ones; later ones are left out.

    The file appears whole or not at all. Its columns are those of all rows, and a
    row's cell is empty where it has no value.
    """
    rows = [earlier for earlier in read_history(path) if int(earlier["epoch"]) < row["epoch"]]
    rows.append(row)
    with whole_file(path) as part, part.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(name for row in rows for name in row)))
        writer.writeheader()
        writer.writerows(rows)
