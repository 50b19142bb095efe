"""What the drawing functions return: pixels that a notebook shows and that can be saved."""

import io
import os
from pathlib import Path

import numpy as np

from keras_cr._files import whole_file
from keras_cr.visualization._optional import optional


class _Pixels(np.ndarray):
    """An array of RGB that says what it shows, as long as it is of the shape its class is for."""

    _SHAPE: str
    _NDIM: int

    def __new__(cls, pixels: np.ndarray) -> "_Pixels":
        pixels = np.asarray(pixels).view(cls)
        pixels._check()  # type: ignore[attr-defined]
        return pixels  # type: ignore[return-value]

    def __array_wrap__(self, array, context=None, return_scalar=False):
        # without this, a sum or a maximum would be an array of no dimension
        return array[()] if return_scalar else super().__array_wrap__(array, context)

    def __repr__(self) -> str:
        if not self._whole():
            return repr(np.asarray(self))
        *number, height, width, _ = self.shape
        return f"{type(self).__name__}({''.join(f'{n} of ' for n in number)}{height} x {width})"

    def __str__(self) -> str:
        return repr(self) if self._whole() else str(np.asarray(self))

    def _whole(self) -> bool:
        shaped = self.ndim == self._NDIM and self.shape[-1] == 3 and self.size > 0
        return shaped and self.dtype == np.uint8

    def _check(self) -> None:
        if not self._whole():
            raise ValueError(
                f"{type(self).__name__}: must be of shape {self._SHAPE} and uint8, RGB; received "
                f"{self.dtype} of shape {self.shape}."
            )


class Picture(_Pixels):
    """An array of pixels that a notebook shows when it is a cell's last value.

    Otherwise it is an ordinary array. What slicing or arithmetic makes of it is shown as long as it
    is still (H, W, 3) uint8, and is printed as numbers where it is not.

    Args:
        pixels: (H, W, 3) uint8, RGB. They are not copied.

    Raises:
        ValueError: `pixels` are not (H, W, 3) uint8, or there are none.

    Example:

    >>> picture = overlay(images, maps)[0]
    >>> picture
    Picture(96 x 96)
    >>> picture.save("pictures/first.png")
    """

    _SHAPE, _NDIM = "(H, W, 3)", 3

    def save(self, path: str | os.PathLike) -> Path:
        """Writes a PNG file, whole or not at all.

        Args:
            path: the file, ending in ".png"; its folder is made.

        Returns:
            `path`.

        Raises:
            ImportError: Pillow is missing.
            ValueError: `path` has another ending, or this is no longer (H, W, 3) uint8.
        """
        self._check()
        path = Path(path)
        if path.suffix.lower() != ".png":
            raise ValueError(
                f"`path` must end in '.png'; received {str(path)!r}. For other formats, "
                "PIL.Image.fromarray(picture).save(path)."
            )
        content = self._png()
        with whole_file(path) as part:
            part.write_bytes(content)
        return path

    def _repr_png_(self) -> bytes | None:
        """The PNG file that IPython shows; None where this is no picture any more."""
        return self._png() if self._whole() else None

    def _png(self) -> bytes:
        file = io.BytesIO()
        optional("PIL.Image", "Pillow").fromarray(np.asarray(self)).save(file, format="PNG")
        return file.getvalue()


class Pictures(_Pixels):
    """Pictures of one size in one array.

    Each of them is a `Picture`, several of them are `Pictures` again; all else that is taken out is
    an ordinary array, or a number.

    Args:
        pixels: (N, H, W, 3) uint8, RGB. They are not copied.

    Raises:
        ValueError: `pixels` are not (N, H, W, 3) uint8, or there are none.

    Example:

    >>> laid = overlay(images, maps)
    >>> laid, laid[:2], laid[0]
    (Pictures(8 of 96 x 96), Pictures(2 of 96 x 96), Picture(96 x 96))
    >>> for number, picture in enumerate(laid):
    ...     picture.save(f"pictures/{number}.png")
    """

    _SHAPE, _NDIM = "(N, H, W, 3)", 4

    def __getitem__(self, key):
        taken = super().__getitem__(key)
        if not isinstance(taken, Pictures) or taken._whole():
            return taken
        picture = taken.view(Picture)
        return picture if picture._whole() else taken.view(np.ndarray)
