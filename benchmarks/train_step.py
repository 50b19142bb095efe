"""What a rationale costs: a training step with it against the plain objective's step.

    python benchmarks/train_step.py --backbone resnet18 --image-size 64 --batch-size 32

The default compares with neighbours, whole images or (as recipes do) the views that the step has
seen anyway; the paper's explains the objective's own loss. All are compiled before the clock starts
and take turns on one machine.
"""

from collections.abc import Iterator

from benchmarks import steps as ours
from benchmarks.program import main
from benchmarks.rows import Row
from benchmarks.timing import interleaved

GOALS = {"views": "<= 1.02"}


def benchmark(
    backbone: str = "resnet18",
    image_size: int = 64,
    batch_size: int = 32,
    steps: int = 20,
    precision: str = "float32",
    jit_compile: bool = False,
) -> Iterator[Row]:
    batch = ours.batch(batch_size, image_size)
    works = {
        arm: ours.step(ours.moco(backbone, arm, precision, jit_compile), batch)
        for arm in ours.RATIONALES
    }
    times = interleaved(works, steps, warm_up=3)
    size = f"{backbone}, {image_size} px, batch {batch_size}"
    yield times.row(f"{size}: plain step", "plain", 1e-3, "ms")
    for arm in ours.RATIONALES[1:]:
        more = {"against": "plain", "goal": GOALS.get(arm, "")}
        yield times.row(f"{size}: rationale, {arm}", arm, 1e-3, "ms", **more)


if __name__ == "__main__":
    main(benchmark)
