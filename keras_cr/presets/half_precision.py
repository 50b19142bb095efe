"""Weights in half as many bytes: those of float32 are stored as float16 and widened at loading.

The model's config keeps its dtype policy, so what is loaded computes as before; a weight loses all
but its first three or so digits, and more of them below 6e-5.
"""

import os
from pathlib import Path

import h5py
import numpy as np

from keras_cr.presets.errors import PresetError, shown
from keras_cr.presets.manifest import HALF

_WIDE = ("float32", "float64")


def stored_dtype(dtype: str, half: bool) -> str:
    """How a variable of a dtype is stored, in a file in half precision or in another."""
    return HALF if half and dtype in _WIDE else dtype


def check_weights_dtype(weights_dtype: str | None, backbone: str) -> bool:
    """Whether weights are to be stored in half precision.

    Raises:
        PresetError: `weights_dtype` is neither None nor `"float16"`, or the backbone's weights,
            for which it is worth it, are left out.
    """
    if weights_dtype not in (None, HALF):
        raise PresetError(
            f"weights_dtype must be None, for the model's own, or {HALF!r}; received "
            f"{shown(weights_dtype)}."
        )
    if weights_dtype and backbone == "reference":
        raise PresetError(
            f"weights_dtype={HALF!r} is for presets with their backbone inside; without one they "
            "take some kilobytes: leave weights_dtype out."
        )
    return weights_dtype is not None


def halve(path: Path) -> None:
    """Rewrites a weights file that Keras has written, its wide floats as float16.

    Raises:
        PresetError: a number leaves the range of float16, or a scale or variance would become 0.
    """
    part = path.with_name(f".{path.name}")
    with h5py.File(path, "r") as whole, h5py.File(part, "w") as halved:
        whole.visititems(lambda name, item: _copy(name, item, halved))
    os.replace(part, path)


def _copy(name: str, item: h5py.Group | h5py.Dataset, target: h5py.File) -> None:
    if isinstance(item, h5py.Dataset):
        values = np.asarray(item)
        if values.dtype.name in _WIDE:
            values = _narrowed(name, values)
        copied = target.create_dataset(name, data=values)
    else:
        copied = target.require_group(name)
    for key, value in item.attrs.items():
        copied.attrs[key] = value


def _narrowed(name: str, values: np.ndarray) -> np.ndarray:
    largest = float(np.abs(values).max(initial=0.0))
    if largest > float(np.finfo(HALF).max):
        raise PresetError(
            f"weights_dtype={HALF!r}: {name!r} holds {largest:.3g}, beyond what float16 can; leave "
            "weights_dtype out."
        )
    halved = values.astype(HALF)
    scales = values.ndim == 1 and values.min(initial=0.0) >= 0  # or variances: 0 is another thing
    if scales and (lost := values[(halved == 0) & (values > 0)]).size:
        raise PresetError(
            f"weights_dtype={HALF!r}: {name!r} holds {lost.min():.3g}, which float16 makes 0; "
            "leave weights_dtype out."
        )
    return halved
