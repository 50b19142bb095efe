"""What each test image got: the rows that any comparison of two encoders is paired by."""

import os
from pathlib import Path

import numpy as np

from keras_cr._csv import read_csv, write_csv
from keras_cr.evaluation.evaluate import Evaluation


def write_per_image(evaluation: Evaluation, path: str | os.PathLike) -> Path:
    """Writes a CSV file with a row a test image and pooling, whole or not at all.

    Args:
        evaluation: what `evaluate_features` returned.
        path: the file; its folder is made, an earlier file replaced.

    Returns:
        `path`. The columns are `image` (its file, or its position in the data set), `label`,
        `pooling`, and `protocol.name` for everything in `evaluation.per_image`, such as
        `retrieval.average_precision` or `knn.predicted`.
    """
    features = evaluation.features
    dataset, rows = features.dataset, features.rows("test")
    files = isinstance(dataset.images, list)
    table = []
    for pooling, protocols in evaluation.per_image.items():
        columns = {
            f"{protocol}.{name}": values
            for protocol, found in protocols.items()
            for name, values in found.items()
        }
        for position, row in enumerate(rows):
            table.append(
                {
                    "image": dataset.images[row] if files else int(row),
                    "label": None if dataset.labels is None else int(dataset.labels[row]),
                    "pooling": pooling,
                    **{name: values[position].item() for name, values in columns.items()},
                }
            )
    return write_csv(path, list(table[0]) if table else ["image", "label", "pooling"], table)


def read_per_image(path: str | os.PathLike) -> dict[str, dict[str, np.ndarray]]:
    """Reads what `write_per_image` wrote.

    Args:
        path: the file.

    Returns:
        {pooling: {column: array, a row a test image}}; numbers as float64, `image` as text.

    Raises:
        FileNotFoundError: there is no such file.
    """
    names, rows = read_csv(path)
    result = {}
    for pooling in dict.fromkeys(row["pooling"] for row in rows):
        own = [row for row in rows if row["pooling"] == pooling]
        result[pooling] = {
            name: np.array(
                [row[name] if name == "image" else float(row[name] or "nan") for row in own]
            )
            for name in names
            if name != "pooling"
        }
    return result
