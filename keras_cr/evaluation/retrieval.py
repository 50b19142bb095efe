"""Retrieval: every query image asks a gallery for the images of its class."""

from collections.abc import Sequence

import numpy as np

from keras_cr._types import ArrayLike
from keras_cr.evaluation._checks import (
    check_features,
    check_labels,
    check_same_width,
    normalize,
    similarities,
)

KS = (1, 2, 4, 5, 8)
_FEW = 32  # equal similarities of a row, beyond which it is ranked with indices at once


def retrieval(
    embeddings: ArrayLike,
    labels: ArrayLike,
    gallery: ArrayLike | None = None,
    gallery_labels: ArrayLike | None = None,
    ks: Sequence[int] = KS,
    chunk_size: int | None = None,
) -> dict[str, float | int]:
    """Rank-k accuracy, R-precision, mAP and mAP@R of retrieval by cosine similarity.

    Each image is a query to the gallery, which is ranked in full; equal similarities are ranked
    by index. Without `gallery`, the queries are asked among themselves, each left out of its own
    ranking (leave-one-out). A query whose class the gallery lacks has nothing to find: it is not
    asked, and `queries` says how many were.

    Args:
        embeddings: (N, C), of any length; they are L2-normalised here.
        labels: (N,), integers or strings.
        gallery: (M, C), or None for leave-one-out.
        gallery_labels: (M,), of the same kind as `labels`.
        ks: the ranks k to report.
        chunk_size: queries ranked at a time; by default chosen from the gallery's size. Memory
            grows with chunk_size x M, never with N x M.

    Returns:
        A dict of means over the queries, fractions, and one count. With R the number of a query's
        relevant images in the gallery and P(i) the precision among the first i:

        - `rank{k}`: whether one of the k nearest is relevant (Recall@k in metric learning).
        - `r_precision`: P(R).
        - `map`: the mean of P(i) over the ranks i of *every* relevant image
          (sklearn.metrics.average_precision_score).
        - `map_at_r`: the sum of P(i) over the relevant ranks i <= R, divided by R (Musgrave et
          al., "A metric learning reality check", 2020).
        - `queries`: the number of queries asked.

    Raises:
        ValueError: if the shapes disagree, a value is not finite, there is only one class, no
            query has anything to find, or a k is not positive.
    """
    if any(k < 1 for k in ks):
        raise ValueError(f"`ks` must be ranks of at least 1; received {tuple(ks)}.")
    each = retrieval_per_query(embeddings, labels, gallery, gallery_labels, chunk_size)
    return summarize_retrieval(each, ks)


def summarize_retrieval(
    each: dict[str, np.ndarray], ks: Sequence[int] = KS
) -> dict[str, float | int]:
    """The means of what `retrieval_per_query` returned; see `retrieval`."""
    asked = each["relevant"] > 0
    means = {name: float(each[name][asked].mean()) for name in ("r_precision", "map", "map_at_r")}
    first = each["first_rank"][asked]
    return {**{f"rank{k}": float(np.mean(first <= k)) for k in ks}, **means, "queries": len(first)}


def retrieval_per_query(
    embeddings: ArrayLike,
    labels: ArrayLike,
    gallery: ArrayLike | None = None,
    gallery_labels: ArrayLike | None = None,
    chunk_size: int | None = None,
) -> dict[str, np.ndarray]:
    """What `retrieval` averages, for each query.

    Args:
        embeddings, labels, gallery, gallery_labels, chunk_size: as for `retrieval`.

    Returns:
        A dict of arrays (N,): `relevant`, the number of images to find; `first_rank`, the rank of
        the first found, from 1 (0 where there is none); and `r_precision`, `map` (the query's
        average precision) and `map_at_r`, NaN where there is nothing to find.

    Raises:
        ValueError: as `retrieval`.
    """
    embeddings = check_features(embeddings, "embeddings")
    labels = check_labels(labels, embeddings, "labels", "embeddings")
    alone = gallery is None
    if alone != (gallery_labels is None):
        raise ValueError("`gallery` and `gallery_labels` go together: give both or neither.")
    if alone:
        gallery, gallery_labels = embeddings, labels
    else:
        gallery = check_features(gallery, "gallery")  # type: ignore[arg-type]
        gallery_labels = check_labels(gallery_labels, gallery, "gallery_labels", "gallery")  # type: ignore[arg-type]
        check_same_width(embeddings, gallery, "embeddings", "gallery")
    names, classes = np.unique(np.concatenate([labels, gallery_labels]), return_inverse=True)
    classes, found_classes = classes[: len(labels)], classes[len(labels) :]
    relevant = np.bincount(found_classes, minlength=len(names))[classes] - alone
    asked = np.flatnonzero(relevant > 0)
    if not asked.size:
        reason = "one image of each class" if alone else "no image of a class in `labels`"
        raise ValueError(f"`{'labels' if alone else 'gallery_labels'}` hold {reason}: no query.")
    unit = normalize(embeddings)
    others = unit if alone else normalize(gallery)
    queries = unit if len(asked) == len(unit) else unit[asked]
    members = np.split(np.argsort(found_classes, kind="stable"), _ends(found_classes, len(names)))
    result = {name: np.full(len(labels), np.nan) for name in ("r_precision", "map", "map_at_r")}
    first_rank = np.zeros(len(labels), "int64")
    for rows, similarity in similarities(queries, others, chunk_size):
        own = asked[rows]
        total = relevant[own]
        starts = np.cumsum(total) - total
        found = np.concatenate([members[each] for each in classes[own]])
        row = np.repeat(np.arange(len(own)), total + alone)
        if alone:  # the query itself: last, not relevant
            similarity[np.arange(len(own)), own] = -np.inf
            others_than_itself = found != own[row]
            found, row = found[others_than_itself], row[others_than_itself]
        rank = _ranks(similarity, found, starts)
        precision = (np.arange(len(row)) - starts[row] + 1) / (rank + 1)  # P at each found image
        early = rank < total[row]
        first_rank[own] = rank[starts] + 1
        result["map"][own] = np.bincount(row, precision, len(own)) / total
        result["map_at_r"][own] = np.bincount(row, precision * early, len(own)) / total
        result["r_precision"][own] = np.bincount(row, early, len(own)) / total
    return {"relevant": relevant, "first_rank": first_rank, **result}


def _ends(classes: np.ndarray, number: int) -> np.ndarray:
    """Where the members of each class but the last end, among images sorted by class."""
    return np.cumsum(np.bincount(classes, minlength=number))[:-1]


def _ranks(similarity: np.ndarray, found: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """The ranks of some columns of every row, the most similar 0, in ascending order a row.

    Sorting the similarities alone and looking up those that matter costs half of sorting keys that
    carry their index. One that matters and is equal to others is looked for among these by index.

    Args:
        similarity: (chunk, N), without NaN.
        found: columns, those of the first row first.
        starts: (chunk,), where in `found` each row's begin.
    """
    count, ranks = similarity.shape[1], np.empty(len(found), "int64")
    for own, start, end in zip(similarity, starts, [*starts[1:], len(found)], strict=True):
        ordered, columns = np.sort(own), found[start:end]
        columns = columns[np.argsort(own[columns])]  # the next is then found near the last
        values = own[columns]
        upto = np.searchsorted(ordered, values, side="right")
        rank = count - upto
        equal = (upto > 1) & (ordered[np.maximum(upto - 2, 0)] == values)
        if equal.any():
            rank = _by_index(own, columns, values, rank, np.unique(values[equal]))
        ranks[start:end] = np.sort(rank)
    return ranks


def _by_index(own, columns, values, rank, tied) -> np.ndarray:
    """The ranks of a row's columns, given those that all columns of a `tied` value share."""
    if len(tied) > _FEW:
        every = np.empty(len(own), "int64")
        every[np.argsort(-own, kind="stable")] = np.arange(len(own))
        return every[columns]
    for value in tied:
        mine = values == value
        rank[mine] += np.searchsorted(np.flatnonzero(own == value), columns[mine])
    return rank
