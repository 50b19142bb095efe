"""Time and memory of leave-one-out retrieval.

    python benchmarks/retrieval.py                    # CUB's test set: 5,794 x 2,048
    python benchmarks/retrieval.py --images 60000     # ten times as many

The features are random: the work does not depend on them. Peak memory is the process's largest
resident size during retrieval less its size with the features loaded.
"""

import argparse
import resource
import sys
import time

import numpy as np

from keras_cr.evaluation.retrieval import retrieval


def peak_bytes() -> int:
    """The largest resident size of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=5794)
    parser.add_argument("--channels", type=int, default=2048)
    parser.add_argument("--classes", type=int, default=200)
    parser.add_argument("--chunk-size", type=int, default=None, help="default: chosen from N")
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    embeddings = rng.standard_normal((args.images, args.channels), dtype="float32")
    labels = rng.integers(args.classes, size=args.images)
    before, start = peak_bytes(), time.perf_counter()
    metrics = retrieval(embeddings, labels, chunk_size=args.chunk_size)
    seconds, extra = time.perf_counter() - start, peak_bytes() - before
    print(f"{args.images:,} x {args.channels:,} float32: {embeddings.nbytes / 1e9:.2f} GB")
    print(f"retrieval: {seconds:.2f} s, {extra / 1e9:.2f} GB beyond the features")
    print(", ".join(f"{name} {value:.4g}" for name, value in metrics.items()))


if __name__ == "__main__":
    main()
