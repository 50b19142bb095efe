"""HTML from strings: what is not markup already is escaped."""

import base64
import html
from collections.abc import Iterable, Sequence
from typing import Any

from keras_cr._text import printable

_VOID = ("img", "link", "meta")


class Markup(str):
    """Text that is HTML and goes into a page as it is."""


def el(name: str, /, *children: Any, **attributes: Any) -> Markup:
    """An element, `el("a", "text", href="#top")`.

    Args:
        name: of the element.
        children: markup, or anything else as text, which is escaped; None is left out, lists are
            flattened.
        attributes: values, which are escaped; None and False leave one out, True gives it without a
            value. `class_` and `for_` lose their last underscore, other underscores are hyphens.
    """
    parts = [name]
    for key, value in attributes.items():
        key = key.rstrip("_").replace("_", "-")
        if value is True:
            parts.append(key)
        elif value is not None and value is not False:
            parts.append(f'{key}="{_escaped(value)}"')
    opening = f"<{' '.join(parts)}>"
    return Markup(opening if name in _VOID else f"{opening}{join(children)}</{name}>")


def join(children: Iterable) -> Markup:
    """Children one after the other; see `el`."""
    parts: list[str] = []
    for child in children:
        if isinstance(child, list | tuple):
            parts.append(join(child))
        elif child is not None:
            parts.append(child if isinstance(child, Markup) else _escaped(child))
    return Markup("".join(parts))


def data_uri(content: bytes, kind: str) -> str:
    """`content` of the media type `kind` as an address that holds it."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def table(head: Sequence, rows: Iterable[Sequence], caption: str, **attributes: Any) -> Markup:
    """A table that scrolls inside its own box where the page is too narrow.

    Args:
        head: the columns' titles; one that is a `th` element is taken as it is.
        rows: the row's name, then cells as text or as `td` elements.
        caption: what the table shows, for who can't see it.
        attributes: of the table.
    """
    titles = [cell if _is(cell, "th") else el("th", cell, scope="col") for cell in head]
    lines = [
        el(
            "tr",
            el("th", row[0], scope="row"),
            [cell if _is(cell, "td") else el("td", cell) for cell in row[1:]],
        )
        for row in rows
    ]
    whole = el(
        "table",
        el("caption", caption),
        el("thead", el("tr", titles)),
        el("tbody", lines),
        **attributes,
    )
    return el("div", whole, class_="scroll", tabindex="0", role="region", aria_label=caption)


def facts(pairs: Iterable[tuple], **attributes: Any) -> Markup:
    """Names and values below each other; a value of None is left out."""
    lines = [
        el("div", el("dt", name), el("dd", value)) for name, value in pairs if value is not None
    ]
    return el("dl", lines, **attributes)


def _escaped(value) -> str:
    return html.escape(printable(str(value)))


def _is(cell, name: str) -> bool:
    return isinstance(cell, Markup) and cell.startswith(f"<{name}")
