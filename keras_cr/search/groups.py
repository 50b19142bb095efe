"""Groups of images: near-duplicates, and clusters of like embeddings."""

from collections.abc import Sequence

import numpy as np

from keras_cr._numbers import whole_number
from keras_cr._optional import scikit_learn
from keras_cr._progress import Verbose, tracked
from keras_cr._types import ArrayLike
from keras_cr.data import image_batches
from keras_cr.evaluation._checks import check_features, normalize
from keras_cr.search.images import Images, as_dataset

ALIKE = 0.95  # correlation of near-duplicates
_SIDE = 32  # pixels of a thumbnail
_CHUNK = 2**24  # similarities held at once
_JUDGED = 2_000  # embeddings that the number of clusters is chosen on
_MANY = 20_000  # embeddings; from here on k-means sees them in batches


def near_duplicates(
    images: Images, similarity: float = ALIKE, mirrored: bool = True, verbose: Verbose = "auto"
) -> list[list[int]]:
    """Groups of images that are the same but for their size, compression or brightness.

    Every two images are compared by their thumbnails of 32 x 32 pixels: the correlation of their
    colours, each channel's mean off. What was cut off at the border makes images another one, a
    twentieth of each side already. No encoder has a part in it: an embedding is much the same for
    two birds of a species, and differs between an image and its half-size copy.

    Args:
        images: a folder, a list of files, a `FineGrainedDataset`, or pixels (RGB 0..255), as
            for `Index.build`.
        similarity: the correlation from which on two are the same, in (0, 1].
        mirrored: whether an image's mirror image counts as the same.
        verbose: 0 shows no progress, 1 and `"auto"` show it on stderr; 2 in few lines.

    Returns:
        The groups of two or more, linked by such pairs, as ascending positions in `images` (of a
        folder: in the order of `Index.names`), in the order of their first ones. Images of one
        colour are in none.

    Raises:
        FileNotFoundError: the folder is not there or holds no image.
        ValueError: `similarity` leaves its range, or the images can't be read.
    """
    if not 0 < similarity <= 1:
        raise ValueError(f"`similarity` must lie in (0, 1]; received {similarity}.")
    unit = thumbnails(images, verbose)
    mirror = unit.reshape(-1, _SIDE, _SIDE, 3)[:, :, ::-1].reshape(unit.shape)
    return _linked(unit, (unit, mirror) if mirrored else (unit,), similarity)


def thumbnails(images: Images, verbose: Verbose = "auto") -> np.ndarray:
    """Images of 32 x 32 pixels, each channel's mean off, of unit length: (N, 3072) float32.

    The product of two of them is the correlation that `near_duplicates` compares.

    Args:
        images, verbose: as for `near_duplicates`.
    """
    dataset, _ = as_dataset(images)
    batches = image_batches(dataset, _SIDE, 256).as_numpy_iterator()
    batches = tracked(batches, "Comparing images", len(dataset), verbose=verbose, leave=False)
    small = np.concatenate([batch - batch.mean(axis=(1, 2), keepdims=True) for batch in batches])
    small = small.reshape(len(small), -1)
    return small / np.maximum(np.linalg.norm(small, axis=1, keepdims=True), 1.0)


def _linked(unit: np.ndarray, others: Sequence[np.ndarray], least: float) -> list[list[int]]:
    """Groups of rows that are linked by a product of at least `least` with a row of `others`."""
    leader = list(range(len(unit)))

    def find(row: int) -> int:
        while leader[row] != row:
            leader[row] = row = leader[leader[row]]
        return row

    step = max(_CHUNK // len(unit), 1)
    least = min(least, 1 - 1e-5)  # a product of equal ones is 1 but for its last digits
    for start in range(0, len(unit), step):
        for other in others:
            alike = unit[start : start + step] @ other[start:].T >= least
            for first, second in np.argwhere(np.triu(alike, 1)).tolist():
                one, another = sorted((find(start + first), find(start + second)))
                leader[another] = one
    groups: dict[int, list[int]] = {}
    for row in range(len(unit)):
        groups.setdefault(find(row), []).append(row)
    return [group for group in groups.values() if len(group) > 1]


def clusters(embeddings: ArrayLike, count: int | None = None, seed: int = 0) -> np.ndarray:
    """Clusters of like embeddings, by k-means on the sphere.

    Args:
        embeddings: (N, C), of any length.
        count: number of clusters. None chooses it: of numbers that grow by a third each, from 2 to
            half of the embeddings, the one whose clusters stand furthest apart by the mean
            silhouette (cosine, on at most 2,000 of the embeddings).
        seed: of k-means' starts.

    Returns:
        (N,) int64, 0 for the largest cluster, 1 for the next one.

    Raises:
        ImportError: scikit-learn is missing.
        ValueError: there are fewer embeddings than clusters, or fewer than three and `count` is
            None; or as `check_features`.
    """
    unit = normalize(check_features(embeddings, "embeddings"))
    if count is not None and (count := whole_number("count", count)) > len(unit):
        raise ValueError(f"`count` must be at most {len(unit)}, the embeddings; received {count}.")
    found = _k_means(unit, count or _best_count(unit, seed), seed)
    sizes = np.bincount(found)
    order = np.argsort(-sizes, kind="stable")
    return np.argsort(order)[found]


def _best_count(unit: np.ndarray, seed: int) -> int:
    with scikit_learn("Clustering"):
        from sklearn.metrics import silhouette_score

    if len(unit) < 3:
        raise ValueError(f"`count` must be given for fewer than 3 embeddings: {len(unit)}.")
    rows = np.random.default_rng(seed).permutation(len(unit))[:_JUDGED]
    judged = unit[np.sort(rows)]
    counts, count = [], 2
    while count <= max(len(judged) // 2, 2):
        counts.append(count)
        count = max(count + 1, round(count * 4 / 3))
    scores = []
    for count in counts:
        found = _k_means(judged, count, seed)
        several = len(np.unique(found)) > 1
        scores.append(silhouette_score(judged, found, metric="cosine") if several else -1.0)
    return counts[int(np.argmax(scores))]


def _k_means(unit: np.ndarray, count: int, seed: int) -> np.ndarray:
    with scikit_learn("Clustering"):
        from sklearn.cluster import KMeans, MiniBatchKMeans

    kind = KMeans if len(unit) < _MANY else MiniBatchKMeans
    return kind(count, n_init=4, random_state=seed).fit_predict(unit).astype("int64")
