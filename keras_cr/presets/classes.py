"""Which classes and functions a preset's config.json may name: those that make up models.

Keras finds whatever stands under `keras.` and whatever is registered. A preset may name layers,
initializers, regularizers, constraints, activations, dtype policies and quantizers, and nothing
that runs code of its own, reads files or does anything but compute. All of it is settled before the
first of them is built.
"""

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from typing import Any

import keras

from keras_cr.presets.errors import ForeignPresetError, IncompatiblePresetError, shown

PACKAGE = "keras_cr>"
_EXTRAS = {"keras_hub": "keras-hub", "keras_cv": "keras-cv"}  # packages Keras loads classes from
_BUILDING_BLOCKS = (
    keras.Operation,  # layers and models too
    keras.initializers.Initializer,
    keras.regularizers.Regularizer,
    keras.constraints.Constraint,
    keras.dtype_policies.DTypePolicy,
    keras.dtype_policies.DTypePolicyMap,
    keras.quantizers.Quantizer,
    keras.quantizers.QuantizationConfig,
    keras.random.SeedGenerator,
)
_OUTSIDE_KERAS = ("TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer")  # code or files
_DATA = {  # what Keras writes for values that JSON has no type for, and their entries
    "__numpy__": {"value", "dtype"},
    "__tensor__": {"value", "dtype"},
    "__keras_tensor__": {"shape", "dtype", "keras_history"},
    "__bytes__": {"value"},
    "__slice__": {"start", "stop", "step"},
    "__ellipsis__": set(),
}
_NUMBERS = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
_NUMBERS += ("bfloat16", "float16", "float32", "float64")
_ENTRIES = {"module", "class_name", "config", "registered_name", "build_config"}
_NODE_ENTRIES = {"name", "inbound_nodes"}  # of a layer inside of a functional model
_NO_CODE = "Python code is not loaded from presets; use a named, registered function"
_REGISTER = "decorate it with @keras.saving.register_keras_serializable() and import it"
_HELPERS = ("get", "serialize", "deserialize")  # beside the functions in keras.activations


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
            f"{label} is of the foreign class {shown(name)}; presets hold keras_cr's own models, "
            "such as CommonRationaleEncoder. Keep other models with model.save('NAME.keras')."
        )
    return cls


def check_classes(config: Any, label: str) -> None:
    """Refuses a config that names anything but Keras' own building blocks and registered classes.

    Args:
        config: a serialised object.
        label: the preset's name, for messages.

    Raises:
        ForeignPresetError: if it holds a lambda, or a class that can't be found or has no place in
            a model.
        IncompatiblePresetError: if an object in it is not written as Keras writes them, or is of a
            class of Keras that this Keras has not.
    """
    for item in objects(config):
        kind, name = item["class_name"], item.get("registered_name")
        if kind == "__lambda__":
            raise _foreign(label, kind, _NO_CODE)
        if fault := _form_fault(item):
            raise IncompatiblePresetError(
                f"{label}: an object {shown(kind)} in config.json {fault}, so it was not written "
                "by Keras; get a fresh copy."
            )
        if kind in _DATA:
            continue
        if kind == "function":
            _check_function(item, label)
            continue
        cls = keras.saving.get_registered_object(name) if name else None
        if cls is None:
            cls = _class_of_package(item, label)
        if not (isinstance(cls, type) and issubclass(cls, _BUILDING_BLOCKS)):
            raise _foreign(label, name or kind, "only layers and what they are made of are loaded")
        if cls is keras.layers.Lambda and not _is_named_function(item["config"].get("function")):
            raise _foreign(label, kind, _NO_CODE)


def objects(config: Any) -> Iterator[dict[str, Any]]:
    """Every serialised object in a config, outer ones first."""
    if isinstance(config, list | tuple):
        for item in config:
            yield from objects(item)
    elif isinstance(config, dict):
        if "class_name" in config:
            yield config
        for item in config.values():
            yield from objects(item)


def _form_fault(item: dict[str, Any]) -> str | None:
    """What keeps an entry with a "class_name" from being an object as Keras writes it."""
    kind, inner = item["class_name"], item.get("config")
    if not isinstance(kind, str):
        return "has a class_name that is no text"
    if kind in _DATA:
        if not isinstance(inner, dict) or inner.keys() != _DATA[kind]:
            return f"must have {sorted(_DATA[kind])} in its config"
        if "dtype" in inner and inner["dtype"] not in _NUMBERS:
            return f"has the dtype {shown(inner['dtype'])}"
        return None
    if kind.startswith("__"):
        return "is of no kind that is known"
    for entry in ("module", "registered_name"):
        if entry not in item or not isinstance(item[entry], str | None):
            return f"must have text or null as {entry}"
    if not isinstance(inner, str if kind == "function" else dict):
        return "has a config of another type"
    if strange := sorted(item.keys() - _ENTRIES - _NODE_ENTRIES):
        return f"has an entry {shown(strange[0])} that nobody reads"
    return None


def _check_function(item: dict[str, Any], label: str) -> None:
    """Refuses functions that are neither registered nor Keras' activations and operations."""
    name, module = item["config"], item["module"]
    if keras.saving.get_registered_object(name) is not None:
        return
    homes = {"builtins": keras.activations, "keras.activations": keras.activations}
    home = (homes | {"keras.ops": keras.ops}).get(module)
    if name in _HELPERS or name.startswith("_") or not callable(getattr(home, name, None)):
        raise _foreign(label, name, _REGISTER)


def _is_named_function(value: Any) -> bool:
    return isinstance(value, dict) and value.get("class_name") == "function"


def _class_of_package(item: dict[str, Any], label: str) -> Any:
    """The class that a module of Keras, KerasHub or KerasCV has under that name."""
    kind, module = item["class_name"], item["module"] or ""
    root, *parts = module.split(".")
    if root in _EXTRAS:
        if importlib.util.find_spec(root) is None:
            way_out = f"install its package: pip install keras-cr[{_EXTRAS[root]}]"
            raise _foreign(label, item["registered_name"] or kind, way_out)
        importlib.import_module(root)
        found = keras.saving.get_registered_object(item["registered_name"] or kind)
        if found is not None:
            return found
    elif root != "keras" or kind in _OUTSIDE_KERAS:
        raise _foreign(label, item["registered_name"] or kind, _REGISTER)
    if root == "keras" and parts[:1] != ["src"]:
        home: Any = keras
        for part in parts:  # the public names, as Keras looks them up: nothing is imported
            home = getattr(home, part, None)
    else:
        home = sys.modules.get(module)
    found = getattr(home, kind, None)
    if found is None:
        raise IncompatiblePresetError(
            f"{label}: {shown(module)} of Keras {keras.__version__} has no {shown(kind)}; update "
            "Keras, or save the preset again."
        )
    return found


def _foreign(label: str, name: str, way_out: str) -> ForeignPresetError:
    return ForeignPresetError(f"{label} holds the foreign class {shown(name)}; {way_out}.")
