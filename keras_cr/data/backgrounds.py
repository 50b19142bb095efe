"""Other images' backgrounds behind the objects of views: what stays is what an object is known by.

Where the objects are is given as maps, such as a rationale's. Everything is done to a crop of the
image, of the view's size, not to the image: the same pixels for a fraction of the work.
"""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from keras_cr._types import Array
from keras_cr.data._arguments import object_maps, real, share, whole
from keras_cr.data.augmentation import by_kind
from keras_cr.data.dataset import FineGrainedDataset
from keras_cr.data.images import in_batches, whole_image

FILLINGS = ("background", "image", "mean")
VIEWS = ("query", "key", "small")
_FINER = 4  # the cut's places on a side of one of the map's,
_FINE = 28  # of which the map has fewer than so many on a side
_CHUNK = 1024  # maps enlarged at a time
_SEED = 3  # folded into the views' seed, where small crops fold in 2


@dataclasses.dataclass(frozen=True, eq=False)
class BackgroundSwap:
    """Puts the objects of some views before another background.

    A view's pixel is `alpha * own + (1 - alpha) * other`, with
    `alpha = sigmoid((map - level) / softness)`, a map of fewer than 28 places on a side enlarged
    four times by bicubic interpolation. An image whose map stays below `level` everywhere keeps its
    background.

    Args:
        maps: Where the object of each image of the dataset is, in its order and over the whole
            image: (N, h, w), 0..1. The cuts are held, a byte for each of their places.
        probability: That a view is changed; each view is drawn for itself.
        level: Height of the map at the object's edge.
        softness: Width of the edge, in heights of the map.
        filling: What comes behind the object: another image's `"background"`, its own object filled
            with the background's mean colour; another `"image"` as it is; or the `"mean"` colour of
            the view's own background.
        views: Which views are changed: `"query"`, `"key"`, `"small"`.
        max_donors: Other images, evenly spread over the dataset, whose backgrounds are taken; they
            are held at the views' size, 150 kB each at 224 pixels.

    Raises:
        ValueError: An argument has a value that is not listed above, or leaves its range.

    Example:

    >>> batches = image_batches(train, 224, 64, crop=False)
    >>> maps = np.concatenate([encoder.encode(each)["rationale"] for each in batches])
    >>> two_views(train, 224, 32, backgrounds=BackgroundSwap(maps))
    """

    maps: np.ndarray
    probability: float = 0.5
    level: float = 0.5
    softness: float = 0.05
    filling: str = "background"
    views: Sequence[str] = ("query", "key")
    max_donors: int = 1024

    def __post_init__(self):
        object.__setattr__(self, "maps", object_maps(self.maps))
        for name in ("probability", "level"):
            share(name, getattr(self, name))
        if not real("softness", self.softness) > 0:
            raise ValueError(f"softness: must be positive; received {self.softness}.")
        if self.filling not in FILLINGS:
            raise ValueError(f"filling: must be one of {FILLINGS}; received {self.filling!r}.")
        if isinstance(self.views, str) or not self.views or not set(self.views) <= set(VIEWS):
            raise ValueError(f"views: must be some of {VIEWS}; received {self.views!r}.")
        whole("max_donors", self.max_donors, least=2)

    def alpha(self, maps: Array) -> tf.Tensor:
        """How much of each pixel is the object's: (..., h, w) maps -> (..., 4 h, 4 w), 0..1.

        Of a map that is fine enough, (..., h, w).
        """
        maps = tf.convert_to_tensor(maps)
        finer = _FINER if min(maps.shape[-2:]) < _FINE else 1
        size = [finer * side for side in maps.shape[-2:]]
        fine = tf.image.resize(tf.cast(maps, tf.float32)[..., None], size, "bicubic")[..., 0]
        return tf.sigmoid((fine - self.level) / self.softness)


def swaps(
    swap: BackgroundSwap,
    dataset: FineGrainedDataset,
    read: Callable[[tf.Tensor], tf.Tensor],
    image_size: int,
    kinds: Sequence[str],
) -> tuple[Callable, Callable]:
    """Gets the backgrounds ready.

    Args:
        swap: What is done.
        dataset: The images.
        read: Position in the dataset -> (H, W, 3) image, in graphs.
        image_size: Side of the donors' backgrounds.
        kinds: The views' names, one for each.

    Returns:
        `(drawn, changes)`: the views' seed -> what is drawn for each view, a tuple of tensors
        (N, views); and position, shape of its image and that, of one image -> a function for each
        view, from a crop and its box to the changed crop, or None.

    Raises:
        ValueError: The maps are not one for each image, there are no two images, or a view is to
            be changed that there isn't.
    """
    if len(swap.maps) != len(dataset) or len(dataset) < 2:
        raise ValueError(
            f"backgrounds: maps must be one for each of the images, 2 or more, {len(dataset)} in "
            f"{dataset.name!r}; received {len(swap.maps)}."
        )
    if absent := [name for name in swap.views if name not in kinds]:
        raise ValueError(
            f"backgrounds: views must be some of {tuple(dict.fromkeys(kinds))}, which batches have "
            f"without more; received {absent[0]!r}, which needs small_crops of 1 or more."
        )
    number = min(len(dataset), swap.max_donors)
    rows = np.linspace(0, len(dataset) - 1, number).astype("int64")
    as_donor = np.full(len(dataset), number, "int32")  # of no number: any other may be taken
    as_donor[rows] = np.arange(number)
    with tf.device("CPU:0"):
        as_donor, alphas = tf.constant(as_donor), tf.constant(_alphas(swap))
        if swap.filling != "mean":
            donors = tf.constant(_donors(swap, alphas, dataset, rows, read, image_size))
    changed = [name in swap.views for name in kinds]

    shown = np.max(swap.maps, axis=(1, 2)) >= swap.level  # else nothing of the image would be left
    may_change = tf.constant(shown[:, None] & np.array(changed))
    small = sum(name == "small" for name in kinds)

    def drawn(seed):
        def uniform(views, seed):
            return tf.random.stateless_uniform((2, len(dataset), views), seed, alg="philox")

        draws = by_kind(uniform, len(kinds), small, tf.random.fold_in(seed, _SEED), axis=2)
        chance, which = tf.unstack(draws, axis=0)
        own = as_donor[:, None]
        others = tf.where(own < number, number - 1, number)
        donor = tf.minimum(tf.cast(which * tf.cast(others, tf.float32), tf.int32), others - 1)
        donor += tf.cast(donor >= own, tf.int32)
        return (chance < swap.probability) & may_change, donor

    def changes(position, shape, swapped, donor):
        sides = tf.cast(shape[:2], tf.float32)

        def behind(crop, box, donor):
            corner, size = tf.cast(box[:2], tf.float32), tf.cast(box[2:], tf.float32)
            corners = tf.concat([corner / sides, (corner + size) / sides], axis=0)
            share = window(tf.gather(alphas, position), corners, crop.shape[0]) / 255
            if swap.filling == "mean":
                other = _mean(crop, 1 - share)
            else:
                other = _part(donors, donor, corners, crop.shape[0])
            return other + share * (crop - other)

        def change(number):
            return lambda crop, box: tf.cond(
                swapped[number], lambda: behind(crop, box, donor[number]), lambda: crop
            )

        return [change(number) if each else None for number, each in enumerate(changed)]

    return drawn, changes


def window(framed: tf.Tensor, corners: tf.Tensor, size: int) -> tf.Tensor:
    """A part of a map, enlarged or made smaller by bilinear interpolation.

    Args:
        framed: (H + 2, W + 2, 1), the map with its outermost places once more around it.
        corners: Top, left, bottom and right of the part, as fractions of the map.
        size: Side of the result.

    Returns:
        (size, size, 1) float32.
    """
    rows, columns = (
        _interpolation(corners[axis], corners[axis + 2], size, framed.shape[axis] - 2)
        for axis in (0, 1)
    )
    # Two products of matrices take half the time of tf.image.crop_and_resize.
    part = tf.matmul(rows, tf.cast(framed[..., 0], tf.float32))
    return tf.matmul(part, columns, transpose_b=True)[..., None]


def _interpolation(low: tf.Tensor, high: tf.Tensor, size: int, side: int) -> tf.Tensor:
    """(size, side + 2): what each of the framed places counts for each pixel of the part."""
    # Pixels lie in the middle of what they stand for.
    middles = tf.constant((np.arange(size) + 0.5) / size, tf.float32)
    places = 0.5 + side * (low + (high - low) * middles)
    return tf.nn.relu(1 - tf.abs(places[:, None] - tf.range(side + 2, dtype=tf.float32)))


def _part(donors: tf.Tensor, donor: tf.Tensor, corners: tf.Tensor, size: int) -> tf.Tensor:
    """A donor's part, on whole pixels of its own, as a crop's are: (size, size, 3) float32."""
    side = donors.shape[1]
    first = tf.minimum(tf.cast(tf.round(side * corners[:2]), tf.int32), side - 1)
    sides = tf.maximum(tf.cast(tf.round(side * corners[2:]), tf.int32) - first, 1)
    begin = [donor, first[0], first[1], 0]
    part = tf.image.resize(tf.slice(donors, begin, [1, sides[0], sides[1], 3]), (size, size))
    return tf.ensure_shape(part[0], (size, size, 3))


def _mean(image: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """The weighted mean colour; the plain one where nothing has a weight."""
    weights += 1e-6
    return tf.reduce_sum(weights * image, axis=(0, 1)) / tf.reduce_sum(weights, axis=(0, 1))


def _alphas(swap: BackgroundSwap) -> np.ndarray:
    """(N, H + 2, W + 2, 1) uint8, 0..255: how much of each pixel is the object's, framed."""
    parts = []
    for start in range(0, len(swap.maps), _CHUNK):
        alpha = tf.round(255 * swap.alpha(swap.maps[start : start + _CHUNK]))
        parts.append(tf.cast(alpha, tf.uint8).numpy())
    return np.pad(np.concatenate(parts), [[0, 0], [1, 1], [1, 1]], "edge")[..., None]


def _donors(swap, alphas, dataset, rows: np.ndarray, read, image_size: int) -> np.ndarray:
    """(M, S, S, 3) uint8: images as squares, without their objects if wanted."""
    with tf.device("CPU:0"):
        positions = tf.constant(rows)

    def donor(number):
        image = whole_image(read(positions[number]), image_size, crop=False)
        if swap.filling == "background":
            alpha = tf.gather(alphas, positions[number])
            alpha = window(alpha, tf.constant([0.0, 0.0, 1.0, 1.0]), image_size) / 255
            image += alpha * (_mean(image, 1 - alpha) - image)
        return tf.cast(tf.round(image), tf.uint8)

    return np.concatenate(list(in_batches(rows, donor, 64).as_numpy_iterator()))
