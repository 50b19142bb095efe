"""What a finer map costs: a training step and embedding at an output stride, against the own one.

    python benchmarks/finer_map.py --backbones squeezenet efficientnet_lite0 --image-size 160

A SqueezeNet goes from its stride of 16 to 8, the packaged EfficientNet-Lite0 and a ResNet from 32
to 16.
"""

from collections.abc import Iterator

from benchmarks import steps as ours
from benchmarks.program import main
from benchmarks.rows import Row
from benchmarks.timing import interleaved

PACKAGED = ("squeezenet", "efficientnet_lite0")


def benchmark(
    backbones: tuple[str, ...] = (*PACKAGED, "resnet18"),
    image_size: int = 160,
    batch_size: int = 32,
    repeats: int = 5,
) -> Iterator[Row]:
    from keras_cr import CommonRationaleEncoder
    from keras_cr.models import adapt_backbone, backbone_from_name

    batch = ours.batch(batch_size, image_size)
    images = batch["image"].numpy()
    for name in backbones:
        if name in PACKAGED:
            own = CommonRationaleEncoder.from_preset(f"demo_{name}").backbone
        else:
            own = backbone_from_name(name, seed=0)
        finer = adapt_backbone(own, output_stride=8 if name == "squeezenet" else 16)
        works = {}
        for told, backbone in (("own", own), ("finer", finer)):
            encoder = CommonRationaleEncoder(backbone)
            pretrainer = ours.moco(backbone, "views")
            works[f"step, {told}"] = ours.step(pretrainer, batch)
            works[f"embedding, {told}"] = lambda e=encoder: e.predict(images, batch_size, verbose=0)
        times = interleaved(works, repeats, warm_up=2)
        size = f"{name}, {image_size} px, batch {batch_size}"
        for what in ("step", "embedding"):
            yield times.row(f"{size}: {what}, its own map", f"{what}, own", 1e-3, "ms")
            more = {"against": f"{what}, own"}
            yield times.row(f"{size}: {what}, the finer map", f"{what}, finer", 1e-3, "ms", **more)


if __name__ == "__main__":
    main(benchmark)
