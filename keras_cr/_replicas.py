"""One step on several devices: what the replicas of `tf.distribute` have in common.

Each replica has as many rows of a batch as the others, and its loss is the mean over its rows, or
that of the whole batch, of which `gather` makes it. The loss that is trained is the mean of the
replicas' losses: one machine's with the whole batch. Outside of a replica, with one of them and
under other backends all of this leaves values as they are.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_cr._backend import require_tensorflow
from keras_cr._types import Tensor


def gather(values: Tensor) -> Tensor:
    """The rows of all replicas in the order of the whole batch; it has a gradient.

    Args:
        values: this replica's, `(B, ...)`.
    """
    if (context := _context()) is None:
        return values
    import tensorflow as tf

    rows = context.all_gather(values, axis=0)  # of unknown shape, in a graph with collective ops
    return tf.ensure_shape(rows, (None, *values.shape[1:]))


def total(values: Tensor) -> Tensor:
    """The sum over the replicas of a tensor that each of them has; it has a gradient."""
    context = _context()
    return values if context is None else context.all_reduce("SUM", values)


def average(values: Tensor) -> Tensor:
    """The mean over the replicas of a tensor that each of them has; it has a gradient."""
    context = _context()
    return values if context is None else context.all_reduce("MEAN", values)


def share(loss: Tensor) -> Tensor:
    """What a replica's loss adds to the mean over the replicas, which is their sum of it."""
    context = _context()
    return loss if context is None else loss / context.num_replicas_in_sync


def unshared(loss: Tensor) -> Tensor:
    """A loss of which a Keras loss has taken the `share`."""
    context = _context()
    return loss if context is None else loss * context.num_replicas_in_sync


def uniform(shape: tuple, low: float = 0.0, high: float = 1.0, *, seed: Any) -> Tensor:
    """Draws as `keras.random.uniform`; a replica gets its rows of a draw for the whole batch.

    Args:
        shape: of this replica's draw; the batch comes first.
        low: the least number.
        high: above all of them.
        seed: an integer or a `keras.random.SeedGenerator`.
    """
    if (context := _context()) is None:
        return keras.random.uniform(shape, low, high, seed=seed)
    every = (shape[0] * context.num_replicas_in_sync, *shape[1:])
    first = shape[0] * context.replica_id_in_sync_group
    return keras.random.uniform(every, low, high, seed=seed)[first : first + shape[0]]


def whole_gradients(gradients: list, optimizer: keras.Optimizer) -> list:
    """What a replica has to give an optimizer, which clips gradients before it sums the replicas'.

    The sum is taken, and clipped, beforehand; each replica gives its share of that, no part of
    which is clipped again. So all of them see the same gradient that is not finite, too.
    """
    if (context := _context()) is None:
        return gradients
    clips = getattr(optimizer, "inner_optimizer", optimizer)
    scale = optimizer.scale_loss(ops.ones(()))  # of loss scaling
    known = [each for each in gradients if each is not None]
    clipped = clips._clip_gradients([each / scale for each in context.all_reduce("SUM", known)])
    rest = iter([share(each * scale) for each in clipped])
    return [None if each is None else next(rest) for each in gradients]


def put_back(variables: list, values: list, condition: Tensor) -> None:
    """Assigns values to variables where a condition holds, which is the same on all replicas."""
    import tensorflow as tf

    def assign():
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)

    def assign_everywhere(strategy, chosen):
        for variable, value in zip(variables, chosen, strict=True):
            target = getattr(variable, "value", variable)
            strategy.extended.update(target, lambda own, new: own.assign(new), args=(value,))

    if (context := _context()) is None:
        tf.cond(condition, assign, lambda: None)
        return
    now = [tf.convert_to_tensor(variable) for variable in variables]
    pairs = zip(values, now, strict=True)
    context.merge_call(assign_everywhere, args=([tf.where(condition, *pair) for pair in pairs],))


def check_even(rows: Tensor) -> None:
    """Stops a step in which a replica has more rows than another: means would weigh them apart."""
    if (context := _context()) is None:
        return
    import tensorflow as tf

    number = tf.reshape(tf.cast(rows, "int32"), (1,))
    tf.debugging.assert_equal(
        context.all_gather(number, axis=0),
        number,
        f"A batch must divide by the {context.num_replicas_in_sync} replicas: choose such a "
        "batch size, and drop what is left over, `batch(..., drop_remainder=True)`.",
    )


@contextlib.contextmanager
def synchronized(model: keras.Model) -> Iterator[None]:
    """Batch normalisation that is traced inside takes the statistics of all replicas' rows.

    It is a choice of the layers, and of no interest to who saves them: it ends with the block.
    """
    layers = []
    if _context() is not None:
        layers = [
            layer
            for layer in model._flatten_layers()
            if isinstance(layer, keras.layers.BatchNormalization) and not layer.synchronized
        ]
    for layer in layers:
        layer.synchronized = True
    try:
        yield
    finally:
        for layer in layers:
            layer.synchronized = False


@functools.cache
def mirrored() -> Any:
    """The devices of this machine: one strategy for all that a process builds on them.

    They are its GPUs, or else the CPU, or what TensorFlow has been told to make of it.

    Raises:
        ValueError: Keras runs on another backend.
    """
    require_tensorflow("The strategy `mirrored` needs", ValueError)
    import tensorflow as tf

    return tf.distribute.MirroredStrategy()


def number_of(model: keras.Model) -> int:
    """The replicas that a model has been built on, under their strategy's scope."""
    strategy = getattr(model, "distribute_strategy", None)
    return 1 if strategy is None else strategy.num_replicas_in_sync


def copies_of(variable: keras.Variable) -> int:
    """How many replicas hold a variable, 1 where it was not made in the scope of a strategy."""
    if keras.backend.backend() != "tensorflow":  # PyTorch's tensors have a method `values`
        return 1
    return len(getattr(variable.value, "values", (variable,)))


def spread(batch: Any, model: keras.Model) -> Any:
    """A batch of arrays, divided among a model's replicas; as it is where there is one.

    Keras' `fit` divides batches by itself, `train_on_batch` and `predict_on_batch` give the whole
    of one to each replica.

    Raises:
        ValueError: it does not divide.
    """
    if (number := number_of(model)) == 1:
        return batch

    def divided(values):
        if len(values) % number:
            raise ValueError(
                f"A batch must divide by the {number} replicas. Received: {len(values)} rows"
            )
        rows = len(values) // number

        def own(context):
            first = rows * context.replica_id_in_sync_group
            return ops.convert_to_tensor(values[first : first + rows])

        return model.distribute_strategy.experimental_distribute_values_from_function(own)

    return keras.tree.map_structure(divided, batch)


def predict_on_batch(model: keras.Model, predict: Callable, x: Tensor) -> Any:
    """What `predict`, Keras' own of this model, makes of a batch of any number of rows."""
    if (number := number_of(model)) == 1:
        return predict(x)
    every = -(-len(x) // number) * number  # the last row fills up what does not divide
    rows = np.minimum(np.arange(every), len(x) - 1)
    outputs = predict(spread(np.asarray(x)[rows], model))
    return keras.tree.map_structure(lambda values: values[: len(x)], outputs)


def check_same_scope(argument: str, part: keras.Model, model: keras.Model) -> None:
    """Raises where a part of a model was built on other devices than the model.

    Args:
        argument: the part's name, for the message.
        part: what is to become a part of the model.
        model: which is being built.

    Raises:
        ValueError: it was.
    """
    number = number_of(model)
    if wrong := [each for each in part.weights if copies_of(each) != number]:
        raise ValueError(
            f"`{argument}` must be built in the scope of the strategy that the "
            f"{type(model).__name__} is built in, its backbone too. Received: {wrong[0].path!r} on "
            f"{copies_of(wrong[0])} devices, in a scope of {number}"
        )


def refuse_scope(what: str) -> None:
    """Raises where a model would be built under a strategy of several replicas.

    Args:
        what: the subject of the message and its verb.

    Raises:
        ValueError: it would.
    """
    if keras.backend.backend() != "tensorflow":
        return
    import tensorflow as tf

    if (number := tf.distribute.get_strategy().num_replicas_in_sync) > 1:
        raise ValueError(
            f"{what} on one device, and was called in the scope of a strategy of {number} "
            "replicas. Leave the scope: an encoder that was built there goes on all replicas."
        )


def _context():
    """This replica's, or None where there are no others."""
    if keras.backend.backend() != "tensorflow":
        return None
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    return None if context is None or context.num_replicas_in_sync == 1 else context
