"""Building a model whose variables get their numbers only when all of it is known to be right.

Inside of a `keras.StatelessScope` a variable has a shape and no numbers until the scope is left:
a layer of 1e9 units costs nothing there. Keras keeps the variables that wait in a list; this one
counts, and refuses what is too many.
"""

import contextlib
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import keras
from keras.src.backend.common import global_state  # Keras has no public place for that list

_WAITING = "uninitialized_variables"


class Limits(NamedTuple):
    """How large a model may get: its variables, and the numbers in all of them."""

    variables: int
    numbers: int

    @classmethod
    def of(cls, variables: int, numbers: int) -> "Limits":
        """Limits for a file of so many, with room for what files leave out (LoRA, seeds)."""
        return cls(4 * variables + 100, 4 * numbers + 2**20)


class _Waiting(list):
    """Variables without numbers yet, up to a limit."""

    def __init__(self, variables: list, limits: Limits):
        super().__init__(variables)
        self.limits = limits
        self.numbers = 0
        self.fault = ""

    def append(self, variable: Any) -> None:
        self.numbers += math.prod(variable.shape)
        if len(self) >= self.limits.variables or self.numbers > self.limits.numbers:
            self.fault = (
                f"it has more than {self.limits.variables} variables or {self.limits.numbers} "
                "numbers, far more than were saved"
            )
            raise ValueError(self.fault)
        super().append(variable)


def build(
    config: dict[str, Any], limits: Limits, check: Callable[[keras.Model], None]
) -> keras.Model:
    """Deserialises a model and gives its variables their first numbers, unless `check` objects.

    Args:
        config: what `keras.saving.deserialize_keras_object` takes; it may be taken to pieces.
        limits: how large it may get.
        check: called with the model before its variables have numbers; raises to stop.

    Raises:
        Exception: whatever its constructors or `check` raise; a ValueError above the limits.
    """
    try:
        with _waiting(limits) as scope:
            model = _deserialize(config)
            check(model)
    except Exception as error:
        if "stateless scope" not in str(error):
            raise
    else:
        for variable in model.variables:  # what a constructor assigned inside of the scope
            if (value := scope.get_current_value(variable)) is not None:
                variable.assign(value)
        return model
    model = _deserialize(config)  # a layer that makes variables of arrays can't wait
    check(model)
    return model


def _deserialize(config: dict[str, Any]) -> keras.Model:
    model = keras.saving.deserialize_keras_object(_copy(config), safe_mode=True)
    if not isinstance(model, keras.Model):
        raise TypeError(f"{type(model).__name__} is no model")
    return model


@contextlib.contextmanager
def _waiting(limits: Limits) -> Iterator[keras.StatelessScope]:
    """A scope whose variables get their numbers at its end, and none after an error."""
    before = global_state.get_global_attribute(_WAITING) or []
    with keras.StatelessScope() as scope:
        waiting = _Waiting(before, limits)
        global_state.set_global_attribute(_WAITING, waiting)
        try:
            yield scope
            if waiting.fault:  # somebody has swallowed the error
                raise ValueError(waiting.fault)
        except BaseException:
            global_state.set_global_attribute(_WAITING, before)
            raise


def _copy(value: Any) -> Any:
    """A copy of JSON's dicts and lists."""
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list) else value
