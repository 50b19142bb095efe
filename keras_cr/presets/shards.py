"""Weights in several files: `model.weights.h5`, `model.weights.2.h5` and so on, whole layers each.

Each is a weights file of its own, of some of the layers. To be read they are joined in a temporary
file: Keras follows no links from one file to another.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py

from keras_cr._numbers import positive_number
from keras_cr.presets.errors import PresetError, shown
from keras_cr.presets.manifest import WEIGHTS, shard_name
from keras_cr.presets.weights import VARS, Layout, read_layout

_GROUP = 1024  # bytes that HDF5 takes for a group or an array, beside its numbers
_GB = 1e9


def check_max_shard_size(max_shard_size: Any, backbone: str) -> int | None:
    """The limit in bytes, or None where there is none.

    Raises:
        PresetError: it is no positive number, or the backbone's weights, for which it is worth it,
            are left out.
    """
    if max_shard_size is None:
        return None
    try:
        size = positive_number("max_shard_size", max_shard_size)
    except (TypeError, ValueError) as error:
        raise PresetError(
            f"max_shard_size must be a positive number of GB, or None; received "
            f"{shown(max_shard_size)}."
        ) from error
    if backbone == "reference":
        raise PresetError(
            "max_shard_size is for presets with their backbone inside; without one they take some "
            "kilobytes: leave max_shard_size out."
        )
    return int(size * _GB)


def split(path: Path, limit: int) -> list[str]:
    """Splits a weights file that is larger than `limit` bytes; the first part keeps its name.

    Args:
        path: `model.weights.h5`, as Keras has written it.
        limit: bytes that no part exceeds.

    Returns:
        The names of the parts, in their order.

    Raises:
        PresetError: a layer alone takes more.
    """
    if path.stat().st_size <= limit:
        return [path.name]
    parts: list[str] = []
    whole = path.with_name(f".{path.name}")
    os.replace(path, whole)
    with contextlib.ExitStack() as files:
        source, part, left = files.enter_context(h5py.File(whole, "r")), None, 0
        for group, size in _layers(source):
            if size + _GROUP > limit:
                raise PresetError(
                    f"max_shard_size={limit / _GB:g}: {group!r} alone takes {size:,} bytes, and a "
                    "layer is not split; give more."
                )
            if part is None or size > left:
                parts.append(shard_name(len(parts)))
                part = files.enter_context(h5py.File(path.with_name(parts[-1]), "w"))
                left = limit - _GROUP
            source.copy(source[group], part, name=group)
            left -= size
    whole.unlink()
    return parts


def _layers(file: h5py.File) -> list[tuple[str, int]]:
    """The groups of the layers' arrays, in their order, and the bytes that each takes at most."""
    found = []

    def look(name: str, item: Any) -> None:
        if isinstance(item, h5py.Group) and name.rpartition("/")[2] == VARS:
            groups = name.count("/") + 1
            sizes = [array.nbytes + _GROUP for array in item.values()]
            found.append((name, sum(sizes) + groups * _GROUP))

    file.visititems(look)
    return found


def read_layouts(paths: list[Path]) -> list[Layout]:
    """What each of a preset's weights files holds, as `read_layout` does.

    Raises:
        ValueError: as `read_layout`, or two of them hold the same layer.
    """
    layouts: list[Layout] = []
    seen: dict[str, str] = {}
    for path in paths:
        try:
            layouts.append(read_layout(path))
        except ValueError as error:
            if len(paths) == 1:
                raise
            raise ValueError(f"in {path.name}: {error}") from error
        for layer in layouts[-1].layers:
            if layer in seen:
                raise ValueError(f"{layer!r} is in {seen[layer]} and in {path.name}")
            seen[layer] = path.name
    return layouts


def merged(layouts: list[Layout]) -> Layout:
    """The layout of all files together."""
    layers: dict[str, Mapping[str, Any]] = {}
    for layout in layouts:
        layers |= layout.layers
    return Layout(layers)  # type: ignore[arg-type]


@contextlib.contextmanager
def joined(paths: list[Path], layouts: list[Layout]) -> Iterator[Path]:
    """One file for Keras to read: the only one itself, or a temporary one of what several hold.

    Args:
        paths: a preset's weights files.
        layouts: what they hold, from `read_layouts`.
    """
    if len(paths) == 1:
        yield paths[0]
        return
    with tempfile.TemporaryDirectory(prefix="keras-cr-weights-") as folder:
        whole = Path(folder) / WEIGHTS
        with h5py.File(whole, "w") as file:
            for path, layout in zip(paths, layouts, strict=True):
                with h5py.File(path, "r") as part:
                    for layer in layout.layers:
                        group = f"{layer}/{VARS}".lstrip("/")
                        part.copy(part[group], file, name=group)
        yield whole
