"""The headline numbers of an evaluation: where each lies, what it is called, where it is shown."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class Metric:
    """A number of the metrics.

    Attributes:
        protocol: its protocol's key in the metrics.
        keys: where it lies in there.
        title: of its column in a table.
    """

    protocol: str
    keys: tuple[str, ...]
    title: str

    def of(self, scores: Mapping[str, Any], suffix: str = "") -> float | None:
        """The number in the scores of one pooling, None where there is no such finite number."""
        found: Any = scores.get(self.protocol)
        for key in (*self.keys[:-1], self.keys[-1] + suffix):
            found = found.get(key) if isinstance(found, Mapping) else None
        is_number = isinstance(found, int | float) and not isinstance(found, bool)
        return float(found) if is_number and math.isfinite(found) else None


@dataclasses.dataclass(frozen=True)
class Headline(Metric):
    """A number that short tables show.

    Attributes:
        name: what it is called where it stands alone.
        shown_in: `table` (`format_table`), `comparison`, `card` (of a preset) and `report` (its
            head).
        hub: its type in the Hub's metadata.
        record: its name in `records`; None is the last of `keys`.
        fraction: whether it lies in 0..1 and is written in percent.
    """

    name: str
    shown_in: tuple[str, ...]
    hub: str | None = None
    record: str | None = None
    fraction: bool = True


HEADLINES = (
    Headline(
        "retrieval",
        ("rank1",),
        "rank-1",
        "retrieval, rank-1",
        ("table", "comparison", "card", "report"),
        "recall_at_1",
    ),
    Headline("retrieval", ("rank5",), "rank-5", "retrieval, rank-5", ("table",)),
    Headline(
        "retrieval",
        ("map",),
        "mAP",
        "retrieval, mAP",
        ("table", "comparison", "card"),
        "mean_average_precision",
    ),
    Headline("retrieval", ("map_at_r",), "mAP@R", "retrieval, mAP@R", ("comparison", "report")),
    Headline(
        "retrieval", ("r_precision",), "R-precision", "retrieval, R-precision", ("comparison",)
    ),
    Headline(
        "linear_probe",
        ("top1",),
        "linear",
        "linear probe",
        ("table", "comparison", "card", "report"),
        "accuracy",
    ),
    Headline(
        "knn", ("top1",), "k-NN", "k-NN", ("table", "comparison", "card", "report"), "accuracy"
    ),
    Headline("clustering", ("nmi",), "NMI", "clustering, NMI", ("comparison", "report")),
    Headline(
        "few_label",
        ("10", "top1"),
        "10 % labels",
        "10 % of labels",
        ("comparison", "report"),
        record="top1 at 10%",
    ),
    Headline(
        "localization",
        ("energy_ratio",),
        "energy ratio",
        "energy on the foreground / its area",
        ("comparison", "card"),
        "energy_ratio",
        fraction=False,
    ),
)


def shown_in(place: str) -> tuple[Headline, ...]:
    """The headline numbers of a place, in their order."""
    return tuple(metric for metric in HEADLINES if place in metric.shown_in)
