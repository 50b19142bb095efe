"""KerasHub's backbones built anew for images of another size, with the weights they have."""

from collections.abc import Sequence

import keras

from keras_cr.models.adapted_backbone import own_positions
from keras_cr.models.families import family_of, of_package

_COPIED = ("cls_token", "mask_token", "register_tokens")


def of_size(model: keras.Model, size: tuple[int, int] | None) -> keras.Model:
    """The model, or one with its weights for images of another size.

    Args:
        model: a backbone.
        size: height and width in pixels; None: as it was built.

    Raises:
        ValueError: it can't take images of that size.
    """
    taken, family = _sides_of(model), family_of(model)
    any_size = None in taken and (family is None or family.skip is None)
    if size not in (None, taken) and not any_size:
        model = _rebuilt(model, size) if of_package(model, "keras_hub") else model
        if _sides_of(model) not in (size, (None, None)):
            raise ValueError(
                f"`image_size` must be {taken} for {model.name!r}, which was built so. Build it "
                f"with input_shape={(*size, 3)}, or (None, None, 3). Received: {size}"
            )
    positions = own_positions(model)
    if any(layer.position_embedding_shape != layer.image_shape for layer in positions):
        twin = _built(model, position_embedding_shape=model.image_shape)
        _copy(model, twin, apart_from=positions)
        for old, new in zip(positions, own_positions(twin), strict=True):
            for name in _COPIED:
                if getattr(old, name, None) is not None:
                    getattr(new, name).assign(getattr(old, name))
            new.position_embeddings.assign(old.interpolated_position_embeddings)
            new.interpolated_position_embeddings.assign(old.interpolated_position_embeddings)
        model = twin
    return model


def _sides_of(model: keras.Model) -> tuple:
    """Height and width of the images a model was built for, None where it takes any."""
    try:
        shape = model.inputs[0].shape
    except (AttributeError, IndexError, TypeError, ValueError):  # a subclassed model
        return (None, None)
    return tuple(shape[1:3])


def _rebuilt(model: keras.Model, size: tuple[int, int]) -> keras.Model:
    """A backbone of KerasHub's for images of another size."""
    kind = type(model).__name__
    if "image_shape" not in model.get_config():
        return model
    try:
        twin = _built(model, image_shape=(*size, model.inputs[0].shape[-1]))
    except Exception as error:  # what a layer's constructor objects to is its own
        raise ValueError(
            f"`image_size` must be one that {kind} can be built for. Received: {size} "
            f"({str(error).strip().splitlines()[0]})"
        ) from error
    try:
        _copy(model, twin)
    except ValueError as error:
        raise ValueError(
            f"`image_size` must be {_sides_of(model)} for {model.name!r}: weights of a {kind}, "
            f"such as its position embeddings, were learnt for that size. Received: {size}"
        ) from error
    return twin


def _built(model: keras.Model, **changes) -> keras.Model:
    return type(model).from_config(model.get_config() | changes)


def _copy(model: keras.Model, twin: keras.Model, apart_from: Sequence = ()) -> None:
    """Copies weights as saving and loading would, so that layers convert what they must."""
    left_out = {id(layer) for layer in apart_from}
    for old, new in zip(model._flatten_layers(), twin._flatten_layers(), strict=True):
        if id(old) not in left_out:
            store = {}
            old.save_own_variables(store)
            new.load_own_variables(store)
