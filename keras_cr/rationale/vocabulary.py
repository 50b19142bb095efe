"""The visual words of a data set's objects, and the directions in which its images differ."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from keras import ops

from keras_cr._numbers import whole_number
from keras_cr._progress import Verbose
from keras_cr._replicas import refuse_scope
from keras_cr.layers import VLADPooling
from keras_cr.models import CommonRationaleEncoder
from keras_cr.models.feature_maps import HeldMaps, in_chunks
from keras_cr.rationale.branch_fit import MAX_IMAGES
from keras_cr.rationale.frozen_maps import frozen_maps, of_all

_SAMPLED = 20_000  # places that words are found among
_ITERATIONS = 50
_PROJECTED = 2048  # images whose differences are looked at
_NOT_FINITE = (
    "The vocabulary would not be finite; it is left as it was. Look at the backbone's feature maps "
    "and the branch: they hold NaN or infinity, or are too large."
)


def fit_vocabulary(
    encoder: CommonRationaleEncoder,
    images: np.ndarray | Iterable,
    batch_size: int = 64,
    max_images: int = MAX_IMAGES,
    seed: int = 0,
    verbose: Verbose = "auto",
) -> None:
    """Fits the vocabulary of an encoder, by which `pooling="rationale_vlad"` is, to its rationale.

    `fit_rationale` does so at its end. Alone it is for an encoder that has a rationale already and
    is to pool in another way. Neither labels nor the backbone's weights are touched.

    Args:
        encoder: whose words and projection are replaced; all else stays.
        images: training images, RGB 0..255, as for `fit_rationale`.
        batch_size: images at a time.
        max_images: no more than the first so many are used.
        seed: of the places that are looked at, and of the words to begin with.
        verbose: 0 shows no progress, 1 and `"auto"` show it on stderr; 2 in few lines.

    Raises:
        ValueError: the encoder has no vocabulary, there are fewer than two images, or they are no
            RGB images of 0..255. Or this is the scope of a strategy of several replicas.

    Example:

    >>> encoder.pooling = "rationale_vlad"
    >>> fit_vocabulary(encoder, image_batches(train, 224, 64))
    """
    refuse_scope("A vocabulary is fitted")
    if getattr(encoder, "vocabulary", None) is None:
        raise ValueError(
            "`encoder` must have a vocabulary: one with pooling='rationale_vlad' has, which can be "
            "set. Received: "
            f"{getattr(encoder, 'pooling', type(encoder).__name__)!r}"
        )
    batch_size = whole_number("batch_size", batch_size)
    max_images = whole_number("max_images", max_images)
    seed = whole_number("seed", seed, least=0)
    (maps,) = frozen_maps(encoder, images, batch_size, max_images, [HeldMaps()], verbose)
    fit_words(encoder.vocabulary, maps, of_all(encoder.branch, maps), seed)  # type: ignore[arg-type]


def fit_words(pool: VLADPooling, maps: Any, weights: np.ndarray, seed: int = 0) -> None:
    """Fits words and projection of a layer to feature maps under given weights.

    Words are those of k-means, of places drawn by their weights; the projection is onto the
    principal components of the images. Where there are fewer images than `dimensions`, the rest of
    an embedding is 0.

    Args:
        pool: a built layer.
        maps: `(N, h, w, C)`, an array, a tensor or a `MapFile`.
        weights: `(N, h, w)`, 0 or more.
        seed: of the draws.

    Raises:
        ValueError: there are fewer than two images, or what comes out is not finite.
    """
    if len(maps) < 2:
        raise ValueError(f"A vocabulary needs 2 images or more. Received: {len(maps)}")
    rng = np.random.default_rng(seed)
    words = k_means(_drawn_places(pool, maps, weights, rng), pool.num_words, rng)
    before = pool.get_weights()
    pool.words.assign(words)
    try:
        descriptors = _descriptors(pool, maps, weights)
        if not np.isfinite(descriptors).all():
            raise ValueError(_NOT_FINITE)
        found = principal_components(descriptors, pool.dimensions)
    except BaseException:
        pool.set_weights(before)
        raise
    pool.projection.assign(found.reshape(*pool.projection.shape))


def _drawn_places(pool: VLADPooling, maps: Any, weights: np.ndarray, rng) -> np.ndarray:
    """(M, C): features at unit length, drawn by the weights that the layer smooths."""
    smoothed = ops.convert_to_numpy(pool.smoothed(ops.convert_to_tensor(weights, "float32")))
    chance = smoothed.reshape(len(smoothed), -1).astype("float64")
    empty = chance.sum(axis=1) <= 0
    chance[empty] = 1.0
    chance /= chance.sum(axis=1, keepdims=True)
    each = max(_SAMPLED // len(chance), pool.num_words)  # of an image: all images count the same
    height, width = smoothed.shape[1:]
    parts = []
    for rows in in_chunks(maps):
        found = ops.convert_to_numpy(maps[rows]).astype("float32", copy=False)
        found = found.reshape(len(found), height * width, -1)
        picked = [rng.choice(height * width, each, p=p) for p in chance[rows]]
        parts.append(np.take_along_axis(found, np.stack(picked)[..., None], axis=1))
    places = np.concatenate(parts).reshape(-1, parts[0].shape[-1])
    length = np.linalg.norm(places, axis=1, keepdims=True)
    if not np.isfinite(length).all():
        raise ValueError(_NOT_FINITE)
    return places / np.maximum(length, 1e-12)


def k_means(points: np.ndarray, number: int, rng: np.random.Generator) -> np.ndarray:
    """The centres `(number, C)` of points `(M, C)`: Lloyd's algorithm, started as k-means++ does.

    scikit-learn's needs a package that the base installation is without.
    """
    squares = np.square(points).sum(axis=1)

    def distances(centres):
        of_centres = np.square(centres).sum(axis=1)
        return np.maximum(squares[:, None] - 2 * points @ centres.T + of_centres, 0)

    centres = points[rng.integers(len(points))][None]
    while len(centres) < number:
        nearest = distances(centres).min(axis=1).astype("float64")
        total = nearest.sum()
        chance = nearest / total if total > 0 else None  # all points are the same
        centres = np.concatenate([centres, points[rng.choice(len(points), 1, p=chance)]])
    belongs = None
    for _ in range(_ITERATIONS):
        now = distances(centres).argmin(axis=1)
        if belongs is not None and np.array_equal(now, belongs):
            break
        belongs = now
        of_each = np.eye(number, dtype=points.dtype)[:, belongs]  # a centre of nothing stays
        count = of_each.sum(axis=1, keepdims=True)
        centres = np.where(count > 0, of_each @ points / np.maximum(count, 1), centres)
    return centres


def _descriptors(pool: VLADPooling, maps: Any, weights: np.ndarray) -> np.ndarray:
    """(M, K C): what is projected, of unit length, of images that are evenly spread."""
    wanted, parts = np.zeros(len(maps), bool), []
    wanted[np.linspace(0, len(maps) - 1, min(len(maps), _PROJECTED)).astype(int)] = True
    for rows in in_chunks(maps):
        found = ops.convert_to_numpy(maps[rows])[wanted[rows]].astype("float32", copy=False)
        if len(found):
            rooted = pool.rooted(found, weights[rows][wanted[rows]])
            parts.append(ops.convert_to_numpy(rooted).reshape(len(found), -1))
    descriptors = np.concatenate(parts)
    return descriptors / np.maximum(np.linalg.norm(descriptors, axis=1, keepdims=True), 1e-12)


def principal_components(points: np.ndarray, number: int) -> np.ndarray:
    """(C, number): the directions in which points `(M, C)` differ most; 0 where there are fewer."""
    centred = points - points.mean(axis=0)
    # of M x M products, of which there are fewer than of C x C: `centred = u s v'`
    values, vectors = np.linalg.eigh((centred @ centred.T).astype("float64"))
    values, vectors = values[::-1][:number], vectors[:, ::-1][:, :number]
    kept = values > 1e-7 * max(values[0], 1e-30)
    vectors = vectors[:, kept] / np.sqrt(values[kept])
    found = np.zeros((points.shape[1], number), "float32")
    found[:, : kept.sum()] = centred.T @ vectors.astype("float32")
    largest = np.take_along_axis(found, np.abs(found).argmax(axis=0)[None], axis=0)
    return np.where(largest < 0, -found, found)  # of a direction's two, the same on every machine
