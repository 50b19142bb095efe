"""Values as text for Markdown."""

from collections.abc import Mapping
from typing import Any

from keras_cr._metrics import Headline


def number(metric: Headline, value: float) -> str:
    """A headline number: fractions in percent."""
    return f"{100 * value:.1f} %" if metric.fraction else f"{value:.2f}"


def in_line(value: Any) -> str:
    """A value as one line that neither ends a table's cell nor begins an HTML tag."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {in_line(item)}" for key, item in value.items())
    return " ".join(str(value).split()).replace("|", "\\|").replace("<", "&lt;")
