"""Reading tensors out of checkpoint files of other frameworks: without torch, running no code.

A `.pth` file is a pickle, and a pickle can name any function to be called. Here it can call
nothing: the few names that rebuild a tensor have replacements of our own, every other name becomes
an inert object that takes whatever it is given and does nothing.
"""

import collections
import io
import math
import os
import pickle
import struct
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from keras_cr.presets.errors import CheckpointError, brief

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C  # torch.save before 1.6, and its first pickle
_DTYPES = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
}
_STATE_DICTS = ("state_dict", "model_state_dict", "model", "net", "network", "teacher", "student")
_MAX_DEPTH = 8


def read_checkpoint(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Reads the tensors of a checkpoint.

    Args:
        path: a file of `torch.save` (`.pth`, `.pt`, `.pth.tar`, `.ckpt`; a zip file since torch
            1.6, a row of pickles before), `.safetensors`, or `.npz`.

    Returns:
        Arrays by their names, in the file's order; those of `state_dict` (or `model`, ...) where
        the file holds more than a model. bfloat16 is widened to float32, the rest stays.

    Raises:
        CheckpointError: the file is none of these, is damaged, or holds no tensors.
        OSError: it can't be read.

    Example:

    >>> read_checkpoint("checkpoint_0199.pth.tar")["module.encoder_q.conv1.weight"].shape
    (64, 3, 7, 7)
    """
    path = Path(path).expanduser()
    with path.open("rb") as file:
        start = file.read(16)
    try:
        if start[:4] == b"PK\x03\x04":
            found = _read_zip(path)
        elif path.suffix == ".safetensors":
            found = _read_safetensors(path)
        elif start[:1] == b"\x80":
            found = _read_legacy(path)
        else:
            raise CheckpointError(
                "neither a checkpoint of torch.save nor safetensors nor .npz; begins with "
                f"{start[:8]!r}."
            )
        tensors = _state_dict(found)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
    except ImportError:
        raise
    except Exception as error:  # a damaged pickle can fail in any way
        raise CheckpointError(f"{path}: damaged, or no checkpoint ({brief(error)}).") from error
    if not tensors:
        raise CheckpointError(f"{path}: no tensors in it.")
    return tensors


class Inert:
    """Stands for whatever a checkpoint holds beside tensors: takes everything and does nothing."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self

    def __setstate__(self, state):
        pass

    def __setitem__(self, key, value):
        pass

    def append(self, value: Any) -> None:
        pass

    def extend(self, values: Iterable[Any]) -> None:
        pass


class _Storage:
    """A run of numbers that tensors are views of."""

    def __init__(self, dtype: str, number: int):
        self.dtype = dtype
        self.number = number
        self.values: np.ndarray | None = None

    def __setstate__(self, state):
        pass

    def fill(self, data: bytes) -> None:
        width = 2 if self.dtype == "bfloat16" else np.dtype(self.dtype).itemsize
        if len(data) != width * self.number:
            raise CheckpointError(
                f"a tensor's data has {len(data)} bytes instead of {width * self.number}; the file "
                "is cut off or damaged."
            )
        if self.dtype == "bfloat16":
            upper = np.frombuffer(data, "<u2").astype("<u4") << 16
            self.values = upper.view("<f4")
        else:
            self.values = np.frombuffer(data, np.dtype(self.dtype).newbyteorder("<"))


class _Tensor:
    """A tensor whose storage may not have been read yet."""

    def __init__(self, storage, offset, size, stride, *_):
        if not isinstance(storage, _Storage):
            raise CheckpointError("a tensor without a storage.")
        self.storage, self.offset = storage, int(offset)
        self.size, self.stride = tuple(map(int, size)), tuple(map(int, stride))
        if len(self.size) != len(self.stride) or min((self.offset, *self.size, *self.stride)) < 0:
            raise CheckpointError(f"a tensor of size {self.size} with strides {self.stride}.")

    def __setstate__(self, state):
        pass

    def array(self) -> np.ndarray:
        values = self.storage.values
        last = self.offset + sum(
            (length - 1) * step for length, step in zip(self.size, self.stride, strict=True)
        )
        if values is None or (math.prod(self.size) and last >= len(values)):  # type: ignore[arg-type]
            raise CheckpointError("a tensor reaches past its storage; the file is damaged.")
        if math.prod(self.size) > len(values):  # a few bytes must not become gigabytes
            raise CheckpointError(
                f"a tensor of size {self.size} repeats a storage of {len(values)} numbers; save a "
                "copy of it (tensor.clone())."
            )
        steps = [step * values.itemsize for step in self.stride]
        view = np.lib.stride_tricks.as_strided(values[self.offset :], self.size, steps)
        return np.ascontiguousarray(view, view.dtype.newbyteorder("="))


class _Unpickler(pickle.Unpickler):
    """Rebuilds tensors and containers, and calls nothing that a file names."""

    def __init__(self, file):
        super().__init__(file, encoding="utf-8")
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        known = {
            ("collections", "OrderedDict"): collections.OrderedDict,
            ("torch._utils", "_rebuild_tensor"): _Tensor,
            ("torch._utils", "_rebuild_tensor_v2"): _Tensor,
            ("torch._utils", "_rebuild_parameter"): lambda tensor, *_: tensor,
            ("torch", "Size"): tuple,
        }
        if (module, name) in known:
            return known[module, name]
        if module in ("torch", "torch.cuda", "torch.storage") and name in _DTYPES:
            return _DTYPES[name]
        return Inert

    def persistent_load(self, saved: Any) -> _Storage:
        kind, dtype, key, _, number, *view = saved
        if kind != "storage" or dtype not in _DTYPES.values():
            raise CheckpointError(f"a storage of an unknown kind ({kind!r}, {dtype!r}).")
        if view and view[0] is not None:
            raise CheckpointError("a view of a storage, as torch before 0.4 wrote it.")
        return self.storages.setdefault(key, _Storage(dtype, int(number)))


def _read_zip(path: Path) -> Any:
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        pickled = next((name for name in names if name.rsplit("/", 1)[-1] == "data.pkl"), None)
        if pickled is None:
            with np.load(path, allow_pickle=False) as arrays:
                return {name: arrays[name] for name in arrays.files}
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
            raise CheckpointError("compressed, which files of torch.save never are.")
        folder = pickled.removesuffix("data.pkl")
        if f"{folder}byteorder" in names and archive.read(f"{folder}byteorder") != b"little":
            raise CheckpointError("written on a big-endian machine; convert it there.")
        unpickler = _Unpickler(io.BytesIO(archive.read(pickled)))
        content = unpickler.load()
        for key, storage in unpickler.storages.items():
            storage.fill(archive.read(f"{folder}data/{key}"))
    return content


def _read_legacy(path: Path) -> Any:
    with path.open("rb") as file:
        if _Unpickler(file).load() != _LEGACY_MAGIC:
            raise CheckpointError("a pickle, but not one of torch.save.")
        for _ in range(2):  # the protocol's version; the machine's
            _Unpickler(file).load()
        unpickler = _Unpickler(file)
        content = unpickler.load()
        for key in _Unpickler(file).load():
            storage = unpickler.storages[key]
            (number,) = struct.unpack("<q", file.read(8))
            if number != storage.number:
                raise CheckpointError("a storage of another length than announced.")
            width = 2 if storage.dtype == "bfloat16" else np.dtype(storage.dtype).itemsize
            storage.fill(file.read(number * width))
    return content


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    try:
        from safetensors import safe_open
    except ImportError as error:
        raise ImportError(
            "safetensors files need safetensors: pip install 'keras-cr[recipes]'."
        ) from error
    import ml_dtypes  # noqa: F401 - NumPy then knows bfloat16; TensorFlow and JAX bring it

    with safe_open(path, "numpy") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping


def _state_dict(content: Any) -> dict[str, np.ndarray]:
    """The tensors of what a file held, under their dotted names."""
    if isinstance(content, Mapping):
        for name in _STATE_DICTS:
            if inner := _tensors(content.get(name)):
                return inner
    return _tensors(content)


def _tensors(
    content: Any, prefix: str = "", depth: int = 0, seen: set[int] | None = None
) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    seen = set() if seen is None else seen  # a dict inside of many dicts is walked through once
    if not isinstance(content, Mapping) or depth > _MAX_DEPTH or id(content) in seen:
        return found
    seen.add(id(content))
    for name, value in content.items():
        if isinstance(value, _Tensor):
            found[f"{prefix}{name}"] = value.array()
        elif isinstance(value, np.ndarray):
            wide = value.dtype.name == "bfloat16"
            found[f"{prefix}{name}"] = value.astype("float32") if wide else value
        else:
            found |= _tensors(value, f"{prefix}{name}.", depth + 1, seen)
    return found
