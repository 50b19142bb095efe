"""What a run does at every step and every epoch: show progress, keep what was reached."""

import csv
import os
import sys
from pathlib import Path

import keras


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
        rows = [row for row in read_history(self.history_path) if int(row["epoch"]) < epoch]
        rate = float(self.model.optimizer.learning_rate)
        rows.append({"epoch": epoch, "learning_rate": rate, **logs})
        part = self.history_path.with_suffix(".part")
        with part.open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[-1].keys())
            writer.writeheader()
            writer.writerows(rows)
        os.replace(part, self.history_path)


def state_path(folder: Path) -> Path:
    """Where a run keeps its training state."""
    return folder / "checkpoints" / "last.keras"


def read_history(path: Path) -> list[dict[str, str]]:
    """The rows of a history.csv, none if there is no such file."""
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))
