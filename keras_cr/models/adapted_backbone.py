"""Backbones of other packages behind one face: RGB 0..255 in, a 4-D feature map out."""

from collections.abc import MutableMapping
from typing import Any, Self

import keras

from keras_cr._types import Config, Tensor
from keras_cr.layers import TokensToMap
from keras_cr.models.class_token import WithClassToken
from keras_cr.models.families import family_of
from keras_cr.models.normalization import Normalization, normalized


@keras.saving.register_keras_serializable(package="keras_cr")
class AdaptedBackbone(WithClassToken):
    """A backbone with its preprocessing in front, and its tokens put back where they lie.

    What `adapt_backbone` makes of a model; its docstring says what is known of which.

    Args:
        backbone: the model, with one input of images `(B, H, W, 3)`.
        scale: what RGB 0..255 is multiplied by, one number a channel.
        offset: what is added then, one number a channel.
        reverse: whether the channels are turned to blue-green-red before.
        level: level of a feature pyramid, or name of a layer, whose output is the map; None: the
            last.
        trainable: whether the backbone's weights are trained.
        name: the model's name; None: `adapted_` and the backbone's.

    Input shape:
        `(B, H, W, 3)`, RGB 0..255; `H` and `W` as the backbone was built for.

    Output shape:
        `(B, h, w, C)`.

    Raises:
        ValueError: the backbone has another input, no map, or patches that don't fill its images.
    """

    def __init__(
        self,
        backbone: keras.Model,
        scale: tuple[float, ...] = (1.0, 1.0, 1.0),
        offset: tuple[float, ...] = (0.0, 0.0, 0.0),
        reverse: bool = False,
        level: str | None = None,
        trainable: bool = True,
        name: str | None = None,
    ) -> None:
        normalization = Normalization(tuple(scale), tuple(offset), reverse)
        shape = _image_shape(backbone)
        images = keras.Input(shape, name="images")
        features = keras.Model(backbone.inputs[0], level_of(backbone, level), name="features")(
            normalized(images, normalization, backbone.dtype_policy)
        )
        feature_map, token = _map_and_token(backbone, features, shape)
        super().__init__(images, feature_map, name=name or f"adapted_{backbone.name}")
        self.dtype_policy = backbone.dtype_policy
        self.backbone, self.level = backbone, level
        self.normalization = normalization
        self.keep_class_token(images, feature_map, token)
        if not trainable:  # True would thaw what is frozen inside
            self.trainable = False

    def save_own_variables(self, store: MutableMapping[str, Any]) -> None:
        for layer in own_positions(self.backbone):
            layer.position_embeddings.assign(layer.interpolated_position_embeddings)
        super().save_own_variables(store)

    def get_config(self) -> Config:
        return {
            "backbone": keras.saving.serialize_keras_object(self.backbone),
            "scale": list(self.normalization.scale),
            "offset": list(self.normalization.offset),
            "reverse": self.normalization.reverse,
            "level": self.level,
            "trainable": self.trainable,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: Config) -> Self:
        backbone = keras.saving.deserialize_keras_object(config["backbone"])
        return cls(**config | {"backbone": backbone})


def levels(backbone: keras.Model) -> dict:
    """The tensors of a backbone's feature pyramid by the names of its levels."""
    if isinstance(getattr(backbone, "pyramid_outputs", None), dict):  # KerasHub
        return dict(backbone.pyramid_outputs)
    if isinstance(getattr(backbone, "pyramid_level_inputs", None), dict):  # KerasCV
        found = backbone.pyramid_level_inputs.items()
        return {level: backbone.get_layer(name).output for level, name in found}
    output = output_of(backbone)
    return dict(output) if isinstance(output, dict) else {}


def output_of(backbone: keras.Model) -> Tensor:
    """A model's output, of a Sequential too."""
    sequential = isinstance(backbone, keras.Sequential)
    return backbone.outputs[0] if sequential else backbone.output


def level_of(backbone: keras.Model, level: str | None) -> str | None:
    """The tensor that the map is made of.

    Raises:
        ValueError: there is no such level.
    """
    if level is None:
        family = family_of(backbone)
        return output_of(backbone) if family is None else family.output(backbone)
    known = levels(backbone)
    if level in known:
        return known[level]
    layers = {layer.name: layer for layer in backbone.layers}
    if level not in layers:
        told = f"one of {sorted(known)}, or " if known else ""
        raise ValueError(
            f"`level` must be {told}the name of a layer of {backbone.name!r}. Received: {level!r}"
        )
    return layers[level].output


def own_positions(backbone: keras.Model) -> list[keras.layers.Layer]:
    """The layers that hold position embeddings twice: as published, and resized to the images.

    KerasHub's DINOv2. Saved are the published ones; what training made of the resized ones is
    resized back before, and lost where the sum of its changes isn't negative. `adapt_backbone`
    gives both the same size, so that they are saved as they are.
    """
    layers = backbone._flatten_layers()
    return [layer for layer in layers if hasattr(layer, "interpolated_position_embeddings")]


def _image_shape(backbone: keras.Model) -> tuple:
    inputs = getattr(backbone, "inputs", None) or ()
    shape = tuple(inputs[0].shape[1:]) if len(inputs) == 1 else ()  # type: ignore[misc]
    if len(shape) != 3 or shape[-1] not in (3, None):
        raise ValueError(
            "`backbone` must be a functional Keras model with one input, images (B, H, W, 3). "
            f"Received: {backbone.name!r} with inputs {[tuple(each.shape) for each in inputs]}"
        )
    return shape


def _map_and_token(backbone: keras.Model, features, shape: tuple) -> tuple:
    """The feature map, and the class token where there is one."""
    if not hasattr(features, "shape"):
        raise ValueError(
            f"`level` must be given for {backbone.name!r}, which has several outputs: "
            f"{sorted(features) if isinstance(features, dict) else len(features)}"
        )
    if len(features.shape) == 4:
        return features, None
    family = family_of(backbone)
    if family is None or family.skip is None or len(features.shape) != 3:
        raise ValueError(
            "`backbone` must end in a 4-D feature map, or in the tokens of a family that is known. "
            "Leave out its classifier and pooling (include_top=False, pooling=None). "
            f"Received: {type(backbone).__name__} {backbone.name!r} with output shape "
            f"{tuple(features.shape)}"
        )
    grid, skip = _grid(backbone, shape[:2], family.stride(backbone)), family.skip(backbone)
    to_map = TokensToMap(*grid, skip=skip, dtype=backbone.dtype_policy, name="tokens_to_map")  # type: ignore[misc]
    return to_map(features), features[:, 0] if family.class_token(backbone) else None


def _grid(backbone: keras.Model, size: tuple, stride: tuple[int, int]) -> list[int]:
    """How many patches lie one above the other, and side by side."""
    if None in size or any(side % step for side, step in zip(size, stride, strict=True)):
        raise ValueError(
            f"`image_size` must be given for {backbone.name!r}, in multiples of {stride} pixels, "
            f"the stride of its tokens: what is left of others is never seen. Received: {size}"
        )
    return [side // step for side, step in zip(size, stride, strict=True)]
