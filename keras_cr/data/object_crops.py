"""Crops that hold their object: where in an image a view may lie, by maps that say where it is."""

import dataclasses
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from keras_cr.data._arguments import object_maps, share, whole
from keras_cr.data.augmentation import Augmentation, ViewPlan, by_kind
from keras_cr.data.dataset import FineGrainedDataset

_SEED = 4  # folded into the views' seed, as backgrounds fold in 3


@dataclasses.dataclass(frozen=True, eq=False)
class ObjectCrops:
    """Moves the crops of views to where they hold enough of their object.

    A random crop of an image whose object is small shows scenery, and a pair of such views teaches
    that scenery is the answer. Of `tries` random places for a crop, whose size stays as it was
    drawn, the first is taken at which it holds `share` of the most it could: of the object, or of
    the crop's own area where that is smaller. If none does it is the place that holds the most.
    (Peng et al., "Crafting Better Contrastive Views for Siamese Representation Learning", arXiv
    2202.03278, draw the crop's middle in a box around the object instead.)

    Args:
        maps: Where the object of each image of the dataset is, in its order and over the whole
            image: (N, h, w), 0..1. They are held, a byte for each place.
        share: Least share that a crop holds, in 0..1; 0 leaves all crops where they are.
        tries: Places that are drawn.
        level: Height of the map from which a place is the object's.

    Raises:
        ValueError: An argument leaves its range.

    Example:

    >>> batches = image_batches(train, 224, 64, crop=False)
    >>> maps = np.concatenate([encoder.encode(each)["rationale"] for each in batches])
    >>> two_views(train, 224, 32, crops=ObjectCrops(maps))
    """

    maps: np.ndarray
    share: float = 0.5
    tries: int = 8
    level: float = 0.5

    def __post_init__(self):
        object.__setattr__(self, "maps", object_maps(self.maps))
        for name in ("share", "level"):
            share(name, getattr(self, name))
        whole("tries", self.tries, least=1)


def placing(
    crops: ObjectCrops, dataset: FineGrainedDataset, kinds: list[Augmentation], small: int = 0
) -> tuple[Callable, Callable]:
    """Gets the maps ready.

    Args:
        crops: What is wanted.
        dataset: The images.
        kinds: What makes each view.
        small: Number of the last of them that are small crops.

    Returns:
        `(drawn, placed)`: the views' seed -> what is drawn for each view, a tuple of one tensor
        (N, views, tries - 1, 2); and position, shape of its image, its views' plans and that, of
        one image -> the plans with their corners moved.

    Raises:
        ValueError: The maps are not one for each image.
    """
    if len(crops.maps) != len(dataset):
        raise ValueError(
            f"crops: maps must be one for each of the images, {len(dataset)} in {dataset.name!r}; "
            f"received {len(crops.maps)}."
        )
    with tf.device("CPU:0"):
        objects = tf.constant((crops.maps >= crops.level).astype("uint8"))

    def corners(views, seed):
        shape = (len(dataset), views, crops.tries - 1, 2)
        return tf.random.stateless_uniform(shape, seed, alg="philox")

    def drawn(seed):
        return (by_kind(corners, len(kinds), small, tf.random.fold_in(seed, _SEED)),)

    def placed(position, image_shape, plans, others):
        held = tf.cast(tf.gather(objects, position), tf.float32)
        parts = zip(kinds, plans, tf.unstack(others, axis=0), strict=True)
        return [_moved(crops, kind, image_shape, held, *part) for kind, *part in parts]

    return drawn, placed


def _moved(
    crops: ObjectCrops,
    kind: Augmentation,
    image_shape: tf.Tensor,
    map_: tf.Tensor,
    plan: ViewPlan,
    others: tf.Tensor,
) -> ViewPlan:
    """The plan of a view with the first corner that is good enough, or the best."""
    corners = tf.concat([plan.corner[None], others], axis=0)
    boxes = kind.crop_boxes(image_shape, plan, corners)
    sides = tf.cast(image_shape[:2], tf.float32)
    low, extent = boxes[:, :2] / sides, boxes[:, 2:] / sides
    rows, columns = (
        _overlap(low[:, axis], low[:, axis] + extent[:, axis], map_.shape[axis]) for axis in (0, 1)
    )
    held = tf.reduce_sum(tf.matmul(rows, map_) * columns, axis=1)
    area = tf.reduce_prod(extent[0]) * map_.shape[0] * map_.shape[1]
    enough = held >= crops.share * tf.minimum(tf.reduce_sum(map_), area)
    chosen = tf.where(tf.reduce_any(enough), tf.argmax(enough), tf.argmax(held))
    return plan._replace(corner=corners[chosen])


def _overlap(low: tf.Tensor, high: tf.Tensor, side: int) -> tf.Tensor:
    """(K, side): how much of each place lies between K bounds, which are fractions of the side."""
    places = tf.range(side, dtype=tf.float32)
    low, high = side * low[:, None], side * high[:, None]
    return tf.clip_by_value(tf.minimum(places + 1, high) - tf.maximum(places, low), 0.0, 1.0)
