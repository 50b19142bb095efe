"""A backbone's weights apart from the model around it: found, summed up, copied."""

import hashlib
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from keras_cr.presets.backbone_source import BackboneSource

_ALIKE = 1e-5  # backends differ by 1e-7 of a resized number


def owner_of(model: keras.Model) -> keras.Model:
    """The model that has the backbone: an encoder itself, or a classifier's."""
    return getattr(model, "encoder", model)


def backbone_of(model: keras.Model) -> keras.Model | None:
    """The backbone inside a model, or None."""
    return getattr(owner_of(model), "backbone", None)


def core_of(backbone: keras.Model) -> keras.Model:
    """The model that has the weights: what is around it puts images and maps into shape."""
    while isinstance(inner := getattr(backbone, "backbone", None), keras.Model):
        backbone = inner
    return backbone


def digest(backbone: keras.Model) -> str:
    """A sum of all that a backbone's layers would save: sha256 over their arrays, in order.

    Names have no part in it, nor layers without weights, nor what is around the backbone. Position
    embeddings that were resized to the images are left to `sketch`: their last digits are the Keras
    backend's.

    Args:
        backbone: a built model.
    """
    total = hashlib.sha256()
    for layer, own in _owners(core_of(backbone)):
        for name, value in own.items() if not _is_resized(layer) else ():
            array = np.ascontiguousarray(keras.ops.convert_to_numpy(value))
            dtype = keras.backend.standardize_dtype(value.dtype)
            total.update(f"{name} {dtype} {array.shape}\n".encode())
            total.update(array.astype(array.dtype.newbyteorder("<")).tobytes())
    return total.hexdigest()


def sketch(backbone: keras.Model) -> list[float]:
    """A few numbers that tell one set of resized position embeddings from another.

    Of each array in their layers the length, and products of its direction with fixed sequences.
    Empty for backbones without such.
    """
    numbers: list[float] = []
    for layer, own in _owners(core_of(backbone)):
        for value in own.values() if _is_resized(layer) else ():
            array = np.asarray(keras.ops.convert_to_numpy(value), "float64").ravel()
            length = float(np.linalg.norm(array))
            squares = (np.arange(array.size) % 2**13) ** 2
            waves = (np.cos(squares * step) for step in (0.1, 0.3, 0.7, 1.1))
            numbers += [length, *(float(array @ wave) / (length or 1.0) for wave in waves)]
    return numbers


def is_from(backbone: keras.Model, source: BackboneSource) -> bool:
    """Whether a backbone has the very weights that a source pins."""
    if digest(backbone) != source.weights:
        return False
    numbers, pinned = sketch(backbone), list(source.resized)
    return len(numbers) == len(pinned) and np.allclose(numbers, pinned, rtol=_ALIKE, atol=_ALIKE)


def copy_weights(source: keras.Model, target: keras.Model) -> None:
    """Loads into each layer of `target` what the same layer of `source` would save.

    Raises:
        ValueError: they have different layers.
    """
    givers, takers = (list(_owners(core_of(model))) for model in (source, target))
    if len(givers) != len(takers):
        raise ValueError(f"it has {len(givers)} layers with weights instead of {len(takers)}")
    for (layer, own), (other, expected) in zip(givers, takers, strict=True):
        shapes, wanted = (
            {name: tuple(value.shape) for name, value in arrays.items()}
            for arrays in (own, expected)
        )
        if shapes != wanted:
            raise ValueError(f"its layer {layer.name!r} has arrays {shapes} instead of {wanted}")
        other.load_own_variables({n: keras.ops.convert_to_numpy(v) for n, v in own.items()})


def _is_resized(layer: keras.layers.Layer) -> bool:
    """Whether a layer of KerasHub's holds position embeddings that it resizes to the images."""
    return hasattr(layer, "interpolated_position_embeddings")


def _owners(model: keras.Model) -> Iterator[tuple[keras.layers.Layer, dict[str, Any]]]:
    """The layers that save something of their own, each with what that is."""
    for layer in _in_order(model, set()):
        own: dict[str, Any] = {}
        layer.save_own_variables(own)
        if own:
            yield layer, own


def _in_order(layer: keras.layers.Layer, seen: set[int]) -> Iterator[keras.layers.Layer]:
    """A layer and those inside it, whose order doesn't depend on what is around them."""
    if id(layer) not in seen:
        seen.add(id(layer))
        yield layer
        for inner in layer._layers:
            yield from _in_order(inner, seen)
