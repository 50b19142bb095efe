"""An encoder's feature maps of many images."""

import math
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_cr._numbers import positive_number
from keras_cr._types import Images, Tensor
from keras_cr.models.map_file import MapFile
from keras_cr.models.on_replicas import EncoderModel

MAX_MEMORY = 1.0  # GB
_IMAGES, _NUMBERS = 512, 2**25  # that are worked on at once
LARGEST = 65504.0  # of float16
SMALLEST = 2.0**-8  # below it float16 begins to lose digits of what is smaller still


class FeatureMaps(EncoderModel):
    """Runs `encoder.feature_map` compiled, for `predict_on_batch`.

    Args:
        encoder: a `CommonRationaleEncoder`.

    Input shape:
        `(B, H, W, 3)`, RGB 0..255.

    Output shape:
        `(B, h, w, C)`, of the encoder's compute dtype.
    """

    def __init__(self, encoder: keras.Model) -> None:
        super().__init__(encoder, name="feature_maps")
        self.built = True

    def call(self, images: Images, training: bool = False) -> Tensor:
        return self.encoder.feature_map(images)


class HeldMaps:
    """Feature maps of many images: in half precision, where it can hold them.

    Maps whose largest magnitude leaves float16, or comes near its smallest, are kept in float32.

    Args:
        max_memory: GB of them that are held in memory; more lie in a temporary file.
    """

    def __init__(self, max_memory: float = MAX_MEMORY) -> None:
        self._limit = positive_number("max_memory", max_memory) * 1e9
        self._parts, self._count, self._bytes, self._largest = [], 0, 0, 0.0
        self._file: MapFile | None = None

    def __len__(self) -> int:
        return self._count

    def add(self, maps: Tensor) -> None:
        """Takes the maps of some more images, `(B, h, w, C)`.

        Raises:
            ValueError: a number in them is not finite.
            OSError: the disk is full.
        """
        if keras.backend.standardize_dtype(maps.dtype) != "float32":
            maps = ops.cast(maps, "float32")
        array = ops.convert_to_numpy(maps)
        largest = float(max(array.max(), -array.min()))  # NaN where one is in them
        if not math.isfinite(largest):
            finite = np.isfinite(array).all(axis=(1, 2, 3))
            raise ValueError(
                "The encoder's feature maps must be finite; received NaN or infinity for the image "
                f"at position {self._count + int(finite.argmin())}. Check the backbone's weights, "
                "or compute in float32 (dtype='float32') where float16 overflows."
            )
        self._largest = max(self._largest, largest)
        dtype = "float16" if _halves(largest) else "float32"
        part = ops.cast(maps, dtype)
        if keras.backend.backend() != "tensorflow":  # whose compiled fit picks from a tensor
            part = ops.convert_to_numpy(part)
        self._parts.append(part)
        self._count += len(maps)
        self._bytes += math.prod(maps.shape) * np.dtype(dtype).itemsize
        if self._bytes > self._limit:
            self._file = self._file or MapFile()
            for part in self._parts:
                self._file.write(ops.convert_to_numpy(part))
            self._parts.clear()

    def all(self) -> Any:
        """All of them, `(N, h, w, C)`: a tensor, an array or a `MapFile`."""
        dtype = "float16" if _halves(self._largest) else "float32"
        if self._file is not None:
            self._file.dtype = np.dtype(dtype)
            return self._file
        if keras.backend.backend() != "tensorflow":
            return np.concatenate([part.astype(dtype, copy=False) for part in self._parts])
        return ops.concatenate([ops.cast(part, dtype) for part in self._parts])


def in_chunks(maps: Any) -> Iterator[slice]:
    """Rows of feature maps `(N, h, w, C)`, so many at a time that memory holds them in float32."""
    size = min(_IMAGES, max(_NUMBERS // math.prod(maps.shape[1:]), 1))
    for start in range(0, len(maps), size):
        yield slice(start, start + size)


def largest_of(maps: Tensor) -> float:
    """The largest magnitude in feature maps."""
    parts = (maps[rows] for rows in in_chunks(maps))
    return max(max(float(ops.max(part)), -float(ops.min(part))) for part in parts)


def unit_scale(maps: Tensor) -> float:
    """A power of two that brings maps which half precision can't hold near to 1; 1.0 for others."""
    largest = largest_of(maps)
    return 1.0 if _halves(largest) or not math.isfinite(largest) else 2.0 ** -math.frexp(largest)[1]


def _halves(largest: float) -> bool:
    return largest == 0 or SMALLEST <= largest <= LARGEST
