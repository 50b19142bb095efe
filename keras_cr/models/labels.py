"""Labels of images as a classifier takes them."""

import numpy as np


def class_numbers(labels: np.ndarray, count: int, num_classes: int) -> np.ndarray:
    """Labels as integers `(count,)`.

    Args:
        labels: `(count,)`, `(count, 1)`, or one-hot `(count, num_classes)`.
        count: number of images.
        num_classes: number of classes.

    Raises:
        ValueError: they are neither, leave their range, or are all of one class.
    """
    if labels.ndim == 2 and labels.shape[1] == num_classes:
        labels = labels.argmax(axis=1)
    labels = labels.squeeze(1) if labels.ndim == 2 and labels.shape[1] == 1 else labels
    if labels.shape != (count,):
        raise ValueError(
            f"`labels` must be ({count},) integers, one an image, or one-hot rows. Received: "
            f"shape {labels.shape}"
        )
    check_labels(labels, num_classes, "labels")
    if (labels == labels[0]).all():
        raise ValueError(f"`labels` must hold two classes or more. Received: only {labels[0]}")
    return labels.astype("int64")


def check_labels(labels: np.ndarray, num_classes: int, argument: str) -> None:
    """Refuses labels that are no integers in `[0, num_classes)`.

    Raises:
        ValueError: naming the `argument`.
    """
    if labels.dtype.kind not in "biuf":
        raise ValueError(
            f"`{argument}` must be integers; of names, np.unique(names, return_inverse=True) "
            f"makes some. Received: {labels.dtype}, such as {labels.flat[0].item()!r}"
        )
    if labels.min() < 0 or labels.max() >= num_classes or (labels % 1).any():
        raise ValueError(
            f"`{argument}` must be integers from 0 to {num_classes - 1}, for num_classes="
            f"{num_classes}. Received: values from {labels.min()} to {labels.max()}"
        )
