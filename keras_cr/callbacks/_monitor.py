"""What all monitors share: when they are due, what they look at, where they write."""

import os

import keras

from keras_cr._numbers import whole_number
from keras_cr._types import Logs
from keras_cr.callbacks._tensorboard import SummaryWriter


class Monitor(keras.callbacks.Callback):
    """A callback that is due every so many epochs and at the end of the last one.

    Args:
        every: epochs from one time to the next.
        tensorboard: TensorBoard's log folder, or None.

    Raises:
        ValueError: `every` is not a positive integer.
        ImportError: `tensorboard` is given and TensorBoard is missing.
    """

    def __init__(self, every: int, tensorboard: str | os.PathLike | None) -> None:
        super().__init__()
        check_positive(every=every)
        self.every = every
        self.writer = SummaryWriter(tensorboard)

    def due(self, epoch: int) -> bool:
        """Whether the end of `epoch`, counted from 0, is one to look at."""
        done = epoch + 1
        return done % self.every == 0 or done == (self.params or {}).get("epochs")

    def on_train_end(self, logs: Logs = None) -> None:
        self.writer.close()


def find_encoder(model: keras.Model) -> keras.Model:
    """The encoder in a model that is trained: the model itself, or its `encoder`.

    Raises:
        ValueError: there is none.
    """
    for candidate in (model, getattr(model, "encoder", None)):
        if callable(getattr(candidate, "encode", None)):
            return candidate
    raise ValueError(
        "The model that is trained must be a CommonRationaleEncoder or have one as `encoder`, as "
        f"pretrainers and CommonRationaleClassifier do. Received: {type(model).__name__}"
    )


def check_positive(**arguments: int) -> None:
    """Raises ValueError for an argument that is not a positive integer."""
    for name, value in arguments.items():
        whole_number(name, value)
