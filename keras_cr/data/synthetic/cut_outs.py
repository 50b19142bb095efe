"""A harder data set made of one with masks: its objects bent, recoloured and put elsewhere."""

import dataclasses
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from keras_cr.data._arguments import image_side, whole
from keras_cr.data.dataset import FineGrainedDataset
from keras_cr.data.foreground import foreground_batches
from keras_cr.data.images import image_batches

_FAMILIES = 6
_GRID = 32  # cells a side in which the surroundings of an object are carried on behind it
_KNOTS = 7  # a side, of the smooth displacement
_BATCH = 64


def bent_cut_outs(
    dataset: FineGrainedDataset, image_size: int = 160, correlation: float = 0.7, seed: int = 0
) -> FineGrainedDataset:
    """Makes objects harder to recognise: each is bent and put on a background that tells its class.

    Every object is cut out by its mask, bent by a smooth random displacement, turned, rescaled, its
    aspect and colours changed, and put off the middle of another image of the same split, whose own
    object is painted over with its surroundings. So nothing of a test image is seen in training.
    A split's backgrounds form six families, from cold to warm colours; a class has a preferred
    family, the same in both splits, and an image takes its background from it with probability
    `correlation` and from any of the six otherwise. What backgrounds tell is thus easier to learn
    than the objects, and wrong for many images.

    An image has a generator of its own, seeded by `seed` and its position in `dataset`: its object
    is the same whatever the other images are, and for every `correlation`; only the background that
    it borrows is not. Images without a mask, or whose mask is empty before or after, are left out.

    Args:
        dataset: Images with masks and labels; a split is empty or has 12 images with a mask.
        image_size: Side of the square images in pixels, 32 or more. `dataset`'s images are resized
            and cropped to it as `image_batches` does. All are held in memory, for a moment three
            times (0.3 GB a thousand at 160 pixels).
        correlation: Probability with which an image has a background its class prefers, 0 to 1.
        seed: Non-negative; another seed bends otherwise and gives classes other preferences.

    Returns:
        A `FineGrainedDataset` with `images (N, image_size, image_size, 3)` uint8, `masks
        (N, image_size, image_size)` bool and their bounding `boxes (N, 4)` as x, y, width, height
        in pixels; labels, class names and splits are those of `dataset`.

    Raises:
        ValueError: `dataset` has no masks or labels, a split has too few images for families of
            backgrounds, or another argument is out of its range.
        ImportError: scipy is not installed.

    Example:

    >>> hard = bent_cut_outs(synthetic_birds(2, 12, 2), image_size=96)
    >>> hard.name
    'synthetic_birds, bent'
    """
    image_size = image_side(image_size, least=_GRID)
    _check(dataset, correlation)
    seed = whole("seed", seed, least=0)
    sample = _map_coordinates()
    masked = [True] * len(dataset) if isinstance(dataset.masks, np.ndarray) else dataset.masks
    rows = np.flatnonzero(masked)  # type: ignore[arg-type]
    images, masks = _read(dataset.take(rows), image_size)
    there = masks.any((1, 2))
    rows, images, masks = rows[there], images[there], masks[there]
    kept = dataset.take(rows)
    surroundings = _surroundings(images, masks)
    families = _families(surroundings, kept)

    bent, places = np.empty_like(images), np.empty_like(masks)
    for n, (row, label) in enumerate(zip(rows, kept.labels, strict=True)):  # type: ignore[arg-type]
        rng = np.random.default_rng((seed, 0, row))
        colors, alpha = _bend(images[n], masks[n], rng, sample)
        follows, other = rng.random() < correlation, rng.integers(_FAMILIES)
        family = _preferred_family(label, seed) if follows else other
        lenders = np.flatnonzero((kept.is_train == kept.is_train[n]) & (families == family))
        lenders = lenders[lenders != n]
        lender = lenders[int(rng.random() * len(lenders))]
        background = _without_object(images[lender], surroundings[lender])
        if rng.random() < 0.5:
            background = background[:, ::-1]
        bent[n] = np.rint(background + alpha[..., None] * (colors - background))
        places[n] = alpha > 0.5

    seen = places.any((1, 2))
    result = dataclasses.replace(
        kept, name=f"{dataset.name}, bent", images=bent, masks=places, boxes=None
    ).take(np.flatnonzero(seen))
    return dataclasses.replace(result, boxes=_boxes(result.masks))  # type: ignore[arg-type]


def _check(dataset: FineGrainedDataset, correlation: float) -> None:
    for field, way_out in (("masks", "give data with foreground masks"), ("labels", "label them")):
        if getattr(dataset, field) is None:
            raise ValueError(f"dataset: {dataset.name!r} has no {field}; {way_out}.")
    if not 0 <= correlation <= 1:
        raise ValueError(f"correlation: must be from 0 to 1; received {correlation!r}.")


def _map_coordinates() -> Callable:
    try:
        from scipy.ndimage import map_coordinates
    except ImportError as error:
        raise ImportError('Bending images needs scipy: pip install "keras-cr[recipes]"') from error
    return map_coordinates


def _read(dataset: FineGrainedDataset, size: int) -> tuple[np.ndarray, np.ndarray]:
    """`(N, size, size, 3)` uint8 images and `(N, size, size)` bool masks."""
    images = np.empty((len(dataset), size, size, 3), np.uint8)
    masks = np.empty((len(dataset), size, size), bool)
    if len(dataset):
        readers = (reader(dataset, size, _BATCH) for reader in (image_batches, foreground_batches))
        for batch, (pixels, foreground) in enumerate(tf.data.Dataset.zip(*readers)):
            rows = slice(batch * _BATCH, (batch + 1) * _BATCH)
            images[rows], masks[rows] = np.rint(pixels), foreground
    return images, masks


def _surroundings(images: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """What is around each object, carried on behind it, on a coarse grid.

    Returns:
        `(N, _GRID, _GRID, 4)` float32: RGB in 0..255, and 1 where the object is or is near.
    """
    where = np.stack(np.mgrid[:_GRID, :_GRID], axis=-1).reshape(-1, 2)  # type: ignore[call-overload]
    distance = ((where[:, None] - where) ** 2).sum(-1)
    weight = (1 / (1 + distance) ** 2).astype("float32")  # heavy tails: it reaches into any hole
    found = np.empty((len(images), _GRID, _GRID, 4), np.float32)
    for first in range(0, len(images), _BATCH):
        rows = slice(first, first + _BATCH)
        colors = tf.image.resize(images[rows], (_GRID, _GRID), method="area").numpy()
        object_ = masks[rows, ..., None].astype("float32")
        object_ = tf.image.resize(object_, (_GRID, _GRID), method="area")
        hole = tf.nn.max_pool2d(tf.cast(object_ > 0, tf.float32), 3, 1, "SAME").numpy()
        known = np.maximum(1 - hole, 1e-6)  # an object that fills its image: its own mean colour
        total = np.concatenate([colors * known, known], axis=-1).reshape(-1, _GRID**2, 4)
        total = (weight @ total).reshape(-1, _GRID, _GRID, 4)
        found[rows, ..., :3] = np.where(hole > 0, total[..., :3] / total[..., 3:], colors)
        found[rows, ..., 3:] = hole
    return found


def _families(surroundings: np.ndarray, dataset: FineGrainedDataset) -> np.ndarray:
    """`(N,)`: each background's family in its split, equally many in each, from cold to warm."""
    warmth = surroundings[..., :3].mean((1, 2)) @ np.array([1.0, 0.3, -1.0])
    families = np.empty(len(dataset), int)
    for name, split in (("train", dataset.is_train), ("test", ~dataset.is_train)):
        rows = np.flatnonzero(split)
        if 0 < len(rows) < 2 * _FAMILIES:
            raise ValueError(
                f"dataset: the {name} split of {dataset.name!r} has {len(rows)} images with a "
                f"mask; {_FAMILIES} families of backgrounds need {2 * _FAMILIES} or more."
            )
        order = rows[np.argsort(warmth[rows], kind="stable")]
        families[order] = np.arange(len(rows)) * _FAMILIES // max(len(rows), 1)
    return families


def _preferred_family(label: int, seed: int) -> int:
    """Each six classes prefer the six families, in an order drawn for them."""
    group, member = divmod(int(label), _FAMILIES)
    return np.random.default_rng((seed, 1, group)).permutation(_FAMILIES)[member]


def _without_object(image: np.ndarray, surroundings: np.ndarray) -> np.ndarray:
    smooth = tf.image.resize(surroundings, image.shape[:2]).numpy()
    return image + smooth[..., 3:] * (smooth[..., :3] - image)


def _bend(
    image: np.ndarray, mask: np.ndarray, rng: np.random.Generator, sample: Callable
) -> tuple[np.ndarray, np.ndarray]:
    """Cuts an object out, bends it, changes its colours and puts it somewhere else.

    Args:
        image: `(size, size, 3)`, uint8.
        mask: `(size, size)`, bool, not empty.
        rng: the image's generator.
        sample: `scipy.ndimage.map_coordinates`.

    Returns:
        Colours `(size, size, 3)` in 0..255 and how much of the object is there, `(size, size)`.
    """
    size = len(image)
    angle, shrink = rng.uniform(-0.6, 0.6), rng.uniform(0.8, 1.4)
    aspect = np.sqrt(rng.uniform(0.75, 1.33))
    middle, bend = size * rng.uniform(0.3, 0.7, (2, 1, 1)), size * rng.uniform(0.02, 0.04)
    knots = bend * rng.standard_normal((2, _KNOTS, _KNOTS))
    tint = rng.uniform(0.75, 1.25, 3) * rng.uniform(0.7, 1.2)

    grid = np.mgrid[:size, :size].astype("float32")
    between = grid * ((_KNOTS - 1) / (size - 1))
    displacement = [sample(each, between, order=3) for each in knots]
    turn = [[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]
    matrix = shrink * np.array(turn) * [aspect, 1 / aspect]
    center = np.argwhere(mask).mean(0)[:, None, None]
    source = np.tensordot(matrix, grid - middle, 1) + center + displacement

    alpha = sample(mask.astype("float32"), source, order=1)
    channels = [sample(image[..., c].astype("float32"), source, order=1) for c in range(3)]
    return np.clip(np.stack(channels, axis=-1) * tint, 0, 255), alpha


def _boxes(masks: np.ndarray) -> np.ndarray:
    """`(N, 4)`: x, y, width and height of each mask's pixels."""
    starts, sides = [], []
    for axis in (1, 2):  # columns, then rows
        filled = masks.any(axis)
        starts.append(filled.argmax(1))
        sides.append(filled.shape[1] - filled[:, ::-1].argmax(1) - starts[-1])
    return np.stack([*starts, *sides], axis=1)
