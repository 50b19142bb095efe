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
    beside: np.ndarray | None = None,
) -> Picture:
    """Draws pairs, image left and overlay right, row by row.

    Args:
        images: (N, H, W, 3), RGB 0..255, uint8 or float; or N files, see `overlay`.
        maps: (N, h, w), in 0..1.
        path: PNG file to write; its folder is made. None writes nothing.
        columns: pairs a row.
        titles: N lines, one above each pair; a long one in smaller letters.
        alpha: weight of the colours; see `overlay`.
        image_size: side in pixels that files are read at; arrays keep their size.
        beside: (N, H, W, 3), a third picture for each, to the right of the overlay, such as the
            view that was made of the image.

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
    groups = [images, overlay(images, maps, alpha)]
    if beside is not None:
        groups.append(read(beside, image_size))
        if groups[-1].shape != images.shape:
            raise ValueError(
                f"`beside` must be pictures of the images' shape, {images.shape}; received "
                f"{groups[-1].shape}."
            )
    width, height = fitted(images, CELL)
    head = 0 if titles is None else line_height()
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    group_width, group_height = len(groups) * (width + PAIR_GAP) - PAIR_GAP, head + height
    sheet = Sheet(GAP + columns * (group_width + GAP), GAP + rows * (group_height + GAP))
    for index, group in enumerate(zip(*groups, strict=True)):
        row, column = divmod(index, columns)
        x, y = GAP + column * (group_width + GAP), GAP + row * (group_height + GAP)
        for side, pixels in enumerate(group):
            sheet.paste(pixels, (x + side * (width + PAIR_GAP), y + head), (width, height))
        if titles is not None:
            sheet.write(titles[index], (x, y), group_width)
    return sheet.finish(path)
