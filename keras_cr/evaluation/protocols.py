"""The protocols: what each measures, on which split, and what it needs."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from keras_cr.evaluation.clustering import RESTARTS, clustering
from keras_cr.evaluation.features import Features
from keras_cr.evaluation.few_label import DRAWS, few_label
from keras_cr.evaluation.knn import choose_k, predict_knn
from keras_cr.evaluation.linear_probe import fit_linear_probe
from keras_cr.evaluation.localization import (
    box_thresholds,
    energy,
    foreground_cells,
    localization,
)
from keras_cr.evaluation.nearest import nearest
from keras_cr.evaluation.retrieval import retrieval_per_query, summarize_retrieval
from keras_cr.evaluation.sgd_probe import (
    BATCH_SIZE,
    EPOCHS,
    LEARNING_RATE,
    augmented_batches,
    sgd_probe,
)

THRESHOLD_IMAGES = 1000  # training images that choose the thresholds of the boxes


@dataclasses.dataclass
class Measured:
    """What a protocol found under one pooling.

    Attributes:
        scores: numbers by name, or groups of them.
        choices: what was chosen or counted on the way, such as a regularisation.
        per_image: arrays by name, a row a test image.
    """

    scores: dict[str, Any]
    choices: dict[str, Any] = dataclasses.field(default_factory=dict)
    per_image: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Protocol:
    """A way to measure.

    Attributes:
        name: key in the metrics.
        description: how it measures, for the reader of a number.
        split: the images it is measured on, and those it learns or retrieves from.
        seeded: whether the seed plays a part.
        run: features and seed -> a `Measured` by pooling; where `of_maps`, one of each map.
        missing: features -> why it can't be measured, or None.
        of_maps: whether it judges maps and not embeddings.
    """

    name: str
    description: str
    split: str
    seeded: bool
    run: Callable[[Features, int], dict[str, Measured]]
    missing: Callable[[Features], str | None]
    of_maps: bool = False


def _each_pooling(measure: Callable[[Features, str, int], Measured], controls: bool = False):
    """Measures under every pooling, and under the controls too if they are to be judged by it."""
    return lambda features, seed: {
        pooling: measure(features, pooling, seed)
        for pooling in (*features.poolings, *(features.controls if controls else ()))
    }


def _retrieval(features: Features, pooling: str, seed: int) -> Measured:
    x = features.x("test", pooling)
    each = retrieval_per_query(x, features.labels("test"))
    neighbors = nearest(x, k=1)[:, 0]
    return _retrieved(each, {"nearest": neighbors, "first_rank": each["first_rank"]})


def _retrieval_train_to_test(features: Features, pooling: str, seed: int) -> Measured:
    queries, gallery = features.x("test", pooling), features.x("train", pooling)
    labels = features.labels("test"), features.labels("train")
    return _retrieved(retrieval_per_query(queries, labels[0], gallery, labels[1]), {})


def _retrieved(each: dict[str, np.ndarray], per_image: dict[str, np.ndarray]) -> Measured:
    scores = summarize_retrieval(each)
    choices = {"queries": scores.pop("queries")}
    return Measured(scores, choices, {"average_precision": each["map"], **per_image})


def _linear_probe(features: Features, pooling: str, seed: int) -> Measured:
    probe = fit_linear_probe(features.x("train", pooling), features.labels("train"), seed)
    return _classified(features, probe.predict(features.x("test", pooling)), probe.details())


def _knn(features: Features, pooling: str, seed: int) -> Measured:
    train, labels = features.x("train", pooling), features.labels("train")
    k, accuracy = choose_k(train, labels)
    predicted = predict_knn(train, labels, features.x("test", pooling), k)
    return _classified(features, predicted, {"k": k, "leave_one_out_top1": accuracy})


def _sgd_probe(features: Features, seed: int) -> dict[str, Measured]:
    test_x = {pooling: features.x("test", pooling) for pooling in features.poolings}
    predicted = sgd_probe(
        augmented_batches(features, seed),
        test_x,
        features.dataset.num_classes,
        epochs=EPOCHS,
        seed=seed,
    )
    return {
        pooling: _classified(features, labels, {"epochs": EPOCHS})
        for pooling, labels in predicted.items()
    }


def _classified(features: Features, predicted: np.ndarray, choices: dict) -> Measured:
    top1 = float(np.mean(predicted == features.labels("test")))
    return Measured({"top1": top1}, choices, {"predicted": predicted})


def _few_label(features: Features, pooling: str, seed: int) -> Measured:
    train = features.x("train", pooling), features.labels("train")
    shares = few_label(*train, features.x("test", pooling), features.labels("test"), seed=seed)
    choices = {
        share: {name: result.pop(name) for name in ("images", "each")}
        for share, result in shares.items()
    }
    return Measured(shares, choices)


def _clustering(features: Features, pooling: str, seed: int) -> Measured:
    scores = clustering(features.x("test", pooling), features.labels("test"), seed)
    return Measured(scores, {"clusters": scores.pop("clusters")})


def _localization(features: Features, seed: int) -> dict[str, Measured]:
    from keras_cr.data import foreground_batches

    def foreground(rows):
        part = features.dataset.take(rows)
        return foreground_batches(part, features.image_size, features.batch_size)

    test, train = features.rows("test"), features.rows("train")
    some = train[np.linspace(0, len(train) - 1, min(len(train), THRESHOLD_IMAGES)).astype(int)]
    maps = features.embeddings.rationale
    try:
        thresholds = box_thresholds(maps[some], foreground(some))
        chosen_on = f"{len(some)} training images"
    except ValueError:  # no training image, or none with a foreground
        thresholds, chosen_on = None, "nothing: one half"
    scores = localization(maps[test], foreground(test), thresholds)
    names = ("foreground_share", "images", "empty_foregrounds", "empty_maps")
    choices = {"box_thresholds": thresholds, "box_thresholds_chosen_on": chosen_on}
    found = {features.pooling: Measured(scores, choices | {name: scores[name] for name in names})}
    if features.controls:
        cells = foreground_cells(
            features.dataset.take(test), features.image_size, features.batch_size, maps.shape[1:]
        )
        for name, control in features.controls.items():
            found[name] = Measured(energy(control.maps[test], cells))
    return found


def _test_missing(features: Features) -> str | None:
    if not len(features.rows("test")):
        return "there is no test split"
    if features.dataset.labels is None:
        return "the images have no labels"
    return None


def _groups_missing(features: Features) -> str | None:
    if reason := _test_missing(features):
        return reason
    _, sizes = np.unique(features.labels("test"), return_counts=True)
    if len(sizes) < 2 or sizes.max() < 2:
        return "test has fewer than two classes, or one image of each"
    return None


def _classes_missing(features: Features) -> str | None:
    if reason := _test_missing(features):
        return reason
    train, test = features.labels("train"), features.labels("test")
    if len(np.unique(train)) < 2:
        return "train has fewer than two classes"
    if not np.isin(test, train).any():
        return "train and test have no class in common"
    return None


def _from_train_missing(features: Features) -> str | None:
    reason = _classes_missing(features)
    if reason is None and len(np.unique(features.labels("test"))) < 2:
        return "test has fewer than two classes"
    return reason


def _views_missing(features: Features) -> str | None:
    if features.embedder is None:
        return "it needs the encoder, and only features are given"
    return _classes_missing(features)


def _places_missing(features: Features) -> str | None:
    if not len(features.rows("test")):
        return "there is no test split"
    if features.dataset.masks is None and features.dataset.boxes is None:
        return "the data set has neither masks nor boxes"
    return None


TRAIN_TO_TEST = "fitted on train, measured on test"
PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            "retrieval",
            "Each test image asks the other test images (leave-one-out). Cosine, full ranking, "
            "means over queries; average precision over all relevant images.",
            "test",
            False,
            _each_pooling(_retrieval, controls=True),
            _groups_missing,
        ),
        Protocol(
            "retrieval_train_to_test",
            "Each test image asks the training images. Cosine, full ranking, means over queries; "
            "average precision over all relevant images.",
            "queries from test, gallery train",
            False,
            _each_pooling(_retrieval_train_to_test),
            _from_train_missing,
        ),
        Protocol(
            "linear_probe",
            "L2-regularised multinomial logistic regression (L-BFGS) on L2-normalised embeddings; "
            "C chosen on held-out fifths of train, then refitted on all of train.",
            TRAIN_TO_TEST,
            True,
            _each_pooling(_linear_probe, controls=True),
            _classes_missing,
        ),
        Protocol(
            "linear_probe_sgd",
            f"Linear layer on L2-normalised embeddings, SGD of learning rate {LEARNING_RATE:g}, "
            f"momentum 0.9, no weight decay, batch {BATCH_SIZE}, {EPOCHS} epochs, a tenth of the "
            "rate after 60 and 80 %; training images under random resized crop (8-100 %) and "
            "flip; the last epoch.",
            TRAIN_TO_TEST,
            True,
            _sgd_probe,
            _views_missing,
        ),
        Protocol(
            "knn",
            "Majority vote of the k nearest training images by cosine, ties to the nearest; k "
            "chosen by leave-one-out on train.",
            TRAIN_TO_TEST,
            False,
            _each_pooling(_knn, controls=True),
            _classes_missing,
        ),
        Protocol(
            "few_label",
            f"The linear probe on 10, 20, 50 and 100 % of each training class, mean and sample "
            f"standard deviation of {DRAWS} draws; C chosen inside each draw.",
            TRAIN_TO_TEST,
            True,
            _each_pooling(_few_label),
            _classes_missing,
        ),
        Protocol(
            "clustering",
            "k-means on L2-normalised test embeddings, as many clusters as test classes, best of "
            f"{RESTARTS} starts by its own objective.",
            "test",
            True,
            _each_pooling(_clustering),
            _groups_missing,
        ),
        Protocol(
            "localization",
            "Test maps against the area-averaged foreground (masks, else boxes); box thresholds "
            "chosen on train, for the map and the centre prior alike.",
            "test",
            False,
            _localization,
            _places_missing,
            of_maps=True,
        ),
    )
}
DEFAULT_PROTOCOLS = tuple(name for name in PROTOCOLS if name != "linear_probe_sgd")


def check_protocols(protocols: Sequence[str] | str | None) -> tuple[str, ...]:
    """The protocols' names, in their own order; None gives the default ones, `"all"` all.

    A text may hold several names with commas between, as on a command line.

    Raises:
        ValueError: a name is unknown, or there is none.
    """
    if protocols is None:
        return DEFAULT_PROTOCOLS
    if isinstance(protocols, str):
        protocols = PROTOCOLS if protocols == "all" else protocols.split(",")
    unknown = [name for name in protocols if name not in PROTOCOLS]
    if unknown or not protocols:
        raise ValueError(
            f"`protocols` may hold {', '.join(PROTOCOLS)}; received {tuple(protocols)}."
        )
    return tuple(name for name in PROTOCOLS if name in protocols)
