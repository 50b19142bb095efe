"""The model page: every card of the package as a row of a table, in docs/zoo.md too."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from keras_cr._metrics import shown_in
from keras_cr.presets.errors import PresetError
from keras_cr.presets.registry import Card
from keras_cr.presets.schema import NOT_MEASURED
from keras_cr.presets.text import in_line, number

NOT_PUBLISHED = "not published"
_HEAD = """# Zoo

Every preset with a card in `weights_card/`, sorted by {column}. A number stands here only if it was
measured; its protocol is on the preset's own page, `keras-cr presets card NAME`. What is not
published is made by its command, run from the root of a checkout.

`keras-cr presets list --markdown` wrote this page from the cards; on the terminal that command
sorts by any other column as well, and on the site a click on a head does.
"""


def row(card: Card) -> dict[str, str]:
    """What the model page says of a card, by column."""
    return {
        "name": card.name,
        "backbone": card.backbone,
        "size": _size(card),
        "licence": _licence(card),
        "data": card.data["name"],
        "metrics": _metrics(card.metrics),
        "command": card.recipe["command"],
    }


COLUMNS: dict[str, Callable[[Card], Any]] = {  # what each column is sorted by
    "name": lambda card: card.name,
    "backbone": lambda card: card.backbone,
    "size": lambda card: card.size or float("inf"),
    "licence": lambda card: _licence(card),
    "data": lambda card: card.data["name"],
    "metrics": lambda card: -_best(card.metrics),
    "command": lambda card: card.recipe["command"],
}


def in_order(cards: Iterable[Card], column: str = "name") -> list[Card]:
    """Cards by a column: the smallest first, of metrics the highest rank-1.

    Raises:
        PresetError: there is no such column.
    """
    if column not in COLUMNS:
        raise PresetError(f"sort must be one of {', '.join(COLUMNS)}; received {column!r}.")
    return sorted(cards, key=lambda card: (COLUMNS[column](card), card.name))


def zoo_page(cards: Iterable[Card], column: str = "name") -> str:
    """The text of docs/zoo.md: Markdown with a table of cards.

    Args:
        cards: which ones.
        column: what they are sorted by.

    Raises:
        PresetError: there is no such column.
    """
    ordered, names = in_order(cards, column), list(COLUMNS)
    lines = [_row(names), _row(["---"] * len(names))]
    for card in ordered:
        cells = {name: in_line(text) for name, text in row(card).items()}
        code = {name: f"`{cells[name].replace('`', '')}`" for name in ("name", "command")}
        lines.append(_row((cells | code).values()))
    return "\n".join([_HEAD.format(column=column), *lines, ""])


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _size(card: Card) -> str:
    """What has to be downloaded, and beside it the backbone that lies elsewhere."""
    if card.size is None:
        size = card.file_size
        return NOT_PUBLISHED if size is None else f"{_bytes(size)}, {NOT_PUBLISHED}"
    elsewhere = card.backbone_source
    return _bytes(card.size) + (f" + {_bytes(elsewhere['size'])} backbone" if elsewhere else "")


def _licence(card: Card) -> str:
    elsewhere = card.backbone_source
    return card.licence + (f"; backbone: {elsewhere['licence']}" if elsewhere else "")


def _bytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.0f} kB"


def _metrics(measured: str | Mapping[str, Any]) -> str:
    """The headline numbers, or that there are none."""
    if measured == NOT_MEASURED:
        return NOT_MEASURED
    found = ((metric, metric.of(measured)) for metric in shown_in("card"))  # type: ignore[arg-type]
    return ", ".join(
        f"{metric.title} {number(metric, value)}" for metric, value in found if value is not None
    )


def _best(measured: str | Mapping[str, Any]) -> float:
    """Rank-1 of the retrieval; -1 where it was not measured."""
    value = None if measured == NOT_MEASURED else shown_in("card")[0].of(measured)  # type: ignore[arg-type]
    return -1.0 if value is None else value
