"""Time and memory of leave-one-out retrieval, against the matrix product alone.

    python benchmarks/retrieval.py                                    # CUB's test set, ten times it
    python benchmarks/retrieval.py --images 60000 --queries 60000

The features are random: the work does not depend on them. The product is that of the same chunks
of queries with the gallery. Of the larger set a share of the images is asked; what the features'
checks and lengths take, once, is timed by asking two, and the rest is what the others take. Memory
is what the process grows to beyond the features.
"""

import importlib
from collections.abc import Iterator
from functools import partial

import numpy as np

from benchmarks.process import peak_bytes
from benchmarks.program import main, optional
from benchmarks.rows import NotMeasured, Row, not_measured
from benchmarks.timing import interleaved


def benchmark(
    images: tuple[int, ...] = (5794, 60000),
    channels: int = 2048,
    classes: int = 200,
    queries: int = 2048,
    repeats: int = 2,
) -> Iterator[Row]:
    from keras_cr.evaluation._checks import normalize
    from keras_cr.evaluation.retrieval import retrieval

    rng = np.random.default_rng(0)
    for count in images:
        embeddings = rng.standard_normal((count, channels), dtype="float32")
        labels = rng.integers(classes, size=count)
        unit, asked = normalize(embeddings), min(queries, count) if count > 10_000 else count

        def ask(asked, embeddings=embeddings, labels=labels, count=count):
            if asked == count:
                return retrieval(embeddings, labels)
            return retrieval(embeddings[:asked], labels[:asked], embeddings, labels)

        def product(unit=unit, asked=asked):
            for start in range(0, asked, 256):
                unit[start : min(start + 256, asked)] @ unit.T

        before = peak_bytes()
        works = {"retrieval": partial(ask, asked), "product": product}
        if asked < count:
            works["two queries"] = partial(ask, 2)
        times = interleaved(works, repeats, warm_up=0)
        grown = peak_bytes() - before
        size = f"{count:,} x {channels:,}" + ("" if asked == count else f", {asked:,} asked")
        yield times.row(f"{size}: matrix product alone", "product")
        goal = "<= 1.5"
        if asked < count:
            first, product_ = times.median("two queries"), times.median("product")
            rest = times.median("retrieval") - first
            yield times.row(f"{size}: two queries, checks and lengths within", "two queries")
            more = {"ratio": rest / product_, "against": "product", "goal": goal}
            yield Row(f"{size}: every metric, less that", rest, "s", **more)
            whole = first + rest * count / asked
            yield Row(f"{count:,} x {channels:,}: all asked, by extrapolation", whole, "s")
        else:
            more = {"against": "product", "goal": goal}
            yield times.row(f"{size}: every metric", "retrieval", **more)
        yield Row(f"{size}: memory beyond the features", grown / 1e9, "GB")
        del embeddings, unit, ask, product, works
    yield from others(images[0], channels, classes, repeats)


def others(count: int, channels: int, classes: int, repeats: int) -> Iterator[Row]:
    """What other packages take for a part of it, where they are installed."""
    from keras_cr.evaluation.retrieval import retrieval

    rng = np.random.default_rng(0)
    embeddings = rng.standard_normal((count, channels), dtype="float32")
    labels = rng.integers(classes, size=count)
    works, titles = {"ours": lambda: retrieval(embeddings, labels)}, {}
    for name, (make, title) in OTHERS.items():
        try:
            works[name] = make(optional(name), embeddings, labels)
            titles[name] = title
        except NotMeasured as reason:
            yield not_measured(f"{name}'s {title}", reason)
    times = interleaved(works, repeats, warm_up=0)
    size = f"{count:,} x {channels:,}"
    for name, title in titles.items():
        yield times.row(f"{size}: {name}, {title}", name, against="ours")


def _faiss(faiss, embeddings, labels):
    """Rank-1 alone: no metric that needs the whole ranking is in reach of an index."""

    def ask():
        unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
        index = faiss.IndexFlatIP(unit.shape[1])
        index.add(unit)
        nearest = index.search(unit, 2)[1][:, 1]
        return float(np.mean(labels[nearest] == labels))

    return ask


def _metric_learning(package, embeddings, labels):
    torch = optional("torch")
    tester = importlib.import_module(f"{package.__name__}.utils.accuracy_calculator")
    wanted = ("precision_at_1", "r_precision", "mean_average_precision_at_r")
    calculator = tester.AccuracyCalculator(include=wanted)
    given = torch.from_numpy(embeddings), torch.from_numpy(labels)
    return lambda: calculator.get_accuracy(*given)


OTHERS = {  # packages, and what of our metrics they give
    "faiss": (_faiss, "rank-1 alone"),
    "pytorch_metric_learning": (_metric_learning, "rank-1, R-precision and MAP@R"),
}


if __name__ == "__main__":
    main(benchmark)
