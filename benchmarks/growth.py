"""How the cost of a training step and of retrieval grows: slopes of logarithms; memory of a step.

    python benchmarks/growth.py

A slope of 1 is in proportion, 0 no growth. Each size's works take turns with those of the other
sizes. Steps are a narrow ResNet's, with the default rationale of recipes; a step's memory is its
process' peak after some steps, less what it held before the network was made.
"""

import gc
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from benchmarks import steps
from benchmarks.process import Process, peak_bytes
from benchmarks.program import main
from benchmarks.rows import Row
from benchmarks.timing import Growth, growth, interleaved

STEP: dict[str, Any] = {"batch": 32, "side": 64, "queue_size": 1024, "bank_size": 1024}
STEP |= {"detectors": 1}
GOALS = {"batch": "<= 1.05", "side": "<= 2.1", "gallery": "<= 2.1"}


def benchmark(
    batch: tuple[int, ...] = (16, 32, 64),
    side: tuple[int, ...] = (64, 96, 128),
    queue_size: tuple[int, ...] = (1024, 8192, 65536),
    bank_size: tuple[int, ...] = (1024, 4096, 16384),
    detectors: tuple[int, ...] = (1, 8, 32),
    gallery: tuple[int, ...] = (1000, 2000, 4000, 8000),
    memory: tuple[int, ...] = (16, 64),
    repeats: int = 5,
) -> Iterator[Row]:
    swept = {"batch": batch, "side": side, "queue_size": queue_size, "bank_size": bank_size}
    for name, sizes in (swept | {"detectors": detectors}).items():
        works = {size: step(**(STEP | {name: size})) for size in sizes}
        yield slope(f"a step over {name.replace('_', ' ')}", name, sizes, works, repeats)
        del works
        gc.collect()
    works = {count: retrieval(count) for count in gallery}
    yield slope("retrieval over test images", "gallery", gallery, works, 3)
    peaks = []
    for size in memory:
        with Process(resnet_step, size) as other:
            peaks.append(other.work("peak")())
        yield Row(f"resnet18, 64 px, batch {size}: memory of a step", peaks[-1] / 1e9, "GB")
    yield row("memory of a step over batch", "", growth(memory, peaks))


def slope(
    what: str, name: str, sizes: Sequence[int], works: dict[int, Callable], repeats: int
) -> Row:
    times = interleaved({str(size): work for size, work in works.items()}, repeats, warm_up=2)
    found = growth(sizes, [times.median(str(size)) for size in sizes])
    costs = " / ".join(f"{1000 * cost:.0f}" for cost in found.costs)
    return row(what, GOALS.get(name, "<= 0.3"), found, f": {costs} ms")


def row(what: str, goal: str, found: Growth, note: str = "") -> Row:
    sizes = " / ".join(f"{size:,}" for size in found.sizes)
    return Row(f"slope of {what}", round(found.slope, 3), goal=goal, note=sizes + note)


def step(batch: int, side: int, detectors: int, **options: int) -> Callable:
    from keras_cr.models import ResNet

    network = ResNet((1, 1, 1), bottleneck=False, width=32, seed=0)
    pretrainer = steps.moco(network, "views", detectors=detectors, **options)
    return steps.step(pretrainer, steps.batch(batch, side))


def retrieval(count: int) -> Callable:
    from keras_cr.evaluation.retrieval import retrieval

    rng = np.random.default_rng(0)
    embeddings = rng.standard_normal((count, 512), dtype="float32")
    labels = rng.integers(50, size=count)
    return lambda: retrieval(embeddings, labels)


def resnet_step(batch_size: int) -> dict[str, Callable]:
    views = steps.batch(batch_size, 64)
    before = peak_bytes()
    work = steps.step(steps.moco("resnet18", "views"), views)

    def peak() -> int:
        for _ in range(3):
            work()
        return peak_bytes() - before

    return {"peak": peak}


if __name__ == "__main__":
    main(benchmark)
