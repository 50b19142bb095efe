"""The files a person looks at after a run."""

import dataclasses
import json
from pathlib import Path

import numpy as np

from keras_cr._files import whole_file
from keras_cr.data import Augmentation, FineGrainedDataset, image_batches, two_views
from keras_cr.evaluation import (
    Evaluation,
    write_markdown,
    write_per_image,
    write_records,
    write_report,
)
from keras_cr.experiment.settings import Settings
from keras_cr.rationale import Foregrounds
from keras_cr.visualization import curves, rationale_grid

NUM_PICTURES = 24
_STILL = Augmentation(scale=(1, 1), ratio=(1, 1), jitter=0, grayscale=0, blur=0, flip=0)


def write_json(path: Path, content: dict) -> None:
    """Writes a JSON file whole or not at all."""
    with whole_file(path) as part:
        part.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n")


def write_numbers(output: Path, evaluation: Evaluation, metrics: dict) -> None:
    """Writes `per_image.csv`, `metrics.csv` and, last, `metrics.json`."""
    write_per_image(evaluation, output / "per_image.csv")
    write_records(metrics, output / "metrics.csv")
    write_json(output / "metrics.json", metrics)


def write_pictures(
    output: Path, settings: Settings, before: Evaluation, after: Evaluation, source: dict
) -> None:
    """Writes `rationales.png`, `curves.png` where there was training, and the reports.

    Args:
        output: the run's folder.
        settings: of the run.
        before, after: evaluations of the encoder before and after training.
        source: where the result comes from: command, date, seed, versions.
    """
    features, dataset = after.features, after.features.dataset
    rows = some_rows(dataset, NUM_PICTURES)
    shown = dataset.take(rows)
    batches = image_batches(shown, settings.image_size, batch_size=8)
    titles = None
    if shown.labels is not None:
        titles = [shown.class_names[label] for label in shown.labels]
    rationale_grid(
        np.concatenate(list(batches.as_numpy_iterator())),
        features.embeddings.rationale[rows],
        path=output / "rationales.png",
        titles=titles,
    )
    history = None
    if (output / "history.csv").is_file():
        history = curves(output / "history.csv", output / "curves.png")
    title = f"{settings.dataset}: {'rationale' if settings.rationale != 'off' else 'plain'} run"
    initialization = before.metrics if before is not after else None
    write_report(output / "report.html", title, after, initialization, history, source)
    write_markdown(output / "report.md", title, after, initialization, source)


def write_foregrounds(
    path: Path,
    train: FineGrainedDataset,
    maps: np.ndarray,
    foregrounds: Foregrounds,
    image_size: int,
) -> None:
    """Draws training images, the maps that cut, and what stands on another background.

    Args:
        path: PNG file to write.
        train: the training images.
        maps: one for each, from `foreground_maps`.
        foregrounds: how they cut.
        image_size: side in pixels.
    """
    rows = np.linspace(0, len(train) - 1, min(NUM_PICTURES, len(train))).astype(int)
    squares = image_batches(train.take(rows), image_size, len(rows), crop=False)
    squares = next(squares.as_numpy_iterator()).astype("uint8")
    shown = FineGrainedDataset("shown", squares, None, [], np.ones(len(rows), bool))
    foregrounds = dataclasses.replace(foregrounds, swap_probability=1, swapped=("query",))
    swap = foregrounds.swap(maps[rows])
    views = two_views(shown, image_size, len(rows), _STILL, backgrounds=swap)
    batch = next(views.as_numpy_iterator())
    swapped = batch["query"][np.argsort(batch["index"])]
    maps = maps[rows].astype("float32")
    rationale_grid(squares, maps, path=path, columns=3, beside=swapped)


def some_rows(dataset: FineGrainedDataset, number: int) -> np.ndarray:
    """Positions of test images (training images where there are none) spread evenly."""
    rows = np.flatnonzero(~dataset.is_train)
    rows = rows if len(rows) else np.arange(len(dataset))
    return rows[np.linspace(0, len(rows) - 1, min(number, len(rows))).astype(int)]
