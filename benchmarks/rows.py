"""What a benchmark tells: one row a figure, and the table that rows make."""

import dataclasses
import operator
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_HOLDS = {"<=": operator.le, ">=": operator.ge}


@dataclasses.dataclass(frozen=True)
class Row:
    """One figure of a benchmark.

    Attributes:
        what: what was measured.
        value: a number in `unit`, mostly a median; None where it was not measured.
        unit: of the value.
        low, high: the range over the repeats.
        ratio: of medians of one interleaved run, to what `against` names.
        against: what the ratio compares with.
        goal: `"<= 1.02"` or `">= 1"`, of the ratio, or of the value where there is no ratio.
        note: anything else; of what was not measured, the reason.
    """

    what: str
    value: float | None = None
    unit: str = ""
    low: float | None = None
    high: float | None = None
    ratio: float | None = None
    against: str = ""
    goal: str = ""
    note: str = ""

    def met(self) -> bool | None:
        """Whether the goal is met; None where there is none, or nothing was measured."""
        measured = self.value if self.ratio is None else self.ratio
        if not self.goal or measured is None:
            return None
        sign, bound = self.goal.split()
        return bool(_HOLDS[sign](measured, float(bound)))


class NotMeasured(Exception):
    """A benchmark can't be run here; the message says why."""


def not_measured(what: str, reason: object) -> Row:
    """The row of something that was not measured."""
    return Row(what, note=f"not measured: {reason}")


def row_of(fields: Mapping[str, Any]) -> Row:
    """The row whose fields were stored."""
    return Row(**fields)


def markdown(rows: Iterable[tuple[str, Row]]) -> list[str]:
    """The lines of a table of rows, each with the name of its benchmark."""
    lines = [
        "| benchmark | measured | value | range | times | against | goal | |",
        "| --- | --- | ---: | --- | ---: | --- | --- | --- |",
    ]
    return lines + [_line(name, row) for name, row in rows]


def _line(name: str, row: Row) -> str:
    met = {True: "met", False: "missed", None: ""}[row.met()]
    told = [
        f"{number(row.value)} {row.unit}" if row.value is not None else "",
        f"{number(row.low)}-{number(row.high)}" if row.low is not None else "",
        f"{row.ratio:.3f}" if row.ratio is not None else "",
        row.against,
        f"{row.goal}: {met}" if met else row.goal,
        row.note,
    ]
    cells = (cell.strip().replace("|", "/").replace("\n", " ") for cell in told)
    return f"| {name} | {row.what} | {' | '.join(cells)} |"


def number(value: float | None) -> str:
    """Three digits, or all of a whole number."""
    if value is None:
        return ""
    if float(value).is_integer() or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def stored(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Rows as JSON takes them."""
    return [dataclasses.asdict(row) | {"met": row.met()} for row in rows]
