"""Every number of an encoder on a data set, with the protocol that makes it readable."""

import platform
from importlib import metadata
from typing import TYPE_CHECKING

import keras
import numpy as np

from keras_cr.evaluation.embed import Embedder, Embeddings
from keras_cr.evaluation.knn import knn
from keras_cr.evaluation.linear_probe import linear_probe
from keras_cr.evaluation.localization import localization
from keras_cr.evaluation.retrieval import retrieval
from keras_cr.version import __version__

if TYPE_CHECKING:
    from keras_cr.data import FineGrainedDataset

_SPLITS = ("train", "test")
GEOMETRY = "shorter side resized to image_size (bilinear, antialiased), central square"
METHODS = {
    "retrieval": "leave-one-out within test; cosine; full ranking; average precision over all "
    "relevant images",
    "linear_probe": "L2-regularised multinomial logistic regression (L-BFGS) on L2-normalised "
    "embeddings, fitted on train; C chosen on a held-out fifth of train, then refitted on all",
    "knn": "cosine, majority vote of train images, ties to the nearest",
    "localization": "test maps against the area-averaged foreground (masks, else boxes)",
}


def evaluate(
    encoder: keras.Model,
    dataset: "FineGrainedDataset",
    image_size: int,
    batch_size: int = 64,
    seed: int = 0,
    k: int = 1,
    checkpoint_rule: str = "not stated",
) -> dict:
    """Evaluates an encoder's embeddings and maps; each image is read and embedded once.

    Args:
        encoder: a `CommonRationaleEncoder`.
        dataset: images with labels and a train and a test split; without them the numbers that
            need them are None.
        image_size: side of the images, in pixels.
        batch_size: images at a time.
        seed: draws the part of train that the linear probe holds out.
        k: neighbours of the k-NN classifier, fixed beforehand.
        checkpoint_rule: how the encoder's weights were chosen, for the reader, such as
            `"last epoch"`.

    Returns:
        The content of metrics.json, fractions: `retrieval` {rank1, rank5, map}, `linear_probe`
        {top1}, `knn` {top1}, `average_pooling` (the same three under plain average pooling),
        `localization` (see there) and `protocol`, whose `missing` says why a number is None.

    Raises:
        ValueError: an embedding is not finite, or an image does not suit the encoder.
        ImportError: scikit-learn is missing.
    """
    from keras_cr.data import foreground_batches, image_batches

    splits = {name: np.flatnonzero(dataset.is_train == (name == "train")) for name in _SPLITS}
    missing = _missing(dataset, splits)
    embedder, parts = Embedder(encoder), {}
    for name, rows in splits.items():
        if len(rows):
            part = dataset.take(rows)
            features = embedder.embed(image_batches(part, image_size, batch_size))
            parts[name] = (part, features)
    scores, details = {}, {}
    for pooling in ("embedding", "average_embedding"):
        scores[pooling], details[pooling] = _scores(parts, pooling, missing, k, seed)
    places = None
    if "localization" not in missing:
        test, features = parts["test"]
        try:
            foreground = foreground_batches(test, image_size, batch_size)
            places = localization(features.rationale, foreground)
        except ValueError as error:
            missing["localization"] = str(error)
    protocol = {
        "dataset": dataset.name,
        "images": {name: len(rows) for name, rows in splits.items()},
        "classes": {
            name: None if part.labels is None else len(np.unique(part.labels))
            for name, (part, _) in parts.items()
        },
        "image_size": image_size,
        "geometry": GEOMETRY,
        "pooling": getattr(encoder, "pooling", "the encoder's own"),
        **{name: text for name, text in METHODS.items() if name not in missing},
        "k": k,
        "seed": seed,
        "checkpoint_rule": checkpoint_rule,
        "details": {"embedding": details["embedding"], "average": details["average_embedding"]},
        "missing": missing,
        "versions": _versions(),
    }
    return {
        **scores["embedding"],
        "average_pooling": scores["average_embedding"],
        "localization": places,
        "protocol": protocol,
    }


def _missing(dataset: "FineGrainedDataset", splits: dict[str, np.ndarray]) -> dict[str, str]:
    """Why a number can't be had: {name of the number: reason}."""
    missing = {}
    if dataset.masks is None and dataset.boxes is None:
        missing["localization"] = "the data set has neither masks nor boxes"
    if not len(splits["test"]):
        reason = "there is no test split"
        return dict.fromkeys(("retrieval", "linear_probe", "knn", "localization"), reason)
    if dataset.labels is None:
        reason = "the images have no labels"
        return dict.fromkeys(("retrieval", "linear_probe", "knn"), reason) | missing
    labels = {name: dataset.labels[rows] for name, rows in splits.items()}
    _, sizes = np.unique(labels["test"], return_counts=True)
    if len(sizes) < 2 or sizes.max() < 2:
        missing["retrieval"] = "test has fewer than two classes, or one image of each"
    reason = None
    if len(np.unique(labels["train"])) < 2:
        reason = "train has fewer than two classes"
    elif not np.isin(labels["test"], labels["train"]).any():
        reason = "train and test have no class in common"
    if reason:
        missing["linear_probe"] = missing["knn"] = reason
    return missing


def _scores(
    parts: dict[str, tuple["FineGrainedDataset", Embeddings]],
    pooling: str,
    missing: dict[str, str],
    k: int,
    seed: int,
) -> tuple[dict, dict]:
    """The numbers under one pooling, and what is worth knowing about how they came about."""
    scores, details = dict.fromkeys(("retrieval", "linear_probe", "knn")), {}
    data = {name: (getattr(f, pooling), part.labels) for name, (part, f) in parts.items()}
    if "retrieval" not in missing:
        scores["retrieval"] = retrieval(*data["test"])
        details["retrieval"] = {"queries": scores["retrieval"].pop("queries")}
    if "linear_probe" not in missing:
        details["linear_probe"] = linear_probe(*data["train"], *data["test"], seed=seed)
        scores["linear_probe"] = {"top1": details["linear_probe"].pop("top1")}
    if "knn" not in missing:
        scores["knn"] = knn(*data["train"], *data["test"], k=k)
    return scores, details


def _versions() -> dict[str, str]:
    versions = {
        "python": platform.python_version(),
        "keras_cr": __version__,
        "keras": keras.__version__,
        "backend": keras.backend.backend(),
        "numpy": np.__version__,
    }
    for name in (versions["backend"], "scikit-learn"):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:  # such as tensorflow-cpu in tensorflow's place
            continue
    return versions
