"""model.weights.h5: what stands in it, and whether all of it is a model's and all of the model's.

Keras reads what it looks for and passes over the rest. The file's layout is Keras' own: a group for
every layer, at the path of attributes and containers that leads to it, with its arrays in `vars`.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

from keras_cr.presets.errors import shown
from keras_cr.presets.half_precision import stored_dtype
from keras_cr.presets.plain import MAX_DEPTH

VARS = "vars"
_SAVEABLE = (keras.Operation, keras.metrics.Metric, keras.losses.Loss, keras.optimizers.Optimizer)


_Arrays = dict[str, tuple[tuple[int, ...], str]]  # shape and dtype by name


@dataclass(frozen=True)
class Layout:
    """The arrays of a weights file, by the paths of their layers."""

    layers: Mapping[str, _Arrays]

    @property
    def variables(self) -> int:
        """Number of arrays."""
        return sum(map(len, self.layers.values()))

    @property
    def numbers(self) -> int:
        """Number of numbers in all arrays."""
        arrays = (array for layer in self.layers.values() for array in layer.values())
        return sum(int(np.prod(shape, dtype=object)) for shape, _ in arrays)


def read_layout(path: Path) -> Layout:
    """Reads what a weights file holds, and refuses what Keras would not have written.

    Args:
        path: the file.

    Raises:
        ValueError: it is no HDF5 file, holds links, attributes, groups or arrays that Keras neither
            writes nor reads, or arrays that are stored elsewhere or not whole, or that hold NaN or
            infinities.
    """
    layers: dict[str, _Arrays] = {}
    try:
        with h5py.File(path, "r") as file:
            for where, item in _walk(file, "", {_address(file)}):
                parent, _, name = where.rpartition("/")
                if isinstance(item, h5py.Dataset):
                    layer, _, vars_name = parent.rpartition("/")
                    if vars_name != VARS:
                        raise ValueError(f"{where!r} is an array outside of a layer's 'vars'")
                    layers[layer][name] = _array(where, item)
                elif name == VARS:
                    _check_attributes(where, item, {"name"})
                    layers[parent] = {}
                else:
                    _check_attributes(where, item, set())
                    if not len(item):
                        raise ValueError(f"{where!r} is an empty group, which nothing reads")
            _check_attributes("/", file, set())
    except ValueError:
        raise
    except Exception as error:  # h5py passes on whatever goes wrong in a damaged file
        raise ValueError(f"{type(error).__name__}: {error}") from error
    return Layout(layers)


def check_layout(
    model: keras.Model,
    layout: Layout,
    any_float: bool = False,
    elsewhere: Collection[keras.layers.Layer] = (),
    half: bool = False,
) -> None:
    """Refuses a weights file that a model would not read whole, or that would not fill it.

    Args:
        model: a built model.
        layout: of the file.
        any_float: whether floating-point arrays may have another width than the model's.
        elsewhere: layers whose weights are not in the file.
        half: whether it is one in half precision.

    Raises:
        ValueError: something in the file belongs to no layer, or a layer's arrays are missing or
            have other shapes or dtypes.
    """
    found: dict[int, str] = {}
    lost: list[str] = []
    left_out = {id(layer) for layer in elsewhere}
    for path, arrays in layout.layers.items():
        layer = _at(model, path)
        if not hasattr(layer, "save_own_variables"):
            lost.append(path)
            continue
        if id(layer) in left_out:
            raise ValueError(f"{path!r} belongs to a layer whose weights are elsewhere")
        if id(layer) in found:
            raise ValueError(f"{path!r} and {found[id(layer)]!r} belong to the same layer")
        found[id(layer)] = path
        _check_arrays(path or "the model", arrays, _own(layer), any_float, half)
    for layer in model._flatten_layers():
        if id(layer) not in {*found, *left_out} and (own := _own(layer)):
            raise ValueError(f"layer {layer.name!r} has {len(own)} arrays, the file none of them")
    for path in lost:
        container = _at(model, path.rpartition("/")[0])
        beside = [other for other in lost if other.rpartition("/")[0] == path.rpartition("/")[0]]
        is_container = isinstance(container, Mapping | list | tuple)
        members = _children(container).values() if is_container else ()
        missing = [member for member in members if id(member) not in found]
        # A layer without weights may be of another class now, and so have another name here.
        if layout.layers[path] or len(beside) > len(missing):
            raise ValueError(f"{path!r} belongs to no layer of the model, so nothing reads it")


def _walk(
    group: h5py.Group, where: str, seen: set[int]
) -> Iterator[tuple[str, h5py.Group | h5py.Dataset]]:
    """Every group and array below a group, each of them once."""
    if where.count("/") > MAX_DEPTH:
        raise ValueError(f"more than {MAX_DEPTH} levels")
    for name in group:
        inner = f"{where}/{name}" if where else name
        item = group[name] if isinstance(group.get(name, getlink=True), h5py.HardLink) else None
        if not isinstance(item, h5py.Group | h5py.Dataset) or _address(item) in seen:
            raise ValueError(f"{shown(inner)} is a link or a type, which nothing reads")
        seen.add(_address(item))
        yield inner, item
        if isinstance(item, h5py.Group):
            yield from _walk(item, inner, seen)


def _address(item: h5py.Group | h5py.Dataset) -> int:
    return h5py.h5o.get_info(item.id).addr


def _array(where: str, dataset: h5py.Dataset) -> tuple[tuple[int, ...], str]:
    """An array's shape and dtype, once it is known to be in the file and finite."""
    _check_attributes(where, dataset, {"dtype"})
    if dataset.shape is None or dataset.is_virtual or dataset.external or dataset.chunks:
        raise ValueError(f"{where!r} is stored in another way than Keras stores arrays")
    size = int(np.prod(dataset.shape, dtype=object)) * dataset.dtype.itemsize
    if dataset.id.get_storage_size() != size:
        raise ValueError(f"{where!r} is not stored whole")
    dtype = dataset.dtype.name
    if "dtype" in dataset.attrs:
        if dataset.dtype != np.dtype("V2"):
            raise ValueError(f"{where!r} has an attribute 'dtype', which only bfloat16 has")
        dtype = "bfloat16"
    values = np.asarray(dataset)
    if dtype == "bfloat16":  # not finite: all bits of the exponent are set
        finite = ((values.view("uint16") & 0x7F80) != 0x7F80).all()
    else:
        finite = dataset.dtype.kind not in "fc" or np.isfinite(values).all()
    if not finite:
        raise ValueError(f"{where!r} holds NaN or infinite numbers; train or convert it again")
    return tuple(dataset.shape), dtype


def _check_attributes(where: str, item: h5py.Group | h5py.Dataset, known: set[str]) -> None:
    """Refuses attributes by their names. Their text is left alone: a damaged one hangs HDF5."""
    if strange := sorted(item.attrs.keys() - known):
        raise ValueError(f"{where!r} has an attribute {shown(strange[0])}, which nothing reads")


def _own(layer: Any) -> dict[str, Any]:
    """What a layer itself, without those inside of it, would write."""
    own: dict[str, Any] = {}
    layer.save_own_variables(own)
    return own


def _check_arrays(
    where: str, arrays: Mapping, own: Mapping[str, Any], any_float: bool, half: bool
) -> None:
    """Compares a layer's arrays in a file with those that it has."""
    if arrays.keys() != own.keys():
        raise ValueError(f"{where!r} has {len(arrays)} arrays instead of {len(own)}")
    for name, (shape, dtype) in arrays.items():
        expected, wanted = tuple(own[name].shape), stored_dtype(_dtype(own[name]), half)
        if shape != expected:
            raise ValueError(f"'{where}/{name}' has the shape {shape} instead of {expected}")
        if dtype != wanted and not _may_differ(dtype, wanted, any_float):
            raise ValueError(f"'{where}/{name}' is {dtype} instead of {wanted}")


def _may_differ(dtype: str, wanted: str, any_float: bool) -> bool:
    """Whether one stands for the other: whole numbers are as wide as the Keras backend has them."""
    whole = dtype.startswith("int") and wanted.startswith("int")
    return whole or (any_float and "float" in dtype and "float" in wanted)


def _dtype(value: Any) -> str:
    return keras.backend.standardize_dtype(value.dtype)


def _at(model: keras.Model, path: str) -> Any:
    """What a path in a weights file leads to in a model, or None."""
    found: Any = model
    for part in path.split("/") if path else ():
        if isinstance(found, Mapping | list | tuple):
            found = _children(found).get(part)
        else:
            try:
                found = None if part.startswith("__") else getattr(found, part, None)
            except Exception:  # a property that can't be read now, which Keras passes over too
                found = None
    return found


def _children(container: Mapping | list | tuple) -> dict[str, Any]:
    """The members of a container by the names they have in a weights file."""
    children: dict[str, Any] = {}
    counts: dict[str, int] = {}
    for member in container.values() if isinstance(container, Mapping) else container:
        if isinstance(member, _SAVEABLE):
            name = _snake_case(type(member).__name__)
        elif isinstance(member, Mapping | list | tuple):
            name = "container"
        else:
            continue
        number = counts[name] = counts.get(name, -1) + 1
        children[f"{name}_{number}" if number else name] = member
    return children


def _snake_case(name: str) -> str:
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()
