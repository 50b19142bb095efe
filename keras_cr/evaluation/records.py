"""One row a number, each with everything needed to read it."""

import os
from collections.abc import Iterator
from pathlib import Path

from keras_cr._csv import write_csv

FIELDS = (
    "dataset",
    "protocol",
    "metric",
    "value",
    "pooling",
    "split",
    "seed",
    "checkpoint_rule",
    "image_size",
    "description",
)
_MAPS = ("uniform", "center_prior")


def records(metrics: dict) -> list[dict]:
    """The numbers of an evaluation as a table in long form.

    Args:
        metrics: what `evaluate` returned.

    Returns:
        A dict a number with the keys `dataset`, `protocol`, `metric` (`few_label`'s carry the
        share, such as `top1 at 10%`), `value`, `pooling` (in `localization` the map: the encoder's
        own, `uniform` or `center_prior`), `split`, `seed` (None where none plays a part),
        `checkpoint_rule`, `image_size` and `description`.

    Example:

    >>> rows = records(metrics)  # pandas.DataFrame(rows) makes a table of them
    """
    stated = metrics["protocol"]
    own, rows = stated["pooling"], []
    groups = [(own, metrics)]
    if own != "average":
        groups.append(("average", metrics["average_pooling"]))
    groups += metrics.get("controls", {}).items()
    for pooling, scores in groups:
        for name, values in scores.items():
            protocol = stated.get(name)
            if not (isinstance(values, dict) and isinstance(protocol, dict)):
                continue  # not measured, or not a protocol
            for metric, value, of in _numbers(name, values, pooling):
                rows.append(
                    {
                        "dataset": stated["dataset"],
                        "protocol": name,
                        "metric": metric,
                        "value": value,
                        "pooling": of,
                        "split": protocol["split"],
                        "seed": protocol["seed"],
                        "checkpoint_rule": stated["checkpoint_rule"],
                        "image_size": stated["image_size"],
                        "description": protocol["description"],
                    }
                )
    return rows


def write_records(metrics: dict, path: str | os.PathLike) -> Path:
    """Writes `records(metrics)` as a CSV file, whole or not at all.

    Args:
        metrics: what `evaluate` returned.
        path: the file; its folder is made, an earlier file replaced.

    Returns:
        `path`.
    """
    return write_csv(path, FIELDS, records(metrics))


def _numbers(protocol: str, values: dict, pooling: str) -> Iterator[tuple[str, float, str]]:
    """(metric, value, pooling or map) of one protocol."""
    for name, value in values.items():
        if not isinstance(value, dict):
            yield name, value, pooling
        elif name in _MAPS:
            yield from ((metric, number, name) for metric, number in value.items())
        else:
            yield from (
                (f"{metric} at {name}%", number, pooling) for metric, number in value.items()
            )
