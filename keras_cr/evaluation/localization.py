"""How well a map finds the foreground, beside two maps that know nothing of the image."""

from collections.abc import Iterable

import numpy as np

CENTER_SHARPNESS = 8.0


def localization(rationale, foreground: np.ndarray | Iterable) -> dict:
    """Energy ratio and pointing game of maps against foreground masks.

    The foreground is averaged over the area of each of the map's h x w cells (exactly, with
    fractions of pixels where S is no multiple of h), so a map is judged at its own resolution and
    not by how it is enlarged.

    - `energy_ratio`: mean over images of (share of the map's sum that lies in the foreground) /
      (the foreground's share of the image); 1 says nothing, more is better.
    - `pointing_game`: mean over images of the foreground's share of the map's largest cell, of
      all of them where several are equal: the chance that a point drawn there hits (Zhang et al.,
      "Top-down neural attention by excitation backprop", 2016, without their 15-pixel tolerance).

    A map without energy counts as uniform. Images whose foreground is empty are left out.

    Args:
        rationale: (N, h, w), not negative.
        foreground: (N, S, S) in 0..1, in the geometry of the images, or an iterable of such
            batches, which is never held as a whole.

    Returns:
        A dict: the two above, `uniform` and `center_prior` with the same two for a constant map
        and for exp(-8 [((y - yc) / H)^2 + ((x - xc) / W)^2]), `foreground_share` (mean share of
        the area), `images` (judged), `empty_foregrounds` (left out) and `empty_maps`.

    Raises:
        ValueError: if the shapes or lengths disagree, a value is negative or not finite, or every
            foreground is empty.
    """
    maps = np.asarray(rationale, dtype="float64")
    if maps.ndim != 3 or not maps.size:
        raise ValueError(f"`rationale` must have shape (N, h, w); received shape {maps.shape}.")
    if not (np.isfinite(maps).all() and maps.min() >= 0):
        raise ValueError("`rationale` must be finite and not negative; received NaN or less than 0")
    batches = [foreground] if isinstance(foreground, np.ndarray) else foreground
    cells = np.concatenate([_area_average(batch, maps.shape[1:]) for batch in batches])
    if len(cells) != len(maps):
        raise ValueError(
            f"`foreground` must have one mask a map; received {len(cells)} masks and {len(maps)} "
            "maps."
        )
    share = cells.mean(axis=(1, 2))
    judged = share > 0
    if not judged.any():
        raise ValueError(f"`foreground` is empty in all {len(cells)} masks: nothing to find.")
    cells, share, maps = cells[judged], share[judged], maps[judged]
    empty = maps.sum(axis=(1, 2)) == 0
    maps = np.where(empty[:, None, None], 1.0, maps)

    def score(maps: np.ndarray) -> dict[str, float]:
        inside = (maps * cells).sum(axis=(1, 2)) / maps.sum(axis=(1, 2))
        peak = maps == maps.max(axis=(1, 2), keepdims=True)
        hits = (peak * cells).sum(axis=(1, 2)) / peak.sum(axis=(1, 2))
        return {
            "energy_ratio": float(np.mean(inside / share)),
            "pointing_game": float(hits.mean()),
        }

    return {
        **score(maps),
        "uniform": score(np.ones((1, *maps.shape[1:]))),
        "center_prior": score(center_prior(*maps.shape[1:])[None]),
        "foreground_share": float(share.mean()),
        "images": int(judged.sum()),
        "empty_foregrounds": int((~judged).sum()),
        "empty_maps": int(empty.sum()),
    }


def center_prior(height: int, width: int) -> np.ndarray:
    """The Gaussian (height, width) around the image's centre, at the centres of the cells."""
    y, x = ((np.arange(size) + 0.5) / size - 0.5 for size in (height, width))
    # one sum of both squares: cells equally far from the centre come out exactly equal
    return np.exp(-CENTER_SHARPNESS * np.add.outer(np.abs(y) ** 2, np.abs(x) ** 2))


def _area_average(batch, size: tuple[int, int]) -> np.ndarray:
    """(B, S, S) -> (B, *size) float64: the mean of the foreground over each cell's area."""
    batch = np.asarray(batch, dtype="float32")
    if batch.ndim != 3 or not batch.size:
        raise ValueError(f"`foreground` must have shape (N, S, S); received shape {batch.shape}.")
    if not (batch.min() >= 0 and batch.max() <= 1):
        raise ValueError("`foreground` must lie in 0..1; divide masks in 0..255 by 255.")
    rows, columns = (_overlap(a, b) for a, b in zip(size, batch.shape[1:], strict=True))
    return (rows @ batch @ columns.T).astype("float64")


def _overlap(cells: int, pixels: int) -> np.ndarray:
    """(cells, pixels): the share of each cell that each pixel covers; rows sum to 1."""
    edges = np.arange(cells + 1) * (pixels / cells)
    low, high = np.maximum.outer, np.minimum.outer
    pixel = np.arange(pixels)
    overlap = high(edges[1:], pixel + 1) - low(edges[:-1], pixel)
    return np.maximum(overlap, 0) * (cells / pixels)
