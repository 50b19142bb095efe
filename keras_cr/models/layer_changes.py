"""What was done to a model's layers after it was built: frozen, quantized, given LoRA weights.

A model of this package is rebuilt from its arguments, which know nothing of `layer.trainable =
False`, `model.quantize("int8")` or `layer.enable_lora(4)`. Without a record of them a saved model
would train what was frozen, or not load at all.
"""

from typing import Any

import keras

Change = dict[str, Any]


def layer_changes(model: keras.Model) -> list[Change]:
    """The layers inside `model` that are not as they were built.

    Args:
        model: a built model.

    Returns:
        One dict a changed layer, outer ones first, such as JSON knows: `layer`, its place among all
        layers inside the model; `trainable`, where it differs from what surrounds it; `quantized`,
        `{"mode", "config"}`; `lora`, `{"rank", "alpha"}`.
    """
    places = {id(layer): place for place, layer in enumerate(_inside(model))}
    changes = []

    def record(parent):
        for layer in parent._flatten_layers(include_self=False, recursive=False):
            change = {}
            if layer.trainable != parent.trainable:
                change["trainable"] = layer.trainable
            if (mode := _quantization(layer)) is not None:
                config = keras.saving.serialize_keras_object(layer.quantization_config)
                change["quantized"] = {"mode": mode, "config": config}
            if getattr(layer, "lora_enabled", False):
                change["lora"] = {"rank": layer.lora_rank, "alpha": layer.lora_alpha}
            if change:
                changes.append({"layer": places[id(layer)]} | change)
            record(layer)

    record(model)
    return changes


def change_layers(model: keras.Model, changes: list[Change]) -> None:
    """Does to the layers of a fresh model what `layer_changes` has recorded.

    Raises:
        ValueError: a layer is not there, or can't be changed so.
    """
    layers = _inside(model)
    for change in changes:
        try:
            layer = layers[change["layer"]]
            if "trainable" in change:
                set_trainable(layer, change["trainable"])
            if "quantized" in change and _quantization(layer) is None:
                config = keras.saving.deserialize_keras_object(change["quantized"]["config"])
                layer.quantize(change["quantized"]["mode"], config=config)
            if "lora" in change and not layer.lora_enabled:
                layer.enable_lora(change["lora"]["rank"], lora_alpha=change["lora"]["alpha"])
        except (AttributeError, IndexError, KeyError, NotImplementedError, TypeError) as error:
            raise ValueError(
                f"`layer_changes` must fit the layers of {model.name!r}, as saving the model wrote "
                f"them. Received: {change!r} ({type(error).__name__}: {error})"
            ) from error


def set_trainable(layer: keras.layers.Layer, value: bool) -> None:
    """Sets `trainable` of a layer and of all layers inside it.

    Under TensorFlow Keras passes over an assignment of the value that an attribute has, and with it
    over the layers inside: `Model(inputs, outputs, trainable=False)` leaves them all trainable.
    """
    for each in layer._flatten_layers():
        each.trainable = not value
        each.trainable = value


def _inside(model: keras.Model) -> list[keras.layers.Layer]:
    return list(model._flatten_layers(include_self=False))


def _quantization(layer: keras.layers.Layer) -> str | None:
    """The mode a layer was quantized in."""
    return getattr(layer.dtype_policy, "quantization_mode", None)
