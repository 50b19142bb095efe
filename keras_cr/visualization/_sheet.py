"""Layout that all sheets share: where pictures, lines of text and signs are laid."""

import functools
import os
from pathlib import Path

import numpy as np

from keras_cr.visualization._optional import optional
from keras_cr.visualization.picture import Picture

GAP = 16  # pixels of white around a sheet and between its parts
TEXT = 18  # pixels of a title's letters
SMALLEST = 12  # pixels of letters that are read at full size
HEADING = 26  # pixels of letters that are read when a sheet is as wide as a phone
LEGEND_WIDTH = 640  # pixels; no sheet with a legend is narrower
INK = "#222222"
BLUE, ORANGE = "#0072B2", "#D55E00"  # Okabe and Ito's, apart for any colour vision
_LONGEST = 65_535  # pixels; more than that, few viewers open


def fitted(images: np.ndarray, cell: int) -> tuple[int, int]:
    """Width and height in pixels of (N, H, W, 3) images once their longer side is `cell`."""
    scale = cell / max(images.shape[1:3])
    height, width = (max(round(scale * side), 1) for side in images.shape[1:3])
    return width, height


def line_height(size: int = TEXT) -> int:
    """Pixels that a line of text takes with the space below it."""
    return size + 8


class Sheet:
    """A white page. Corners are (x, y), upper left, in pixels.

    Args:
        width, height: its size in pixels.

    Raises:
        ImportError: Pillow is missing.
        ValueError: the page would be too large to be of use.
    """

    def __init__(self, width: int, height: int) -> None:
        if max(width, height) > _LONGEST:
            raise ValueError(
                f"A sheet must measure at most {_LONGEST} pixels a side; this one would be "
                f"{width} x {height}. Draw fewer images at a time."
            )
        self.width = width
        self._pil = optional("PIL.Image", "Pillow")
        self._page = self._pil.new("RGB", (width, height), "white")
        self._draw = optional("PIL.ImageDraw", "Pillow").Draw(self._page)

    def paste(self, pixels: np.ndarray, corner: tuple[int, int], size: tuple[int, int]) -> None:
        """Lays (H, W, 3) uint8 pixels down, resized to `size`, (width, height)."""
        picture = self._pil.fromarray(pixels).resize(size, self._pil.Resampling.BICUBIC)
        self._page.paste(picture, corner)

    def frame(self, corner: tuple[int, int], size: tuple[int, int], color: str, line: int) -> None:
        """Draws a rectangle just inside of `size`, (width, height), `line` pixels thick."""
        (x, y), (width, height) = corner, size
        self._draw.rectangle((x, y, x + width - 1, y + height - 1), outline=color, width=line)

    def write(self, text: str, corner: tuple[int, int], width: int, size: int = TEXT) -> int:
        """Writes a line, in smaller letters where it is wider than `width` pixels.

        Where the smallest that can be read are too large, it is cut with an ellipsis.

        Returns:
            The width in pixels of what was written.
        """
        short = text = " ".join(str(text).split())
        plain, font = _font(True, size), _font(text.isascii(), size)
        while size > SMALLEST and self._draw.textlength(text, font) > width:
            size -= 1
            font = _font(text.isascii(), size)
        while short and self._draw.textlength(short, font) > width:
            text = text[:-1]
            short = text.rstrip() + "…"
        base = corner[0], corner[1] + plain.getmetrics()[0]  # both fonts stand on one line
        self._draw.text(base, short, fill=INK, font=font, anchor="ls")
        return round(self._draw.textlength(short, font))

    def sign(self, right: bool, corner: tuple[int, int], side: int) -> None:
        """Draws a tick on a blue disc, or a cross on an orange square, `side` pixels large."""
        fine = 4 * side  # drawn large and reduced: Pillow's lines are jagged
        badge = self._pil.new("RGBA", (fine, fine), (255, 255, 255, 0))
        draw = optional("PIL.ImageDraw", "Pillow").Draw(badge)
        shape, color = (draw.ellipse, BLUE) if right else (draw.rectangle, ORANGE)
        shape((0, 0, fine - 1, fine - 1), fill="white")
        edge = fine // 14
        shape((edge, edge, fine - 1 - edge, fine - 1 - edge), fill=color)
        for stroke in _TICK if right else _CROSS:
            points = [(x * fine, y * fine) for x, y in stroke]
            draw.line(points, fill="white", width=fine // 7, joint="curve")
        badge = badge.resize((side, side), self._pil.Resampling.LANCZOS)
        self._page.paste(badge, corner, badge)

    def finish(self, path: str | os.PathLike | None) -> Picture:
        """Returns the page's pixels, written to `path` too unless that is None."""
        picture = Picture(np.asarray(self._page))
        if path is not None:
            picture.save(path)
        return picture


_TICK = (((0.24, 0.52), (0.43, 0.71), (0.76, 0.32)),)
_CROSS = (((0.26, 0.26), (0.74, 0.74)), ((0.26, 0.74), (0.74, 0.26)))


@functools.cache
def _font(plain: bool, size: int):
    """Pillow's own font for ASCII; matplotlib's for what that lacks: é, Greek, Cyrillic."""
    fonts = optional("PIL.ImageFont", "Pillow")
    if plain:
        return fonts.load_default(size)
    folder = Path(optional("matplotlib", "matplotlib").get_data_path())
    return fonts.truetype(folder / "fonts" / "ttf" / "DejaVuSans.ttf", round(0.95 * size))
