"""What a run does at every step and every epoch: show progress, watch, keep what was reached."""

import math
import os
import sys
from pathlib import Path

import keras
import numpy as np

from keras_cr.callbacks import KNNMonitor, RationaleHealth, RationaleImages
from keras_cr.callbacks._history import add_row
from keras_cr.data import FineGrainedDataset, image_batches
from keras_cr.experiment.settings import Settings

NUM_PICTURES, SHEETS = 12, 10


class ProgressBar(keras.callbacks.Callback):
    """One bar for the whole run, with the time left and the latest metrics.

    Args:
        epochs: number of epochs of the whole run.
        steps_per_epoch: steps in each.
        first_epoch: epochs that lie behind a resumed run.
    """

    def __init__(self, epochs: int, steps_per_epoch: int, first_epoch: int = 0):
        super().__init__()
        self.epochs, self.steps_per_epoch, self.first_epoch = epochs, steps_per_epoch, first_epoch

    def on_train_begin(self, logs=None):
        from tqdm import tqdm

        self.bar = tqdm(
            total=self.epochs * self.steps_per_epoch,
            initial=self.first_epoch * self.steps_per_epoch,
            unit="step",
            mininterval=1.0 if sys.stderr.isatty() else 20.0,  # a log file needs few lines
            dynamic_ncols=True,
        )

    def on_epoch_begin(self, epoch, logs=None):
        self.bar.set_description(f"epoch {epoch + 1}/{self.epochs}", refresh=False)

    def on_train_batch_end(self, batch, logs=None):
        shown = {name: f"{logs[name]:.3g}" for name in ("loss", "agreement") if name in logs}
        self.bar.set_postfix(shown, refresh=False)
        self.bar.update()

    def on_train_end(self, logs=None):
        self.bar.close()


class Checkpoint(keras.callbacks.Callback):
    """Keeps the training state and the history after every epoch.

    Both are written beside and then moved into place, the state first, so a run that is killed at
    any moment can be resumed from its last whole epoch. Epochs count from 0, as Keras' logs do.

    Args:
        folder: the run's output folder; gets `checkpoints/last.keras` and `history.csv`.
    """

    def __init__(self, folder: Path):
        super().__init__()
        self.state = state_path(folder)
        self.history_path = folder / "history.csv"

    def set_model(self, model):
        super().set_model(model)
        self.state.parent.mkdir(parents=True, exist_ok=True)

    def on_epoch_end(self, epoch, logs=None):
        part = self.state.with_suffix(".part.keras")
        self.model.save(part)
        os.replace(part, self.state)
        rate = float(self.model.optimizer.learning_rate)
        add_row(self.history_path, {"epoch": epoch, "learning_rate": rate, **logs})


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
        spread = np.linspace(0, len(train) - 1, min(NUM_PICTURES, len(train))).astype(int)
        batches = image_batches(train.take(spread), settings.image_size, batch_size=8)
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
            raise ValueError(f"--monitor-every: {error}") from error
        watching.append(knn)
    return watching


def state_path(folder: Path) -> Path:
    """Where a run keeps its training state."""
    return folder / "checkpoints" / "last.keras"
