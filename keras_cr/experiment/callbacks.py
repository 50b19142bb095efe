"""What a run does at every epoch: watch, and keep what was reached."""

import math
import time
from pathlib import Path

import keras
import numpy as np

from keras_cr._types import Logs
from keras_cr.callbacks import KNNMonitor, RationaleHealth, RationaleImages
from keras_cr.callbacks._history import write_history
from keras_cr.data import FineGrainedDataset, image_batches
from keras_cr.experiment.checkpoints import Reached, write_checkpoint
from keras_cr.experiment.options import read_interval
from keras_cr.experiment.settings import Settings
from keras_cr.experiment.stopping import Signals
from keras_cr.pretraining.divergence import check_still_finite

NUM_PICTURES, SHEETS = 12, 10


class Checkpoint(keras.callbacks.Callback):
    """Keeps the training's state after every epoch, within long ones, and where a run is to end.

    A run that is killed at any moment goes on from the last state, in the middle of an epoch too.
    Epochs count from 0, as Keras' logs do.

    Args:
        folder: the run's output folder; gets `checkpoints/` and `history.csv`.
        steps: steps an epoch.
        reached: how far the training is that goes on, or None.
        every: keeps the state within an epoch as well, see `read_interval`; None doesn't.
        signals: what may ask the run to end.
    """

    def __init__(
        self,
        folder: Path,
        steps: int,
        reached: Reached | None = None,
        every: str | None = None,
        signals: Signals | None = None,
    ) -> None:
        super().__init__()
        self.folder, self.steps = folder, steps
        self.signals = signals or Signals()
        self.every_steps, self.every_seconds = read_interval(every) if every else (None, None)
        reached = reached or Reached(0, 0, 0, [], {})
        self.step, self.history, self.running = reached.step, reached.history, reached.running
        self.saved_at, self.saved_step = time.monotonic(), self.step

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        for metric in self.model.metrics:  # reset by Keras just before
            if (kept := self.running.get(metric.name)) is not None:
                for variable, value in zip(metric.variables, kept, strict=True):
                    variable.assign(value)
        self.running = {}

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        self.step += 1
        if self.step % self.steps == 0:  # on_epoch_end is next
            return
        if self.signals.met is not None:
            self._save()
            self.signals.check()
        due = self.every_steps and self.step - self.saved_step >= self.every_steps
        late = self.every_seconds and time.monotonic() - self.saved_at >= self.every_seconds
        if due or late:
            self._save()

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        rate = float(self.model.optimizer.learning_rate)
        row = {"epoch": epoch, "learning_rate": rate, **logs}
        self.history = [*self.history, {name: _plain(value) for name, value in row.items()}]
        self._save()
        write_history(self.folder / "history.csv", self.history)
        self.signals.check()

    def _save(self) -> None:
        check_still_finite(self.model)
        epoch, rest = divmod(self.step, self.steps)
        running = {}
        if rest:
            for metric in self.model.metrics:
                running[metric.name] = [float(np.asarray(each)) for each in metric.variables]
        reached = Reached(self.step, epoch, rest, self.history, running)
        write_checkpoint(self.folder, self.model, reached)
        self.saved_at, self.saved_step = time.monotonic(), self.step


def _plain(value):
    """A number as JSON and the history hold it."""
    return value if isinstance(value, str | int) else float(value)


def monitors(
    settings: Settings, train: FineGrainedDataset, output: Path
) -> list[keras.callbacks.Callback]:
    """What watches a run, by its training images alone; to be called before `Checkpoint`.

    Args:
        settings: of the run.
        train: the training images.
        output: the run's folder; gets `health.csv`, at most ten sheets in `rationales/` (none
            where the branch isn't trained) and, if wanted, `tensorboard/`. Nothing is written yet.

    Raises:
        ValueError: a k-NN monitor is wanted and `train` has no labels to go by.
        ImportError: TensorBoard is wanted and missing.
    """
    watching = [RationaleHealth(output / "health.csv")]
    folder = None
    if settings.tensorboard:
        folder = output / "tensorboard"
        watching.append(keras.callbacks.TensorBoard(folder, write_graph=False))  # every metric
    if settings.rationale != "off":
        batches = image_batches(train.spread(NUM_PICTURES), settings.image_size, batch_size=8)
        images = np.concatenate(list(batches.as_numpy_iterator()))
        every = math.ceil(settings.epochs / SHEETS)
        watching.append(RationaleImages(images, output / "rationales", folder, every))
    if settings.monitor_every:
        try:
            knn = KNNMonitor(
                train,
                settings.image_size,
                every=settings.monitor_every,
                batch_size=settings.batch_size,
                seed=settings.seed,
                tensorboard=folder,
            )
        except ValueError as error:
            raise ValueError(f"`monitor_every`: {error}") from error
        watching.append(knn)
    return watching
