"""Choices of an objective and its tasks as text: `temperature=0.2`."""

import re
import types
import typing
from collections.abc import Mapping
from typing import Any

from keras_cr._numbers import positive_number
from keras_cr.pretraining import AUXILIARY, OBJECTIVES, Pretrainer
from keras_cr.rationale.options import typed_by

_OF_A_RUN = (
    "encoder",
    "rationale",
    "total_steps",
    "backbone_lr_multiplier",
    "auxiliary",
    "num_classes",
    "kwargs",
    "seed",
)
_OF_EVERY = ("momentum", "objective_weight")  # arguments of `Pretrainer` that may be told


def typed_objective_options(objective: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of an objective's class with values of their types.

    Args:
        objective: a name of `keras_cr.pretraining.OBJECTIVES`.
        options: values, or text for them, by name.

    Raises:
        ValueError: there is no such objective, a name is none of its arguments, or a value is of
            another type.
    """
    if objective not in OBJECTIVES:
        raise ValueError(f"`objective` must be one of {', '.join(OBJECTIVES)}: {objective!r}")
    return typed_by(_arguments(OBJECTIVES[objective]), options, f"the objective {objective}")


def typed_auxiliary(tasks: Mapping[str, Any]) -> dict[str, float]:
    """Weights of auxiliary tasks.

    Args:
        tasks: weights, or text for them, by names of `keras_cr.pretraining.AUXILIARY`.

    Raises:
        ValueError: there is no such task, or a weight is not positive.
    """
    weights = typed_by(dict.fromkeys(AUXILIARY, float), tasks, "auxiliary tasks")
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


def read_interval(value: str) -> tuple[int | None, float | None]:
    """`"500"` steps or `"10min"`, as `(steps, seconds)`, one of them None.

    Raises:
        ValueError: it is neither.
    """
    match = re.fullmatch(r"([1-9]\d*)(min)?", str(value))
    if match is None:
        raise ValueError(
            "`save_every` must be a number of steps such as '500', or of minutes such as '10min'. "
            f"Received: {value!r}"
        )
    number = int(match[1])
    return (None, 60.0 * number) if match[2] else (number, None)
