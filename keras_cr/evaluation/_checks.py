"""What every protocol asks of its features and labels, and the cosine ranking they share."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from keras_cr._types import ArrayLike

WORKING_ENTRIES = 2**24  # similarities held at once: about 20 bytes each, so about 340 MB


def check_features(features: ArrayLike, name: str) -> np.ndarray:
    """Returns `features` as a contiguous float32 array (N, C).

    Raises:
        ValueError: if it is not 2-D, is empty, or holds a value that is not finite.
    """
    features = np.ascontiguousarray(features, dtype="float32")
    if features.ndim != 2 or 0 in features.shape:
        raise ValueError(
            f"`{name}` must have shape (images, channels) with at least one of each; "
            f"received shape {features.shape}."
        )
    bad = np.flatnonzero(~np.isfinite(squared_norms(features)))
    if bad.size:
        raise ValueError(
            f"`{name}` must be finite; {bad.size} of {len(features)} rows hold NaN, infinity or "
            f"numbers too large to square, the first is row {bad[0]}. Check the encoder's weights."
        )
    return features


def check_labels(
    labels: ArrayLike, features: np.ndarray, name: str, features_name: str
) -> np.ndarray:
    """Returns `labels` as an array (N,), one an image and of at least two classes.

    Raises:
        ValueError: if the lengths differ or if all images are of one class.
    """
    labels = np.asarray(labels)
    if labels.shape != (len(features),):
        raise ValueError(
            f"`{name}` must have one label a row of `{features_name}`, shape ({len(features)},); "
            f"received shape {labels.shape}."
        )
    if (labels == labels[0]).all():
        raise ValueError(
            f"`{name}` must hold at least two classes, or there is nothing to tell apart; all "
            f"{len(labels)} are {labels[0]!r}."
        )
    return labels


def check_split(
    train_x: ArrayLike, train_y: ArrayLike, test_x: ArrayLike, test_y: ArrayLike
) -> tuple[np.ndarray, ...]:
    """Returns the checked (train_x, train_y, test_x, test_y); classes are counted on train.

    Raises:
        ValueError: as `check_features` and `check_labels`, or if the two widths differ.
    """
    train_x, test_x = check_features(train_x, "train_x"), check_features(test_x, "test_x")
    train_y, test_y = check_labels(train_y, train_x, "train_y", "train_x"), np.asarray(test_y)
    if test_y.shape != (len(test_x),):
        raise ValueError(
            f"`test_y` must have one label a row of `test_x`, shape ({len(test_x)},); "
            f"received shape {test_y.shape}."
        )
    check_same_width(train_x, test_x, "train_x", "test_x")
    return train_x, train_y, test_x, test_y


def check_same_width(a: np.ndarray, b: np.ndarray, a_name: str, b_name: str) -> None:
    """Raises ValueError if two sets of features have different numbers of channels."""
    if a.shape[1] != b.shape[1]:
        raise ValueError(
            f"`{a_name}` and `{b_name}` must have the same width; received {a.shape[1]} and "
            f"{b.shape[1]} channels. Embed both with one encoder."
        )


def squared_norms(features: np.ndarray) -> np.ndarray:
    """The squared length of every row, (N, C) -> (N,), without an N x C copy."""
    return np.einsum("nc,nc->n", features, features)


def normalize(features: np.ndarray) -> np.ndarray:
    """L2-normalised rows; a row of zeros stays zeros, so its cosine with anything is 0."""
    return features / np.sqrt(np.maximum(squared_norms(features), 1e-24))[:, None]


def similarities(
    queries: np.ndarray, gallery: np.ndarray, chunk_size: int | None = None
) -> Iterator[tuple[slice, np.ndarray]]:
    """Yields the cosine similarities of some queries at a time; the next are computed meanwhile.

    Args:
        queries, gallery: L2-normalised float32, (Q, C) and (N, C).
        chunk_size: queries at a time; by default as many, up to 256, as keep `WORKING_ENTRIES`.

    Yields:
        (the slice of queries, float32 (chunk, N), which may be written to).

    Raises:
        ValueError: if `chunk_size` is not positive.
    """
    if chunk_size is None:
        chunk_size = min(max(WORKING_ENTRIES // len(gallery), 1), 256)
    if chunk_size < 1:
        raise ValueError(
            f"`chunk_size` must be at least 1, or None to choose it; received {chunk_size}."
        )
    starts = range(0, len(queries), chunk_size)
    chunks = [slice(start, min(start + chunk_size, len(queries))) for start in starts]

    def product(rows):
        return queries[rows] @ gallery.T

    with ThreadPoolExecutor(1) as ahead:
        pending = ahead.submit(product, chunks[0]) if chunks else None
        for rows, following in zip(chunks, [*chunks[1:], None], strict=True):
            similarity = pending.result()
            pending = ahead.submit(product, following) if following else None
            yield rows, similarity


def ranking_keys(
    queries: np.ndarray, gallery: np.ndarray, ties: np.ndarray, chunk_size: int | None = None
) -> Iterator[tuple[slice, np.ndarray]]:
    """Yields integers whose ascending order is the ranking by cosine similarity.

    The upper 32 bits of a key are the similarity, most similar smallest (IEEE 754 floats compare
    as integers once a negative one's lower bits are flipped); the lower 32 are `ties`. One integer
    sort therefore ranks by similarity, then by `ties`, and carries `ties` along.

    Args:
        queries, gallery, chunk_size: as for `similarities`.
        ties: (N,), integers in [0, 2**31).

    Yields:
        (the slice of queries, int64 keys (chunk, N)).

    Raises:
        ValueError: if `chunk_size` is not positive.
    """
    ties = np.asarray(ties, "int64")
    for rows, similarity in similarities(queries, gallery, chunk_size):
        bits = np.subtract(0, similarity, out=similarity).view("int32")  # 0 - 0 is never -0
        bits ^= (bits >> 31) & 0x7FFFFFFF
        keys = bits.astype("int64")
        keys <<= 32
        keys |= ties
        yield rows, keys
