"""A sheet of images, each beside its rationale."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from keras_cr.visualization._optional import optional
from keras_cr.visualization.overlay import check_images, overlay

CELL = 192  # pixels a picture is enlarged or reduced to
GAP, PAIR_GAP = 16, 2  # pixels of white between pairs, and within one
TEXT = 18  # pixels of a title's letters


def rationale_grid(
    images: np.ndarray,
    maps: np.ndarray,
    path: str | os.PathLike | None = None,
    columns: int = 4,
    titles: Sequence[str] | None = None,
    alpha: float = 0.6,
) -> np.ndarray:
    """Draws pairs, image left and overlay right, row by row.

    Args:
        images: (N, H, W, 3), RGB 0..255, uint8 or float.
        maps: (N, h, w), in 0..1.
        path: PNG file to write; its folder is made. None writes nothing.
        columns: pairs a row.
        titles: N lines, one above each pair; what is too long for it is cut.
        alpha: weight of the colours; see `overlay`.

    Returns:
        The sheet, (height, width, 3) uint8; pictures have a longer side of 192 pixels.

    Raises:
        ImportError: matplotlib or Pillow is missing.
        ValueError: shapes, ranges or lengths don't fit, or `columns` is not positive.
    """
    images = check_images(images)
    if columns < 1:
        raise ValueError(f"`columns` must be at least 1; received {columns}.")
    if titles is not None and len(titles) != len(images):
        raise ValueError(
            f"`titles` must have one line for each of the {len(images)} images; received "
            f"{len(titles)}."
        )
    laid = overlay(images, maps, alpha)
    pil = optional("PIL.Image", "Pillow")
    scale = CELL / max(images.shape[1:3])
    height, width = (max(round(scale * side), 1) for side in images.shape[1:3])
    head = 0 if titles is None else TEXT + 8
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    pair_width, pair_height = 2 * width + PAIR_GAP, head + height
    sheet = pil.new(
        "RGB",
        (GAP + columns * (pair_width + GAP), GAP + rows * (pair_height + GAP)),
        "white",
    )
    for index, pair in enumerate(zip(images, laid, strict=True)):
        row, column = divmod(index, columns)
        x, y = GAP + column * (pair_width + GAP), GAP + row * (pair_height + GAP)
        for side, pixels in enumerate(pair):
            picture = pil.fromarray(pixels).resize((width, height), pil.Resampling.BICUBIC)
            sheet.paste(picture, (x + side * (width + PAIR_GAP), y + head))
        if titles is not None:
            _write(sheet, (x, y), str(titles[index]), pair_width)
    if path is not None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        sheet.save(path, format="PNG")
    return np.asarray(sheet)


def _write(sheet, corner: tuple[int, int], text: str, width: int) -> None:
    """Writes a line, cut with an ellipsis where it is wider than `width` pixels."""
    font = optional("PIL.ImageFont", "Pillow").load_default(TEXT)
    draw = optional("PIL.ImageDraw", "Pillow").Draw(sheet)
    short = text = " ".join(text.split())
    while short and draw.textlength(short, font) > width:
        text = text[:-1]
        short = text.rstrip() + "…"
    draw.text(corner, short, fill="#222222", font=font)
