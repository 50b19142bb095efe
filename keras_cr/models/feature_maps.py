"""An encoder's feature maps of many images."""

import math

import keras
from keras import ops

LARGEST = 65504.0  # of float16
SMALLEST = 2.0**-8  # below it float16 begins to lose digits of what is smaller still


class FeatureMaps(keras.Model):
    """Runs `encoder.feature_map` compiled, for `predict_on_batch`.

    Args:
        encoder: a `CommonRationaleEncoder`.

    Input shape:
        `(B, H, W, 3)`, RGB 0..255.

    Output shape:
        `(B, h, w, C)`, of the encoder's compute dtype.
    """

    def __init__(self, encoder: keras.Model):
        super().__init__(name="feature_maps")
        self.encoder = encoder
        self.built = True
        if keras.backend.backend() == "tensorflow":
            self.jit_compile = False  # XLA on CPU: seconds of compilation, no speed

    def call(self, images, training=False):
        return self.encoder.feature_map(images)


class HeldMaps:
    """Feature maps of many images in memory: in half precision, where it can hold them.

    Maps whose largest magnitude leaves float16, or comes near its smallest, are kept in float32.
    """

    def __init__(self):
        self._parts, self._count, self._largest = [], 0, 0.0

    def __len__(self) -> int:
        return self._count

    def add(self, maps) -> None:
        """Takes the maps of some more images, `(B, h, w, C)`.

        Raises:
            ValueError: a number in them is not finite.
        """
        finite = ops.convert_to_numpy(ops.all(ops.isfinite(maps), axis=(1, 2, 3)))
        if not finite.all():
            raise ValueError(
                "The encoder's feature maps must be finite; received NaN or infinity for the image "
                f"at position {self._count + int(finite.argmin())}. Check the backbone's weights, "
                "or compute in float32 (dtype='float32') where float16 overflows."
            )
        largest = float(ops.max(ops.abs(ops.cast(maps, "float32"))))
        self._largest = max(self._largest, largest)
        self._parts.append(ops.cast(maps, "float16" if _halves(largest) else "float32"))
        self._count += len(maps)

    def all(self):
        """All of them, `(N, h, w, C)`."""
        dtype = "float16" if _halves(self._largest) else "float32"
        return ops.concatenate([ops.cast(part, dtype) for part in self._parts])


def unit_scale(maps) -> float:
    """A power of two that brings maps which half precision can't hold near to 1; 1.0 for others."""
    largest = max(float(ops.max(maps)), -float(ops.min(maps)))
    return 1.0 if _halves(largest) or not math.isfinite(largest) else 2.0 ** -math.frexp(largest)[1]


def _halves(largest: float) -> bool:
    return largest == 0 or SMALLEST <= largest <= LARGEST
