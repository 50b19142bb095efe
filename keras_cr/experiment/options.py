"""Choices of a rationale or an objective as text: `k=5,temperature=0.2`."""

import math
import types
import typing
from collections.abc import Mapping
from typing import Any

from keras_cr._numbers import positive_number
from keras_cr.pretraining import AUXILIARY, OBJECTIVES, Pretrainer, Rationale

_NAMED = {"on": Rationale, "paper": Rationale.paper, "reference": Rationale.reference}
_OF_A_RUN = (
    "encoder",
    "rationale",
    "total_steps",
    "backbone_lr_multiplier",
    "auxiliary",
    "num_classes",
    "seed",
)
_OF_EVERY = ("momentum", "objective_weight")  # arguments of `Pretrainer` that may be told
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
    return _typed_by(Rationale.names(), options, "a rationale")


def typed_objective_options(objective: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The same for arguments of an objective's class.

    Args:
        objective: a name of `keras_cr.pretraining.OBJECTIVES`.
        options: values, or text for them, by name.

    Raises:
        ValueError: there is no such objective, a name is none of its arguments, or a value is of
            another type.
    """
    if objective not in OBJECTIVES:
        raise ValueError(f"`objective` must be one of {', '.join(OBJECTIVES)}: {objective!r}")
    return _typed_by(_arguments(OBJECTIVES[objective]), options, f"the objective {objective}")


def typed_auxiliary(tasks: Mapping[str, Any]) -> dict[str, float]:
    """Weights of auxiliary tasks.

    Args:
        tasks: weights, or text for them, by names of `keras_cr.pretraining.AUXILIARY`.

    Raises:
        ValueError: there is no such task, or a weight is not positive.
    """
    weights = _typed_by(dict.fromkeys(AUXILIARY, float), tasks, "auxiliary tasks")
    return {name: positive_number(name, weight) for name, weight in weights.items()}


def _arguments(objective: type[Pretrainer]) -> dict[str, type]:
    """What may be told of an objective, and its types; a momentum where there is a twin."""
    every = typing.get_type_hints(Pretrainer.__init__)
    found = {name: every[name] for name in _OF_EVERY if name != "momentum" or objective.taught}
    for kind in reversed(objective.__mro__):  # of one that refines another: the other's too
        if issubclass(kind, Pretrainer) and kind is not Pretrainer and "__init__" in vars(kind):
            found |= typing.get_type_hints(kind.__init__)
    return {n: _plain(kind) for n, kind in found.items() if n not in (*_OF_A_RUN, "return")}


def _plain(kind: Any) -> type:
    """`int` of `int | None`, `tuple` of `tuple[int, ...]`."""
    if isinstance(kind, types.UnionType):
        kind = next(each for each in typing.get_args(kind) if each is not types.NoneType)
    return typing.get_origin(kind) or kind


def _typed_by(wanted: Mapping[str, type], options: Mapping[str, Any], what: str) -> dict[str, Any]:
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
