"""Choices of a rationale as text: `k=5,temperature=0.2`."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from keras_cr.rationale.choices import Rationale
from keras_cr.rationale.foregrounds import Foregrounds

MAX_BANK = 8192
BESIDE_AN_OBJECTIVE = {"weight", "bank_size", "warmup", "images", "map_normalization"}
BESIDE_AN_OBJECTIVE |= {field.name for field in dataclasses.fields(Foregrounds)}
_NAMED = {"on": Rationale, "paper": Rationale.paper, "reference": Rationale.reference}
_TOLD = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a word",
    tuple: "words with + between",
}


def named_rationale(
    name: str, options: Mapping[str, Any] | None = None, objective: str = "moco"
) -> Rationale:
    """The rationale that `--rationale` names, with some of its choices changed.

    Args:
        name: `on`, `paper` or `reference`.
        options: choices by the names of `Rationale`, `Neighbours` and `Views`.
        objective: beside which it stands: the release has a path for `byol` and one for `moco`,
            which serves the others too.

    Raises:
        ValueError: a choice can't be, alone or beside the others, or there is no such `name`.
    """
    if name not in _NAMED:
        raise ValueError(f"`rationale` must be off or one of {', '.join(_NAMED)}: {name!r}")
    path = ("byol",) if (name, objective) == ("reference", "byol") else ()
    return _NAMED[name](*path).changed(options or {})


def sized_rationale(
    num_images: int,
    options: Mapping[str, Any] | None = None,
    name: str = "on",
    objective: str = "moco",
) -> Rationale:
    """`named_rationale` for so many images: fewer neighbours where there are few, and a bank.

    Raises:
        ValueError: `options` ask for more neighbours than there can be, or as `named_rationale`.
    """
    options = options or {}
    rationale = named_rationale(name, options, objective)
    if rationale.explains_objective:
        return rationale
    most = max((num_images - 1) // 2, 1)
    k = options.get("k", min(rationale.positives.k, most))
    if k > most:
        raise ValueError(
            f"`rationale_options`: k must be below half the number of training images, "
            f"{num_images}. Received: k={k}"
        )
    bank = max(min(2 ** int(math.log2(max(num_images, 1))), MAX_BANK), 2 * k + 1)
    return rationale.changed({"k": k, "bank_size": options.get("bank_size", bank)})


def check_frozen_options(options: Mapping[str, Any]) -> None:
    """Refuses choices that would change nothing where a branch is fitted to a frozen backbone.

    Raises:
        ValueError: `options` name one that concerns training beside an objective.
    """
    if idle := sorted(options.keys() & BESIDE_AN_OBJECTIVE):
        raise ValueError(
            f"`{idle[0]}` has no effect where only the branch is fitted: it is for training beside "
            f"an objective. Received: {idle[0]}={options[idle[0]]!r}; leave it out"
        )


def is_choice(name: str) -> bool:
    """Whether a rationale has a choice of that name."""
    return name in Rationale.names()


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
    """Choices of a rationale with values of their types; such as JSON knows, lists for tuples.

    Args:
        options: values, or text for them, by name.

    Raises:
        ValueError: a name is no choice of a rationale, or a value is of another type.

    Example:

    >>> typed_options({"k": "5", "temperature": "0.2"})
    {'k': 5, 'temperature': 0.2}
    """
    return typed_by(Rationale.names(), options, "a rationale")


def typed_by(wanted: Mapping[str, type], options: Mapping[str, Any], what: str) -> dict[str, Any]:
    """Values, or text for them, as values of the types that are wanted of their names.

    Raises:
        ValueError: a name is none of `what`, or a value is of another type.
    """
    if unknown := [name for name in options if name not in wanted]:
        raise ValueError(
            f"{', '.join(unknown)}: no choice of {what}. There are {', '.join(wanted)}."
        )
    return {name: _typed(name, value, wanted[name]) for name, value in options.items()}


def _typed(name: str, value: Any, wanted: type) -> Any:
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
