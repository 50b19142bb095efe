"""One training in several calls of `fit`: one line of progress, and callbacks that see it whole."""

from collections.abc import Iterable

import keras

from keras_cr._progress import Progress
from keras_cr._types import Logs


class ProgressBar(keras.callbacks.Callback):
    """Reports every step of a training to one line for the whole of it, with the latest metrics.

    Args:
        progress: the line, of all steps; who calls `fit` opens it, and closes it
            whatever happens inside.
        epochs: number of epochs of the whole training.
    """

    def __init__(self, progress: Progress, epochs: int) -> None:
        super().__init__()
        self.progress, self.epochs = progress, epochs

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        self.progress.tell(self.progress.note, f"Training, epoch {epoch + 1}/{self.epochs}")

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        shown = (f"{name} {logs[name]:.3g}" for name in ("loss", "agreement") if name in logs)
        self.progress.advance(note=", ".join(shown))


class OneTraining(keras.callbacks.CallbackList):
    """Callbacks to which several calls of `fit` are one training: it begins and ends once.

    Args:
        callbacks: them.
        model: what is trained.
        epochs: number of epochs of the whole training.
        steps: number of steps an epoch.
    """

    def __init__(
        self,
        callbacks: Iterable[keras.callbacks.Callback],
        model: keras.Model,
        epochs: int,
        steps: int,
    ) -> None:
        super().__init__(
            list(callbacks), add_history=True, model=model, epochs=epochs, steps=steps, verbose=0
        )
        self._begun, self._logs = False, None

    def on_train_begin(self, logs: Logs = None) -> None:
        if not self._begun:
            self._begun = True
            super().on_train_begin(logs)

    def on_train_end(self, logs: Logs = None) -> None:
        self._logs = logs

    def end(self) -> None:
        """Ends the training, if any of it took place."""
        if self._begun:
            super().on_train_end(self._logs)
