"""The files a person looks at after a run."""

import json
import os
from pathlib import Path

import numpy as np

from keras_cr.data import FineGrainedDataset, image_batches
from keras_cr.evaluation import embed
from keras_cr.evaluation.report import write_report
from keras_cr.experiment.settings import Settings
from keras_cr.visualization import curves, rationale_grid

NUM_PICTURES = 24


def write_json(path: Path, content: dict) -> None:
    """Writes a JSON file whole or not at all."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n")
    os.replace(part, path)


def write_pictures(
    output: Path, encoder, dataset: FineGrainedDataset, settings: Settings, metrics: dict
) -> None:
    """Writes `rationales.png`, `curves.png` where there was training, and `report.html`."""
    shown = some_images(dataset, NUM_PICTURES)
    images = np.concatenate(
        list(image_batches(shown, settings.image_size, batch_size=8).as_numpy_iterator())
    )
    maps = embed(encoder, images, batch_size=8).rationale
    titles = None
    if shown.labels is not None:
        titles = [shown.class_names[label] for label in shown.labels]
    untrained = settings.rationale == "off" or settings.epochs == 0
    caption = "What an untrained branch weighs" if untrained else "What the rationale weighs"
    pictures = {caption: output / "rationales.png"}
    rationale_grid(images, maps, path=output / "rationales.png", titles=titles)
    if (output / "history.csv").is_file():
        curves(output / "history.csv", output / "curves.png")
        pictures["Training"] = output / "curves.png"
    write_report(output / "report.html", f"{settings.dataset}: rationale run", metrics, pictures)


def some_images(dataset: FineGrainedDataset, number: int) -> FineGrainedDataset:
    """Test images (training images where there are none) spread evenly over the data set."""
    held_out = dataset.take(np.flatnonzero(~dataset.is_train))
    dataset = held_out if len(held_out) else dataset
    number = min(number, len(dataset))
    return dataset.take(np.linspace(0, len(dataset) - 1, number).astype(int))
