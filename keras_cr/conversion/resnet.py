"""ResNets by torchvision's names, which timm and self-supervised code use too."""

import re

from keras_cr.conversion.layout import Facts, Layout, Shapes, places
from keras_cr.models import ResNet
from keras_cr.models.torchvision import listed
from keras_cr.presets.errors import CheckpointError

_NAMES = {  # blocks, bottleneck, groups, channels of a group
    ((2, 2, 2, 2), False, 1, 64): "resnet18",
    ((3, 4, 6, 3), False, 1, 64): "resnet34",
    ((3, 4, 6, 3), True, 1, 64): "resnet50",
    ((3, 4, 23, 3), True, 1, 64): "resnet101",
    ((3, 8, 36, 3), True, 1, 64): "resnet152",
    ((3, 4, 6, 3), True, 1, 128): "wide_resnet50_2",
    ((3, 4, 23, 3), True, 1, 128): "wide_resnet101_2",
    ((3, 4, 6, 3), True, 32, 4): "resnext50_32x4d",
    ((3, 4, 23, 3), True, 32, 8): "resnext101_32x8d",
    ((3, 4, 23, 3), True, 64, 4): "resnext101_64x4d",
}
_SEQUENTIAL = {"0": "conv1", "1": "bn1", "4": "layer1", "5": "layer2", "6": "layer3", "7": "layer4"}


def _rename(name: str, shapes: Shapes) -> str | None:
    """`4.0.conv1.weight` -> `layer1.0.conv1.weight`; torchvision's names stay."""
    first, _, rest = name.partition(".")
    if first in _SEQUENTIAL:
        return f"{_SEQUENTIAL[first]}.{rest}"
    return name if re.fullmatch(r"conv1|bn1|layer\d+", first) else None


def _build(shapes: Shapes, facts: Facts) -> ResNet:
    found = places(r"layer(\d)\.(\d+)\.", shapes)
    stages = sorted({stage for stage, _ in found})
    blocks = tuple(sum(stage == each for each, _ in found) for stage in stages)
    if not blocks or stages != list(range(1, len(stages) + 1)):
        raise CheckpointError(f"No ResNet: its stages are {stages}. Names: {listed(shapes)}.")
    bottleneck, width = "layer1.0.conv3.weight" in shapes, shapes["conv1.weight"][0]
    groups, group_width = 1, 64
    if bottleneck and "layer1.0.conv2.weight" in shapes:
        inner, each = shapes["layer1.0.conv2.weight"][:2]
        groups = inner // each
        group_width = each * 64 // width
    name = _NAMES.get((blocks, bottleneck, groups, group_width)) if width == 64 else None  # type: ignore[arg-type]
    return ResNet(
        blocks,
        bottleneck,
        width,
        max_pool=facts.max_pool is not False,
        groups=groups,
        group_width=group_width,
        seed=0,
        name=name or "resnet",
        **facts.normalization,  # type: ignore[arg-type]
    )


LAYOUTS = (
    Layout("torchvision", "ResNet", r"conv1\.weight", (3, 7, 7).__eq__, _rename, _build),
    Layout("torchvision", "ResNet", r"0\.weight", (3, 7, 7).__eq__, _rename, _build),
)
