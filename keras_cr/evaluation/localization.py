"""How well a map finds the foreground, beside two maps that know nothing of the image."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from keras_cr._types import ArrayLike
from keras_cr.attribution import center_prior
from keras_cr.evaluation.boxes import (
    DEFAULT_THRESHOLD,
    box_iou,
    choose_threshold,
    foreground_boxes,
    map_boxes,
)

if TYPE_CHECKING:
    from keras_cr.data import FineGrainedDataset

HIT = 0.5  # a box is found where its IoU reaches this


def localization(
    rationale: ArrayLike,
    foreground: np.ndarray | Iterable,
    thresholds: Mapping[str, float] | None = None,
) -> dict:
    """Energy, pointing game and box overlap of maps against foreground masks.

    The foreground is averaged over the area of each of the map's h x w cells (exactly, with
    fractions of pixels where S is no multiple of h), so energies are judged at the map's own
    resolution and not by how it is enlarged. Means over images:

    - `energy`: share of the map's sum that lies in the foreground.
    - `energy_ratio`: the same divided by the foreground's share of the image; 1 says nothing.
    - `pointing_game`: the foreground's share of the map's largest cell, of all of them where
      several are equal: the chance that a point drawn there hits (Zhang et al., "Top-down neural
      attention by excitation backprop", 2016, without their 15-pixel tolerance).
    - `box_iou`: intersection over union of the box around the thresholded map (see `map_boxes`)
      and the tight box around the foreground; `box_found`: share of images where it is 0.5 or
      more.

    A map without energy counts as uniform. Images whose foreground is empty are left out.

    Args:
        rationale: (N, h, w), not negative.
        foreground: (N, S, S) in 0..1, in the geometry of the images, or an iterable of such
            batches, which is never held as a whole.
        thresholds: of the boxes, by map: `"rationale"` and `"center_prior"`; see
            `box_thresholds`. None takes one half.

    Returns:
        A dict: the five above, `uniform` and `center_prior` with the same five for a constant map
        and for exp(-8 [((y - yc) / H)^2 + ((x - xc) / W)^2]), `foreground_share` (mean share of
        the area), `images` (judged), `empty_foregrounds` (left out) and `empty_maps`.

    Raises:
        ImportError: if scipy is missing.
        ValueError: if the shapes or lengths disagree, a value is negative or not finite, or every
            foreground is empty.
    """
    maps, cells, boxes, size = _paired(rationale, foreground)
    thresholds = {"rationale": DEFAULT_THRESHOLD, "center_prior": DEFAULT_THRESHOLD} | dict(
        thresholds or {}
    )
    share = cells.mean(axis=(1, 2))
    judged = share > 0
    if not judged.any():
        raise ValueError(f"`foreground` is empty in all {len(cells)} masks: nothing to find.")
    cells, share, maps, boxes = cells[judged], share[judged], maps[judged], boxes[judged]
    empty = maps.sum(axis=(1, 2)) == 0
    maps = np.where(empty[:, None, None], 1.0, maps)

    def score(maps: np.ndarray, threshold: float) -> dict[str, float]:
        inside = _energy(maps, cells)
        peak = maps == maps.max(axis=(1, 2), keepdims=True)
        hits = (peak * cells).sum(axis=(1, 2)) / peak.sum(axis=(1, 2))
        overlap = box_iou(map_boxes(maps, size, threshold), boxes)
        return {
            "energy": float(inside.mean()),
            "energy_ratio": float(np.mean(inside / share)),
            "pointing_game": float(hits.mean()),
            "box_iou": float(overlap.mean()),
            "box_found": float(np.mean(overlap >= HIT)),
        }

    prior = center_prior(*maps.shape[1:])[None]
    return {
        **score(maps, thresholds["rationale"]),
        "uniform": score(np.ones_like(prior), DEFAULT_THRESHOLD),
        "center_prior": score(prior, thresholds["center_prior"]),
        "foreground_share": float(share.mean()),
        "images": int(judged.sum()),
        "empty_foregrounds": int((~judged).sum()),
        "empty_maps": int(empty.sum()),
    }


def energy(maps: ArrayLike, cells: ArrayLike) -> dict[str, float]:
    """`energy` and `energy_ratio` as in `localization`, of maps at the foreground's own resolution.

    Args:
        maps: (N, h, w), not negative; one without energy counts as uniform.
        cells: (N, h, w), the foreground's share of every place; see `foreground_cells`. Images
            without any are left out.

    Raises:
        ValueError: the shapes disagree, or every foreground is empty.
    """
    maps, cells = np.asarray(maps, "float64"), np.asarray(cells, "float64")
    if maps.shape != cells.shape or maps.ndim != 3:
        raise ValueError(
            "`maps` and `cells` must both have shape (N, h, w). "
            f"Received: {maps.shape} and {cells.shape}"
        )
    share = cells.mean(axis=(1, 2))
    if not (judged := share > 0).any():
        raise ValueError(f"`cells` is empty in all {len(cells)} images: nothing to find.")
    maps, cells, share = maps[judged], cells[judged], share[judged]
    maps = np.where(maps.sum(axis=(1, 2), keepdims=True) == 0, 1.0, maps)
    inside = _energy(maps, cells)
    return {"energy": float(inside.mean()), "energy_ratio": float(np.mean(inside / share))}


def foreground_cells(
    dataset: "FineGrainedDataset", image_size: int, batch_size: int, size: tuple[int, int]
) -> np.ndarray:
    """The share of every cell that lies in the foreground, `(N, *size)` float32.

    Args:
        dataset: images with masks or boxes.
        image_size: side of the images in pixels.
        batch_size: images at a time.
        size: of a feature map, `(h, w)`.

    Raises:
        ValueError: the data set has neither masks nor boxes.
    """
    from keras_cr.data import foreground_batches

    batches = foreground_batches(dataset, image_size, batch_size)
    if batches is None:
        raise ValueError(f"`dataset` {dataset.name!r} has neither masks nor boxes.")
    cells = [_area_average(_checked(batch), size) for batch in batches]
    return np.concatenate(cells).astype("float32")


def _energy(maps: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """The share of each map's sum that lies in the foreground, `(N,)`."""
    return (maps * cells).sum(axis=(1, 2)) / maps.sum(axis=(1, 2))


def box_thresholds(rationale: ArrayLike, foreground: np.ndarray | Iterable) -> dict[str, float]:
    """The thresholds of `localization` with the best mean IoU, for the map and the centre prior.

    To be asked on training images: the rationale and its control get the same chance.

    Args:
        rationale, foreground: as for `localization`.

    Raises:
        ValueError: as `localization`.
    """
    maps, cells, boxes, size = _paired(rationale, foreground)
    seen = cells.any(axis=(1, 2))
    if not seen.any():
        raise ValueError(f"`foreground` is empty in all {len(cells)} masks: nothing to find.")
    maps, boxes = maps[seen], boxes[seen]
    prior = center_prior(*maps.shape[1:])[None]
    return {
        "rationale": choose_threshold(maps, boxes, size),
        "center_prior": choose_threshold(prior, boxes, size),
    }


def _paired(rationale, foreground) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Checked maps, the foreground's share of their cells, its boxes, and the images' side."""
    maps = np.asarray(rationale, dtype="float64")
    if maps.ndim != 3 or not maps.size:
        raise ValueError(f"`rationale` must have shape (N, h, w); received shape {maps.shape}.")
    if not (np.isfinite(maps).all() and maps.min() >= 0):
        raise ValueError("`rationale` must be finite and not negative; received NaN or less than 0")
    batches = [foreground] if isinstance(foreground, np.ndarray) else foreground
    cells, boxes = [], []
    for batch in batches:
        batch = _checked(batch)
        cells.append(_area_average(batch, maps.shape[1:]))
        boxes.append(foreground_boxes(batch))
    cells = np.concatenate(cells)
    if len(cells) != len(maps):
        raise ValueError(
            f"`foreground` must have one mask a map; received {len(cells)} masks and {len(maps)} "
            "maps."
        )
    return maps, cells, np.concatenate(boxes), batch.shape[1]


def _checked(batch) -> np.ndarray:
    batch = np.asarray(batch, dtype="float32")
    if batch.ndim != 3 or not batch.size or batch.shape[1] != batch.shape[2]:
        raise ValueError(f"`foreground` must have shape (N, S, S); received shape {batch.shape}.")
    if not (batch.min() >= 0 and batch.max() <= 1):
        raise ValueError("`foreground` must lie in 0..1; divide masks in 0..255 by 255.")
    return batch


def _area_average(batch: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(B, S, S) -> (B, *size) float64: the mean of the foreground over each cell's area."""
    rows, columns = (_overlap(a, b) for a, b in zip(size, batch.shape[1:], strict=True))
    return (rows @ batch @ columns.T).astype("float64")


def _overlap(cells: int, pixels: int) -> np.ndarray:
    """(cells, pixels): the share of each cell that each pixel covers; rows sum to 1."""
    edges = np.arange(cells + 1) * (pixels / cells)
    low, high = np.maximum.outer, np.minimum.outer
    pixel = np.arange(pixels)
    overlap = high(edges[1:], pixel + 1) - low(edges[:-1], pixel)
    return np.maximum(overlap, 0) * (cells / pixels)
