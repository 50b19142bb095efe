"""Linear probe: multinomial logistic regression on frozen embeddings."""

import contextlib
import dataclasses
import warnings
from collections.abc import Sequence

import numpy as np

from keras_cr.evaluation._checks import check_split, normalize
from keras_cr.evaluation._optional import scikit_learn

GRID = (1.0, 10.0, 100.0, 1000.0, 10000.0)
HELD_OUT = 0.2
ENOUGH = 600  # held-out images that choose C; more parts are held out until there are so many
TOLERANCE = 1e-5  # of the gradient's largest entry; scikit-learn's 1e-4 stops visibly early
ITERATIONS, ROUNDS = 1000, 4  # L-BFGS goes on from where it stopped, three times at most
SMALL = 10**8  # multiply-adds a product up to which more threads cost more than they bring


def linear_probe(
    train_x,
    train_y,
    test_x,
    test_y,
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
    train_x, train_y, test_x, test_y = check_split(train_x, train_y, test_x, test_y)
    probe = fit_linear_probe(train_x, train_y, seed, grid, held_out)
    return {"top1": float(np.mean(probe.predict(test_x) == test_y)), **probe.details()}


@dataclasses.dataclass(frozen=True)
class LinearProbe:
    """A fitted logistic regression, and how its C was chosen; see `linear_probe`."""

    model: object = dataclasses.field(repr=False)
    center: np.ndarray = dataclasses.field(repr=False)
    c: float
    held_out_top1: float | None
    iterations: int
    converged: bool

    def predict(self, features: np.ndarray) -> np.ndarray:
        """The class of each image: (M, C) -> (M,), of the training labels' type."""
        features = normalize(np.asarray(features, "float32")) - self.center
        with _threads(features.size * len(self.model.classes_)):
            return self.model.predict(features)

    def details(self) -> dict[str, float | int | bool | None]:
        """How the fit came about, as `linear_probe` reports it."""
        names = ("c", "held_out_top1", "iterations", "converged")
        return {name: getattr(self, name) for name in names}


def fit_linear_probe(
    train_x,
    train_y,
    seed: int = 0,
    grid: Sequence[float] = GRID,
    held_out: float = HELD_OUT,
) -> LinearProbe:
    """Chooses C on a held-out part of train and fits all of it; arguments as `linear_probe`."""
    if not grid or min(grid) <= 0:
        raise ValueError(f"`grid` must hold positive values of C; received {tuple(grid)}.")
    if not 0 < held_out < 1:
        raise ValueError(f"`held_out` must be a fraction between 0 and 1; received {held_out}.")
    train_x, train_y = normalize(np.asarray(train_x, "float32")), np.asarray(train_y)
    center = train_x.mean(axis=0, dtype="float64")
    train_x = train_x - center  # float64: float32 stops L-BFGS before its tolerance
    grid = sorted(grid)
    chosen, best = grid[len(grid) // 2], None
    parts = _parts(train_y, held_out, seed)
    with _threads(train_x.size * len(np.unique(train_y))):
        if parts and len(grid) > 1:
            right = np.zeros(len(grid))
            for held in parts:
                model = None
                for number, c in enumerate(grid):  # each starts where the last one ended
                    model, _, _ = _fit(train_x[~held], train_y[~held], c, model)
                    right[number] += np.sum(model.predict(train_x[held]) == train_y[held])
            chosen = grid[int(np.argmax(right))]
            best = float(right.max() / sum(held.sum() for held in parts))
        model, iterations, converged = _fit(train_x, train_y, chosen)
    return LinearProbe(model, center, float(chosen), best, iterations, converged)


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
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    if model is None:
        model = LogisticRegression(tol=TOLERANCE, max_iter=ITERATIONS, warm_start=True)
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
    with scikit_learn("The linear probe"):
        import sklearn  # noqa: F401
        from threadpoolctl import threadpool_limits
    return threadpool_limits(1) if work < SMALL else contextlib.nullcontext()
