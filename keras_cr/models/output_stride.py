"""Backbones with finer feature maps: late strides are taken out, and what follows is dilated."""

import math
from typing import Any, NamedTuple

import keras
from keras import tree

from keras_cr._numbers import whole_number
from keras_cr.models.layer_changes import layer_changes
from keras_cr.presets.errors import brief

_CONVOLUTIONS = (
    keras.layers.Conv2D,
    keras.layers.DepthwiseConv2D,
    keras.layers.SeparableConv2D,
)
_POOLINGS = (keras.layers.MaxPooling2D, keras.layers.AveragePooling2D)
OUTPUT_STRIDES = (4, 8, 16)
_OPERATIONS = {"Conv", "DepthwiseConv", "SeparableConv", "MaxPool", "AveragePool", "Pad"}
_SIDE = 512  # of the images that a stride is measured with, where a model takes any


class _UnfitError(ValueError):
    """A layer can't be what a smaller stride before it demands."""


class _Reached(NamedTuple):
    """What strides have come to at a tensor: those that are left, and those taken out."""

    left: int = 1
    taken: int = 1


def with_output_stride(model: keras.Model, output_stride: int) -> keras.Model:
    """A copy of a convolutional backbone whose map has a smaller stride, with the same weights.

    A layer whose stride would go beyond `output_stride` gets a stride of 1, and convolutions behind
    it are dilated by what was taken out, so that they see what they were trained to see, at every
    place and not at every other one (Chen et al., "Rethinking Atrous Convolution for Semantic Image
    Segmentation", arXiv 1706.05587, section 3.1). Away from the borders the old map's values are
    among the new one's; nearly so where residual networks pad as TensorFlow does ("same") or
    squeeze whole maps, whose means are of other places now.

    Args:
        model: a functional or sequential Keras model, images `(B, H, W, 3)` to a map
            `(B, h, w, C)`, whose strides are convolutions' and poolings'; models inside it count.
            It is not changed.
        output_stride: pixels between two places of the map: 4, 8 or 16, of those that the model
            passes by.

    Returns:
        The model itself, where that is its stride already; else a functional model of Keras' own
        class.

    Raises:
        ValueError: the model passes by no such stride, or has layers that this can't be done to.
    """
    output_stride = whole_number("output_stride", output_stride)
    own = _stride_of(model)
    if output_stride == own:
        return model
    _check(model, output_stride, own)
    walk = _Walk(output_stride)
    try:
        twin, reached = walk.copy(model, _Reached())
    except (TypeError, ValueError) as error:  # or shapes that no longer fit
        larger = isinstance(error, _UnfitError) and 2 * output_stride < own
        told = str(error) if isinstance(error, _UnfitError) else brief(error)
        raise ValueError(
            f"`output_stride={output_stride}` can't be had of {model.name!r}"
            f"{', a larger one may' if larger else ''}: {told}."
        ) from error
    if reached.left * reached.taken != own:
        raise ValueError(
            "`output_stride` is for backbones whose strides are convolutions' and poolings'. "
            f"Received: {model.name!r}, whose map has a stride of {own}, of which "
            f"{reached.left * reached.taken} could be told"
        )
    if reached.left != output_stride:
        passed = sorted(walk.passed & {each for each in OUTPUT_STRIDES if each < own})
        raise ValueError(
            f"`output_stride` must be {', '.join(map(str, [*passed, own]))} for {model.name!r}, "
            f"which passes by no other. Received: output_stride={output_stride}."
        )
    if (found := _stride_of(twin)) != output_stride:
        raise ValueError(
            f"`output_stride={output_stride}` can't be had of {model.name!r} for images of the "
            f"size it was built for: its map's would be {found}. Build it for larger ones."
        )
    walk.take_weights()
    return twin


def _check(model: keras.Model, output_stride: int, own: int) -> None:
    if output_stride not in OUTPUT_STRIDES or output_stride > own:
        raise ValueError(
            f"`output_stride` must be 4, 8 or 16, and no more than the model's own, {own} of "
            f"{model.name!r}. Received: output_stride={output_stride}"
        )
    if not getattr(model, "normalize_images", True):
        raise ValueError(
            "`output_stride` is for a backbone that takes RGB 0..255. Received: "
            f"{model.name!r} with normalize_images=False"
        )
    for change in layer_changes(model):
        for kind in ("quantized", "lora"):
            if kind in change:
                raise ValueError(
                    f"`output_stride` is for a model as it was built, which can be changed after. "
                    f"Received: {model.name!r} with {kind} layers"
                )


def _stride_of(model: keras.Model) -> int:
    """Pixels between two places of a model's map, as a power of two, by the map's size.

    Raises:
        ValueError: the model has no inputs and outputs that could be followed, or no map.
    """
    try:
        height, width = (side or _SIDE for side in model.inputs[0].shape[1:3])
        found = tuple(model.compute_output_shape((1, height, width, model.inputs[0].shape[3] or 3)))
        return 2 ** round(math.log2(max(height / found[1], width / found[2])))
    except (AttributeError, IndexError, NotImplementedError, TypeError, ValueError) as error:
        raise ValueError(
            "`output_stride` is for functional or sequential models that end in one feature map. "
            f"Received: a {type(model).__name__} {model.name!r}"
        ) from error


class _Walk:
    """Copies models layer by layer, each as what came before it demands, with fresh weights.

    Args:
        output_stride: the stride that is not exceeded.

    Attributes:
        passed: strides that the models have passed by.
    """

    def __init__(self, output_stride: int) -> None:
        self.output_stride = output_stride
        self.passed: set[int] = set()
        # by a layer's id: itself, what came before it, its copy, and what that comes to
        self._made: dict[int, tuple[Any, _Reached, keras.layers.Layer, _Reached]] = {}

    def copy(self, model: keras.Model, start: _Reached) -> tuple[keras.Model, _Reached]:
        """A model's copy, and what its strides come to behind `start`."""
        sequential = isinstance(model, keras.Sequential)
        old = (model.inputs[0], model.outputs[0]) if sequential else (model.input, model.output)
        inputs = tree.map_structure(
            lambda x: keras.Input(batch_shape=x.shape, dtype=x.dtype, name=x.name), old[0]
        )
        held: list[Any] = tree.flatten(inputs)  # what ids are known of stays alive
        reached = {id(each): start for each in held}

        def call(operation, *args, **kwargs):
            seen = [reached[id(x)] for x in tree.flatten((args, kwargs)) if id(x) in reached]
            before = _Reached(*(max(each) for each in zip(*seen, strict=True))) if seen else start
            if isinstance(operation, keras.layers.Layer):
                operation, after = self._copied(operation, before)
            else:
                after = before
                if before.taken > 1 and type(operation).__name__ in _OPERATIONS:
                    raise _UnfitError(f"{operation.name!r} is no layer, and can't be dilated")
            outputs = operation(*args, **kwargs)
            for each in tree.flatten(outputs):
                reached[id(each)] = after
                held.append(each)
            return outputs

        twin = keras.models.clone_model(
            keras.Model(*old, name=model.name),
            input_tensors=inputs,
            clone_function=lambda operation: operation,  # copied when it is called
            call_function=call,
        )
        ends = [reached[id(each)] for each in twin.outputs]
        return twin, _Reached(*(max(each) for each in zip(*ends, strict=True)))

    def take_weights(self) -> None:
        """Gives every copy the weights of its layer."""
        for layer, _, made, _ in self._made.values():
            made.set_weights(layer.get_weights())

    def _copied(
        self, layer: keras.layers.Layer, before: _Reached
    ) -> tuple[keras.layers.Layer, _Reached]:
        """A layer's copy for what comes before it, and what that comes to behind it; one a layer.

        Raises:
            _UnfitError: there is none.
        """
        if id(layer) not in self._made:
            self._made[id(layer)] = (layer, before, *self._fitted(layer, before))
        _, known, made, after = self._made[id(layer)]
        if known != before:
            raise _UnfitError(f"{layer.name!r} is called at two strides")
        return made, after

    def _fitted(
        self, layer: keras.layers.Layer, before: _Reached
    ) -> tuple[keras.layers.Layer, _Reached]:
        if isinstance(layer, keras.Sequential) or (
            isinstance(layer, keras.Model) and hasattr(layer, "operations")
        ):  # not a subclassed one
            return self.copy(layer, before)
        config, after = layer.get_config(), before
        if isinstance(layer, _CONVOLUTIONS + _POOLINGS):
            after = self._passed(layer, before)
            if after.taken != before.taken:
                config["strides"] = (1, 1)
        if before.taken > 1:
            self._dilate(layer, config, before.taken)
        try:
            return type(layer).from_config(config), after
        except Exception as error:  # whatever a layer's own raises
            raise _UnfitError(
                f"{layer.name!r} can't be copied from its config ({brief(error)})"
            ) from error

    def _passed(self, layer, before: _Reached) -> _Reached:
        strides = set(_pair(layer.strides))
        if len(strides) > 1:
            raise _UnfitError(f"{layer.name!r} has strides of its own for rows and columns")
        (stride,) = strides
        self.passed.add(before.left * before.taken * stride)
        if before.left * stride <= self.output_stride:
            return _Reached(before.left * stride, before.taken)
        return _Reached(before.left, before.taken * stride)

    def _dilate(self, layer, config: dict[str, Any], taken: int) -> None:
        """Changes a config so that the layer reaches as far as it did, in a map so much finer."""
        if isinstance(layer, _CONVOLUTIONS):
            if max(_pair(layer.kernel_size)) > 1:
                config["dilation_rate"] = tuple(taken * each for each in _pair(layer.dilation_rate))
        elif isinstance(layer, keras.layers.ZeroPadding2D):
            config["padding"] = [[taken * each for each in side] for side in layer.padding]
        elif isinstance(layer, keras.layers.Cropping2D):
            config["cropping"] = [[taken * each for each in side] for side in layer.cropping]
        elif isinstance(layer, _POOLINGS):
            if max(_pair(layer.pool_size)) > 1:
                raise _UnfitError(f"{layer.name!r} would have to be dilated, and pools places")
        elif any(len(w.shape) == 4 and max(w.shape[:2]) > 1 for w in layer.weights):
            raise _UnfitError(f"{layer.name!r} has a kernel of its own, which can't be dilated")


def _pair(value) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else tuple(value)
