"""Learning rates of their own for parts of a network, whatever the optimizer."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import keras
from keras import ops

from keras_cr._types import Tensor

Multipliers = Sequence[tuple[keras.layers.Layer, Any]]


@contextlib.contextmanager
def learning_rate_multipliers(multipliers: Multipliers) -> Iterator[None]:
    """The optimizer's step that is taken inside goes a share of its way in some parts.

    A step is proportional to the learning rate, so shortening it is a smaller learning rate for
    these parameters, whatever the optimizer. Under TensorFlow and PyTorch, eagerly, in graphs and
    under XLA; not under JAX, whose variables change outside the step.

    Args:
        multipliers: pairs of a model or layer and the multiple of the learning rate it learns at,
            a number or a scalar tensor.
    """
    scaled = [
        (v, each)
        for part, each in multipliers
        if ops.is_tensor(each) or each != 1
        for v in part.trainable_variables
    ]
    before = [ops.copy(variable.value) for variable, _ in scaled]
    yield
    if scaled:
        pairs = zip(scaled, before, strict=True)
        after = [
            old + ops.cast(share, variable.dtype) * (variable.value - old)
            for (variable, share), old in pairs
        ]
        assign_all([variable for variable, _ in scaled], after)


def scale_gradient(values: Tensor, multiplier: float) -> Tensor:
    """`values`, whose gradient is multiplied on its way back."""
    return multiplier * values + ops.stop_gradient((1 - multiplier) * values)


def assign_all(variables: Sequence[keras.Variable], values: Sequence[Tensor]) -> None:
    """Assigns values that are the same on every replica, inside or outside `tf.distribute`."""
    if not _in_replica():
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        return
    import tensorflow as tf

    def update(strategy, *replica_values):
        for variable, value in zip(variables, replica_values, strict=True):
            strategy.extended.update(variable.value, lambda v, x: v.assign(x), args=(value,))

    tf.distribute.get_replica_context().merge_call(update, args=tuple(values))


def _in_replica() -> bool:
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return tf.distribute.has_strategy() and not tf.distribute.in_cross_replica_context()
