"""Linear probe: multinomial logistic regression on frozen embeddings."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from keras_cr._numbers import whole_number
from keras_cr._types import ArrayLike
from keras_cr.evaluation._checks import check_split, normalize
from keras_cr.models.logistic_regression import (
    GRID,
    HELD_OUT,
    LogisticRegression,
    fit_logistic_regression,
)


def linear_probe(
    train_x: ArrayLike,
    train_y: ArrayLike,
    test_x: ArrayLike,
    test_y: ArrayLike,
    seed: int = 0,
    grid: Sequence[float] = GRID,
    held_out: float = HELD_OUT,
) -> dict[str, float | int | bool | None]:
    """Test accuracy of an L2-regularised logistic regression fitted by L-BFGS.

    Its inverse strength C (scikit-learn's, for a sum over images) is the value of `grid` with the
    best accuracy on parts of *train* that are held out one after the other, until 600 images were
    held out or all of train (one part of a small set chooses by chance), the smaller on a tie;
    with it, all of train is fitted. The test set is used once, at the end. Embeddings are
    L2-normalised and centred at train's mean, which leaves the optimum as it is (the intercept is
    not regularised) and saves iterations.

    Args:
        train_x, test_x: (N, C) and (M, C).
        train_y, test_y: (N,) and (M,), integers or strings. A test class that train lacks counts
            as an error.
        seed: draws the held-out part.
        grid: values of C to choose from.
        held_out: share of each training class in a part that is held out; at least one image of
            every class that has two.

    Returns:
        A dict: `top1`, the test accuracy as a fraction; `c`; `held_out_top1` that chose it (None
        if there was nothing to choose: one value, or no class of two images, where the grid's
        middle is taken); `iterations` and `converged` of the last fit.

    Raises:
        ImportError: if scikit-learn is missing.
        ValueError: if the shapes disagree, a value is not finite, train has one class, or an
            option is out of range.
    """
    seed = whole_number("seed", seed, least=0)
    train_x, train_y, test_x, test_y = check_split(train_x, train_y, test_x, test_y)
    probe = fit_linear_probe(train_x, train_y, seed, grid, held_out)
    return {"top1": float(np.mean(probe.predict(test_x) == test_y)), **probe.details()}


@dataclasses.dataclass(frozen=True)
class LinearProbe:
    """A logistic regression of embeddings that are scaled to unit length first."""

    regression: LogisticRegression

    def predict(self, features: np.ndarray) -> np.ndarray:
        """The class of each image: (M, C) -> (M,), of the training labels' type."""
        return self.regression.predict(normalize(np.asarray(features, "float32")))

    def details(self) -> dict[str, float | int | bool | None]:
        """How the fit came about, as `linear_probe` reports it."""
        return self.regression.details()


def fit_linear_probe(
    train_x: ArrayLike,
    train_y: ArrayLike,
    seed: int = 0,
    grid: Sequence[float] = GRID,
    held_out: float = HELD_OUT,
) -> LinearProbe:
    """Chooses C on held-out parts of train and fits all of it; arguments as `linear_probe`."""
    unit = normalize(np.asarray(train_x, "float32"))
    return LinearProbe(fit_logistic_regression(unit, train_y, seed, grid, held_out))
