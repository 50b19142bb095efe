"""From any package's backbone to a feature map of RGB images."""

from typing import Any

import keras

from keras_cr._numbers import sides
from keras_cr.models.adapted_backbone import AdaptedBackbone
from keras_cr.models.families import family_of, known_normalization, of_package
from keras_cr.models.normalization import NORMALIZATIONS, as_normalization
from keras_cr.models.of_size import of_size
from keras_cr.models.output_stride import with_output_stride


def adapt_backbone(
    model: keras.Model,
    image_size: int | tuple[int, int] | None = None,
    concat_class_token: bool = False,
    level: str | None = None,
    normalization: Any = "auto",
    output_stride: int | None = None,
) -> keras.Model:
    """Makes a backbone of a model: RGB 0..255 in, one 4-D feature map out.

    A model that is one already, and normalises the images itself, is returned as it is. Else its
    preprocessing is put in front, and a transformer's patch tokens are put back where their patches
    lie; class, distillation and register tokens are left out. The model's weights are shared,
    unless it has to be built anew: for images of another size, and KerasHub's DINOv2, see
    `keras_cr.models.adapted_backbone.own_positions`.

    Args:
        model: a backbone of KerasHub (CLIP, CSPNet, DeiT, DenseNet, DINOv2, DINOv3, EfficientNet,
            HGNetV2, MetaCLIP 2, MiT, MobileNet, MobileNetV5, ResNet, SigLIP, Swin, VGG, ViT,
            ViTDet, Xception), or a model that has one (`CLIPBackbone`, an image classifier); of
            keras_cv; of keras.applications with `include_top=False`; or your own.
        image_size: side of the images in pixels, or `(H, W)`, where the model was built for
            others, in multiples of a transformer's patch. KerasHub interpolates DINOv2's position
            embeddings and computes DINOv3's; where they were learnt for one size (ViT, DeiT, CLIP,
            SigLIP), that is all there is.
        concat_class_token: whether the backbone must have a class token, for an encoder with
            `concat_class_token=True`.
        level: level of a feature pyramid (`"P4"`, `"stage3"`), or the name of a layer, whose
            output is the map. None takes the last.
        normalization: `"auto"` takes what is known of the model, see `keras_cr.models.families`;
            or as `keras_cr.models.normalization.as_normalization` takes it.
        output_stride: pixels between two places of the map, 4, 8 or 16, where that is to be finer:
            `keras_cr.models.output_stride.with_output_stride` copies a convolutional model so. Not
            beside `level`.

    Returns:
        The model itself, or an `AdaptedBackbone`.

    Raises:
        ValueError: the model has no such map, can't take images of that size, has no class token,
            can't have that stride, or what it expects of images isn't known.

    Example:

    >>> dino = keras_hub.models.Backbone.from_preset("dinov2_small")
    >>> adapt_backbone(dino, image_size=224)(images).shape
    TensorShape([8, 16, 16, 384])
    """
    if not isinstance(model, keras.Model):
        raise ValueError(
            "`model` must be a Keras model. Received: "
            f"{model!r}; CommonRationaleEncoder.from_backbone takes names, folders and handles."
        )
    size = None if image_size is None else sides("image_size", image_size)
    if isinstance(model, AdaptedBackbone):
        level = model.level if level is None else level
        known, model = model.normalization, model.backbone
    else:
        model, known = _vision_part(model)
    if normalization == "auto":
        normalization = known_normalization(model) if known is None else known
    normalization, model = as_normalization(normalization), of_size(model, size)
    if output_stride is not None:
        if level is not None:
            raise ValueError(
                "`output_stride` is for a model's last map, and `level` names another. Received: "
                f"output_stride={output_stride!r}, level={level!r}"
            )
        model = with_output_stride(model, output_stride)
    if level is None and normalization == NORMALIZATIONS["none"] and _is_map(model):
        adapted = model
    else:
        scale, offset = normalization.scale, normalization.offset
        adapted = AdaptedBackbone(model, scale, offset, normalization.reverse, level)
    if concat_class_token:
        check_class_token(adapted)
    return adapted


def check_class_token(backbone: keras.Model) -> None:
    """Raises a ValueError where a backbone has no class token."""
    if not getattr(backbone, "has_class_token", False):
        raise ValueError(
            "`concat_class_token=True` needs a backbone with a class token: VisionTransformer, or "
            "ViT, DeiT, DINOv2, DINOv3, CLIP or MetaCLIP 2 of KerasHub's that went through "
            "adapt_backbone. Received: "
            f"a {type(backbone).__name__} {backbone.name!r}"
        )


def _vision_part(model: keras.Model) -> tuple[keras.Model, Any]:
    """The part of a model of KerasHub's that sees the images, and its image converter or None."""
    if not of_package(model, "keras_hub"):
        return model, None
    converter = getattr(getattr(model, "preprocessor", None), "image_converter", None)
    model = getattr(model, "backbone", model)
    if family_of(model) is None:
        model = getattr(model, "vision_encoder", None) or getattr(model, "image_encoder", model)
    return model, converter


def _is_map(model: keras.Model) -> bool:
    """Whether a model's output is one map; True for a subclassed one, which doesn't tell."""
    try:
        shape = model.output_shape
    except (AttributeError, ValueError):
        return True
    return isinstance(shape, tuple) and len(shape) == 4
