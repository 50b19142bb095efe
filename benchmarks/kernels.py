"""Which kernels a training step's time goes to, by TensorFlow's profiler.

    python benchmarks/kernels.py --backbone resnet18 --image-size 64 --batch-size 64

The time of each kind of kernel, summed over those that ran side by side, and its share of all
kernels' time. `Mkl` begins the names of oneDNN's.
"""

import collections
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks import steps as ours
from benchmarks.program import main
from benchmarks.rows import Row

NO_KERNELS = ("Process", "Run", "EagerExecute", "TFRecord")


def benchmark(
    backbone: str = "resnet18",
    image_size: int = 64,
    batch_size: int = 64,
    arm: str = "plain",
    steps: int = 3,
    top: int = 12,
) -> Iterator[Row]:
    import tensorflow as tf

    step = ours.step(ours.moco(backbone, arm), ours.batch(batch_size, image_size))
    for _ in range(3):
        step()
    with tempfile.TemporaryDirectory() as folder:
        with tf.profiler.experimental.Profile(folder):
            for _ in range(steps):
                step()
        (path,) = Path(folder).rglob("*.xplane.pb")
        spent, count = kernels(path.read_bytes())
    whole = sum(spent.values())
    for name, seconds in spent.most_common(top):
        note = f"{seconds / whole:.3f} of the time, {count[name] // steps} a step"
        what = f"{backbone}, {image_size} px, batch {batch_size}, {arm}: {name}"
        yield Row(what, 1000 * seconds / steps, "ms", note=note)


def kernels(profile: bytes) -> tuple[collections.Counter, collections.Counter]:
    """Seconds and number of the kernels of a stored profile, by their kind."""
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    space = xplane_pb2.XSpace.FromString(profile)
    spent: collections.Counter = collections.Counter()
    count: collections.Counter = collections.Counter()
    for plane in space.planes:
        if "CPU" not in plane.name and "GPU" not in plane.name:
            continue
        for line in plane.lines:
            for event in line.events:
                path, _, kind = plane.event_metadata[event.metadata_id].name.rpartition(":")
                if path and kind and kind.isidentifier() and kind not in NO_KERNELS:
                    spent[kind.removeprefix("_")] += event.duration_ps / 1e12
                    count[kind.removeprefix("_")] += 1
    return spent, count


if __name__ == "__main__":
    main(benchmark)
