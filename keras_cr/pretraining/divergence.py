"""Steps of a training that give a loss or the like which is not finite end it, or are skipped."""

import functools
import math
import warnings
from collections.abc import Callable

import keras
import tensorflow as tf
from keras import ops

from keras_cr._finite import not_finite
from keras_cr._replicas import put_back, total
from keras_cr._types import Logs, Tensor

ON_NAN = ("stop", "skip")
MOST_SKIPPED = 10  # steps in a row
_NOT_FINITE = "The loss, a gradient or a running mean of batch normalisation is not finite"
_WAY_OUT = "Lower `learning_rate`, let it rise (`warmup_epochs`), or compute in float32."


class DivergedError(ArithmeticError):
    """The loss, a gradient, a running mean or a weight of a training is not finite."""


class SkippedSteps(keras.metrics.Metric):
    """How many steps have been skipped, which every replica counts for itself."""

    def __init__(self) -> None:
        super().__init__(name="skipped_steps")
        self.total = self.add_variable((), "zeros", aggregation="mean", name="total")

    def update_state(self, skipped: Tensor) -> None:
        self.total.assign_add(skipped)

    def result(self) -> Tensor:
        return ops.cast(self.total, self.dtype)


def check_on_nan(on_nan: str) -> None:
    """Refuses what is neither `"stop"` nor `"skip"`.

    Raises:
        ValueError: it is neither.
    """
    if on_nan not in ON_NAN:
        raise ValueError(f"`on_nan` must be one of {', '.join(ON_NAN)}. Received: {on_nan!r}")


def skippable(train_step: Callable) -> Callable:
    """A pretrainer's training step that undoes itself where `on_nan` says so.

    What the step has changed is put back in the graph, whatever an objective keeps: weights, the
    twin's, running means, queues, seeds, the optimizer's and the metrics' variables. Until then
    both are in memory.

    Args:
        train_step: of a `PretrainingModel`; logs `loss`, which is not finite if a gradient
            or a running mean isn't.
    """

    @functools.wraps(train_step)
    def step(self, data):
        if self.on_nan != "skip":
            return train_step(self, data)
        skipped = self.skipped_steps
        kept = [*self.variables, *self.optimizer.variables]
        for metric in self.metrics:
            kept += metric.variables if metric is not skipped else []
        before = [tf.convert_to_tensor(variable) for variable in kept]
        lost = total(tf.cast(~tf.math.is_finite(train_step(self, data)["loss"]), "float32")) > 0
        put_back(kept, before, lost)
        skipped.update_state(tf.cast(lost, "float32"))
        return self.get_metrics_result()

    return step


class WatchNotFinite(keras.callbacks.Callback):
    """Ends a training where its loss or gradient is not finite, or warns where steps are skipped.

    Args:
        images_of: the names of the images of a step, given its epoch and its number in it.
        first_step: steps of the first epoch that an earlier training has done.
    """

    def __init__(self, images_of: Callable[[int, int], list[str]], first_step: int = 0) -> None:
        super().__init__()
        self.images_of, self.first_step, self.epoch = images_of, first_step, 0
        self.steps, self.skipped, self.in_a_row = first_step, 0.0, 0

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        self.epoch = epoch

    def on_train_batch_begin(self, batch: int, logs: Logs = None) -> None:
        if self.model.on_nan == "skip":
            self.skipped = float(self.model.skipped_steps.result())

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        self.steps = self.first_step + batch + 1
        skipped = logs.get("skipped_steps", 0) > self.skipped
        self.in_a_row = self.in_a_row + 1 if skipped else 0
        if not skipped and math.isfinite(logs["loss"]):
            return
        named = self.images_of(self.epoch, self.steps - 1)
        more = f" and {len(named) - 3} others" if len(named) > 3 else ""
        told = (
            f"{_NOT_FINITE} at step {self.steps} of epoch {self.epoch + 1}, "
            f"on the images {', '.join(named[:3])}{more}."
        )
        if not skipped:
            raise DivergedError(f"{told} {_WAY_OUT}")
        if self.in_a_row == MOST_SKIPPED:
            raise DivergedError(f"{told} It is the last of {MOST_SKIPPED} in a row. {_WAY_OUT}")
        warnings.warn(f"{told} The step is skipped.", stacklevel=2)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        if logs.get("skipped_steps") == self.steps:
            raise DivergedError(f"{_NOT_FINITE} at any step of epoch {epoch + 1}. {_WAY_OUT}")
        self.first_step = 0


def check_still_finite(model: keras.Model) -> None:
    """Refuses weights that hold NaN or infinity.

    Raises:
        DivergedError: some do.
    """
    if wrong := not_finite(model):
        raise DivergedError(f"Weights are not finite: {', '.join(wrong[:3])}. {_WAY_OUT}")
