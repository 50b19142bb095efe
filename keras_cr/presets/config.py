"""config.json: a model as Keras serialises it, the classes it may name, its dtype policies."""

import importlib.util
from collections.abc import Iterator
from typing import Any

import keras

from keras_cr.presets.errors import ForeignPresetError, PresetError

PACKAGE = "keras_cr>"
_EXTRAS = {"keras_hub": "keras-hub", "keras_cv": "keras-cv"}  # packages Keras loads classes from
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
    config = _without_compile(keras.saving.serialize_keras_object(model))
    check_classes(config, label)
    return config


def model_class(config: dict[str, Any], label: str) -> type[keras.Model]:
    """The keras_cr class that a config names.

    Args:
        config: a serialised object.
        label: the preset's name, for messages.

    Raises:
        ForeignPresetError: if it names a class of another package, or none.
    """
    name = config.get("registered_name") or config.get("class_name")
    is_ours = isinstance(name, str) and name.startswith(PACKAGE)
    cls = keras.saving.get_registered_object(name) if is_ours else None
    if not (isinstance(cls, type) and issubclass(cls, keras.Model)):
        raise ForeignPresetError(
            f"{label} is of the foreign class {name!r}; presets hold keras_cr's own models, such "
            "as CommonRationaleEncoder. Keep other models with model.save('NAME.keras')."
        )
    return cls


def check_classes(config: Any, label: str) -> None:
    """Refuses a config that names anything but Keras' own and registered classes.

    Args:
        config: a serialised object.
        label: the preset's name, for messages.

    Raises:
        ForeignPresetError: if it holds a lambda, or a class that cannot be found.
    """
    for item in _objects(config):
        name = item.get("registered_name") or item["class_name"]
        root = str(item.get("module") or "").split(".")[0]
        kind = str(item["class_name"])
        if kind == "__lambda__":
            way_out = "Python code is not loaded from presets; use a named, registered function"
        elif root in _EXTRAS and importlib.util.find_spec(root) is None:
            way_out = f"install its package: pip install keras-cr[{_EXTRAS[root]}]"
        elif (
            root in ("keras", *_EXTRAS)
            or kind.startswith("__")  # arrays, tensors, slices
            or kind == "function"  # Keras finds only its own and registered ones
            or keras.saving.get_registered_object(name) is not None
        ):
            continue
        else:
            way_out = "decorate it with @keras.saving.register_keras_serializable() and import it"
        raise ForeignPresetError(f"{label} holds the foreign class {name!r}; {way_out}.")


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
    own = next(filter(None, map(_policy_of, _objects(config))), None)  # the model comes first

    def rewrite(value: Any) -> Any:
        if isinstance(value, list | tuple):
            return [rewrite(item) for item in value]
        if not isinstance(value, dict) or _is_data(value):
            return value
        return {key: swap(item) if key == "dtype" else rewrite(item) for key, item in value.items()}

    def swap(old: Any) -> Any:
        if own is None or _policy_name(old) != own:
            return old
        return policy.name if isinstance(old, str) else keras.dtype_policies.serialize(policy)

    return rewrite(config)


def _policy_of(item: dict[str, Any]) -> str | None:
    """The name of a serialised object's dtype policy, or None if it has none."""
    has_policy = isinstance(item["config"], dict) and not _is_data(item)
    return _policy_name(item["config"].get("dtype")) if has_policy else None


def _policy_name(value: Any) -> str | None:
    """The name in a "dtype" entry, or None where it is not a plain policy."""
    if isinstance(value, dict) and value.get("class_name") == "DTypePolicy":
        value = value["config"].get("name") if isinstance(value.get("config"), dict) else None
    return value if isinstance(value, str) else None


def _is_data(item: dict[str, Any]) -> bool:
    """Whether a "dtype" in this entry speaks of an array and not of a layer's policy."""
    name = item.get("class_name")
    return name == "InputLayer" or (isinstance(name, str) and name.startswith("__"))


def _objects(config: Any) -> Iterator[dict[str, Any]]:
    """Every serialised object in a config, outer ones first."""
    if isinstance(config, list | tuple):
        for item in config:
            yield from _objects(item)
    elif isinstance(config, dict):
        if "class_name" in config and "config" in config:
            yield config
        for item in config.values():
            yield from _objects(item)


def _without_compile(config: Any) -> Any:
    """A copy of a config without optimizers, losses and metrics."""
    if isinstance(config, list | tuple):
        return [_without_compile(item) for item in config]
    if isinstance(config, dict):
        kept = {key: item for key, item in config.items() if key != "compile_config"}
        return {key: _without_compile(item) for key, item in kept.items()}
    return config
