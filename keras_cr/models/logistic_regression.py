"""Logistic regression on embeddings, its strength chosen on held-out parts: the linear probe."""

import contextlib
import dataclasses
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_cr._optional import scikit_learn
from keras_cr._types import ArrayLike

GRID = (1.0, 10.0, 100.0, 1000.0, 10000.0)
HELD_OUT = 0.2
ENOUGH = 600  # held-out images that choose C; more parts are held out until there are so many
TOLERANCE = 1e-5  # of the gradient's largest entry; scikit-learn's 1e-4 stops visibly early
ITERATIONS, ROUNDS = 1000, 4  # L-BFGS goes on from where it stopped, three times at most
SMALL = 10**8  # multiply-adds a product up to which more threads cost more than they bring


@dataclasses.dataclass(frozen=True)
class LogisticRegression:
    """A fitted multinomial logistic regression, and how its C was chosen.

    Attributes:
        model: scikit-learn's, of centred features.
        center: (C,), what is taken off features first.
        c: inverse strength of the regularisation, for a sum over images.
        held_out_top1: the accuracy that chose it; None if there was nothing to choose.
        iterations, converged: of the last fit.
    """

    model: Any = dataclasses.field(repr=False)
    center: np.ndarray = dataclasses.field(repr=False)
    c: float
    held_out_top1: float | None
    iterations: int
    converged: bool

    @property
    def classes(self) -> np.ndarray:
        """The labels it tells apart, sorted."""
        return self.model.classes_

    def predict(self, features: np.ndarray) -> np.ndarray:
        """The class of each image: (M, C) -> (M,), of the training labels' type."""
        features = np.asarray(features, "float32") - self.center
        with _threads(features.size * len(self.classes)):
            return self.model.predict(features)

    def weights(self) -> tuple[np.ndarray, np.ndarray]:
        """Kernel (C, classes) and bias (classes,) whose softmax gives the class probabilities."""
        kernel, bias = self.model.coef_.T, self.model.intercept_
        if len(self.classes) == 2:  # scikit-learn keeps the second one's logit alone
            kernel, bias = kernel * [-0.5, 0.5], bias * [-0.5, 0.5]
        return kernel, bias

    def details(self) -> dict[str, float | int | bool | None]:
        """How the fit came about."""
        names = ("c", "held_out_top1", "iterations", "converged")
        return {name: getattr(self, name) for name in names}


def fit_logistic_regression(
    features: ArrayLike,
    labels: ArrayLike,
    seed: int = 0,
    grid: Sequence[float] = GRID,
    held_out: float = HELD_OUT,
) -> LogisticRegression:
    """Chooses C on held-out parts and fits all images, by L-BFGS.

    The inverse strength C (scikit-learn's, for a sum over images) is the value of `grid` with the
    best accuracy on parts that are held out one after the other, until 600 images were held out or
    all (one part of a small set chooses by chance), the smaller on a tie. Features are centred,
    which leaves the optimum as it is (the intercept is not regularised) and saves iterations.

    Args:
        features: (N, C), of unit length: what C means depends on their scale.
        labels: (N,), integers or strings of at least two classes.
        seed: draws the held-out parts.
        grid: values of C to choose from.
        held_out: share of each class in a part that is held out; at least one image of every class
            that has two.

    Raises:
        ImportError: scikit-learn is missing.
        ValueError: an option is out of range.
    """
    if not grid or min(grid) <= 0:
        raise ValueError(f"`grid` must hold positive values of C; received {tuple(grid)}.")
    if not 0 < held_out < 1:
        raise ValueError(f"`held_out` must be a fraction between 0 and 1; received {held_out}.")
    x, y = np.asarray(features, "float32"), np.asarray(labels)
    center = x.mean(axis=0, dtype="float64")
    x = x - center  # float64: float32 stops L-BFGS before its tolerance
    grid = sorted(grid)
    chosen, best = grid[len(grid) // 2], None
    parts = _parts(y, held_out, seed)
    with _threads(x.size * len(np.unique(y))):
        if parts and len(grid) > 1:
            right = np.zeros(len(grid))
            for held in parts:
                model = None
                for number, c in enumerate(grid):  # each starts where the last one ended
                    model, _, _ = _fit(x[~held], y[~held], c, model)
                    right[number] += np.sum(model.predict(x[held]) == y[held])
            chosen = grid[int(np.argmax(right))]
            best = float(right.max() / sum(held.sum() for held in parts))
        model, iterations, converged = _fit(x, y, chosen)
    return LogisticRegression(model, center, float(chosen), best, iterations, converged)


def _parts(labels: np.ndarray, share: float, seed: int) -> list[np.ndarray]:
    """Parts of train to hold out, one at a time: booleans (N,), disjoint but for small classes."""
    parts, seen = [], np.zeros(len(labels), bool)
    for number in range(max(round(1 / share), 1)):
        held = stratified_part(labels, share, seed, number)
        if not (held & ~seen).any():  # classes so small that all of their images had their turn
            break
        parts.append(held)
        seen |= held
        if seen.sum() >= ENOUGH:
            break
    return parts


def stratified_part(labels: np.ndarray, share: float, seed: int, number: int = 0) -> np.ndarray:
    """Draws `share` of every class: a boolean (N,); of a class of n images, 1 to n - 1 (0 of 1).

    Parts of other `number`s are disjoint as long as a class has images that were not drawn yet.
    """
    rng = np.random.default_rng(seed)
    drawn = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        count = min(max(round(share * len(members)), 1), len(members) - 1)
        places = (number * count + np.arange(count)) % len(members)
        drawn[rng.permutation(members)[places]] = True
    return drawn


def _fit(x: np.ndarray, y: np.ndarray, c: float, model=None):
    """Fits until converged or for ITERATIONS * ROUNDS: (model, iterations, converged).

    A `model` that was fitted to the same data with another C goes on from its own weights.
    """
    from sklearn import linear_model
    from sklearn.exceptions import ConvergenceWarning

    if model is None:
        model = linear_model.LogisticRegression(tol=TOLERANCE, max_iter=ITERATIONS, warm_start=True)
    model.set_params(C=c)
    iterations = 0
    for _ in range(ROUNDS):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model.fit(x, y)
        iterations += int(model.n_iter_.max())
        stopped = [w for w in caught if issubclass(w.category, ConvergenceWarning)]
        for other in caught:
            if other not in stopped:
                warnings.warn_explicit(other.message, other.category, other.filename, other.lineno)
        if not stopped:
            return model, iterations, True
    return model, iterations, False


def _threads(work: int) -> contextlib.AbstractContextManager:
    """One BLAS thread for small products; raises ImportError where scikit-learn is missing."""
    with scikit_learn("Logistic regression"):
        import sklearn  # noqa: F401
        from threadpoolctl import threadpool_limits
    return threadpool_limits(1) if work < SMALL else contextlib.nullcontext()
