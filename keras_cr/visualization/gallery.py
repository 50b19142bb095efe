"""A sheet of queries, each with the images that were found for it."""

import os
from collections.abc import Sequence

import numpy as np

from keras_cr.visualization._inputs import (
    IMAGE_SIZE,
    as_sequence,
    check_labels,
    check_maps,
    check_positions,
    read,
)
from keras_cr.visualization._sheet import (
    BLUE,
    GAP,
    HEADING,
    INK,
    LEGEND_WIDTH,
    ORANGE,
    Sheet,
    fitted,
    line_height,
)
from keras_cr.visualization.overlay import overlay
from keras_cr.visualization.picture import Picture

CELL = 144  # pixels a picture is enlarged or reduced to
BETWEEN = 8  # pixels of white between pictures
APART = 40  # pixels of white between a query and what was found for it
FRAME = 5  # pixels
SIGN = 40  # pixels
MOST = 300  # queries a sheet


def retrieval_gallery(
    images: np.ndarray | Sequence[str | os.PathLike],
    labels: Sequence[int] | Sequence[str] | np.ndarray | None,
    neighbors: np.ndarray,
    path: str | os.PathLike | None = None,
    queries: Sequence[int] | None = None,
    class_names: Sequence[str] | None = None,
    gallery_images: np.ndarray | Sequence[str | os.PathLike] | None = None,
    gallery_labels: Sequence[int] | Sequence[str] | np.ndarray | None = None,
    maps: np.ndarray | None = None,
    alpha: float = 0.6,
    image_size: int = IMAGE_SIZE,
) -> Picture:
    """Draws a row for each query: the query, then the images found for it in their order.

    An image of the query's class has a blue frame and a tick on a disc, one of another class an
    orange frame and a cross on a square: they differ in shape as well as in colour. A query among
    what was found for it is neither, and has no sign. Without labels nothing is right or wrong: all
    frames are dark.

    Args:
        images: (N, H, W, 3), RGB 0..255, uint8 or float; or N files, see `overlay`. Only files that
            are shown are read.
        labels: (N,), integers or strings, the images' classes; None where they have none.
        neighbors: (Q, k) integers, as from `keras_cr.evaluation.nearest`: in row i what was found
            for query i, nearest first, as positions in the gallery.
        path: PNG file to write; its folder is made. None writes nothing.
        queries: Q positions in `images`; None takes all images, and Q is N.
        class_names: names that integer `labels` are positions in.
        gallery_images: M images that were searched, like `images`; None takes `images`.
        gallery_labels: (M,), their classes; they come with `gallery_images` where there are
            `labels`.
        maps: (N, h, w) in 0..1, the images' rationales. Each query is shown a second time, under
            its map.
        alpha: weight of the maps' colours; see `overlay`.
        image_size: side in pixels that files are read at; arrays keep their size.

    Returns:
        The sheet, a `Picture` (height, width, 3) uint8, which a notebook shows; images have a
        longer side of 144 pixels.

    Raises:
        ImportError: Pillow is missing, or matplotlib, which maps need.
        ValueError: shapes, ranges or lengths don't fit, a position leaves its range, labels are
            neither integers nor strings, or a file does not decode.

    Example:

    >>> found = nearest(embeddings, k=5)
    >>> retrieval_gallery(images, labels, found[:8], queries=range(8), path="retrieval.png")
    >>> retrieval_gallery(images, None, found)  # without labels
    """
    images = as_sequence(images)
    if labels is not None:
        labels = check_labels(labels, len(images), "labels", class_names)
    elif class_names is not None:
        raise ValueError("`class_names` are for integer labels; `labels` is None.")
    gallery, classes = _searched(images, labels, gallery_images, gallery_labels, class_names)
    queries = np.arange(len(images)) if queries is None else queries
    queries = check_positions(queries, "queries", 1, len(images))
    neighbors = check_positions(neighbors, "neighbors", 2, len(gallery))
    if len(neighbors) != len(queries):
        raise ValueError(
            f"`neighbors` must have one row for each of the {len(queries)} queries; received "
            f"{len(neighbors)} rows. Say with `queries` whose they are, or give neighbors[queries]."
        )
    if len(queries) > MOST:
        raise ValueError(
            f"`queries` must be at most {MOST} for a sheet; received {len(queries)}. Choose some."
        )
    maps = None if maps is None else check_maps(maps, len(images))[queries]

    asked = read(images, image_size, queries)
    shown, where = np.unique(neighbors, return_inverse=True)
    where = where.reshape(neighbors.shape)
    found = read(gallery, image_size, shown, "gallery_images")
    left = [asked] if maps is None else [asked, overlay(asked, maps, alpha)]
    itself = (neighbors == np.asarray(queries)[:, None]) & (gallery is images)
    named = labels is not None or classes is not None or itself.any()
    width, height = np.maximum(fitted(asked, CELL), fitted(found, CELL)).tolist()
    step, row_height = width + BETWEEN, height + named * line_height() + GAP
    start = GAP + len(left) * step - BETWEEN + APART  # where the found images begin
    head = GAP + SIGN + GAP
    sheet = Sheet(
        max(start + neighbors.shape[1] * step - BETWEEN + GAP, LEGEND_WIDTH),
        head + len(queries) * row_height,
    )
    judged = labels is not None
    _legend(sheet, start, judged)
    for row, query in enumerate(queries):
        y = head + row * row_height
        for column, pictures in enumerate(left):
            _framed(sheet, pictures[row], (GAP + column * step, y), INK)
        if judged:
            name = _name(labels[query], class_names)
            sheet.write(name, (GAP, y + height + 2), start - APART - GAP)
        for column, neighbor in enumerate(neighbors[row]):
            corner = start + column * step, y
            if judged and not itself[row, column]:
                right = bool(classes[neighbor] == labels[query])
                _framed(sheet, found[where[row, column]], corner, BLUE if right else ORANGE)
                sheet.sign(right, corner, SIGN)
            else:
                _framed(sheet, found[where[row, column]], corner, INK)
            if itself[row, column]:
                sheet.write("the query itself", (corner[0], y + height + 2), width)
            elif classes is not None:
                name = _name(classes[neighbor], class_names)
                sheet.write(name, (corner[0], y + height + 2), width)
    return sheet.finish(path)


def _searched(images, labels, gallery_images, gallery_labels, class_names):
    """The gallery's images and their checked classes, None where there are none."""
    if gallery_images is None and gallery_labels is None:
        return images, labels
    if labels is None and gallery_labels is None:
        return as_sequence(gallery_images), None
    if gallery_images is None or gallery_labels is None:
        given = "gallery_labels" if gallery_images is None else "gallery_images"
        raise ValueError(
            f"`gallery_images` and `gallery_labels` come together; received `{given}` alone."
        )
    gallery = as_sequence(gallery_images)
    classes = check_labels(gallery_labels, len(gallery), "gallery_labels", class_names)
    if labels is not None and classes.dtype.kind != labels.dtype.kind:
        raise ValueError(
            "`labels` and `gallery_labels` must both be integers or both be strings; received "
            f"{labels.dtype} and {classes.dtype}."
        )
    return gallery, classes


def _framed(sheet: Sheet, pixels: np.ndarray, corner: tuple[int, int], color: str) -> None:
    size = fitted(pixels[None], CELL)
    sheet.paste(pixels, corner, size)
    sheet.frame(corner, size, color, FRAME)


def _name(label, class_names: Sequence[str] | None) -> str:
    if class_names is not None:
        return str(class_names[label])
    return label if isinstance(label, str) else f"class {label}"


def _legend(sheet: Sheet, start: int, judged: bool) -> None:
    """What stands where and, where there are any, what the signs mean, above all rows."""
    y = GAP + (SIGN - line_height(HEADING)) // 2
    sheet.write("query", (GAP, y), start - GAP, HEADING)
    if not judged:
        sheet.write("nearest first", (start, y), sheet.width - start - GAP, HEADING)
        return
    x = start
    for right, meaning in ((True, "same class"), (False, "another class")):
        sheet.sign(right, (x, GAP), SIGN)
        x += SIGN + BETWEEN
        x += sheet.write(meaning, (x, y), sheet.width - x, HEADING) + 2 * GAP
