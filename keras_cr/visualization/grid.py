"""A sheet of images, each beside its rationale."""

import os
from collections.abc import Sequence

import numpy as np

from keras_cr.visualization._inputs import IMAGE_SIZE, check_titles, read
from keras_cr.visualization._sheet import GAP, Sheet, fitted, line_height
from keras_cr.visualization.overlay import overlay
from keras_cr.visualization.picture import Picture

CELL = 192  # pixels a picture is enlarged or reduced to
PAIR_GAP = 2  # pixels of white within a pair


def rationale_grid(
    images: np.ndarray | Sequence[str | os.PathLike],
    maps: np.ndarray,
    path: str | os.PathLike | None = None,
    columns: int = 4,
    titles: Sequence[str] | None = None,
    alpha: float = 0.6,
    image_size: int = IMAGE_SIZE,
) -> Picture:
    """Draws pairs, image left and overlay right, row by row.

    Args:
        images: (N, H, W, 3), RGB 0..255, uint8 or float; or N files, see `overlay`.
        maps: (N, h, w), in 0..1.
        path: PNG file to write; its folder is made. None writes nothing.
        columns: pairs a row.
        titles: N lines, one above each pair; what is too long for it is cut.
        alpha: weight of the colours; see `overlay`.
        image_size: side in pixels that files are read at; arrays keep their size.

    Returns:
        The sheet, a `Picture` (height, width, 3) uint8, which a notebook shows; images have a
        longer side of 192 pixels.

    Raises:
        ImportError: matplotlib or Pillow is missing.
        ValueError: shapes, ranges or lengths don't fit, a file does not decode, or `columns` is not
            positive.

    Example:

    >>> rationale_grid(images, encoder.encode(images)["rationale"], path="rationales.png")
    """
    images = read(images, image_size)
    if columns < 1:
        raise ValueError(f"`columns` must be at least 1; received {columns}.")
    check_titles(titles, len(images))
    laid = overlay(images, maps, alpha)
    width, height = fitted(images, CELL)
    head = 0 if titles is None else line_height()
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    pair_width, pair_height = 2 * width + PAIR_GAP, head + height
    sheet = Sheet(GAP + columns * (pair_width + GAP), GAP + rows * (pair_height + GAP))
    for index, pair in enumerate(zip(images, laid, strict=True)):
        row, column = divmod(index, columns)
        x, y = GAP + column * (pair_width + GAP), GAP + row * (pair_height + GAP)
        for side, pixels in enumerate(pair):
            sheet.paste(pixels, (x + side * (width + PAIR_GAP), y + head), (width, height))
        if titles is not None:
            sheet.write(titles[index], (x, y), pair_width)
    return sheet.finish(path)
