"""What the auxiliary tasks add to a step."""

import contextlib
from collections.abc import Iterator

import keras
from keras import ops

from keras_cr.layers.batch_normalization import running_statistics
from keras_cr.pretraining.outcome import View


def auxiliary_losses(pretrainer: keras.Model, student: dict[str, View], batch: dict) -> tuple:
    """The weighted losses of a pretrainer's tasks, and all their scalars by the names of the log.

    Arguments are those of `AuxiliaryTask.objective`; returns `(losses, logs)`, a list and a dict.
    """
    losses, logs = [], {}
    with _statistics_kept(pretrainer.encoder.backbone):
        for task in pretrainer.auxiliary:
            told = task.objective(pretrainer, student, batch)
            losses.append(task.weight * told.loss)
            scalars = {"loss": told.loss, **told.logs}
            logs |= {f"{task.name}_{name}": value for name, value in scalars.items()}
    return losses, logs


@contextlib.contextmanager
def _statistics_kept(backbone: keras.Model) -> Iterator[None]:
    """Passes in training mode that are made inside leave batch normalisation's averages alone.

    A task shows the network turned, shuffled or erased images, in batches of their own; inference
    sees whole ones, whose statistics are others.
    """
    running = running_statistics(backbone)
    before = [ops.copy(variable.value) for variable in running]
    yield
    for variable, value in zip(running, before, strict=True):
        variable.assign(value)
