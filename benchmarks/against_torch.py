"""A training step against PyTorch's, of the same MoCo, with a rationale and without.

    python benchmarks/against_torch.py --backbones resnet18 --image-sizes 64 --batch-sizes 64
    python benchmarks/against_torch.py --backbones resnet50 --image-sizes 224 --batch-sizes 16

Each library has a process of its own, and their steps take turns. PyTorch's MoCo is in
`torch_moco.py`: both memory formats, and the faster one with the paper's rationale. Ours has the
default rationale of recipes too. Rates are images a second; the ratio of each arm of ours is to
channels-last PyTorch, with the paper's rationale where ours has one.
"""

from collections.abc import Callable, Iterator

import numpy as np

from benchmarks import steps
from benchmarks.process import Process
from benchmarks.program import main, optional
from benchmarks.rows import NotMeasured, Row, not_measured
from benchmarks.timing import interleaved

OURS = ("plain", "views", "paper")
NAMES = {"plain": "plain", "views": "default rationale", "paper": "the paper's rationale"}
FASTEST = "PyTorch, channels-last"


def benchmark(
    backbones: tuple[str, ...] = ("resnet18", "resnet18", "resnet50"),
    image_sizes: tuple[int, ...] = (64, 96, 224),
    batch_sizes: tuple[int, ...] = (64, 64, 16),
    repeats: tuple[int, ...] = (7, 4, 2),
) -> Iterator[Row]:
    for setting in zip(backbones, image_sizes, batch_sizes, repeats, strict=False):
        yield from compare(*setting)


def compare(backbone: str, image_size: int, batch_size: int, repeats: int) -> Iterator[Row]:
    size = f"{backbone}, {image_size} px, batch {batch_size}"
    arguments = backbone, image_size, batch_size
    try:
        theirs = Process(torch_steps, *arguments)
    except NotMeasured as reason:
        yield not_measured(f"{size}: against PyTorch", reason)
        return
    with theirs, Process(our_steps, *arguments) as ours:
        works = {name: ours.work(name) for name in ours.names}
        works |= {name: theirs.work(name) for name in theirs.names}
        times = interleaved(works, repeats, warm_up=1)
    for name in theirs.names:
        more = {} if name == FASTEST else {"against": FASTEST}
        yield times.rate(f"{size}: {name}", name, batch_size, "images/s", **more)
    for name in ours.names:
        against = FASTEST if name == "plain" else f"{FASTEST}, rationale"
        more = {"against": against, "goal": ">= 1"}
        what = f"{size}: ours, {NAMES[name]}"
        yield times.rate(what, name, batch_size, "images/s", **more)


def our_steps(backbone: str, image_size: int, batch_size: int) -> dict[str, Callable]:
    batch = steps.batch(batch_size, image_size)
    return {arm: steps.step(steps.moco(backbone, arm), batch) for arm in OURS}


def torch_steps(backbone: str, image_size: int, batch_size: int) -> dict[str, Callable]:
    torch = optional("torch")
    from benchmarks.torch_moco import MoCo, resnet

    shape = (batch_size, 3, image_size, image_size)
    rng = np.random.default_rng(0)
    views = [torch.from_numpy(rng.uniform(0, 255, shape).astype("float32")) for _ in range(2)]
    works = {}
    arms = {
        "PyTorch": (False, False),
        FASTEST: (False, True),
        f"{FASTEST}, rationale": (True, True),
    }
    for name, arm in arms.items():
        model = MoCo(lambda: resnet(backbone), *arm)
        own = [each.contiguous(memory_format=model.format) for each in views]
        works[name] = lambda model=model, own=own: model.step(*own)
    return works


if __name__ == "__main__":
    main(benchmark)
