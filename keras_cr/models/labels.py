"""Labels of images as a classifier takes them."""

from typing import Any

import keras
import numpy as np

_INTEGERS = "integers in [0, num_classes)"
_SPARSE, _ONE_HOT = "sparse_categorical_crossentropy", "categorical_crossentropy"


def class_numbers(labels: Any, count: int, num_classes: int) -> np.ndarray:
    """Labels as integers `(count,)`.

    Args:
        labels: `(count,)`, `(count, 1)`, or one-hot `(count, num_classes)`.
        count: number of images.
        num_classes: number of classes.

    Raises:
        ValueError: they are neither, leave their range, or are all of one class.
    """
    labels = checked_labels(labels, num_classes, "labels")
    if labels.ndim == 2 and labels.shape[1] != 1:
        wrong = (labels.sum(axis=1) != 1) | ((labels != 0) & (labels != 1)).any(axis=1)
        if wrong.any():
            row = int(wrong.argmax())
            raise ValueError(
                "`labels` must be one-hot rows, a single 1 among zeros, or integers. Received: "
                f"{labels[row].tolist()[:8]} at position {row}"
            )
        labels = labels.argmax(axis=1)
    labels = labels.reshape(-1)
    if labels.shape != (count,):
        raise ValueError(
            f"`labels` must be ({count},) integers, one an image, or one-hot rows. Received: "
            f"shape {labels.shape}"
        )
    if (labels == labels[0]).all():
        raise ValueError(f"`labels` must hold two classes or more. Received: only {labels[0]}")
    return labels.astype("int64")


def checked_labels(labels: Any, num_classes: int, argument: str, loss: Any = None) -> Any:
    """Labels as an array, where their values can be seen.

    Args:
        labels: `(B,)` or `(B, 1)` integers, or `(B, num_classes)` shares; an array, a tensor (one
            that is being traced is given back as it is) or a list.
        num_classes: number of classes.
        argument: what an error calls them.
        loss: that the model was compiled with, to see that it takes such labels.

    Raises:
        ValueError: they are none of these, or leave their range.
    """
    if isinstance(labels, keras.KerasTensor):
        return labels
    labels = _as_array(labels, argument)
    if labels is None:  # traced
        return None
    if labels.dtype.kind not in "biuf":
        example = f", such as {labels.ravel()[:1].tolist()[0]!r}" if labels.size else ""
        raise ValueError(
            f"`{argument}` must be integers; of names, np.unique(names, return_inverse=True)[1] "
            f"makes some, of objects .astype('int64'). Received: {labels.dtype}{example}"
        )
    sparse = labels.ndim == 1 or labels.shape[1:] == (1,)
    if not sparse and (labels.ndim != 2 or labels.shape[1] != num_classes):
        raise ValueError(
            f"`{argument}` must be {_INTEGERS}, one an image, or rows of num_classes={num_classes} "
            f"shares. Received: shape {labels.shape}"
        )
    _check_loss(loss, sparse, argument)
    if not labels.size:
        return labels
    if not np.isfinite(labels.astype("float64")).all():
        raise ValueError(f"`{argument}` must be finite; received NaN or infinity.")
    if sparse and (labels.min() < 0 or labels.max() >= num_classes or (labels % 1).any()):
        raise ValueError(
            f"`{argument}` must be integers from 0 to {num_classes - 1}, for num_classes="
            f"{num_classes}. Received: values from {labels.min()} to {labels.max()}"
        )
    return labels


def checked_class_weight(weights: Any, num_classes: int) -> Any:
    """Raises a ValueError for class weights that are no dict of class numbers."""
    if weights is None:
        return None
    if not isinstance(weights, dict):
        raise ValueError(
            "`class_weight` must be a dict from class number to weight; of a list, "
            f"dict(enumerate(weights)) makes one. Received: {type(weights).__name__}"
        )
    if unknown := [key for key in weights if key not in range(num_classes)]:
        raise ValueError(
            f"`class_weight` must name classes from 0 to {num_classes - 1}. Received: {unknown[:5]}"
        )
    return weights


def checked_sample_weight(weights: Any, argument: str) -> None:
    """Raises a ValueError for weights of images whose values can be seen and are not finite."""
    weights = None if weights is None else _as_array(weights, argument)
    if weights is None:
        return
    if weights.dtype.kind not in "biuf":
        raise ValueError(f"`{argument}` must be numbers. Received: {weights.dtype}")
    if not np.isfinite(weights.astype("float64")).all():
        raise ValueError(f"`{argument}` must be finite; received NaN or infinity.")


def _as_array(labels: Any, argument: str) -> np.ndarray | None:
    if hasattr(labels, "shape") and not isinstance(labels, np.ndarray):
        try:
            labels = keras.ops.convert_to_numpy(labels)
        except Exception:  # a tensor without values yet
            return None
    try:
        return np.asarray(labels)
    except ValueError as error:
        raise ValueError(
            f"`{argument}` must be one label an image. Received: a list of unequal parts"
        ) from error


def _check_loss(loss: Any, sparse: bool, argument: str) -> None:
    """Refuses labels of the form that the other of Keras' two cross-entropies takes."""
    name = loss if isinstance(loss, str) else getattr(loss, "name", getattr(loss, "__name__", None))
    wanted = {_SPARSE: True, _ONE_HOT: False}.get(name)  # type: ignore[arg-type]
    if wanted is None or wanted == sparse:
        return
    form, other = ("integers", _SPARSE) if sparse else ("rows of shares (one-hot)", _ONE_HOT)
    raise ValueError(
        f"`{argument}` must fit the loss {name!r}. Received: {form}, which loss={other!r} takes"
    )
