"""Choices of a rationale as text: `k=5,temperature=0.2`."""

import dataclasses
import math
import typing
from collections.abc import Mapping
from typing import Any

from keras_cr.pretraining import Rationale

_NAMED = {"on": Rationale, "paper": Rationale.paper, "reference": Rationale.reference}
_TYPES = {
    name: typing.get_origin(hint) or hint for name, hint in typing.get_type_hints(Rationale).items()
}
_TOLD = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a word",
    tuple: "words with + between",
}


def named_rationale(name: str, options: Mapping[str, Any] | None = None) -> Rationale:
    """The rationale that `--rationale` names, with some of its choices changed.

    Args:
        name: `on`, `paper` or `reference`.
        options: choices by the names of `Rationale`.

    Raises:
        ValueError: a choice can't be, alone or beside the others, or there is no such `name`.
    """
    if name not in _NAMED:
        raise ValueError(f"`rationale` must be off or one of {', '.join(_NAMED)}: {name!r}")
    return dataclasses.replace(_NAMED[name](), **options or {})


def is_choice(name: str) -> bool:
    """Whether `Rationale` has a choice of that name."""
    return name in _TYPES


def pairs(text: str) -> dict[str, str]:
    """Reads `NAME=VALUE,NAME=VALUE`.

    Raises:
        ValueError: a part is no such pair, or a name comes twice.
    """
    found = {}
    for part in text.split(","):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not (name and equals and value) or name in found:
            raise ValueError(
                f"must be NAME=VALUE with commas between, each name once. Received: {text!r}"
            )
        found[name] = value
    return found


def typed_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Choices of `Rationale` with values of their types; such as JSON knows, lists for tuples.

    Args:
        options: values, or text for them, by name.

    Raises:
        ValueError: a name is no choice of `Rationale`, or a value is of another type.

    Example:

    >>> typed_options({"k": "5", "temperature": "0.2"})
    {'k': 5, 'temperature': 0.2}
    """
    if unknown := [name for name in options if not is_choice(name)]:
        raise ValueError(
            f"{', '.join(unknown)}: no choice of a rationale. There are {', '.join(_TYPES)}."
        )
    return {name: _typed(name, value) for name, value in options.items()}


def _typed(name: str, value: Any) -> Any:
    wanted = _TYPES[name]
    try:
        if wanted is bool:
            return {"true": True, "false": False}[str(value).lower()]
        if wanted is tuple:
            return value.split("+") if isinstance(value, str) else [str(each) for each in value]
        if wanted is str:
            if isinstance(value, str):
                return value
        elif not isinstance(value, bool) and wanted(value) == float(value) < math.inf:
            return wanted(value)
    except (KeyError, TypeError, ValueError):
        pass
    raise ValueError(f"`{name}` must be {_TOLD[wanted]}. Received: {name}={value!r}")
