"""k-NN and the linear probe against scikit-learn."""

import builtins
import sys

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from keras_cr.evaluation import knn, linear_probe
from keras_cr.models.logistic_regression import stratified_part


def data(n=60, classes=4, channels=8, noise=1.0, seed=0):
    rng = np.random.default_rng(seed)
    centers = rng.standard_normal((classes, channels))

    def draw(count):
        labels = np.arange(count) % classes
        return (centers[labels] + noise * rng.standard_normal((count, channels))), labels

    return *draw(n), *draw(n + 13)


@pytest.mark.parametrize("seed", range(3))
def test_nearest_neighbour_agrees_with_scikit_learn(seed):
    train_x, train_y, test_x, test_y = data(seed=seed)
    oracle = KNeighborsClassifier(1, metric="cosine").fit(train_x, train_y)
    expected = oracle.score(test_x, test_y)
    assert knn(train_x, train_y, test_x, test_y, k=1)["top1"] == pytest.approx(expected)


def test_votes_agree_with_scikit_learn_where_no_vote_ties():
    train_x, train_y, test_x, test_y = data(classes=2)  # two classes, odd k: no ties
    oracle = KNeighborsClassifier(7, metric="cosine").fit(train_x, train_y)
    expected = {"top1": oracle.score(test_x, test_y), "k": 7, "leave_one_out_top1": None}
    for chunk_size in (None, 1, 10):
        assert knn(train_x, train_y, test_x, test_y, k=7, chunk_size=chunk_size) == expected


def test_a_tied_vote_goes_to_the_nearest():
    angles = np.deg2rad([40, 10, 30, 20])
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    # from 0 degrees, nearest first: b, c, c, b -> two votes each, b is nearest
    assert knn(points, ["b", "b", "c", "c"], [[1, 0]], ["b"], k=4)["top1"] == 1
    assert knn(points, ["b", "b", "c", "c"], [[1, 0]], ["c"], k=3)["top1"] == 1


def test_k_is_chosen_by_leave_one_out_on_train():
    train_x, train_y, test_x, test_y = data(classes=2, noise=2.0)
    accuracy = {}
    for k in (1, 5, 15):
        model = KNeighborsClassifier(k, metric="cosine").fit(train_x, train_y)
        # leave-one-out: scikit-learn's neighbours of the fitted points leave out the point itself
        votes = train_y[model.kneighbors(return_distance=False)].mean(axis=1) > 0.5
        accuracy[k] = float(np.mean(votes == train_y))
    best = max(accuracy, key=accuracy.get)
    result = knn(train_x, train_y, test_x, test_y, grid=(15, 1, 5, 60, 1000))
    assert (result["k"], result["leave_one_out_top1"]) == (best, pytest.approx(accuracy[best]))
    assert result["top1"] == knn(train_x, train_y, test_x, test_y, k=best)["top1"]
    shuffled = knn(train_x, train_y, test_x, test_y[::-1], grid=(1, 5, 15))
    assert shuffled["k"] == best, "the test labels play no part in it"


def test_the_smaller_k_wins_a_tie():
    points = np.repeat(np.eye(2), 6, axis=0)
    labels = np.repeat([0, 1], 6)
    assert knn(points, labels, points, labels, grid=(3, 1, 5))["k"] == 1


def test_linear_probe_is_the_optimum_of_the_c_it_reports():
    train_x, train_y, test_x, test_y = data()
    result = linear_probe(train_x, train_y, test_x, test_y, grid=(1.0, 30.0))
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (train_x, test_x)]
    oracle = LogisticRegression(C=result["c"], tol=1e-8, max_iter=5000).fit(unit[0], train_y)
    assert result["top1"] == pytest.approx(oracle.score(unit[1], test_y), abs=1e-9)
    assert result["converged"]
    assert result["iterations"] > 0
    assert 0 < result["held_out_top1"] <= 1


def test_linear_probe_chooses_on_train_and_repeats():
    train_x, train_y, test_x, test_y = data(noise=0.5)
    first = linear_probe(train_x, train_y, test_x, test_y, seed=3)
    assert first == linear_probe(train_x, train_y, test_x, test_y, seed=3)
    shuffled = linear_probe(train_x, train_y, test_x, test_y[::-1], seed=3)
    assert (first["c"], first["held_out_top1"]) == (shuffled["c"], shuffled["held_out_top1"])


def test_linear_probe_of_a_small_set_chooses_on_all_of_train():
    """One fifth of 60 images would choose by 12 of them: every image has its turn."""
    train_x, train_y, _, _ = data(noise=0.8)
    result = linear_probe(train_x, train_y, train_x, train_y)
    images = result["held_out_top1"] * len(train_y)
    assert images == pytest.approx(round(images)), "a share of all training images"


def test_linear_probe_says_when_it_did_not_converge(monkeypatch):
    module = sys.modules["keras_cr.models.logistic_regression"]
    monkeypatch.setattr(module, "ITERATIONS", 1)
    result = linear_probe(*data(), grid=(1e6,))
    assert result["converged"] is False
    assert result["iterations"] == module.ROUNDS
    assert result["held_out_top1"] is None


def test_linear_probe_with_one_image_a_class_has_nothing_to_choose_on():
    result = linear_probe(np.eye(3), [0, 1, 2], np.eye(3), [0, 1, 2])
    assert (result["top1"], result["c"], result["held_out_top1"]) == (1, 100, None)


def test_stratified_part():
    labels = np.repeat([0, 1, 2, 3], [10, 5, 2, 1])
    drawn = stratified_part(labels, 0.2, seed=0)
    assert [int(drawn[labels == label].sum()) for label in range(4)] == [2, 1, 1, 0]
    assert (drawn != stratified_part(labels, 0.2, seed=1)).any()
    parts = np.stack([stratified_part(labels, 0.2, 0, number) for number in range(5)])
    assert (parts.sum(axis=0)[labels < 2] == 1).all(), "disjoint, and all of train together"


@pytest.mark.parametrize("probe", [knn, linear_probe])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train_y": np.zeros(60)}, "at least two classes"),
        ({"train_y": np.arange(59)}, "`train_y` must have one label a row"),
        ({"test_y": np.arange(60)}, "`test_y` must have one label a row"),
        ({"test_x": np.ones((73, 5))}, "same width"),
        ({"test_x": np.full((73, 8), np.inf)}, "`test_x` must be finite"),
    ],
)
def test_refusals(probe, change, message):
    arguments = dict(zip(("train_x", "train_y", "test_x", "test_y"), data(), strict=True))
    with pytest.raises(ValueError, match=message):
        probe(**(arguments | change))


def test_refused_options():
    with pytest.raises(ValueError, match="`k` must be from 1 to .* 60; received 61"):
        knn(*data(), k=61)
    with pytest.raises(ValueError, match="`grid` must hold a k from 1 to 59, .* received"):
        knn(*data(), grid=(60, 100))
    with pytest.raises(ValueError, match="`grid`"):
        linear_probe(*data(), grid=(0.0, 1.0))
    with pytest.raises(ValueError, match="`held_out`"):
        linear_probe(*data(), held_out=1.0)


def test_missing_scikit_learn_names_the_extra(monkeypatch):
    real = builtins.__import__

    def fake(name, *args, **kwargs):
        if name.split(".")[0] == "sklearn":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", fake)
    with pytest.raises(ImportError, match=r"keras-cr\[recipes\]"):
        linear_probe(*data())
