"""A training step by the fused kernel of batch normalisation, and by Keras' operations.

    python benchmarks/batch_norm.py --backbone resnet18 --image-size 64 --batch-size 64

`keras_cr.layers.UnbiasedBatchNormalization` takes TensorFlow's fused kernel for feature maps in
training; without it a step is what it was before. Both take turns.
"""

from collections.abc import Iterator
from unittest import mock

from benchmarks import steps as ours
from benchmarks.program import main
from benchmarks.rows import Row
from benchmarks.timing import interleaved


def benchmark(
    backbone: str = "resnet18", image_size: int = 64, batch_size: int = 64, steps: int = 10
) -> Iterator[Row]:
    from keras_cr.layers import UnbiasedBatchNormalization

    batch = ours.batch(batch_size, image_size)
    fused = ours.step(ours.moco(backbone), batch)
    fused()  # traces it
    with mock.patch.object(UnbiasedBatchNormalization, "_can_be_fused", return_value=False):
        before = ours.step(ours.moco(backbone), batch)
        before()
    times = interleaved({"operations": before, "fused": fused}, steps)
    size = f"{backbone}, {image_size} px, batch {batch_size}"
    yield times.rate(f"{size}: Keras' operations", "operations", batch_size, "images/s")
    what = f"{size}: fused kernel"
    yield times.rate(what, "fused", batch_size, "images/s", against="operations", goal=">= 1")


if __name__ == "__main__":
    main(benchmark)
