"""Images cut into tiles, put together in another order, and the regions of a map that they make.

Tiles and regions are numbered row by row. A side that the grid does not divide leaves up to
`grid - 1` pixels over: half of them on either side, which stay as they are.
"""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from keras_cr._replicas import uniform
from keras_cr._types import Images, Tensor


def cut(images: Images, grid: int) -> Tensor:
    """The tiles of images `(B, H, W, C)`: `(B, grid * grid, H // grid, W // grid, C)`.

    Raises:
        ValueError: an image has fewer pixels a side than the grid has tiles, or an unknown size.
    """
    (top, height), (left, width) = (_inner(images, axis, grid) for axis in (1, 2))
    inner = images[:, top : top + grid * height, left : left + grid * width]
    tiles = ops.reshape(inner, (-1, grid, height, grid, width, images.shape[-1]))
    tiles = ops.transpose(tiles, (0, 1, 3, 2, 4, 5))
    return ops.reshape(tiles, (-1, grid * grid, height, width, images.shape[-1]))


def rearranged(images: Images, sources: Tensor, grid: int) -> Tensor:
    """Images of which place `p` shows the tile that was at `sources[:, p]`.

    Args:
        images: `(B, H, W, C)`.
        sources: integers `(B, grid * grid)`.
        grid: tiles a side.

    Raises:
        ValueError: as `cut`.
    """
    tiles = reordered(cut(images, grid), sources)
    height, width = tiles.shape[2:4]
    tiles = ops.reshape(tiles, (-1, grid, grid, *tiles.shape[2:]))
    inner = ops.transpose(tiles, (0, 1, 3, 2, 4, 5))
    inner = ops.reshape(inner, (-1, grid * height, grid * width, images.shape[-1]))
    (top, _), (left, _) = (_inner(images, axis, grid) for axis in (1, 2))
    bottom, right = top + grid * height, left + grid * width
    rows = images[:, top:bottom]
    rows = ops.concatenate([rows[:, :, :left], inner, rows[:, :, right:]], axis=2)
    return ops.concatenate([images[:, :top], rows, images[:, bottom:]], axis=1)


def reordered(values: Tensor, sources: Tensor) -> Tensor:
    """`(B, n, ...)` in another order, each row in its own: at `p` what was at `sources[:, p]`."""
    return tf.gather(values, sources, batch_dims=1)


def random_orders(number: int, length: int, random: keras.random.SeedGenerator) -> Tensor:
    """Permutations of `length` things, all as likely: integers `(number, length)`."""
    return ops.argsort(uniform((number, length), seed=random), axis=-1)


def averaged(maps: Tensor, rows: int, columns: int) -> Tensor:
    """Maps `(B, h, w, C)` averaged by area over `(B, rows, columns, C)`, whatever their sides.

    A place counts by the share of it that lies in a region; a region inside of a place has its
    value.
    """
    down, across = _shares(rows, maps.shape[1]), _shares(columns, maps.shape[2])
    return ops.einsum("rh,bhwc,kw->brkc", down, maps, across)


def regions(feature_map: Tensor, grid: int) -> Tensor:
    """The mean feature of each region, `(B, grid * grid, C)`."""
    found = averaged(feature_map, grid, grid)
    return ops.reshape(found, (-1, grid * grid, feature_map.shape[-1]))


def grid_on(feature_map: Tensor, grid: int) -> int:
    """`grid`, or as many tiles a side as a smaller feature map has places, which tell them apart.

    Raises:
        ValueError: that is one.
    """
    found = min(grid, *feature_map.shape[1:3])
    if found < 2:
        raise ValueError(
            "Tiles are told apart by their places in the feature map, which needs two a side. "
            f"Received a map of {feature_map.shape[1]} x {feature_map.shape[2]}: use larger images."
        )
    return found


def checked_side(images: Images, axis: int, grid: int) -> int:
    """The pixels of images along an axis that a grid cuts.

    Raises:
        ValueError: as `cut`.
    """
    side = images.shape[axis]
    if side is None or side < grid:
        raise ValueError(
            f"Images are cut into {grid} x {grid} tiles and must have {grid} pixels a side or "
            f"more, known beforehand. Received shape: {tuple(images.shape)}"
        )
    return side


def _inner(images, axis: int, grid: int) -> tuple[int, int]:
    """Where the first tile begins along an axis, and the side of a tile."""
    side = checked_side(images, axis, grid)
    return side % grid // 2, side // grid


def _shares(regions: int, places: int) -> np.ndarray:
    """What each place counts in each region along an axis, `(regions, places)`, rows of sum 1."""
    region, place = (np.linspace(0, 1, number + 1) for number in (regions, places))
    ends = np.minimum(region[1:, None], place[None, 1:])
    begins = np.maximum(region[:-1, None], place[None, :-1])
    return (np.maximum(ends - begins, 0) * regions).astype("float32")
