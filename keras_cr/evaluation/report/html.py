"""HTML from strings: what is not markup already is escaped."""

import base64
import html
from collections.abc import Iterable, Sequence

_VOID = ("img", "link", "meta")
MISSING = "–"  # shown where there is no number


class Markup(str):
    """Text that is HTML and goes into a page as it is."""


def el(name: str, *children, **attributes) -> Markup:
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
            parts.append(f'{key}="{html.escape(str(value))}"')
    opening = f"<{' '.join(parts)}>"
    return Markup(opening if name in _VOID else f"{opening}{join(children)}</{name}>")


def join(children: Iterable) -> Markup:
    """Children one after the other; see `el`."""
    parts = []
    for child in children:
        if isinstance(child, list | tuple):
            parts.append(join(child))
        elif child is not None:
            parts.append(child if isinstance(child, Markup) else html.escape(str(child)))
    return Markup("".join(parts))


def data_uri(content: bytes, kind: str) -> str:
    """`content` of the media type `kind` as an address that holds it."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def table(
    head: Sequence, rows: Iterable[Sequence], caption: str, headers: int = 1, **attributes
) -> Markup:
    """A table that scrolls inside its own box where the page is too narrow.

    Args:
        head: the columns' titles; one that is a `th` element is taken as it is.
        rows: cells, as text or as `td` elements.
        caption: what the table shows, for who can't see it.
        headers: leading cells of a row that name it.
        attributes: of the table.
    """
    titles = [cell if _is(cell, "th") else el("th", cell, scope="col") for cell in head]
    lines = []
    for row in rows:
        names = [el("th", cell, scope="row") for cell in row[:headers]]
        cells = [cell if _is(cell, "td") else el("td", cell) for cell in row[headers:]]
        lines.append(el("tr", names, cells))
    whole = el(
        "table",
        el("caption", caption),
        el("thead", el("tr", titles)),
        el("tbody", lines),
        **attributes,
    )
    return el("div", whole, class_="scroll", tabindex="0", role="region", aria_label=caption)


def facts(pairs: Iterable[tuple], **attributes) -> Markup:
    """Names and values below each other; a value of None is left out."""
    lines = [
        el("div", el("dt", name), el("dd", value)) for name, value in pairs if value is not None
    ]
    return el("dl", lines, **attributes)


def _is(cell, name: str) -> bool:
    return isinstance(cell, Markup) and cell.startswith(f"<{name}")
