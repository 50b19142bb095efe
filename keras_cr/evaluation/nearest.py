"""The images most similar to an image."""

import numpy as np

from keras_cr._numbers import whole_number
from keras_cr._types import ArrayLike
from keras_cr.evaluation._checks import check_features, check_same_width, normalize, ranking_keys


def nearest(
    queries: ArrayLike, gallery: ArrayLike | None = None, k: int = 5, chunk_size: int | None = None
) -> np.ndarray:
    """Finds the `k` nearest of `gallery` for every query by cosine similarity.

    Equal similarities are ranked by index.

    Args:
        queries: (Q, C), of any length; they are L2-normalised here.
        gallery: (N, C); None takes the queries themselves, each left out of its own answer.
        k: how many to find.
        chunk_size: queries at a time; by default chosen from N. Memory grows with
            chunk_size x N, never with Q x N.

    Returns:
        (Q, k) int64 positions in the gallery, most similar first.

    Raises:
        ValueError: if the widths differ, a value is not finite, or `k` is not between 1 and the
            number of images that can be found.

    Example:

    >>> nearest(embeddings, k=5)  # of each image, the five others most like it
    """
    queries = check_features(queries, "queries")
    alone = gallery is None
    gallery = queries if alone else check_features(gallery, "gallery")  # type: ignore[arg-type]
    check_same_width(queries, gallery, "queries", "gallery")
    found = len(gallery) - alone
    k = whole_number("k", k, least=0)
    if not 1 <= k <= found:
        raise ValueError(
            f"`k` must be from 1 to the number of images that can be found, {found}; received {k}."
        )
    index, result = np.arange(len(gallery)), np.empty((len(queries), k), "int64")
    unit = normalize(queries)
    others = unit if alone else normalize(gallery)
    for rows, keys in ranking_keys(unit, others, index, chunk_size):
        if alone:
            own = np.arange(rows.start, rows.stop)
            keys[own - rows.start, own] = np.iinfo("int64").max
        best = np.partition(keys, k - 1, axis=1)[:, :k] if k < keys.shape[1] else keys
        best.sort(axis=1)
        result[rows] = best & 0x7FFFFFFF
    return result
