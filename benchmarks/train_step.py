"""What a rationale costs: a training step with it against the plain objective's step.

    python benchmarks/train_step.py --backbone resnet18 --image-size 64 --batch-size 32

The default compares with neighbours, whole images or (as recipes do) the views that the step has
seen anyway; the paper's explains the objective's own loss. All are compiled before the clock starts
and take turns on one machine; the medians of their steps, and of the ratios to the plain step of
the same turn, are printed.
"""

import argparse
import os
import statistics
import time

os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # before tensorflow is imported

import keras
import numpy as np
import tensorflow as tf

from keras_cr import CommonRationaleEncoder
from keras_cr.pretraining import MoCo, Neighbours, Rationale


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default="resnet18")
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--jit-compile", action="store_true")
    args = parser.parse_args()

    shape = (args.batch_size, args.image_size, args.image_size, 3)
    rng = np.random.default_rng(0)
    views = ("query", "key", "image")
    batch = {name: tf.constant(rng.uniform(0, 255, shape), "float32") for name in views}
    steps = {}
    arms = {
        "plain": None,
        "whole": Rationale(Neighbours(images="whole")),
        "views": Rationale(Neighbours(images="views")),
        "paper": Rationale.paper(),
    }
    for name, rationale in arms.items():
        encoder = CommonRationaleEncoder(args.backbone, seed=0, dtype=args.precision)
        pretrainer = MoCo(encoder, rationale=rationale, queue_size=1024, dtype=args.precision)
        pretrainer.compile(keras.optimizers.SGD(0.03, momentum=0.9), jit_compile=args.jit_compile)
        pretrainer.train_on_batch(batch)
        steps[name] = pretrainer

    times = {name: [] for name in steps}
    for _ in range(args.steps):
        for name, pretrainer in steps.items():
            start = time.perf_counter()
            pretrainer.train_on_batch(batch, return_dict=True)
            times[name].append(time.perf_counter() - start)
    for name, values in times.items():
        median = statistics.median(values)
        print(f"{name:10} {1000 * median:8.1f} ms a step, {args.batch_size / median:8.1f} images/s")
    for name in ("whole", "views", "paper"):
        ratios = [b / a for a, b in zip(times["plain"], times[name], strict=True)]
        print(f"{name} / plain: {statistics.median(ratios):.3f} (median of {args.steps} pairs)")


if __name__ == "__main__":
    main()
