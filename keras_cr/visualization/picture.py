"""What every drawing function returns: pixels that a notebook shows and that can be saved."""

import io
import os
from pathlib import Path

import numpy as np

from keras_cr._files import whole_file
from keras_cr.visualization._optional import optional


class Picture(np.ndarray):
    """An array of pixels that a notebook shows when it is a cell's last value.

    Otherwise it is an ordinary array. What slicing or arithmetic makes of it is shown as long as it
    is still (H, W, 3) uint8, and is printed as numbers where it is not.

    Args:
        pixels: (H, W, 3) uint8, RGB. They are not copied.

    Raises:
        ValueError: `pixels` are not (H, W, 3) uint8, or there are none.

    Example:

    >>> picture = Picture(overlay(images, maps)[0])
    >>> picture.save("pictures/first.png")
    """

    def __new__(cls, pixels: np.ndarray) -> "Picture":
        picture = np.asarray(pixels).view(cls)
        picture._check()
        return picture

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
        return self._png() if self._is_picture() else None

    def _png(self) -> bytes:
        file = io.BytesIO()
        optional("PIL.Image", "Pillow").fromarray(np.asarray(self)).save(file, format="PNG")
        return file.getvalue()

    def _is_picture(self) -> bool:
        shaped = self.ndim == 3 and self.shape[-1] == 3 and self.size > 0
        return shaped and self.dtype == np.uint8

    def _check(self) -> None:
        if not self._is_picture():
            raise ValueError(
                "A picture must be of shape (H, W, 3) and uint8, RGB; received "
                f"{self.dtype} of shape {self.shape}."
            )
