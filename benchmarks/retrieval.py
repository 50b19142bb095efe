"""Time and memory of leave-one-out retrieval, against the matrix product alone.

    python benchmarks/retrieval.py                                    # CUB's test set, ten times it
    python benchmarks/retrieval.py --images 60000 --queries 60000

The features are random: the work does not depend on them. The product is that of the same chunks
of queries with the gallery. Of the larger set a share of the images is asked, and takes its share
of the time. Memory is what the process grows to beyond the features.
"""

from collections.abc import Iterator

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
        rows = slice(0, asked)

        def whole(embeddings=embeddings, labels=labels, rows=rows, count=count, asked=asked):
            if asked == count:
                return retrieval(embeddings, labels)
            return retrieval(embeddings[rows], labels[rows], embeddings, labels)

        def product(unit=unit, asked=asked):
            for start in range(0, asked, 256):
                unit[start : min(start + 256, asked)] @ unit.T

        before = peak_bytes()
        times = interleaved({"retrieval": whole, "product": product}, repeats, warm_up=0)
        grown = peak_bytes() - before
        size = f"{count:,} x {channels:,}" + ("" if asked == count else f", {asked:,} asked")
        yield times.row(f"{size}: matrix product alone", "product")
        more = {"against": "product", "goal": "<= 1.5"}
        yield times.row(f"{size}: every metric", "retrieval", **more)
        yield Row(f"{size}: memory beyond the features", grown / 1e9, "GB")
        del embeddings, unit, whole, product
    for name in ("faiss", "pytorch_metric_learning"):
        try:
            optional(name)
            yield not_measured(f"{name}'s retrieval", "no benchmark of it is written")
        except NotMeasured as reason:
            yield not_measured(f"{name}'s retrieval", reason)


if __name__ == "__main__":
    main(benchmark)
