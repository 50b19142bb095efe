"""k-nearest-neighbour classification on frozen embeddings."""

import numpy as np

from keras_cr.evaluation._checks import check_split, normalize, ranking_keys


def knn(
    train_x,
    train_y,
    test_x,
    test_y,
    k: int = 1,
    chunk_size: int | None = None,
) -> dict[str, float]:
    """Accuracy of the majority vote among the `k` training images nearest by cosine.

    A tied vote goes to the class of the nearest of the tied neighbours; equal similarities are
    ranked by index.

    Args:
        train_x, test_x: (N, C) and (M, C); they are L2-normalised here.
        train_y, test_y: (N,) and (M,), integers or strings. A test class that train lacks counts
            as an error.
        k: neighbours that vote.
        chunk_size: test images at a time; by default chosen from N.

    Returns:
        {"top1": fraction}.

    Raises:
        ValueError: if the shapes disagree, a value is not finite, train has one class, or `k` is
            not between 1 and N.
    """
    train_x, train_y, test_x, test_y = check_split(train_x, train_y, test_x, test_y)
    if not 1 <= k <= len(train_x):
        raise ValueError(
            f"`k` must be from 1 to the number of training images, {len(train_x)}; received {k}."
        )
    correct = 0
    index = np.arange(len(train_x))
    for rows, keys in ranking_keys(normalize(test_x), normalize(train_x), index, chunk_size):
        nearest = np.partition(keys, k - 1, axis=1)[:, :k]
        nearest.sort(axis=1)
        labels = train_y[nearest & 0x7FFFFFFF]  # (chunk, k), nearest first
        votes = sum((labels == labels[:, i : i + 1]).astype("int32") for i in range(k))
        winner = labels[np.arange(len(labels)), votes.argmax(axis=1)]  # argmax: the first maximum
        correct += int((winner == test_y[rows]).sum())
    return {"top1": correct / len(test_x)}
