"""What is known of other packages' backbones: their images, and where their feature map is.

KerasHub's normalisations are those that its converters from timm and transformers give the family's
presets. Where presets of one family differ (DINOv3 on satellite images, EfficientNet-Lite), loading
a preset takes its own image converter's in their place.
"""

import dataclasses
import fnmatch
from collections.abc import Callable
from typing import Any

import keras

from keras_cr.models.normalization import NORMALIZATIONS, Normalization
from keras_cr.presets.backbone_weights import core_of


@dataclasses.dataclass(frozen=True)
class Family:
    """One family of KerasHub's backbones.

    Attributes:
        normalization: name in `NORMALIZATIONS`.
        skip: of a transformer, number of tokens in front of those of the patches, by the model;
            None: the output is a map.
        class_token: whether the first of them is the class token, by the model.
        stride: pixels between two tokens, by the model: `(rows, columns)`.
        output: the model's tensor, where it isn't its output.
        licence: of the published weights, where it is one of their own; None: see there.
    """

    normalization: str
    skip: Callable[[keras.Model], int] | None = None
    class_token: Callable[[keras.Model], bool] = lambda model: False
    stride: Callable[[keras.Model], tuple[int, int]] = lambda model: _pair(model.patch_size)
    output: Callable[[keras.Model], Any] = lambda model: model.output
    licence: str | None = None


def _pair(value) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else tuple(value)


def _always(model: keras.Model) -> bool:
    return True


def _sequence(model: keras.Model):
    """The last tokens of a CLIP encoder that also gives earlier ones."""
    outputs = model.output
    return outputs["sequence_output"] if isinstance(outputs, dict) else outputs


_DINO = {"skip": lambda model: 1 + model.num_register_tokens, "class_token": _always}
_CLIP = {"skip": lambda model: 1, "class_token": _always, "output": _sequence}
KERAS_HUB = {
    "CLIPVisionEncoder": Family("clip", **_CLIP),  # type: ignore[arg-type]
    "CSPNetBackbone": Family("imagenet"),
    "DINOV2Backbone": Family("imagenet", **_DINO),  # type: ignore[arg-type]
    "DINOV3Backbone": Family(
        "imagenet",
        **_DINO,
        licence="DINOv3 License, https://ai.meta.com/resources/models-and-libraries/dinov3-license",
    ),
    "DeiTBackbone": Family("imagenet", skip=lambda model: 2, class_token=_always),
    "DenseNetBackbone": Family("imagenet"),
    "EfficientNetBackbone": Family("imagenet"),
    "HGNetV2Backbone": Family("imagenet", output=lambda model: model.output[model.stage_names[-1]]),
    "MetaCLIP2VisionEncoder": Family("clip", **_CLIP),  # type: ignore[arg-type]
    "MiTBackbone": Family("imagenet"),
    "MobileNetBackbone": Family("imagenet"),
    "MobileNetV5Backbone": Family("0..1"),
    "ResNetBackbone": Family("imagenet"),
    "SigLIPVisionEncoder": Family(
        "-1..1", skip=lambda model: 0, output=lambda model: model.post_layer_norm.output
    ),
    "SwinTransformerBackbone": Family(
        "imagenet",
        skip=lambda model: 0,
        stride=lambda model: _pair(model.patch_size * 2 ** (len(model.depths) - 1)),
    ),
    "VGGBackbone": Family("imagenet"),
    "ViTBackbone": Family(
        "-1..1",
        skip=lambda model: int(model.use_class_token),
        class_token=lambda model: model.use_class_token,
    ),
    "ViTDetBackbone": Family("imagenet"),
    "XceptionBackbone": Family("-1..1"),
}

# The models of keras.applications, told by layers that one family alone has, all of them near its
# input (names stay when a model is saved), and what its preprocess_input does. EfficientNet,
# EfficientNetV2, ConvNeXt and MobileNetV3 do that inside of the model; the last three are listed
# for include_preprocessing=False. EfficientNetV2's B0 to B3 and S to L then expect other values.
APPLICATIONS = (
    ("caffe", ("conv1_bn", "conv2_block1_0_conv")),  # ResNet
    ("caffe", ("block1_conv1", "block1_pool")),  # VGG
    ("imagenet", ("conv2_block1_concat",)),  # DenseNet
    ("-1..1", ("conv2_block1_preact_bn",)),  # ResNetV2
    ("-1..1", ("conv_dw_1",)),  # MobileNet
    ("-1..1", ("Conv1", "expanded_conv_depthwise")),  # MobileNetV2
    ("-1..1", ("mixed0",)),  # InceptionV3
    ("-1..1", ("mixed_5b",)),  # InceptionResNetV2
    ("-1..1", ("block2_sepconv1",)),  # Xception
    ("-1..1", ("stem_conv1",)),  # NASNet
    ("-1..1", ("conv", "expanded_conv_depthwise")),  # MobileNetV3
    ("imagenet", ("*_stage_0_block_0_depthwise_conv",)),  # ConvNeXt
    (None, ("stem_conv", "block1a_project_conv")),  # EfficientNetV2
)
_INSIDE = (keras.layers.Rescaling, keras.layers.Normalization)


def family_of(model: keras.Model) -> Family | None:
    """The family of a backbone of KerasHub's, or of a class made of one; None for others."""
    for cls in type(model).__mro__:
        if cls.__module__.startswith("keras_hub.") and cls.__name__ in KERAS_HUB:
            return KERAS_HUB[cls.__name__]
    return None


def licence_of(backbone: keras.Model) -> str | None:
    """The licence of its family's published weights, where it is one of their own."""
    family = family_of(core_of(backbone))
    return None if family is None else family.licence


def of_package(model: keras.layers.Layer, package: str) -> bool:
    """Whether the class of a model or layer, or one it is made of, is from a package."""
    return any(cls.__module__.split(".")[0] == package for cls in type(model).__mro__)


def known_normalization(model: keras.Model) -> Normalization:
    """What a backbone's images have to go through.

    Raises:
        ValueError: it isn't known.
    """
    family = family_of(model)
    if family is not None:
        return NORMALIZATIONS[family.normalization]
    if of_package(model, "keras_hub"):
        raise _unknown(model)
    if of_package(model, "keras_cr") or _normalizes(model):
        return NORMALIZATIONS["none"]
    if of_package(model, "keras_cv"):  # built with include_rescaling=False
        return NORMALIZATIONS["0..1"]
    names = [layer.name for layer in getattr(model, "layers", ())]
    for normalization, layers in APPLICATIONS:
        if all(fnmatch.filter(names, layer) for layer in layers):
            if normalization is None:
                raise _unknown(model)
            return NORMALIZATIONS[normalization]
    return NORMALIZATIONS["none"]


def _unknown(model: keras.Model) -> ValueError:
    return ValueError(
        "`normalization` must be given for this model: which values it expects of RGB images can't "
        f"be told. Received: normalization='auto' for a {type(model).__name__} {model.name!r}"
    )


def _normalizes(model: keras.Model) -> bool:
    """Whether the first layer that sees the images normalises them."""
    for layer in getattr(model, "layers", ()):
        if isinstance(layer, keras.layers.InputLayer):
            continue
        inner = isinstance(layer, keras.Model) and _normalizes(layer)
        return inner or isinstance(layer, _INSIDE)
    return False
