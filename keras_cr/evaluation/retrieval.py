"""Leave-one-out retrieval: every image asks for the others of its class."""

from collections.abc import Sequence

import numpy as np

from keras_cr.evaluation._checks import check_features, check_labels, normalize, ranking_keys


def retrieval(
    embeddings,
    labels,
    ks: Sequence[int] = (1, 5),
    chunk_size: int | None = None,
) -> dict[str, float | int]:
    """Rank-k accuracy and mean average precision of leave-one-out retrieval.

    Each image is a query to all others, ranked in full by cosine similarity; equal similarities
    are ranked by index. Images that are alone in their class have nothing to find: they stay in
    the gallery, are no queries, and `queries` says how many were asked.

    Args:
        embeddings: (N, C), of any length; they are L2-normalised here.
        labels: (N,), integers or strings, of at least two classes.
        ks: the ranks k to report.
        chunk_size: queries ranked at a time; by default chosen from N. Memory grows with
            chunk_size x N, never with N x N.

    Returns:
        A dict of fractions and one count:
        `rank{k}`: share of queries with an image of their class among the k nearest;
        `map`: mean over queries of the average precision, the mean of the precision at the rank
        of *every* relevant image (sklearn.metrics.average_precision_score, not mAP@R);
        `queries`: the number of queries.

    Raises:
        ValueError: if the shapes disagree, a value is not finite, there is only one class, no
            class has two images, or a k is not positive.
    """
    embeddings = check_features(embeddings, "embeddings")
    labels = check_labels(labels, embeddings, "labels", "embeddings")
    if any(k < 1 for k in ks):
        raise ValueError(f"`ks` must be ranks of at least 1; received {tuple(ks)}.")
    _, classes, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    asked = np.flatnonzero(sizes[classes] > 1)
    if not asked.size:
        raise ValueError(
            f"`labels` must hold a class of at least two images to retrieve; all {len(sizes)} "
            "classes have one."
        )
    features, index = normalize(embeddings), np.arange(len(embeddings))
    queries = features if len(asked) == len(features) else features[asked]
    first, precision = np.empty(len(asked), "int64"), np.empty(len(asked))
    for rows, keys in ranking_keys(queries, features, index << 1, chunk_size):
        own, inner = asked[rows], np.arange(rows.stop - rows.start)
        keys |= classes[own, None] == classes  # the lowest bit: of the query's class
        keys[inner, own] = np.iinfo("int64").max - 1  # the query itself: last, not relevant
        keys.sort(axis=1)
        row, rank = np.nonzero(keys & 1)
        relevant = sizes[classes[own]] - 1
        starts = np.cumsum(relevant) - relevant
        found = np.arange(len(row)) - starts[row] + 1  # relevant images up to and with this one
        first[rows] = rank[starts] + 1
        precision[rows] = np.bincount(row, found / (rank + 1), len(inner)) / relevant
    metrics = {f"rank{k}": float(np.mean(first <= k)) for k in ks}
    return {**metrics, "map": float(precision.mean()), "queries": len(asked)}
