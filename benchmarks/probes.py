"""Linear probe, k-NN and few labels, against scikit-learn on the same features.

    python benchmarks/probes.py --images 2000 --channels 512 --classes 50
    python benchmarks/probes.py --images 11788 --channels 2048 --classes 200 --no-compare

Features are noisy centres of classes, half of them train. scikit-learn makes the same choices with
what it has: logistic regressions over the same grid of C on the same held-out part, to its own
tolerance and to ours, then all of train; k-NN by brute force and cosine, with the k that ours
chose. What the default evaluation does of it is timed one protocol after the other. --no-compare
leaves scikit-learn out.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.program import main, optional
from benchmarks.rows import NotMeasured, Row, not_measured
from benchmarks.timing import interleaved, seconds


def benchmark(
    images: int = 2000,
    channels: int = 512,
    classes: int = 50,
    repeats: int = 2,
    compare: bool = True,
) -> Iterator[Row]:
    from keras_cr.evaluation import few_label, knn, linear_probe, retrieval

    optional("sklearn")
    split = features(images, channels, classes)
    test = split[2:]
    size = f"{images:,} x {channels:,}, {classes} classes"
    if not compare:
        yield Row(f"{size}: linear probe", seconds(lambda: linear_probe(*split)), "s")
        yield Row(f"{size}: k-NN", seconds(lambda: knn(*split)), "s")
        yield Row(f"{size}: retrieval", seconds(lambda: retrieval(*test)), "s")
        return
    k = knn(*split)["k"]
    works = {
        "linear probe": lambda: linear_probe(*split),
        "linear probe, scikit-learn": lambda: sklearn_probe(split, 1e-4),
        "linear probe, scikit-learn to our tolerance": lambda: sklearn_probe(split, 1e-5),
        "k-NN": lambda: knn(*split, k=k),
        "k-NN, scikit-learn": lambda: sklearn_knn(split, k),
        "few labels": lambda: few_label(*split, shares=(0.2,), draws=2),
        "few labels, scikit-learn": lambda: sklearn_few(split, 0.2, 2),
    }
    times = interleaved(works, repeats, warm_up=0)
    for name in works:
        ours = name.partition(",")[0]
        other = f"{ours}, scikit-learn"
        more = {"against": other, "goal": "<= 1"} if name == ours else {}
        yield times.row(f"{size}: {name}", name, **more)
    for name in ("faiss",):
        try:
            optional(name)
        except NotMeasured as reason:
            yield not_measured(f"{size}: k-NN, {name}", reason)


def features(images: int, channels: int, classes: int) -> tuple[np.ndarray, ...]:
    """Train and test features and their labels."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((classes, channels), dtype="float32")
    labels = np.arange(images) % classes
    x = centres[labels] + 6 * rng.standard_normal((images, channels), dtype="float32")
    half = images // 2
    return x[:half], labels[:half], x[half:], labels[half:]


def sklearn_probe(split: tuple, tolerance: float) -> float:
    """What our probe does, with scikit-learn alone: C by a held-out fifth, then all of train."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, StratifiedShuffleSplit
    from sklearn.preprocessing import normalize

    from keras_cr.models.logistic_regression import ENOUGH, GRID, HELD_OUT

    train_x, train_y, test_x, test_y = split
    held = max(round(HELD_OUT * len(train_x)), len(np.unique(train_y)))  # one of each class
    parts = -(-min(ENOUGH, len(train_x)) // held)
    search = GridSearchCV(
        LogisticRegression(tol=tolerance, max_iter=1000),
        {"C": list(GRID)},
        cv=StratifiedShuffleSplit(parts, test_size=held, random_state=0),
    )
    search.fit(normalize(train_x), train_y)
    return search.score(normalize(test_x), test_y)


def sklearn_knn(split: tuple, k: int) -> float:
    from sklearn.neighbors import KNeighborsClassifier

    train_x, train_y, test_x, test_y = split
    return KNeighborsClassifier(k, metric="cosine").fit(train_x, train_y).score(test_x, test_y)


def sklearn_few(split: tuple, share: float, draws: int) -> list[float]:
    from sklearn.model_selection import train_test_split

    train_x, train_y, *test = split
    found: list[Any] = []
    for draw in range(draws):
        x, _, y, _ = train_test_split(
            train_x, train_y, train_size=share, stratify=train_y, random_state=draw
        )
        found.append(sklearn_probe((x, y, *test), 1e-4))
    return found


if __name__ == "__main__":
    main(benchmark)
