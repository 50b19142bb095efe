"""Time and recall of an index's stores, against one matrix product with all embeddings.

    python benchmarks/search.py
    python benchmarks/search.py --images 1000000 --channels 128 --queries 20

The embeddings are random, the hardest there are for an approximate index: nothing is near to
anything. Each query is asked on its own, by every store in turn. Recall: the share of the product's
ten nearest that a store finds.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.program import main, optional
from benchmarks.rows import NotMeasured, Row, not_measured
from benchmarks.timing import Times, seconds

FOUND = 10
EXACT, EVERY, APPROXIMATE = "ExactStore", "LanceDB, every row", "LanceDB, inverted file"


def benchmark(images: int = 1_000, channels: int = 128, queries: int = 50) -> Iterator[Row]:
    from keras_cr.search.exact import ExactStore

    vectors, asked = (unit(n, channels, seed) for seed, n in enumerate((images, queries)))
    names = [str(row) for row in range(images)]
    size = f"{images:,} x {channels}"
    with tempfile.TemporaryDirectory() as folder:
        stores = {EXACT: ExactStore()}
        try:
            optional("lancedb")
            from keras_cr.search.lance import LanceStore

            stores |= {
                name: LanceStore.create(Path(folder, name), {}) for name in (EVERY, APPROXIMATE)
            }
        except NotMeasured as reason:
            yield not_measured(f"{size}: LanceDB", reason)
        for name, store in stores.items():

            def build(store=store, name=name):
                store.add(names, vectors, {})
                if name == APPROXIMATE:
                    store.make_approximate()

            yield Row(f"{size}: {name}, built in", seconds(build), "s")
        times = Times((name, []) for name in ("product", *stores))
        hits = dict.fromkeys(stores, 0)
        for query in asked:
            times["product"].append(seconds(lambda query=query: product(vectors, query)))
            nearest = product(vectors, query)
            for name, store in stores.items():
                found = []
                times[name].append(
                    seconds(lambda q=query, s=store, f=found: f.extend(s.search(q[None], FOUND)[0]))
                )
                hits[name] += len(nearest & {int(row) for row, _ in found})
    yield times.row(f"{size}: matrix product, a query", "product", 1e-3, "ms")
    for name in stores:
        recall = f"recall at 10: {hits[name] / FOUND / queries:.3f}"
        more = {"against": "product", "note": recall}
        yield times.row(f"{size}: {name}, a query", name, 1e-3, "ms", **more)


def unit(count: int, channels: int, seed: int) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((count, channels), dtype="float32")
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def product(vectors: np.ndarray, query: np.ndarray) -> set[int]:
    similarity = vectors @ query
    return set(np.argpartition(-similarity, FOUND)[:FOUND].tolist())


if __name__ == "__main__":
    main(benchmark)
