"""A sheet of what was found for images, and the places that made them alike."""

import os
from collections.abc import Sequence

import numpy as np

from keras_cr.visualization._inputs import check_maps, check_titles, read
from keras_cr.visualization._sheet import GAP, INK, Sheet, fitted, line_height
from keras_cr.visualization.overlay import overlay
from keras_cr.visualization.picture import Picture

CELL = 160  # pixels a picture is enlarged or reduced to
BETWEEN = 6  # pixels of white between pictures
APART = 28  # pixels of white between a query and what was found for it


def match_sheet(
    queries: np.ndarray,
    found: Sequence[np.ndarray],
    query_maps: np.ndarray,
    found_maps: Sequence[np.ndarray],
    titles: Sequence[Sequence[str]] | None = None,
    path: str | os.PathLike | None = None,
    alpha: float = 0.6,
) -> Picture:
    """Draws two rows a query: it and what was found for it, and the same under their maps.

    Args:
        queries: (Q, H, W, 3), RGB 0..255.
        found: for each query (k, H, W, 3), nearest first; their numbers may differ.
        query_maps: (Q, h, w), in 0..1, the places of each query.
        found_maps: for each query (k, h, w), in 0..1, the places of what was found.
        titles: for each query 1 + k texts, of a line or more, below it and below what was found.
        path: PNG file to write; its folder is made. None writes nothing.
        alpha: weight of the colours; see `overlay`.

    Returns:
        The sheet, a `Picture` (height, width, 3) uint8, which a notebook shows; images have a
        longer side of 160 pixels.

    Raises:
        ImportError: matplotlib or Pillow is missing.
        ValueError: shapes, ranges or lengths don't fit.

    Example:

    >>> from keras_cr.search.places import shown
    >>> of_query, of_images, _ = similarity_maps(encoder, images[0], images[1:4])
    >>> match_sheet(images[:1], [images[1:4]], shown(of_query.mean(0)[None]), [shown(of_images)])
    """
    queries = read(queries)
    if not len(queries) == len(found) == len(found_maps):
        raise ValueError(
            f"`found` and `found_maps` must have one entry for each of the {len(queries)} queries; "
            f"received {len(found)} and {len(found_maps)}."
        )
    query_maps = check_maps(query_maps, len(queries))
    check_titles(titles, len(queries))  # type: ignore[arg-type]
    width, height = fitted(queries, CELL)
    most = max(map(len, found))
    written = [[str(title).split("\n") for title in row] for row in titles or ()]
    lines = max((len(title) for row in written for title in row), default=0)
    step, block = width + BETWEEN, 2 * (height + BETWEEN) + lines * line_height() + GAP
    start = GAP + width + APART
    sheet = Sheet(max(start + most * step - BETWEEN, start) + GAP, GAP + len(queries) * block)
    for row, (images, maps) in enumerate(zip(found, found_maps, strict=True)):
        pictures, places = queries[row : row + 1], query_maps[row : row + 1]
        if len(images):
            pictures = np.concatenate([pictures, read(images)])
            places = np.concatenate([places, check_maps(maps, len(images))])
        if titles is not None:
            check_titles(titles[row], len(pictures))
        y = GAP + row * block
        for column, pair in enumerate(zip(pictures, overlay(pictures, places, alpha), strict=True)):
            x = start + (column - 1) * step if column else GAP
            for line, pixels in enumerate(pair):
                corner = x, y + line * (height + BETWEEN)
                sheet.paste(pixels, corner, (width, height))
            sheet.frame((x, y), (width, height), INK, 1 if column else 4)
            for line, text in enumerate(written[row][column] if written else ()):
                below = y + 2 * (height + BETWEEN) + line * line_height()
                sheet.write(text, (x, below), width)
    return sheet.finish(path)
