"""Which numbers a report shows, in which order, and how they are written."""

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

from keras_cr._metrics import Metric
from keras_cr.evaluation.features import AVERAGE
from keras_cr.evaluation.few_label import SHARES
from keras_cr.evaluation.retrieval import KS

BEFORE, AFTER = "initialization", "after training"
MISSING = "–"  # written where there is no number
CLASSIFIERS = ("linear_probe", "linear_probe_sgd", "knn")
NAMES = {
    "retrieval_train_to_test": "retrieval of training images",
    "linear_probe_sgd": "linear probe (SGD)",
    "knn": "k-NN",
}


def protocol_name(protocol: str) -> str:
    """What a protocol is called in a text."""
    return NAMES.get(protocol, protocol.replace("_", " "))


def source_line(name: str, value: Any) -> tuple[str, str]:
    """What a part of a result's source is called in a report, and what it says."""
    if name == "onednn":
        return "oneDNN", {"0": "off", "1": "on"}.get(value, str(value))
    title = {"seed": "seed of the training"}.get(name, str(name).replace("_", " "))
    return title.capitalize() if title.islower() else title, str(value)


@dataclasses.dataclass(frozen=True)
class Cell(Metric):
    """A number of the report's tables; `short` where a short report shows it too."""

    short: bool = True


def _retrieval(protocol: str, short: tuple[str, ...]) -> tuple[Cell, ...]:
    titles = {f"rank{k}": f"rank-{k}" for k in KS}
    titles |= {"r_precision": "R-precision", "map": "mAP", "map_at_r": "mAP@R"}
    return tuple(Cell(protocol, (key,), titles[key], key in short) for key in titles)


FAMILIES = {
    "Retrieval among test images": _retrieval(
        "retrieval", ("rank1", "rank5", "r_precision", "map", "map_at_r")
    ),
    "Retrieval of training images": _retrieval("retrieval_train_to_test", ("rank1", "map_at_r")),
    "Classifiers on frozen embeddings": tuple(
        Cell(name, ("top1",), protocol_name(name)) for name in CLASSIFIERS
    ),
    "Few labels": tuple(
        Cell("few_label", (f"{100 * share:g}", "top1"), f"{100 * share:g} % of labels")
        for share in SHARES
    ),
    "Clustering": (
        Cell("clustering", ("nmi",), "NMI"),
        Cell("clustering", ("ari",), "adjusted Rand"),
    ),
}
PLACES = {
    "energy": "energy inside",
    "energy_ratio": "energy ratio",
    "pointing_game": "pointing game",
    "box_iou": "box IoU",
    "box_found": "boxes found",
}


@dataclasses.dataclass(frozen=True)
class Scored:
    """The scores of one encoder under one pooling."""

    weights: str
    pooling: str
    scores: dict

    @property
    def title(self) -> str:
        return ", ".join(filter(None, (self.weights, self.pooling)))

    def against(self, other: "Scored") -> str:
        """What the other one is called in a difference to it."""
        if other.weights == self.weights:
            return f"{other.pooling} pooling"
        plain = "" if other.pooling == self.pooling else f"'s {other.pooling} pooling"
        return f"the {other.weights}{plain}"


def scored(metrics: dict, initialization: dict | None) -> list[Scored]:
    """What is compared: before and after training, plain average pooling before the own one."""
    evaluations = {BEFORE: initialization, AFTER: metrics} if initialization else {"": metrics}
    result = []
    for weights, found in evaluations.items():
        pooling = found["protocol"]["pooling"]
        if pooling != AVERAGE:
            result.append(Scored(weights, AVERAGE, found.get("average_pooling") or {}))
        result.append(Scored(weights, pooling, found))
    return result


def baselines(compared: list[Scored]) -> list[Scored]:
    """What the last arm is judged against: the same weights, and the first, under plain pooling."""
    own = compared[-1]
    plain = [arm for arm in compared[:-1] if arm.pooling == AVERAGE]
    return sorted(plain, key=lambda arm: arm.weights != own.weights)


def maps(metrics: dict, initialization: dict | None) -> Iterator[tuple[str, dict]]:
    """(title, scores) of the maps whose places were judged, controls last."""
    places = metrics["localization"]
    yield "the encoder's map", places
    before = (initialization or {}).get("localization")
    if before:
        yield "its map before training", before
    yield "control: centre prior", places["center_prior"]
    yield "control: uniform map", places["uniform"]


def percent(value: float | None) -> str:
    """A fraction in percent, with one decimal and no sign."""
    return MISSING if value is None else f"{100 * value:.1f}"


def spread(metric: Metric, scores: dict) -> str:
    """A number in percent, with its standard deviation where it has one."""
    deviation = metric.of(scores, "_std")
    return percent(metric.of(scores)) + ("" if deviation is None else f" ± {100 * deviation:.1f}")


def points(value: float | None, base: float | None) -> str:
    """The difference of two fractions in percentage points, signed."""
    if value is None or base is None:
        return MISSING
    # of the rounded numbers, so that a reader who subtracts finds the same
    difference = round(100 * value, 1) - round(100 * base, 1)
    return f"{difference:+.1f}".replace("-", "−") if abs(difference) >= 0.05 else "±0.0"


def place(name: str, scores: dict) -> str:
    """A number of `localization`, the ratio as it is and the rest in percent."""
    value = scores.get(name)
    return f"{value:.2f}" if name == "energy_ratio" and value is not None else percent(value)


def reason(metrics: dict, protocol: str) -> str:
    """Why there are no numbers of a protocol, without a full stop."""
    return metrics["protocol"]["missing"].get(protocol, "it was not asked for").rstrip(".")


def margin(images: int) -> float:
    """Half the width of a share's 95 % interval where it is widest, at one half; a fraction."""
    return 1.96 * math.sqrt(0.25 / images)
