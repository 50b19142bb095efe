"""What passes between the training step, objectives and auxiliary tasks."""

from dataclasses import dataclass, field
from typing import Any

from keras import ops

from keras_cr._types import Tensor


@dataclass
class Outcome:
    """What an objective or a task gives back.

    Attributes:
        loss: a scalar.
        logs: scalars to log, by name.
    """

    loss: Any
    logs: dict = field(default_factory=dict)


@dataclass
class View:
    """What a network makes of a view, float32.

    Attributes:
        map: the feature map, `(B, h, w, C)`.
        pooled: its average, `(B, C)`.
        projected: what the head `project` makes of that, `(B, D)`; without one, the same.
        predicted: what the head `predict` makes of that, `(B, D)`; without one, the same.
        dense: what heads make of each place, `(B, h * w, D)`, for an objective whose `see` adds it.
    """

    map: Any
    pooled: Any
    projected: Any
    predicted: Any
    dense: Any = None


def added(*losses: Tensor) -> Tensor:
    """Their sum, the same from trace to trace.

    A sum and not `+`: TensorFlow regroups chains of additions, differently from trace to trace, and
    two runs with one seed would log losses that differ in the last digit.
    """
    return ops.sum(ops.stack(losses)) if len(losses) > 1 else losses[0]
