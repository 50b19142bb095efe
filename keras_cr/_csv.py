"""CSV files that a spreadsheet can open: their text is text, and never a formula."""

import csv
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from keras_cr._files import whole_file
from keras_cr._text import printable

# Spreadsheets compute cells that begin so, full-width forms too, and some call programs by it
# (OWASP, "CSV Injection"). A quote before makes them text.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_QUOTE = "'"


def csv_text(fields: Sequence[str], rows: Iterable[Mapping]) -> str:
    """A table as CSV. Text that a spreadsheet would compute begins with a quote; numbers stay.

    Args:
        fields: The columns' names, in their order.
        rows: A mapping a row, from columns' names to numbers, text or None; without a column's
            name its cell is empty.
    """
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow(map(_safe, fields))
    writer.writerows([_safe(row.get(field)) for field in fields] for row in rows)
    return file.getvalue()


def write_csv(path: str | os.PathLike, fields: Sequence[str], rows: Iterable[Mapping]) -> Path:
    """Writes `csv_text`, whole or not at all; the file's folder is made, an earlier one replaced.

    Returns:
        `path`.
    """
    text = csv_text(fields, rows)
    with whole_file(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        file.write(text)
    return Path(path)


def read_csv(path: str | os.PathLike) -> tuple[list[str], list[dict[str, str]]]:
    """The columns' names and the rows of what `write_csv` wrote, without the quotes it set.

    A mark that a spreadsheet has put before the first name is skipped. A cell that a row lacks is
    empty.
    """
    with open(path, newline="", encoding="utf-8-sig") as file:
        fields, *rows = [list(map(_plain, row)) for row in csv.reader(file) if row] or [[]]
    empty = [""] * len(fields)
    return fields, [dict(zip(fields, row + empty[len(row) :], strict=False)) for row in rows]


def _safe(value):
    if not isinstance(value, str):
        return value
    value = printable(value)
    return _QUOTE + value if _computed(value.lstrip(_QUOTE)) else value


def _plain(value: str) -> str:
    quoted = value.startswith(_QUOTE) and _computed(value.lstrip(_QUOTE))
    return value.removeprefix(_QUOTE) if quoted else value


def _computed(value: str) -> bool:
    """Whether a spreadsheet would take it for more than text or a number."""
    if not value.startswith(_FORMULA) and not value.lstrip(" ").startswith(_FORMULA):
        return False
    try:
        float(value)
    except ValueError:
        return True
    return False
