"""What a model of images takes: one checked way in for everything that is given to one.

A network gives an embedding for whatever numbers it gets, and nothing in the embedding tells that
they were no image. So what is clear is turned into RGB 0..255 here, and the rest is named.
"""

import copy
import os
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_cr._types import Images, Tensor

OVERSHOOT = 0.5  # share of the range that sharp resizing and added noise may leave it by
HIGHEST = 255 * (1 + OVERSHOOT)
_WHOLE = 1e-3  # what rounding leaves of a whole number
_UNIT = 1.5  # where the values of images in 0..1 end, resized and noisy ones too
_CHUNK = 256  # images looked at in one go
_DIFFERENT = (
    "images of different sizes. Resize them to one, as keras_cr.data.read_images and image_batches "
    "do with files"
)


class Seen:
    """What is known of the values of one source of images, whatever parts it is read in.

    Args:
        argument: what an error calls the images.
        rgb: whether they must be RGB 0..255; False: any finite numbers.
    """

    def __init__(self, argument: str = "images", rgb: bool = True) -> None:
        self.argument, self.rgb = argument, rgb
        self.count = 0  # images looked at so far
        self._bright = False  # whether one of them shows that the range is not 0..1

    def of_batch(self, number: int) -> "Seen":
        """For one batch of the source, wherever in it that is."""
        part = copy.copy(self)
        part.argument, part.count = f"{self.argument}[{number}]", 0
        return part

    def look(self, images: Images) -> None:
        """Checks the values of a batch.

        Args:
            images: an array or a tensor `(B, ...)` of real numbers; one that is being traced has
                no values yet and passes.

        Raises:
            ValueError: a value is not finite, or the values are not RGB 0..255. Dark images pass:
                whole numbers, and any beside a brighter image of the same source.
        """
        values = None if _dtype(images) == "uint8" else _values(images)
        if values is None:
            self.count += images.shape[0] or 0
            return
        lows, highs, whole = [], [], True
        for start in range(0, len(values), _CHUNK):
            chunk = np.asarray(values[start : start + _CHUNK])
            if chunk.dtype.kind not in "iuf":  # bfloat16 and smaller
                chunk = chunk.astype("float32")
            with np.errstate(invalid="ignore"):
                low, high = float(chunk.min()), float(chunk.max())
            if not np.isfinite([low, high]).all():
                self._not_finite(chunk, self.count + start)
            lows.append(low)
            highs.append(high)
            whole = whole and high <= _UNIT and _is_whole(chunk)
        self.count += len(values)
        if self.rgb:
            self._check_range(min(lows), max(highs), whole)

    def _not_finite(self, chunk: np.ndarray, first: int) -> None:
        rows = np.flatnonzero(~np.isfinite(chunk).all(axis=tuple(range(1, chunk.ndim))))
        more = f" and {len(rows) - 1} after it" if len(rows) > 1 else ""
        raise ValueError(
            f"`{self.argument}` must be finite; received NaN or infinity in the image at position "
            f"{first + rows[0]}{more}. Leave it out, or repair what computes it."
        )

    def _check_range(self, low: float, high: float, whole: bool) -> None:
        way_out = None
        if low < -OVERSHOOT * max(high, 0.0) - _WHOLE:
            way_out = (
                "Undo what normalises or centres them (the backbone does that itself): images in "
                "-1..1 become RGB by 127.5 * (images + 1)"
            )
        elif high > HIGHEST:
            way_out = "Divide 16-bit images by 257; clip others to 0..255"
        elif high <= _UNIT and not whole and not self._bright:
            way_out = "Multiply images in 0..1 by 255"
        if way_out is not None:
            raise ValueError(
                f"`{self.argument}` must be RGB 0..255; received values from {low:.3g} to "
                f"{high:.3g}. {way_out}."
            )
        self._bright = self._bright or high > _UNIT


def checked_images(images: Images, seen: Seen | None = None) -> Tensor:
    """Turns what is given as a batch of images into one, and refuses what can't be meant.

    Args:
        images: `(B, H, W, 3)`, RGB 0..255, of any real dtype: an array, a tensor, also one that is
            being traced; gray images `(B, H, W, 1)`; a list of arrays `(H, W, 3)`, `(H, W, 1)`,
            `(H, W)` or of Pillow images, all of one size. Pillow images are turned as their EXIF
            data say and transparent ones laid on white, as files are when they are read.
        seen: what is known of the source they come from, and what an error calls it; None: nothing.

    Returns:
        `(B, H, W, 3)`: the same array or tensor wherever that is possible.

    Raises:
        ValueError: it is none of these, holds no image, or its values are no image's.
    """
    seen = seen or Seen()
    argument = seen.argument
    images = _as_batch(images, argument, seen.rgb)
    try:
        shape = tuple(images.shape)
    except ValueError:  # a tensor that is traced without a rank
        return images
    if len(shape) != 4 or shape[-1] not in (1, 3, None):
        raise ValueError(
            f"`{argument}` must have shape (B, H, W, 3), RGB 0..255; received a batch of shape "
            f"{shape}{_hint(shape)}"
        )
    if 0 in shape:
        raise ValueError(f"`{argument}` must hold at least one image; received shape {shape}.")
    dtype = _dtype(images)
    if not ("int" in dtype or "float" in dtype):
        hint = ": a mask is no image; 255 * images makes one of it" if dtype == "bool" else ""
        raise ValueError(f"`{argument}` must be numbers, RGB 0..255; received {dtype}{hint}.")
    seen.look(images)
    return in_colour(images)


def in_colour(images: Images) -> Tensor:
    """Gray images `(B, H, W, 1)` repeated to `(B, H, W, 3)`; others as they are."""
    if images.shape[-1] != 1:
        return images
    if isinstance(images, np.ndarray):
        return np.broadcast_to(images, (*images.shape[:-1], 3))
    return keras.ops.repeat(images, 3, axis=-1)


def refuse_paths(images: Images, argument: str = "images") -> None:
    """Raises a ValueError that names `read_images` for a path or a sequence of paths."""
    is_list = isinstance(images, list | tuple) and len(images)
    first = images[0] if is_list else images
    is_path = isinstance(first, str | bytes | os.PathLike)
    if is_path or (hasattr(first, "dtype") and "str" in _dtype(first)):
        shown = os.fspath(first) if is_path else "strings"
        raise ValueError(
            f"`{argument}` must be pixels, and files are not read here; received {shown!r}. Read "
            "them: keras_cr.data.read_images(paths, image_size)."
        )


def _as_batch(images, argument: str, rgb: bool):
    """An array or a tensor, of whatever shape."""
    if isinstance(images, np.ndarray) and images.dtype == np.longdouble:
        images = images.astype("float64")  # the widest that Keras knows
    refuse_paths(images, argument)
    if type(images).__name__ == "SparseTensor":
        raise ValueError(
            f"`{argument}` must be dense; received a sparse tensor: tf.sparse.to_dense."
        )
    if hasattr(images, "row_splits"):  # ragged
        raise ValueError(f"`{argument}` must be of one size; received {_DIFFERENT}.")
    if isinstance(images, keras.KerasTensor) or keras.ops.is_tensor(images):
        return images
    if isinstance(images, keras.Variable):
        return keras.ops.convert_to_tensor(images)
    if _is_picture(images):
        raise ValueError(
            f"`{argument}` must be a batch; received a single Pillow image. Give a list: [image]."
        )
    if isinstance(images, np.ndarray) and images.dtype == object:
        images = list(images)
        refuse_paths(images, argument)
    if isinstance(images, list | tuple):
        return _stacked(images, argument, rgb)
    if not hasattr(images, "__array__"):
        raise ValueError(
            f"`{argument}` must have shape (B, H, W, 3), RGB 0..255. Received a "
            f"{type(images).__name__}"
        )
    return np.asarray(images.detach() if hasattr(images, "detach") else images)


def _stacked(images: Sequence, argument: str, rgb: bool):
    """A list of images as one array."""
    if not images:
        raise ValueError(f"`{argument}` must hold at least one image; received none.")
    if len(images) == 1 and len(getattr(images[0], "shape", ())) == 4:
        return images[0]  # Keras' way to name a model's only input
    if not (hasattr(images[0], "shape") or _is_picture(images[0])):  # numbers in nested lists
        try:
            return np.asarray(images)
        except ValueError as error:  # rows of different lengths
            raise ValueError(
                f"`{argument}` must have shape (B, H, W, 3); received nested lists of different "
                "lengths."
            ) from error
    arrays = [_single(image, row, argument) for row, image in enumerate(images)]
    sizes = [array.shape[:2] for array in arrays]
    for row, size in enumerate(sizes):
        if size != sizes[0]:
            raise ValueError(
                f"`{argument}` must be of one size; received {_DIFFERENT}. The first has "
                f"{sizes[0][0]} x {sizes[0][1]} pixels, that at position {row} has "
                f"{size[0]} x {size[1]}."
            )
    others = [array for array in arrays if array.dtype != "uint8"]
    if 0 < len(others) < len(arrays):  # bright bytes must not vouch for floats in 0..1
        Seen(argument, rgb).look(np.stack(others))
    return np.stack(arrays)


def _single(image, row: int, argument: str) -> np.ndarray:
    """One image of a list as an array `(H, W, 3)`."""
    if _is_picture(image):
        return _pixels(image, argument)
    array = keras.ops.convert_to_numpy(image)
    array = array[..., None] if array.ndim == 2 else array
    if array.ndim != 3 or array.shape[-1] not in (1, 3):
        raise ValueError(
            f"`{argument}` must be a batch (B, H, W, 3) or a list of images (H, W, 3), RGB 0..255. "
            f"Received shape: {array.shape} at position {row}{_hint(array.shape)}"
        )
    return np.broadcast_to(array, (*array.shape[:2], 3))


def _is_picture(image) -> bool:
    """Whether it is an image of Pillow, which need not be installed."""
    return any(each.__module__ == "PIL.Image" for each in type(image).__mro__)


def _pixels(image: Any, argument: str) -> np.ndarray:
    """A Pillow image as a person sees it: `(H, W, 3)` uint8."""
    from PIL import Image, ImageOps

    if image.mode.startswith(("I", "F")):
        raise ValueError(
            f"`{argument}` must be RGB 0..255; received a Pillow image of mode {image.mode!r}, "
            "whose range is another. Scale it to 8 bits first."
        )
    image = ImageOps.exif_transpose(image)
    if "A" in image.getbands() or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.asarray(image.convert("RGB"))


def _hint(shape: tuple) -> str:
    """What a shape that is not `(B, H, W, 3)` probably is, and the way out."""
    if len(shape) == 4 and shape[1] in (1, 3):
        return ". Channels come last: give np.moveaxis(images, 1, -1)."
    if shape and shape[-1] == 4:
        return ". Lay images with alpha on a background first: image.convert('RGB') of Pillow."
    if len(shape) == 3 and shape[-1] == 3:
        return ". A single image makes a batch as image[None], a data set's by dataset.batch(n)."
    if len(shape) in (2, 3):
        return ". Gray images make a batch as (B, H, W, 1)."
    return ""


def _dtype(images) -> str:
    """The name of an array's or a tensor's dtype."""
    if isinstance(images.dtype, np.dtype) and images.dtype.kind in "USOMmV":
        text = images.dtype.kind in "US"
        return "string" if text else str(images.dtype)
    return keras.backend.standardize_dtype(images.dtype)


def _values(images):
    """The numbers as something to slice, or None while they are only being traced."""
    if isinstance(images, np.ndarray):
        return images
    if isinstance(images, keras.KerasTensor):
        return None
    if keras.backend.backend() == "tensorflow" and not hasattr(images, "numpy"):
        return None
    if keras.backend.backend() == "torch":
        import torch

        if torch.compiler.is_compiling():
            return None
    try:
        return keras.ops.convert_to_numpy(images)
    except Exception:  # every backend has an error of its own for a value that is not there yet
        return None


def _is_whole(values: np.ndarray) -> bool:
    return bool((np.abs(values - np.rint(values)) < _WHOLE).all())
