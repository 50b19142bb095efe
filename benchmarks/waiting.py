"""The share of time that a training waits for its input, from JPEG files of CUB's common size.

    python benchmarks/waiting.py --backbone resnet18 --image-size 96 --batch-size 32

A step is timed from the moment it asks for a batch; waiting is until it has it. "swapped" replaces
backgrounds by a rationale's maps, as recipes do. The step on batches that are there already is
timed in turn: what the input costs it beyond waiting are the processors that both share.
"""

import statistics
import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks import steps as ours
from benchmarks.photos import dataset, files, photos
from benchmarks.program import main
from benchmarks.rows import Row
from benchmarks.timing import seconds


def benchmark(
    backbone: str = "resnet18",
    image_size: int = 96,
    batch_size: int = 32,
    images: int = 256,
    steps: int = 16,
) -> Iterator[Row]:
    from keras_cr.data import BackgroundSwap, two_views

    pretrainer = ours.moco(backbone, "views")
    ready = ours.step(pretrainer, ours.batch(batch_size, image_size))
    with tempfile.TemporaryDirectory() as folder:
        train = dataset(files(photos(images), folder))
        maps = np.random.default_rng(0).uniform(size=(images, 14, 14))
        found = {}
        for name, swap in (("files", None), ("files, swapped", BackgroundSwap(maps))):
            options: dict[str, Any] = {"epochs": 1000, "whole_images": False, "backgrounds": swap}
            found[name] = iter(two_views(train, image_size, batch_size, **options))
        for name, batches in found.items():
            waits, trained, there = [], [], []
            for number in range(steps + 3):
                got: list = []
                wait = seconds(lambda b=batches, g=got: g.append(next(b)))
                step = seconds(ours.step(pretrainer, got[0]))
                if number >= 3:  # tracing, and what was made ahead
                    waits.append(wait)
                    trained.append(step)
                if number >= 3 and number % 4 == 0:
                    there.append(seconds(ready))
            size = f"{backbone}, {image_size} px, batch {batch_size}, {name}"
            share = sum(waits) / (sum(waits) + sum(trained))
            yield Row(f"{size}: share of the time waited", share, goal="<= 0.02")
            whole = statistics.median(w + t for w, t in zip(waits, trained, strict=True))
            ratio = whole / statistics.median(there)
            more = {"ratio": ratio, "against": "batches there already"}
            yield Row(f"{size}: a step with its input", 1000 * whole, "ms", **more)


if __name__ == "__main__":
    main(benchmark)
