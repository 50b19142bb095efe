"""What the runs of a comparison left behind, as one table of scores and paired differences."""

import dataclasses
import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from keras_cr._metrics import shown_in
from keras_cr.data.digest import names_below
from keras_cr.evaluation import CONTROLS, read_per_image, records
from keras_cr.evaluation.paired import CONFIDENCE, DRAWS, paired_bootstrap, spread

COLUMNS = shown_in("comparison")
FIELDS = ("arm", "pooling", "protocol", "metric", "seed", "value")
PAIRED = ("rank-1", "mAP", "linear", "k-NN")


@dataclasses.dataclass(frozen=True, eq=False)
class Result:
    """What a finished run says about itself.

    Attributes:
        metrics: the content of its metrics.json.
        per_image: what `read_per_image` reads from its per_image.csv.
        folder: where both are.
        data: what its config.json tells its images by, wherever they lie; None, of a run of an
            earlier version, is taken for the same.
    """

    metrics: dict
    per_image: dict[str, dict[str, np.ndarray]]
    folder: Path
    data: dict | None = None

    @classmethod
    def read(cls, folder: Path) -> "Result":
        metrics, config = (
            json.loads((folder / name).read_text()) for name in ("metrics.json", "config.json")
        )
        return cls(metrics, read_per_image(folder / "per_image.csv"), folder, config.get("data"))

    @property
    def pooling(self) -> str:
        """The encoder's own pooling."""
        return self.metrics["protocol"]["pooling"]

    @property
    def poolings(self) -> tuple[str, ...]:
        controls = self.metrics.get("controls", {})
        return tuple(dict.fromkeys((self.pooling, "average", *controls)))

    def numbers(self) -> dict[tuple[str, str, str], float]:
        """{(pooling or map, protocol, metric): value}."""
        rows = records(self.metrics)
        return {(row["pooling"], row["protocol"], row["metric"]): row["value"] for row in rows}

    def each_image(self, pooling: str) -> dict[str, np.ndarray]:
        """{title of a paired column: what each test image got}, NaN where it was not asked."""
        table, scores = self.per_image.get(pooling, {}), {}
        if "retrieval.first_rank" in table:
            rank = table["retrieval.first_rank"]
            scores["rank-1"] = np.where(rank > 0, rank == 1, np.nan)
        if "retrieval.average_precision" in table:
            scores["mAP"] = table["retrieval.average_precision"]
        for title, protocol in (("linear", "linear_probe"), ("k-NN", "knn")):
            if f"{protocol}.predicted" in table:
                scores[title] = (table[f"{protocol}.predicted"] == table["label"]).astype(float)
        return scores


def summarize(
    results: Mapping[tuple[str, int], Result],
    titles: Mapping[str, str],
    seeds: Sequence[int],
    baseline: str,
) -> dict:
    """Means, spreads and paired differences over the runs that are finished.

    Args:
        results: {(arm, seed): result}.
        titles: {arm: its title}, all arms in the order of the table.
        seeds: all seeds.
        baseline: the arm whose average pooling the others are compared with.

    Returns:
        A dict for comparison.json: `seeds`, `baseline`, `missing` ([arm, seed] of every run that
        is not finished), `alike` (pairs of arms whose numbers are the same in all that both
        have), `protocol` (of the first result), `rows` (one an arm and pooling: `arm`,
        `title`, `pooling`, `kind` (of a control, else None), `seeds`, `scores` {column: `mean`,
        `std`, `n`, `values` one a seed}, `differences` to the baseline, the same with `interval`
        and `excludes_zero`, or `"baseline"`, `lead`, what the arm's own pooling has before this
        one, and `own`, what an arm's own pooling has before the baseline's own, in the same form)
        and `values`, every number of every run. Fractions, apart from ratios.

    Raises:
        ValueError: two runs were not evaluated on the same test images.
    """
    check_paired(results.values())
    rows, values, found_by = [], [], {}
    for arm, title in titles.items():
        own = {seed: results[arm, seed] for seed in seeds if (arm, seed) in results}
        pairs = {s: (r, results[baseline, s]) for s, r in own.items() if (baseline, s) in results}
        numbers = {seed: result.numbers() for seed, result in own.items()}
        found_by[arm] = numbers
        for seed, found in numbers.items():
            values += [
                dict(zip(FIELDS, (arm, *name, seed, value), strict=True))
                for name, value in found.items()
            ]
        first = next(iter(own.values()), None)
        for pooling in first.poolings if first else ():
            is_baseline = (arm, pooling) == (baseline, "average")
            other = pooling != first.pooling  # which may be called `concat`, as a control is
            kind = CONTROLS[pooling].kind if other and pooling in CONTROLS else None
            lead, before = {}, {}
            if other:
                lead = _differences({s: (r, r) for s, r in own.items()}, None, pooling)
            elif arm != baseline and any(b.pooling != "average" for _, b in pairs.values()):
                before = _differences(pairs, None, None)
            rows.append(
                {
                    "arm": arm,
                    "title": title,
                    "pooling": pooling,
                    "kind": kind,
                    "seeds": list(own),
                    "scores": _scores(numbers, pooling),
                    "differences": "baseline" if is_baseline else _differences(pairs, pooling),
                    "lead": lead,
                    "own": before,
                }
            )
    return {
        "seeds": list(seeds),
        "baseline": baseline,
        "missing": [[a, s] for s in seeds for a in titles if (a, s) not in results],
        "alike": [pair for pair in itertools.combinations(titles, 2) if _alike(found_by, *pair)],
        "protocol": next(iter(results.values())).metrics["protocol"] if results else None,
        "bootstrap": {"draws": DRAWS, "confidence": CONFIDENCE},
        "rows": rows,
        "values": values,
    }


def _alike(found_by: dict[str, dict[int, dict]], one: str, other: str) -> bool:
    """Whether two arms have the same numbers of every seed that both have."""
    seeds = found_by[one].keys() & found_by[other].keys()
    return bool(seeds) and all(found_by[one][seed] == found_by[other][seed] for seed in seeds)


def check_paired(results: Iterable[Result]) -> None:
    """Checks that images can be paired; their folder may have been moved between two runs.

    Raises:
        ValueError: two runs are of other images, or of other labels or splits.
    """
    results = list(results)
    known = [result for result in results if result.data is not None]
    for result in known[1:]:
        if result.data != known[0].data:
            raise ValueError(
                f"`output`: {known[0].folder} and {result.folder} are of other images, labels or "
                "splits, so they can't be compared in pairs. Give all runs the same data, or move "
                "one of the folders away."
            )
    tables = [
        (result.folder, {"image": _names(table["image"]), "label": table["label"]})
        for result in results
        for table in result.per_image.values()
    ]
    for folder, table in tables[1:]:
        first_folder, first = tables[0]
        for column in ("image", "label"):
            if not np.array_equal(table[column], first[column], equal_nan=column == "label"):
                raise ValueError(
                    f"`output`: {first_folder} and {folder} were evaluated on other test images "
                    f"(column `{column}` of per_image.csv), so they can't be compared in pairs. "
                    "Give all runs the same data, or move one of the folders away."
                )


def _names(images: np.ndarray) -> np.ndarray:
    return np.array(names_below(images.tolist()))


def _scores(numbers: dict[int, dict], pooling: str) -> dict[str, dict]:
    scores = {}
    for metric in COLUMNS:
        if metric.protocol == "localization" and pooling == "average":
            continue  # this row's embedding has no use for a map
        key = (pooling, metric.protocol, metric.record or metric.keys[-1])
        values = [found.get(key) for found in numbers.values()]
        measured = [value for value in values if value is not None]
        if measured:
            scores[metric.title] = spread(measured) | {"values": values}
    return scores


def _differences(
    pairs: dict[int, tuple[Result, Result]], pooling: str | None, other: str | None = "average"
) -> dict[str, dict]:
    """{column: difference} of what each image has a value of, in every seed of both arms.

    A pooling that is None is the result's own.
    """
    scores = [
        (a.each_image(pooling or a.pooling), b.each_image(other or b.pooling))
        for a, b in pairs.values()
    ]
    found = {}
    for title in PAIRED:
        if not scores or any(title not in a or title not in b for a, b in scores):
            continue
        each = np.stack([a[title] - b[title] for a, b in scores])
        each = each[:, np.isfinite(each).all(axis=0)]
        if not each.size:
            continue
        by_seed = each.mean(axis=1)
        low, high = paired_bootstrap(each)
        found[title] = spread(by_seed) | {
            "values": by_seed.tolist(),
            "seeds": list(pairs),
            "images": each.shape[1],
            "interval": [low, high],
            "excludes_zero": low > 0 or high < 0,
        }
    return found
