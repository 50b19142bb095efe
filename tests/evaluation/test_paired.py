import numpy as np
import pytest

from keras_cr.evaluation import paired
from keras_cr.evaluation.paired import paired_bootstrap, spread


def test_spread_by_hand():
    """1, 2, 6: squares of the distances to 3 are 4, 1 and 9, together 14, over n - 1."""
    assert spread([1, 2, 6]) == {"mean": 3.0, "std": pytest.approx(7**0.5), "n": 3}
    assert spread([0.25]) == {"mean": 0.25, "std": None, "n": 1}, "one run has no spread"


def test_a_constant_difference_has_no_interval():
    assert paired_bootstrap(np.full((3, 20), 0.25), draws=50) == (0.25, 0.25)
    seeds = np.array([[0.0], [1.0]]) * np.ones((2, 8))  # draws: 0, 1/2, 1 with 1/4, 1/2, 1/4
    assert paired_bootstrap(seeds, draws=4000) == (0.0, 1.0)
    low, high = paired_bootstrap(seeds, draws=4000, confidence=0.4)
    assert (low, high) == (0.5, 0.5), "the middle 40 % lie inside the half that is 1/2"


def test_one_seed_is_the_bootstrap_of_images():
    """The mean of n draws of 0 or 1 is binomial, whose quantiles are known."""
    stats = pytest.importorskip("scipy.stats")
    images = 200
    values = (np.arange(images) < 60).astype(float)[None]
    expected = stats.binom(images, 0.3).ppf([0.025, 0.975]) / images
    np.testing.assert_allclose(paired_bootstrap(values), expected, atol=1 / images)


def test_images_are_drawn_once_for_all_seeds():
    """Seeds that agree on every image tell no more about the images than one of them."""
    values = np.random.default_rng(0).standard_normal((1, 100))
    one = np.subtract(*paired_bootstrap(values))
    eight = np.subtract(*paired_bootstrap(np.repeat(values, 8, axis=0)))
    assert eight == pytest.approx(one, rel=0.05)


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    rng = np.random.default_rng(0)
    seeds, images, trials, inside, mean_inside = 8, 40, 200, 0, 0
    for trial in range(trials):
        effects = rng.standard_normal((seeds, 1)) + rng.standard_normal((1, images))
        differences = 0.5 + effects + 0.5 * rng.standard_normal((seeds, images))
        low, high = paired_bootstrap(differences, draws=200, seed=trial)
        inside += low <= 0.5 <= high
        mean_inside += low <= differences.mean() <= high
    assert 0.85 < inside / trials < 0.99
    assert mean_inside == trials


def test_a_seed_repeats_the_draws_and_chunks_hardly_matter(monkeypatch):
    values = np.random.default_rng(1).standard_normal((3, 50))
    first = paired_bootstrap(values, draws=2000, seed=4)
    assert first == paired_bootstrap(values, draws=2000, seed=4)
    assert first != paired_bootstrap(values, draws=2000, seed=5)
    monkeypatch.setattr(paired, "WORKING_ENTRIES", 500)
    np.testing.assert_allclose(paired_bootstrap(values, draws=2000), first, atol=0.05)


def test_refusals():
    for values in ([], [0.1, np.nan], [[0.1]]):
        with pytest.raises(ValueError, match="`values` must be one finite number a run"):
            spread(values)
    for differences in ([0.1, 0.2], np.zeros((2, 0)), [[0.1, np.nan]]):
        with pytest.raises(ValueError, match="`differences` must be finite, of shape"):
            paired_bootstrap(differences)
    with pytest.raises(ValueError, match="`draws` must be at least 1; received 0"):
        paired_bootstrap([[0.1]], draws=0)
    with pytest.raises(ValueError, match="`confidence` must lie between 0 and 1; received 95"):
        paired_bootstrap([[0.1]], confidence=95)
