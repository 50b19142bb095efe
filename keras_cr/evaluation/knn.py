"""k-nearest-neighbour classification on frozen embeddings."""

from collections.abc import Sequence

import numpy as np

from keras_cr._types import ArrayLike
from keras_cr.evaluation._checks import check_split
from keras_cr.evaluation.nearest import nearest

GRID = (1, 3, 5, 10, 20, 50)


def knn(
    train_x: ArrayLike,
    train_y: ArrayLike,
    test_x: ArrayLike,
    test_y: ArrayLike,
    k: int | None = None,
    grid: Sequence[int] = GRID,
    chunk_size: int | None = None,
) -> dict[str, float | int | None]:
    """Accuracy of the majority vote among the `k` training images nearest by cosine.

    A tied vote goes to the class of the nearest of the tied neighbours (scikit-learn's goes to the
    first class by name); equal similarities are ranked by index. Without `k`, the value of `grid`
    with the best leave-one-out accuracy on *train* is taken, the smaller on a tie.

    Args:
        train_x, test_x: (N, C) and (M, C); they are L2-normalised here.
        train_y, test_y: (N,) and (M,), integers or strings. A test class that train lacks counts
            as an error.
        k: neighbours that vote; None chooses on train.
        grid: values of k to choose from; those that train is too small for are left out.
        chunk_size: images at a time; by default chosen from N.

    Returns:
        A dict: `top1`, a fraction; `k`; and `leave_one_out_top1` on train, which chose it (None
        where `k` was given).

    Raises:
        ValueError: if the shapes disagree, a value is not finite, train has one class, `k` is
            not between 1 and N, or no value of `grid` is between 1 and N - 1.
    """
    train_x, train_y, test_x, test_y = check_split(train_x, train_y, test_x, test_y)
    chosen, accuracy = (k, None) if k is not None else choose_k(train_x, train_y, grid, chunk_size)
    predicted = predict_knn(train_x, train_y, test_x, chosen, chunk_size)
    top1 = float(np.mean(predicted == test_y))
    return {"top1": top1, "k": int(chosen), "leave_one_out_top1": accuracy}


def choose_k(
    features: ArrayLike,
    labels: ArrayLike,
    grid: Sequence[int] = GRID,
    chunk_size: int | None = None,
) -> tuple[int, float]:
    """The k of `grid` with the best leave-one-out accuracy, and that accuracy.

    Args:
        features: (N, C).
        labels: (N,), integers or strings.
        grid: values of k; those of N and more are left out.
        chunk_size: images at a time.

    Raises:
        ValueError: if no value is left.
    """
    possible = sorted(k for k in set(grid) if 1 <= k < len(features))  # type: ignore[arg-type]
    if not possible:
        raise ValueError(
            f"`grid` must hold a k from 1 to {len(features) - 1}, one less than the number of "  # type: ignore[arg-type]
            f"training images; received {tuple(grid)}."
        )
    labels = np.asarray(labels)
    neighbors = labels[nearest(features, k=possible[-1], chunk_size=chunk_size)]
    scores = {k: float(np.mean(_vote(neighbors[:, :k]) == labels)) for k in possible}
    best = max(possible, key=lambda k: (scores[k], -k))
    return best, scores[best]


def predict_knn(
    train_x: ArrayLike, train_y: ArrayLike, test_x: ArrayLike, k: int, chunk_size: int | None = None
) -> np.ndarray:
    """The class of each test image by the vote of its `k` nearest; see `knn`.

    Returns:
        (M,), of `train_y`'s type.
    """
    return _vote(np.asarray(train_y)[nearest(test_x, train_x, k, chunk_size)])


def _vote(labels: np.ndarray) -> np.ndarray:
    """Each row's most frequent label, nearest first: (M, k) -> (M,)."""
    columns = range(labels.shape[1])
    votes = sum((labels == labels[:, i : i + 1]).astype("int32") for i in columns)
    return labels[np.arange(len(labels)), votes.argmax(axis=1)]  # argmax: the first maximum
