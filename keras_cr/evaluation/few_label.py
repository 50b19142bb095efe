"""Few-label classification: a linear probe on a fraction of the training labels."""

from collections.abc import Sequence

import numpy as np

from keras_cr._types import ArrayLike
from keras_cr.evaluation._checks import check_split
from keras_cr.evaluation.linear_probe import fit_linear_probe
from keras_cr.models.logistic_regression import stratified_part

SHARES = (0.1, 0.2, 0.5, 1.0)
DRAWS = 3


def few_label(
    train_x: ArrayLike,
    train_y: ArrayLike,
    test_x: ArrayLike,
    test_y: ArrayLike,
    shares: Sequence[float] = SHARES,
    draws: int = DRAWS,
    seed: int = 0,
) -> dict[str, dict[str, float | int | list[float]]]:
    """Test accuracy of the linear probe when only a share of each class is labelled.

    Each draw takes its images class by class, and chooses C on held-out fifths of *them*; nothing
    that is not drawn is looked at. At a share of 1 the draws differ in these fifths alone.

    Args:
        train_x, train_y, test_x, test_y: as for `linear_probe`.
        shares: labelled shares of each training class, in (0, 1]; at least one image a class.
        draws: subsets a share.
        seed: draw i of every share takes `seed + i`.

    Returns:
        {percent as text: {`top1`, the mean over draws; `top1_std`, their sample standard
        deviation (0 for one draw); `images`, labelled in a draw; `each`, the draws}}.

    Raises:
        ImportError: if scikit-learn is missing.
        ValueError: as `linear_probe`, or if a share or `draws` is out of range.
    """
    if not shares or not all(0 < share <= 1 for share in shares):
        raise ValueError(f"`shares` must lie in (0, 1]; received {tuple(shares)}.")
    if draws < 1:
        raise ValueError(f"`draws` must be at least 1; received {draws}.")
    train_x, train_y, test_x, test_y = check_split(train_x, train_y, test_x, test_y)
    result = {}
    for share in shares:
        each = []
        for draw in range(seed, seed + draws):
            drawn = slice(None) if share == 1 else _drawn(train_y, share, draw)
            x, y = train_x[drawn], train_y[drawn]
            predicted = fit_linear_probe(x, y, seed=draw).predict(test_x)
            each.append(float(np.mean(predicted == test_y)))
        result[f"{100 * share:g}"] = {
            "top1": float(np.mean(each)),
            "top1_std": float(np.std(each, ddof=1)) if draws > 1 else 0.0,
            "images": len(y),
            "each": each,
        }
    return result  # type: ignore[return-value]


def _drawn(labels: np.ndarray, share: float, seed: int) -> np.ndarray:
    """The labelled images: `share` of every class, and the only image of a class that has one."""
    _, classes, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    return stratified_part(labels, share, seed) | (sizes[classes] == 1)
