"""Seconds that `keras_cr.rationale.posthoc` takes, the backbone left out, and its peak memory.

    python benchmarks/fit_rationale.py                    # 1,050 maps of 9 x 9 x 512
    python benchmarks/fit_rationale.py --side 7 --channels 2048
    python benchmarks/fit_rationale.py --peak --side 16 --channels 384
    KERAS_BACKEND=jax python benchmarks/fit_rationale.py  # or torch

The images have a pixel a place, and the backbone is one dense layer: the work does not depend on
what the maps hold. The fit of the branch, most of the work, is timed apart as well. The first
repeat compiles and is timed like the others; the medians and ranges over the repeats are printed.

With `--peak` there is one fit, and the most memory that the process has held is printed, and what
it held before the fit.
"""

import argparse
import os
import resource
import statistics
import sys
import time
import warnings

os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # before tensorflow is imported

import keras
import numpy as np

from keras_cr import CommonRationaleEncoder
from keras_cr.layers import RationaleBranch
from keras_cr.rationale import fit_rationale
from keras_cr.rationale.branch_fit import fit_branch


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=1050)
    parser.add_argument("--side", type=int, default=9, help="of the feature map, in places")
    parser.add_argument("--channels", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--peak", action="store_true", help="one fit, and the memory it takes")
    args = parser.parse_args()
    shape = (args.images, args.side, args.side, args.channels)
    size = " x ".join(f"{side:,}" for side in shape)
    print(f"{size}, {os.cpu_count()} cores, {keras.backend.backend()}")
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (*shape[:3], 3), "uint8")
    backbone = keras.Sequential(
        [
            keras.Input((args.side, args.side, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Dense(args.channels, "relu"),
        ]
    )

    def whole():
        encoder = CommonRationaleEncoder(backbone, num_detectors=1, seed=0)
        fit_rationale(encoder, images, rounds=args.rounds, verbose=0)

    warnings.simplefilter("ignore")  # of maps that say nothing, as those of random weights
    title = f"fit_rationale, {args.rounds} rounds"
    if args.peak:
        before, cpu, seconds = peak_memory(), time.process_time(), timed(whole)
        cpu = time.process_time() - cpu
        print(
            f"{title:24} {seconds:6.1f} s ({cpu:.1f} s of processors), {peak_memory():.2f} GB, "
            f"{before:.2f} GB of it before"
        )
        return
    maps = rng.random(shape, dtype="float32").astype("float16")
    targets = rng.random(shape[:3], dtype="float32")

    def branch_alone():
        branch = RationaleBranch(1, seed=0)
        branch.build((None, None, None, args.channels))
        fit_branch(branch, maps, targets)

    for name, work in (("fit_branch", branch_alone), (title, whole)):
        seconds = [timed(work) for _ in range(args.repeats)]
        print(
            f"{name:24} {statistics.median(seconds):6.1f} s "
            f"({min(seconds):.1f}-{max(seconds):.1f}, {args.repeats} repeats)",
            flush=True,
        )


def timed(work) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def peak_memory() -> float:
    """The most memory this process has held, in GB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


if __name__ == "__main__":
    main()
