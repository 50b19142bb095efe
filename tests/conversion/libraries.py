"""Small networks of torchvision, timm and transformers, with weights that only names decide.

`python -m tests.conversion.libraries` writes `data/libraries.npz`: names and shapes of their
tensors and their feature maps. With those, tests need none of the libraries; where they are
installed, tests compare the maps with what is stored.
"""

import dataclasses
import functools
import math
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

FILE = Path(__file__).parent / "data" / "libraries.npz"
IMAGES = np.random.default_rng(3).integers(0, 256, (2, 64, 96, 3)).astype("float32")
SQUARES = IMAGES[:, :, :64]
EVERY = 11  # of the numbers of a map one in so many is stored
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@dataclasses.dataclass(frozen=True)
class Case:
    """A network of a library.

    Attributes:
        build: makes it.
        feature_map: from it and normalised images `(B, 3, H, W)` to the map `(B, C, h, w)`.
        options: what `convert_checkpoint` is told.
        normalization: mean and deviation.
        images: RGB 0..255.
        heads: what transformers' config.json says of its attention.
    """

    build: Callable[[], Any]
    feature_map: Callable[[Any, Any], Any]
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    normalization: tuple = IMAGENET
    images: np.ndarray = dataclasses.field(default_factory=lambda: IMAGES)
    heads: int | None = None


def drawn(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """A tensor of a name and a shape, always the same."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    if name.endswith("num_batches_tracked"):
        return np.zeros(shape, "int64")
    if name.endswith(("running_mean", "bias", "beta")):
        values = rng.normal(0, 0.1, shape)
    elif len(shape) == 1:
        values = rng.uniform(0.5, 1.5, shape)
    else:
        values = rng.normal(0, 1 / math.sqrt(math.prod(shape[1:])), shape)
    return values.astype("float32")


def import_torchvision():
    """torchvision, also where its compiled operators are of another build of torch.

    Its networks need none of them; importing it only asks that they exist.
    """
    import torch

    try:
        import torchvision
    except RuntimeError:
        for name in ("nms", "qnms"):
            torch.library.define(f"torchvision::{name}", "(Tensor a, Tensor b, float c) -> Tensor")
        import torchvision
    return torchvision


def _timm(name: str, **options):
    import_torchvision()  # which timm imports
    import timm

    return timm.create_model(name, **options)


def _timm_efficientnet(stages: str, head: int, tensorflow: bool, activation: str):
    """An EfficientNet of one block a stage and few channels, as timm's `_gen_...` build them."""
    import_torchvision()
    import torch
    from timm.layers import BatchNormAct2d
    from timm.models._efficientnet_builder import decode_arch_def
    from timm.models.efficientnet import EfficientNet

    norm = functools.partial(BatchNormAct2d, eps=1e-3 if tensorflow else 1e-5)
    return EfficientNet(
        decode_arch_def([[stage] for stage in stages.split()]),
        num_features=head,
        stem_size=8,
        norm_layer=norm,
        act_layer=getattr(torch.nn, activation),
        pad_type="same" if tensorflow else "",
        num_classes=5,
    )


def _torchvision_convnext():
    convnext = import_torchvision().models.convnext
    stages = [(8, 16, 1), (16, 24, 2)]
    stages = [convnext.CNBlockConfig(*stage) for stage in (*stages, (24, None, 1))]
    return convnext.ConvNeXt(stages, num_classes=5)


def _torchvision_efficientnet(v2: bool):
    efficientnet = import_torchvision().models.efficientnet
    mb, fused = efficientnet.MBConvConfig, efficientnet.FusedMBConvConfig
    if v2:
        stages = [
            *(fused(1, 3, 1, 8, 8, 1), fused(4, 3, 2, 8, 8, 2), fused(4, 3, 2, 8, 16, 1)),
            *(mb(4, 3, 2, 16, 16, 1), mb(6, 3, 1, 16, 24, 1), mb(6, 3, 2, 24, 24, 1)),
        ]
    else:
        shapes = [(1, 3, 1), (6, 3, 2), (6, 5, 2), (6, 3, 2), (6, 5, 1), (6, 5, 2), (6, 3, 1)]
        stages = [mb(*shape, 8, 8, 1, 1.0, 1.0) for shape in shapes]
    import torch

    norm = functools.partial(torch.nn.BatchNorm2d, eps=1e-3) if v2 else None
    return efficientnet.EfficientNet(stages, 0.0, num_classes=5, norm_layer=norm, last_channel=32)


def _torchvision_resnext():
    resnet = import_torchvision().models.resnet
    return resnet.ResNet(resnet.Bottleneck, [1, 1, 1, 1], groups=4, width_per_group=8)


def _transformers(kind: str, **options):
    import_torchvision()
    import transformers

    return getattr(transformers, f"{kind}Model")(getattr(transformers, f"{kind}Config")(**options))


def _channels_last(norm, x):
    return norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def _tokens(x, height: int, width: int):
    return x[:, -height * width :].unflatten(1, (height, width)).permute(0, 3, 1, 2)


def _resnet_map(network, x):
    x = network.maxpool(network.relu(network.bn1(network.conv1(x))))
    return network.layer4(network.layer3(network.layer2(network.layer1(x))))


def _dinov3_map(network, x):
    for stage in network.model.stages:
        x = stage(x)
    return _channels_last(network.layer_norm, x)


_SMALL = {"depths": (1, 2, 1, 1), "dims": (8, 16, 24, 32)}
_OF_TRANSFORMERS = {"depths": [1, 2, 1, 1], "hidden_sizes": [8, 16, 24, 32]}
_NARROW = {"embed_dim": 192, "num_heads": 3}
_VIT = {"img_size": 64, "depth": 2, "num_classes": 5}
_B0 = (
    "ds_r1_k3_s1_e1_c8{se} ir_r2_k3_s2_e6_c8{se} ir_r1_k5_s2_e6_c8{se} ir_r1_k3_s2_e6_c16{se} "
    "ir_r1_k5_s1_e6_c16{se} ir_r1_k5_s2_e6_c24{se} ir_r1_k3_s1_e6_c24{se}"
)
_V2 = (
    "cn_r1_k3_s1_e1_c8_skip er_r2_k3_s2_e4_c8 er_r1_k3_s2_e4_c16 ir_r1_k3_s2_e4_c16_se0.25 "
    "ir_r1_k3_s1_e6_c24_se0.25 ir_r1_k3_s2_e6_c24_se0.25"
)


def _with_norm(network, x):
    return network.head.norm(network.forward_features(x))


def _of_timm(network, x):
    return network.forward_features(x)


CASES = {
    "torchvision ResNeXt": Case(_torchvision_resnext, _resnet_map),
    "timm ConvNeXt": Case(lambda: _timm("convnext_tiny", **_SMALL), _with_norm),
    "timm ConvNeXt V2": Case(lambda: _timm("convnextv2_atto", **_SMALL), _with_norm),
    "torchvision ConvNeXt": Case(
        _torchvision_convnext, lambda network, x: network.classifier[0](network.features(x))
    ),
    "transformers ConvNeXt": Case(
        lambda: _transformers("ConvNext", **_OF_TRANSFORMERS),
        lambda network, x: _channels_last(network.layernorm, network(x).last_hidden_state),
    ),
    "transformers ConvNeXt V2": Case(
        lambda: _transformers("ConvNextV2", **_OF_TRANSFORMERS),
        lambda network, x: _channels_last(network.layernorm, network(x).last_hidden_state),
    ),
    "transformers DINOv3 ConvNeXt": Case(
        lambda: _transformers("DINOv3ConvNext", **_OF_TRANSFORMERS), _dinov3_map
    ),
    "timm EfficientNet": Case(
        lambda: _timm_efficientnet(_B0.format(se="_se0.25"), 32, False, "SiLU"),
        _of_timm,
        {"backbone": "efficientnet_b0"},
    ),
    "timm EfficientNet of TensorFlow": Case(
        lambda: _timm_efficientnet(_B0.format(se="_se0.25"), 32, True, "SiLU"),
        _of_timm,
        {"backbone": "tf_efficientnet_b0", "mean": HALF[0], "std": HALF[1]},
        HALF,
    ),
    "timm EfficientNet-Lite": Case(
        lambda: _timm_efficientnet(_B0.format(se=""), 32, False, "ReLU6"),
        _of_timm,
        {"backbone": "efficientnet_lite0"},
    ),
    "timm EfficientNetV2 of TensorFlow": Case(
        lambda: _timm_efficientnet(_V2, 32, True, "SiLU"),
        _of_timm,
        {"backbone": "tf_efficientnetv2_b0"},
    ),
    "timm MobileNetV3": Case(
        lambda: _timm("mobilenetv3_small_050"), _of_timm, {"backbone": "mobilenetv3_small_050"}
    ),
    "torchvision EfficientNet": Case(
        lambda: _torchvision_efficientnet(False), lambda network, x: network.features(x)
    ),
    "torchvision EfficientNetV2": Case(
        lambda: _torchvision_efficientnet(True), lambda network, x: network.features(x)
    ),
    "torchvision MobileNetV3": Case(
        lambda: import_torchvision().models.mobilenet_v3_large(width_mult=0.25),
        lambda network, x: network.features(x),
    ),
    "timm ViT": Case(
        lambda: _timm("vit_tiny_patch16_224", **_VIT),
        lambda network, x: _tokens(network.forward_features(x), 4, 4),
        images=SQUARES,
    ),
    "timm DINOv2 with registers": Case(
        lambda: _timm("vit_small_patch14_reg4_dinov2", **_VIT | {"img_size": 56, **_NARROW}),
        lambda network, x: _tokens(network.forward_features(x), 4, 4),
        images=SQUARES[:, :56, :56],
    ),
    "timm DINOv2 at another size": Case(
        lambda: _timm(
            "vit_small_patch14_dinov2", **_VIT | {"img_size": 84, **_NARROW}, dynamic_img_size=True
        ),
        lambda network, x: _tokens(network.forward_features(x), 4, 6),
        images=IMAGES[:, :56, :84],
    ),
    "transformers SigLIP": Case(
        lambda: _transformers(
            "SiglipVision",
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=4,
            image_size=64,
        ),
        lambda network, x: _tokens(network(x).last_hidden_state, 4, 4),
        normalization=HALF,
        images=SQUARES,
        heads=4,
    ),
}


def run(case: Case) -> tuple[dict[str, tuple[int, ...]], np.ndarray]:
    """Shapes of a network's tensors by name, and its feature map `(B, h, w, C)`, by its library."""
    import torch

    network = case.build().eval()
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    drawn_ones = {name: torch.from_numpy(drawn(name, shape)) for name, shape in shapes.items()}
    network.load_state_dict(drawn_ones)
    mean, std = (np.array(values, "float32") for values in case.normalization)
    images = ((case.images / 255 - mean) / std).transpose(0, 3, 1, 2)
    with torch.no_grad():
        found = case.feature_map(network, torch.from_numpy(images.copy()))
    return shapes, found.permute(0, 2, 3, 1).numpy()


@functools.cache
def stored(name):
    """The tensors of a case, and the numbers of its map, `[::EVERY]`, that were stored."""
    with np.load(FILE) as file:
        lines = file[f"{name}/tensors"].tobytes().decode().splitlines()
        expected = file[f"{name}/map"]
    shapes = {key: tuple(map(int, shape)) for key, *shape in map(str.split, lines)}
    return {key: drawn(key, shape) for key, shape in shapes.items()}, expected


def main() -> None:
    stored = {}
    for name, case in CASES.items():
        shapes, found = run(case)
        lines = (" ".join([key, *map(str, shape)]) for key, shape in shapes.items())
        stored[f"{name}/tensors"] = np.frombuffer("\n".join(lines).encode(), "uint8")
        stored[f"{name}/map"] = found.ravel()[::EVERY]
        print(f"{name}: {found.shape}, largest {np.abs(found).max():.3g}", flush=True)
    np.savez_compressed(FILE, **stored)
    print(f"{FILE}: {FILE.stat().st_size} bytes")


if __name__ == "__main__":
    main()
