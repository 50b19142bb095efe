"""Which places of two views show the same part of their image."""

from keras import ops

from keras_cr._types import Tensor


def view_box(batch: dict, view: str) -> Tensor:
    """Where in its image each row of a view lies: `(N, 4)`, top, left, bottom, right.

    As fractions of the image; of a flipped view left and right change places. The small crops of
    the first image come first, then those of the second.
    """
    box = ops.reshape(ops.cast(batch[f"{view}_box"], "float32"), (-1, 4))
    flip = ops.reshape(ops.cast(batch[f"{view}_flip"], "bool"), (-1, 1))
    return ops.where(flip, ops.take(box, [0, 3, 2, 1], axis=1), box)


def matched_places(
    box: Tensor, shape: tuple[int, int], other_box: Tensor, other_shape: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """The place of another view's map in which the middle of each place of a map lies.

    Args:
        box: of the view, `(N, 4)`, from `view_box`.
        shape: height and width of its map.
        other_box: of the other view of the same images.
        other_shape: height and width of its map.

    Returns:
        `(index, inside)`, both `(N, h * w)`: the other map's place, counted row by row, and whether
        there is one; where there is none, the index is a place all the same.
    """
    found = []
    for axis in range(2):
        middles = (ops.arange(shape[axis], dtype="float32") + 0.5) / shape[axis]
        start, stop = box[:, axis, None], box[:, axis + 2, None]
        other_start, other_stop = other_box[:, axis, None], other_box[:, axis + 2, None]
        middles = (start + middles * (stop - start) - other_start) / (other_stop - other_start)
        places = ops.cast(ops.floor(middles * other_shape[axis]), "int32")
        inside = ops.logical_and(middles >= 0, middles < 1)
        found.append((ops.clip(places, 0, other_shape[axis] - 1), inside))
    (rows, in_rows), (columns, in_columns) = found
    index = rows[:, :, None] * other_shape[1] + columns[:, None, :]
    inside = ops.logical_and(in_rows[:, :, None], in_columns[:, None, :])
    flat = (-1, shape[0] * shape[1])
    return ops.reshape(index, flat), ops.reshape(inside, flat)
