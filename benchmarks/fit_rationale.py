"""Seconds that `keras_cr.rationale.posthoc` takes, the backbone left out.

    python benchmarks/fit_rationale.py                    # 1,050 maps of 9 x 9 x 512
    python benchmarks/fit_rationale.py --side 7 --channels 2048

The images are random feature maps that a backbone of no layers passes on: the work does not depend
on what they hold. The fit of the branch, most of the work, is timed apart as well. The first repeat
compiles and is timed like the others; the medians and ranges over the repeats are printed.
"""

import argparse
import os
import statistics
import time

os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # before tensorflow is imported

import keras
import numpy as np

from keras_cr import CommonRationaleEncoder
from keras_cr.layers import RationaleBranch
from keras_cr.pretraining import fit_rationale
from keras_cr.rationale.branch_fit import fit_branch


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=1050)
    parser.add_argument("--side", type=int, default=9, help="of the feature map, in places")
    parser.add_argument("--channels", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    shape = (args.images, args.side, args.side, args.channels)
    rng = np.random.default_rng(0)
    maps = np.maximum(rng.standard_normal(shape, dtype="float32"), 0)
    targets = rng.random(shape[:3], dtype="float32")
    backbone = keras.Sequential([keras.Input(shape[1:]), keras.layers.Identity()])

    def one_fit():
        branch = RationaleBranch(1, seed=0)
        branch.build((None, None, None, args.channels))
        fit_branch(branch, maps.astype("float16"), targets)

    def whole():
        encoder = CommonRationaleEncoder(backbone, num_detectors=1, seed=0)
        fit_rationale(encoder, maps, rounds=args.rounds)

    size = " x ".join(f"{side:,}" for side in shape)
    print(f"{size}, {os.cpu_count()} cores")
    for name, work in (("fit_branch", one_fit), (f"fit_rationale, {args.rounds} rounds", whole)):
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


if __name__ == "__main__":
    main()
