"""A sheet of what each detector of a rationale branch fires on."""

import os
from collections.abc import Sequence

import numpy as np

from keras_cr.visualization._inputs import (
    IMAGE_SIZE,
    as_sequence,
    check_positions,
    check_titles,
    read,
)
from keras_cr.visualization._sheet import GAP, HEADING, LEGEND_WIDTH, Sheet, fitted, line_height
from keras_cr.visualization.overlay import overlay
from keras_cr.visualization.picture import Picture

CELL = 144  # pixels a picture is enlarged or reduced to
BETWEEN = 6  # pixels of white between the pictures of a row
SCALE_WIDTH = 160  # pixels of the colour scale in the legend
MOST = 32  # detectors drawn unless they are asked for


def detector_grid(
    images: np.ndarray | Sequence[str | os.PathLike],
    detections: np.ndarray,
    path: str | os.PathLike | None = None,
    top: int = 8,
    detectors: Sequence[int] | None = None,
    titles: Sequence[str] | None = None,
    alpha: float = 0.6,
    image_size: int = IMAGE_SIZE,
) -> Picture:
    """Draws a row for each detector: how often it is the strongest, and its strongest images.

    A detector is the strongest at a place if its response is positive there and no other's is
    larger; its share is that of the places of all images. Detectors come in the order of their
    shares, most used first. The images of a row are those where the detector's peak is highest,
    best first; those where it does not respond at all are left out. Colours are its rectified
    responses divided by its largest over all images, so the pictures of a row can be compared, but
    not those of two rows.

    Args:
        images: (N, H, W, 3), RGB 0..255, uint8 or float; or N files, see `overlay`. Only files that
            are shown are read.
        detections: (N, h, w, K), the responses of K detectors, of any sign.
        path: PNG file to write; its folder is made. None writes nothing.
        top: images a detector, at most.
        detectors: which detectors to draw, as indices into K; None draws all, or the 32 most used
            where there are more.
        titles: N lines, one for each image, written below it; a long one in smaller letters.
        alpha: weight of the colours; see `overlay`.
        image_size: side in pixels that files are read at; arrays keep their size.

    Returns:
        The sheet, a `Picture` (height, width, 3) uint8, which a notebook shows; images have a
        longer side of 144 pixels.

    Raises:
        ImportError: matplotlib or Pillow is missing.
        ValueError: shapes, ranges or lengths don't fit, a response is not finite, a file does not
            decode, `top` is not positive, or an index is out of range.

    Example:

    >>> detector_grid(images, encoder.encode(images)["detections"], path="detectors.png")
    """
    images = as_sequence(images)
    detections = _check_detections(detections, len(images))
    if top < 1:
        raise ValueError(f"`top` must be at least 1; received {top}.")
    check_titles(titles, len(images))
    shares = _strongest_shares(detections)
    peaks = detections.max(axis=(1, 2))  # (N, K)
    order = np.lexsort((-peaks.max(axis=0), -shares))
    if detectors is None:
        order = order[:MOST]
    else:
        order = order[np.isin(order, check_positions(detectors, "detectors", 1, len(order)))]
    best = {k: _best(peaks[:, k], top) for k in order}
    shown = np.unique(np.concatenate([*best.values(), [0]]).astype(int))  # one tells the size
    pixels = read(images, image_size, shown)
    size = fitted(pixels, CELL)
    cell_height = size[1] + (0 if titles is None else line_height())
    name_height = line_height(HEADING) + 4
    heights = [name_height + (cell_height if len(best[k]) else 0) + GAP for k in order]
    head = GAP + line_height(HEADING) + GAP
    width = 2 * GAP + min(top, len(images)) * (size[0] + BETWEEN) - BETWEEN
    sheet = Sheet(max(width, LEGEND_WIDTH), head + sum(heights))
    _legend(sheet)
    y = head
    for k, height in zip(order, heights, strict=True):
        share = f"strongest at {_percent(shares[k])} of places" if len(best[k]) else "never fires"
        sheet.write(f"detector {k}: {share}", (GAP, y), sheet.width - 2 * GAP, HEADING)
        maps = np.maximum(detections[best[k], :, :, k], 0) / peaks[:, k].max()
        below = y + name_height
        laid = overlay(pixels[np.searchsorted(shown, best[k])], maps, alpha) if len(maps) else []
        for column, picture in enumerate(laid):
            x = GAP + column * (size[0] + BETWEEN)
            sheet.paste(picture, (x, below), size)
            if titles is not None:
                sheet.write(titles[best[k][column]], (x, below + size[1] + 2), size[0])
        y += height
    return sheet.finish(path)


def _check_detections(detections, count: int) -> np.ndarray:
    detections = np.asarray(detections, dtype="float32")
    if detections.ndim != 4 or len(detections) != count or 0 in detections.shape:
        raise ValueError(
            "`detections` must have shape (N, h, w, K), the responses of K detectors to each of "
            f"the {count} images; received shape {detections.shape}."
        )
    if not np.isfinite(detections).all():
        raise ValueError(
            "`detections` must be finite; received NaN or infinity. Check the encoder's weights."
        )
    return detections


def _strongest_shares(detections: np.ndarray) -> np.ndarray:
    """Share of all places where a detector is positive and no other is larger, (K,)."""
    strongest = detections == detections.max(axis=-1, keepdims=True)
    return (strongest & (detections > 0)).mean(axis=(0, 1, 2))


def _best(peaks: np.ndarray, top: int) -> np.ndarray:
    """The images with the highest positive peaks, best first; equal ones in their order."""
    best = np.argsort(-peaks, kind="stable")[:top]
    return best[peaks[best] > 0]


def _percent(share: float) -> str:
    return "less than 1 %" if 0 < share < 0.01 else f"{100 * share:.0f} %"


def _legend(sheet: Sheet) -> None:
    """What the colours mean, above all rows."""
    text = line_height(HEADING) - 4
    scale = np.tile(np.linspace(0, 1, SCALE_WIDTH), (text, 1))
    colors = overlay(np.zeros((1, *scale.shape, 3), "uint8"), scale[None], alpha=1)[0]
    x = GAP + sheet.write("no response", (GAP, GAP), sheet.width, HEADING) + GAP
    sheet.paste(colors, (x, GAP), (SCALE_WIDTH, text))
    x += SCALE_WIDTH + GAP
    sheet.write("the detector's largest", (x, GAP), sheet.width - x - GAP, HEADING)
