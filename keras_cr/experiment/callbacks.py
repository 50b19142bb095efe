"""What a run does at every epoch: watch, and keep what was reached."""

import math
import os
from pathlib import Path

import keras
import numpy as np

from keras_cr.callbacks import KNNMonitor, RationaleHealth, RationaleImages
from keras_cr.callbacks._history import add_row
from keras_cr.data import FineGrainedDataset, image_batches
from keras_cr.experiment.settings import Settings

NUM_PICTURES, SHEETS = 12, 10


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


def state_path(folder: Path) -> Path:
    """Where a run keeps its training state."""
    return folder / "checkpoints" / "last.keras"


def load_state(folder: Path) -> keras.Model:
    """The pretrainer in the state that a run kept last.

    Raises:
        ValueError: it is damaged, or of a version whose pretrainers are built otherwise.
    """
    try:
        return keras.saving.load_model(state_path(folder))
    except ValueError as error:
        raise ValueError(
            f"`resume`: {state_path(folder)} is damaged, or of another version of keras_cr, and "
            "can't go on; begin the run anew in another `output`. The encoder of a whole one loads "
            "all the same: load_weights(FILE, skip_mismatch=True) of a pretrainer like it."
        ) from error
