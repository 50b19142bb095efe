"""EfficientNet, Lite, V2 and MobileNetV3 by timm's and torchvision's names; timm's are ours.

Neither strides nor activations show in tensors, so only those architectures are taken whose stages
are in the table below; what else is made of inverted residuals is refused.
"""

import dataclasses
import re

from keras_cr.conversion.layout import Facts, Layout, Shapes, places
from keras_cr.models import EfficientNet
from keras_cr.models.efficientnet import Block
from keras_cr.models.torchvision import listed
from keras_cr.presets.errors import CheckpointError

TENSORFLOW = {"padding": "same", "epsilon": 1e-3}


@dataclasses.dataclass(frozen=True)
class _Family:
    """Networks with the same stages, of any width and, but for MobileNetV3, depth.

    Attributes:
        stages: kind, kernel, channels inside over those before (None: any), and whether there is
            squeeze and excitation.
        strides: of each stage's first block.
        activations: of each stage.
        options: further arguments of `EfficientNet`.
    """

    stages: tuple[tuple[str, int, int | None, bool], ...]
    strides: tuple[int, ...]
    activations: tuple[str, ...]
    options: dict[str, str] = dataclasses.field(default_factory=dict)


def _alike(activation: str, *stages, strides=(1, 2, 2, 2, 1, 2, 1)) -> _Family:
    options = {f"{part}_activation": activation for part in ("stem", "head", "squeeze")}
    number = len(stages)
    return _Family(stages, strides[:number], (activation,) * number, options)


def _mobile(stages, strides, relu: int) -> _Family:
    """A MobileNetV3 whose first `relu` stages have ReLU."""
    activations = tuple("relu" if i < relu else "hard_silu" for i in range(len(stages)))
    options = {"stem_activation": "hard_silu", "squeeze_activation": "relu"}
    return _Family(tuple(stages), strides, activations, options | {"gate": "hard_sigmoid"})


def _b(squeeze: bool) -> list[tuple[str, int, int, bool]]:
    inverted = [("inverted", kernel, 6, squeeze) for kernel in (3, 5, 3, 5, 5, 3)]
    return [("separable", 3, 1, squeeze), *inverted]


_V2 = [
    ("plain", 3, 1, False),
    *(("fused", 3, 4, False),) * 2,
    ("inverted", 3, 4, True),
    *(("inverted", 3, 6, True),) * 2,
]
_LARGE = [
    ("separable", 3, None, False),
    ("inverted", 3, None, False),
    ("inverted", 5, None, True),
    ("inverted", 3, None, False),
    ("inverted", 3, None, True),
    ("inverted", 5, None, True),
    ("plain", 1, None, False),
]
_SMALL = [
    ("separable", 3, None, True),
    ("inverted", 3, None, False),
    *(("inverted", 5, None, True),) * 3,
    ("plain", 1, None, False),
]
_FAMILIES = {
    "efficientnet": _alike("silu", *_b(squeeze=True)),
    "efficientnet_lite": _alike("relu6", *_b(squeeze=False)),
    "efficientnetv2": _alike("silu", *_V2),
    "efficientnetv2 of seven stages": _alike("silu", *_V2, _V2[-1]),
    "mobilenetv3_large": _mobile(_LARGE, (1, 2, 2, 2, 1, 2, 1), relu=3),
    "mobilenetv3_small": _mobile(_SMALL, (2, 2, 2, 1, 2, 1), relu=2),
}
_DEPTHS = {"mobilenetv3_large": (1, 2, 3, 4, 2, 3, 1), "mobilenetv3_small": (1, 2, 3, 2, 3, 1)}
_NAMES = {  # depths, and the last stage's channels
    ("efficientnet", (1, 2, 2, 3, 3, 4, 1), 320): "efficientnet_b0",
    ("efficientnet", (2, 3, 3, 4, 4, 5, 2), 320): "efficientnet_b1",
    ("efficientnet", (2, 3, 3, 4, 4, 5, 2), 352): "efficientnet_b2",
    ("efficientnet", (2, 3, 3, 5, 5, 6, 2), 384): "efficientnet_b3",
    ("efficientnet", (2, 4, 4, 6, 6, 8, 2), 448): "efficientnet_b4",
    ("efficientnet", (3, 5, 5, 7, 7, 9, 3), 512): "efficientnet_b5",
    ("efficientnet", (3, 6, 6, 8, 8, 11, 3), 576): "efficientnet_b6",
    ("efficientnet", (4, 7, 7, 10, 10, 13, 4), 640): "efficientnet_b7",
    ("efficientnet_lite", (1, 2, 2, 3, 3, 4, 1), 320): "efficientnet_lite0",
    ("efficientnet_lite", (1, 3, 3, 4, 4, 5, 1), 320): "efficientnet_lite1",
    ("efficientnet_lite", (1, 3, 3, 4, 4, 5, 1), 352): "efficientnet_lite2",
    ("efficientnet_lite", (1, 3, 3, 5, 5, 6, 1), 384): "efficientnet_lite3",
    ("efficientnet_lite", (1, 4, 4, 6, 6, 8, 1), 448): "efficientnet_lite4",
    ("efficientnetv2", (1, 2, 2, 3, 5, 8), 192): "efficientnetv2_b0",
    ("efficientnetv2", (2, 3, 3, 4, 6, 9), 192): "efficientnetv2_b1",
    ("efficientnetv2", (2, 3, 3, 4, 6, 10), 208): "efficientnetv2_b2",
    ("efficientnetv2", (2, 3, 3, 5, 7, 12), 232): "efficientnetv2_b3",
    ("efficientnetv2", (2, 4, 4, 6, 9, 15), 256): "efficientnetv2_s",
    ("efficientnetv2 of seven stages", (3, 5, 5, 7, 14, 18, 5), 512): "efficientnetv2_m",
    ("efficientnetv2 of seven stages", (4, 7, 7, 10, 19, 25, 7), 640): "efficientnetv2_l",
    ("efficientnetv2 of seven stages", (4, 8, 8, 16, 24, 32, 8), 640): "efficientnetv2_xl",
}
_WIDE = 2048  # channels of the head from which torchvision's EfficientNets normalise as V2 does


def _timm(name: str, shapes: Shapes) -> str | None:
    if name.startswith("conv_head.") and "bn2.weight" not in shapes:
        return None  # MobileNetV3's comes after the pooling
    ours = r"(?:conv_stem|bn1|conv_head|bn2|blocks\.\d+\.\d+\.(?:conv|bn|se)[\w.]*)\.\w+"
    return name if re.fullmatch(ours, name) else None


def _torchvision(name: str, shapes: Shapes) -> str | None:
    match = re.fullmatch(r"features\.(\d+)\.([01])\.(\w+)", name)
    if match:
        if match[1] == "0":
            return f"{('conv_stem', 'bn1')[int(match[2])]}.{match[3]}"
        last = max(numbers[0] for numbers in places(r"features\.(\d+)\.", shapes))
        if int(match[1]) != last:
            return None
        flat = _flat_blocks(shapes)
        if not flat:
            return f"{('conv_head', 'bn2')[int(match[2])]}.{match[3]}"
        return f"blocks.{len(flat)}.0.{('conv', 'bn1')[int(match[2])]}.{match[3]}"
    match = re.fullmatch(r"(features\.(\d+)\.(?:(\d+)\.)?block\.)(\d+)\.([\w.]+)", name)
    if not match:
        return None
    start, stage, number, part, rest = match.groups()
    parts = _parts(start, shapes)
    if (part := int(part)) >= len(parts):
        return None
    if number is None:
        stage, number = _place(int(stage) - 1, _flat_blocks(shapes))
    else:
        stage = int(stage) - 1
    kind, place = parts[part]
    return _torchvision_part(f"blocks.{stage}.{number}", kind, place, rest)


def _torchvision_part(block: str, convolution: str, norm: int, rest: str) -> str | None:
    if convolution == "se":
        match = re.fullmatch(r"fc([12])\.(\w+)", rest)
        return match and f"{block}.se.conv_{('reduce', 'expand')[int(match[1]) - 1]}.{match[2]}"
    match = re.fullmatch(r"([01])\.(\w+)", rest)
    return match and f"{block}.{(convolution, f'bn{norm}')[int(match[1])]}.{match[2]}"


def _parts(start: str, shapes: Shapes) -> list[tuple[str, int]]:
    """timm's names of a block's convolutions and the numbers of their normalisations."""
    numbers = [number for (number,) in places(re.escape(start) + r"(\d+)\.", shapes)]
    excitation = [f"{start}{number}.fc1.weight" in shapes for number in numbers]
    kernels = [shapes.get(f"{start}{number}.0.weight", ()) for number in numbers]
    convolutions = [kernel for kernel in kernels if kernel]
    if len(convolutions) == 1:
        names = ["conv"]
    elif len(convolutions) == 3:
        names = ["conv_pw", "conv_dw", "conv_pwl"]
    else:
        depthwise = convolutions and convolutions[0][1] == 1
        names = ["conv_dw", "conv_pw"] if depthwise else ["conv_exp", "conv_pwl"]
    left = iter(enumerate(names, 1))
    found = []
    for squeezed in excitation:
        place, name = (0, "se") if squeezed else next(left, (0, "se"))
        found.append((name, place))
    return found


def _flat_blocks(shapes: Shapes) -> tuple[int, ...]:
    """Blocks of each stage of a MobileNetV3, which torchvision doesn't count by stages."""
    number = len(places(r"features\.(\d+)\.block\.", shapes))
    fitting = (depths[:-1] for depths in _DEPTHS.values() if sum(depths[:-1]) == number)
    return next(fitting, ())


def _place(number: int, depths: tuple[int, ...]) -> tuple[int, int]:
    """Stage, and number within it, of a block that is counted through."""
    for stage, depth in enumerate(depths):
        if number < depth:
            return stage, number
        number -= depth
    return len(depths), number


def _read(shapes: Shapes) -> list[list[tuple[tuple, Block]]]:
    """Of each stage its blocks, with what the table compares."""
    stages: list[list] = []
    for stage, number in places(r"blocks\.(\d+)\.(\d+)\.", shapes):
        kernels = {
            name: shapes[f"blocks.{stage}.{number}.{name}.weight"]
            for name in ("conv_pw", "conv_dw", "conv_pwl", "conv_exp", "conv", "se.conv_reduce")
            if f"blocks.{stage}.{number}.{name}.weight" in shapes
        }
        kind = {
            frozenset({"conv_pw", "conv_dw", "conv_pwl"}): "inverted",
            frozenset({"conv_dw", "conv_pw"}): "separable",
            frozenset({"conv_exp", "conv_pwl"}): "fused",
            frozenset({"conv"}): "plain",
        }.get(frozenset(kernels.keys() - {"se.conv_reduce"}))
        if kind is None or any(len(kernel) != 4 for kernel in kernels.values()):
            raise CheckpointError(f"Block {stage}.{number} is of no known kind: {listed(kernels)}.")
        full = kernels.get("conv_dw") or kernels.get("conv_exp") or kernels["conv"]
        last = kernels.get("conv_pwl") or kernels.get("conv_pw") or kernels["conv"]
        before = (kernels.get("conv_pw") or full)[1] if kind != "separable" else full[0]
        hidden = last[0] if kind == "plain" else full[0]
        ratio = 1 if kind == "plain" else hidden / before
        squeeze = kernels.get("se.conv_reduce", (0,))[0]
        block = Block(kind, full[2], 1, hidden, last[0], squeeze)
        if stage >= len(stages):
            stages.append([])
        stages[-1].append(((kind, full[2], ratio, bool(squeeze)), block))
    return stages


def _fits(name: str, stages: list[list[tuple[tuple, Block]]]) -> bool:
    family = _FAMILIES[name]
    depths = tuple(map(len, stages))
    if len(stages) != len(family.stages) or _DEPTHS.get(name, depths) != depths:
        return False
    return all(
        own[:2] == (kind, kernel) and own[2] == (ratio or own[2]) and own[3] == squeezed
        for (kind, kernel, ratio, squeezed), stage in zip(family.stages, stages, strict=True)
        for own, _ in stage
    )


def _recognised(shapes: Shapes) -> tuple[str, str, list[list[Block]]]:
    """The family of a network, its name, and its blocks, still without strides."""
    stages = _read(shapes)
    family = next((name for name in _FAMILIES if _fits(name, stages)), None)
    if family is None or "conv_stem.weight" not in shapes:
        found = [sorted({own for own, _ in stage}) for stage in stages]
        raise CheckpointError(
            f"Inverted residuals, but of none of {listed(_FAMILIES)}: the stages are {found} "
            "(kind, kernel, expansion, squeeze and excitation)."
        )
    blocks = [[block for _, block in stage] for stage in stages]
    key = (family, tuple(map(len, blocks)), blocks[-1][-1].filters)
    return family, _NAMES.get(key, family.split()[0]), blocks


def build(shapes: Shapes, options: dict) -> EfficientNet:
    family_name, name, stages = _recognised(shapes)
    family = _FAMILIES[family_name]
    blocks = [
        [
            dataclasses.replace(
                block, stride=stride if number == 0 else 1, activation=activation
            ).values
            for number, block in enumerate(stage)
        ]
        for stage, stride, activation in zip(
            stages, family.strides, family.activations, strict=True
        )
    ]
    return EfficientNet(
        shapes["conv_stem.weight"][0],
        blocks,
        head=shapes.get("conv_head.weight", (0,))[0],
        seed=0,
        name=name,
        **family.options | options,
    )


def _build_timm(shapes: Shapes, facts: Facts) -> EfficientNet:
    """timm has most of these as they were trained in TensorFlow and in PyTorch."""
    called = facts.architecture or ""
    if not called.removeprefix("tf_").startswith(("efficientnet", "mobilenetv3")):
        _, name, _ = _recognised(shapes)
        raise CheckpointError(
            f"The tensors are those of {name} and of tf_{name}, which pads and normalises as "
            f"TensorFlow does: say which, backbone={name!r} or 'tf_{name}'. Received: {called!r}"
        )
    tensorflow = called.startswith("tf_")
    return build(shapes, (TENSORFLOW if tensorflow else {}) | facts.normalization)


def _build_torchvision(shapes: Shapes, facts: Facts) -> EfficientNet:
    head = shapes.get("conv_head.weight", (_WIDE,))[0]
    plain = head < _WIDE and "blocks.0.0.conv.weight" not in shapes
    return build(shapes, ({} if plain else {"epsilon": 1e-3}) | facts.normalization)


LAYOUTS = (
    Layout("timm", "EfficientNet", r"conv_stem\.weight", (3, 3, 3).__eq__, _timm, _build_timm),
    Layout(
        *("torchvision", "EfficientNet", r"features\.0\.0\.weight"),
        *((3, 3, 3).__eq__, _torchvision, _build_torchvision),
    ),
)
