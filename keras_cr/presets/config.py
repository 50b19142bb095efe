"""config.json: a model as Keras serialises it, and its dtype policies."""

from collections.abc import Iterator
from typing import Any

import keras

from keras_cr.presets.classes import check_classes, model_class, objects
from keras_cr.presets.errors import PresetError

_FLOATS = ("float16", "bfloat16", "float32", "float64")


def describe(model: keras.Model) -> dict[str, Any]:
    """Serialises a model without what `compile` gave it, checked to be loadable again.

    Args:
        model: a built model of a keras_cr class.

    Returns:
        What `keras.saving.deserialize_keras_object` takes.

    Raises:
        ForeignPresetError: if the model, or something in it, could not be loaded again.
    """
    label = f"model {getattr(model, 'name', model)!r}"
    registered = keras.saving.get_registered_name(type(model))
    model_class({"registered_name": registered, "class_name": registered}, label)
    config = serialize(model)
    check_classes(config, label)
    return config


def serialize(model: keras.Model) -> dict[str, Any]:
    """A model as Keras serialises it, without optimizers, losses and metrics."""
    return _without(keras.saving.serialize_keras_object(model), ("compile_config",))


def check_others(config: dict[str, Any], label: str) -> None:
    """`check_classes` for a config.json that Keras or KerasHub wrote into a file of its own.

    Raises:
        ForeignPresetError, IncompatiblePresetError: as `check_classes`.
    """
    check_classes(_without(config, ("compile_config", "shared_object_id")), label)


def without_source(config: dict[str, Any]) -> None:
    """Takes `backbone_source` out of a config: in such presets preset.json says it."""
    for item in objects(config):
        if isinstance(inner := item.get("config"), dict):
            inner.pop("backbone_source", None)


def float_policy(dtype: Any) -> keras.DTypePolicy:
    """The dtype policy that a user asks for.

    Args:
        dtype: "float32", "bfloat16", "mixed_bfloat16", "float16", ... or a `keras.DTypePolicy`.

    Raises:
        PresetError: if it is no policy of floating-point numbers.
    """
    try:
        policy = keras.dtype_policies.get(dtype) if dtype is not None else None
    except (TypeError, ValueError):
        policy = None
    is_plain = type(policy) is keras.DTypePolicy
    if not (is_plain and {policy.compute_dtype, policy.variable_dtype} <= set(_FLOATS)):
        raise PresetError(
            "dtype must be a floating-point dtype or policy, such as 'bfloat16', 'mixed_bfloat16', "
            f"'float16', 'float32' or a keras.DTypePolicy; received {dtype!r}."
        )
    return policy


def with_dtype(config: dict[str, Any], dtype: Any) -> dict[str, Any]:
    """A copy of a config under another dtype policy.

    Args:
        config: a serialised model.
        dtype: as in `float_policy`.

    Returns:
        The config with the model's own policy replaced wherever it stands. A layer whose policy
        differs from the model's, because it was pinned, keeps it; so do the dtypes of inputs.
    """
    policy = float_policy(dtype)
    own = next(_policies(config), None)  # the model comes first

    def rewrite(value: Any) -> Any:
        if isinstance(value, list | tuple):
            return [rewrite(item) for item in value]
        if not isinstance(value, dict) or _is_data(value):
            return value
        return {key: swap(item) if key == "dtype" else rewrite(item) for key, item in value.items()}

    def swap(old: Any) -> Any:
        if own is None or policy_name(old) != own:
            return old
        return policy.name if isinstance(old, str) else keras.dtype_policies.serialize(policy)

    return rewrite(config)


def policy_name(value: Any) -> str | None:
    """The name in a "dtype" entry, or None where it is not a plain policy."""
    if isinstance(value, dict) and value.get("class_name") == "DTypePolicy":
        value = value["config"].get("name") if isinstance(value.get("config"), dict) else None
    return value if isinstance(value, str) else None


def _policies(config: Any) -> Iterator[str]:
    """The names of the dtype policies of every object that has one, outer ones first."""
    for item in objects(config):
        inner = item.get("config")
        if isinstance(inner, dict) and not _is_data(item):
            name = policy_name(inner.get("dtype"))
            if name:
                yield name


def _is_data(item: dict[str, Any]) -> bool:
    """Whether a "dtype" in this entry speaks of an array and not of a layer's policy."""
    name = item.get("class_name")
    return name == "InputLayer" or (isinstance(name, str) and name.startswith("__"))


def _without(config: Any, names: tuple[str, ...]) -> Any:
    """A copy of a config without entries of these names."""
    if isinstance(config, list | tuple):
        return [_without(item, names) for item in config]
    if isinstance(config, dict):
        return {key: _without(item, names) for key, item in config.items() if key not in names}
    return config
