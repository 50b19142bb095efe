"""Every number of an encoder on a data set, with the protocol that makes it readable."""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import keras
import numpy as np

from keras_cr._progress import Progress, Verbose
from keras_cr._versions import installed_versions
from keras_cr.evaluation.features import AVERAGE, Features, extract
from keras_cr.evaluation.protocols import PROTOCOLS, Measured, check_protocols

if TYPE_CHECKING:
    from keras_cr.data import FineGrainedDataset

GEOMETRY = "shorter side resized to image_size (bilinear, antialiased), central square"
NOT_STATED = "not stated"


@dataclasses.dataclass(frozen=True, eq=False)
class Evaluation:
    """The numbers of an encoder, and what they were computed from.

    Attributes:
        metrics: what `evaluate` returns.
        per_image: {pooling: {protocol: {name: array, a row a test image}}}: `retrieval` has
            `average_precision`, `first_rank` and `nearest` (a position among the test images), the
            classifiers have `predicted` (a label).
        features: the embeddings and maps.
    """

    metrics: dict
    per_image: dict[str, dict[str, dict[str, np.ndarray]]]
    features: Features

    def __repr__(self) -> str:
        stated = self.metrics["protocol"]
        measured = ", ".join(name for name in PROTOCOLS if name in stated)
        return f"Evaluation({measured or 'nothing measured'} of {self.features})"


def evaluate(
    encoder: keras.Model,
    dataset: "FineGrainedDataset",
    protocols: Sequence[str] | str | None = None,
    image_size: int | None = None,
    batch_size: int = 64,
    seed: int = 0,
    checkpoint_rule: str = NOT_STATED,
    verbose: Verbose = "auto",
) -> dict:
    """Evaluates an encoder's embeddings and maps; each image is read and embedded once.

    Args:
        encoder: a `CommonRationaleEncoder`.
        dataset: images with labels and a train and a test split; without them the numbers that
            need them are None.
        protocols: names of `PROTOCOLS`; None takes all but `linear_probe_sgd`, which embeds train
            anew in each of 100 epochs; `"all"` takes that too.
        image_size: side of the images, in pixels; None takes the encoder's own.
        batch_size: images at a time.
        seed: of every draw a protocol makes.
        checkpoint_rule: how the encoder's weights were chosen, for the reader, such as
            `"last epoch"`.
        verbose: 0 shows no progress, 1 and `"auto"` show it on stderr; 2 in few lines.

    Returns:
        The content of metrics.json, fractions: for each protocol that was asked for a dict
        (`retrieval` {rank1, rank2, ..., r_precision, map, map_at_r}, `linear_probe` {top1},
        `few_label` {"10": {top1, top1_std}, ...}, `localization` as there) or None where it can't
        be measured; `average_pooling`, the same under plain average pooling; `protocol`: the data,
        geometry, seed and checkpoint rule, how and on which split each protocol measures, what it
        chose on the way, and in `missing` why a number is None; and, of features with controls,
        `controls` {name: its retrieval, linear probe, k-NN and energy}. `records` turns it into one
        row a number.

    Raises:
        ValueError: a protocol is unknown, an embedding is not finite, or an image does not suit
            the encoder.
        ImportError: scikit-learn or scipy is missing.

    Example:

    >>> metrics = evaluate(encoder, dataset, protocols=("retrieval", "knn"))
    >>> metrics["retrieval"]["map_at_r"], metrics["average_pooling"]["retrieval"]["map_at_r"]
    """
    protocols = check_protocols(protocols)
    features = extract(encoder, dataset, image_size, batch_size, verbose)
    return evaluate_features(features, protocols, seed, checkpoint_rule, verbose).metrics


def evaluate_features(
    features: Features,
    protocols: Sequence[str] | str | None = None,
    seed: int = 0,
    checkpoint_rule: str = NOT_STATED,
    verbose: Verbose = "auto",
) -> Evaluation:
    """Evaluates what `extract` returned, and keeps what each number came from.

    Args:
        features: of an encoder, or with embeddings and maps of any other origin.
        protocols, seed, checkpoint_rule, verbose: as for `evaluate`.

    Raises:
        ValueError, ImportError: as `evaluate`.
    """
    protocols = check_protocols(protocols)
    dataset, stated = features.dataset, {}
    found: dict[str, dict[str, Measured]] = {}
    missing = {name: reason for name in protocols if (reason := PROTOCOLS[name].missing(features))}
    measured = [name for name in protocols if name not in missing]
    with Progress("Evaluating", len(measured), "protocols", verbose=verbose) as progress:
        for number, name in enumerate(measured):
            progress.to(number, note=name)
            protocol = PROTOCOLS[name]
            try:
                found[name] = protocol.run(features, seed)
            except ValueError as error:
                if not protocol.of_maps:
                    raise
                missing[name] = str(error)  # foregrounds that are empty, or partly not there
                continue
            stated[name] = {
                "description": protocol.description,
                "split": protocol.split,
                "seed": seed if protocol.seeded else None,
                "choices": {pooling: outcome.choices for pooling, outcome in found[name].items()},
            }
        progress.to(len(measured), note="")

    def scores(pooling: str) -> dict:
        return {
            name: found[name][pooling].scores if name in found else None
            for name in protocols
            if not PROTOCOLS[name].of_maps
        }

    controls = {
        name: {
            protocol: found[protocol][name].scores
            for protocol in protocols
            if name in found.get(protocol, {})
        }
        for name in features.controls
    }
    of_maps = {}
    for name in (name for name in protocols if PROTOCOLS[name].of_maps):
        measured_map = found.get(name, {}).get(features.pooling)
        of_maps[name] = measured_map.scores if measured_map else None
    splits = {name: features.rows(name) for name in ("train", "test")}
    own, backend = scores(features.pooling), keras.backend.backend()
    metrics = {
        **own,
        "average_pooling": scores(AVERAGE) if AVERAGE in features.poolings else own,
        **of_maps,
        **({"controls": controls} if controls else {}),
        "protocol": {
            "dataset": dataset.name,
            "images": {name: len(rows) for name, rows in splits.items()},
            "classes": {
                name: None if dataset.labels is None else len(np.unique(dataset.labels[rows]))
                for name, rows in splits.items()
                if len(rows)
            },
            "image_size": features.image_size,
            "geometry": GEOMETRY,
            "pooling": features.pooling,
            "seed": seed,
            "checkpoint_rule": checkpoint_rule,
            **stated,
            "missing": missing,
            "versions": {
                "backend": backend,
                **installed_versions("keras", backend, "numpy", "scikit-learn"),
            },
        },
    }
    per_image = {
        pooling: {name: found[name][pooling].per_image for name in found if pooling in found[name]}
        for pooling in (*features.poolings, *features.controls)
    }
    return Evaluation(metrics, per_image, features)
