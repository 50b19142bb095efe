"""Time and recall of an index's stores, against one matrix product with all embeddings.

    python benchmarks/search.py                                   # 1,000 embeddings of 128 numbers
    python benchmarks/search.py --images 1000000 --queries 20

The embeddings are random, the hardest there are for an approximate index: nothing is near to
anything. Each query is asked on its own, by every store in turn; medians. Recall: the share of the
product's ten nearest that a store finds. LanceDB is left out where it is not installed.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from keras_cr.search.exact import ExactStore

FOUND = 10


def unit(count: int, channels: int, seed: int) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((count, channels), dtype="float32")
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def product(vectors: np.ndarray, query: np.ndarray) -> set[int]:
    similarity = vectors @ query
    return set(np.argpartition(-similarity, FOUND)[:FOUND].tolist())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=1_000)
    parser.add_argument("--channels", type=int, default=128)
    parser.add_argument("--queries", type=int, default=50)
    args = parser.parse_args()
    vectors, queries = (
        unit(n, args.channels, s) for s, n in enumerate((args.images, args.queries))
    )
    names = [str(row) for row in range(args.images)]
    with tempfile.TemporaryDirectory() as folder:
        stores = {"ExactStore": ExactStore()}
        try:
            from keras_cr.search.lance import LanceStore

            for name in ("LanceDB, every row", "LanceDB, inverted file"):
                stores[name] = LanceStore.create(Path(folder, name), {})
        except ImportError:
            print("LanceDB: not measured, it is not installed")
        for name, store in stores.items():
            start = time.perf_counter()
            store.add(names, vectors, {})
            if name.endswith("file"):
                store.make_approximate()
            print(f"{name}: {time.perf_counter() - start:.2f} s to build")
        times = {name: [] for name in ("product", *stores)}
        hits = dict.fromkeys(stores, 0)
        for query in queries:
            start = time.perf_counter()
            nearest = product(vectors, query)
            times["product"].append(time.perf_counter() - start)
            for name, store in stores.items():
                start = time.perf_counter()
                found = store.search(query[None], FOUND)[0]
                times[name].append(time.perf_counter() - start)
                hits[name] += len(nearest & {int(row) for row, _ in found})
    print(f"{args.images:,} x {args.channels}, {args.queries} queries; medians of one query:")
    print("| store | ms | times the product | recall at 10 |\n| --- | --- | --- | --- |")
    for name, seconds in times.items():
        middle = statistics.median(seconds)
        ratio = middle / statistics.median(times["product"])
        recall = f"{hits[name] / FOUND / len(queries):.3f}" if name in hits else "1"
        print(f"| {name} | {1000 * middle:.2f} | {ratio:.2f} | {recall} |")


if __name__ == "__main__":
    main()
