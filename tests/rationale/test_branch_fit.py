import numpy as np
import pytest

from keras_cr.layers import RationaleBranch
from keras_cr.rationale.branch_fit import fit_branch


def data(n=64, seed=0):
    """Maps whose channel 2 says where the target is."""
    rng = np.random.default_rng(seed)
    maps = rng.random((n, 4, 4, 5)).astype("float16")
    return maps, (maps[..., 2] > 0.6).astype("float32")


def branch(seed=0):
    made = RationaleBranch(1, seed=seed)
    made.build((None, None, None, 5))
    return made


def test_a_branch_learns_the_maps_it_is_given_and_repeats():
    maps, targets = data()
    fitted, again = branch(), branch()
    untrained = fit_branch(branch(), maps, targets, epochs=1, learning_rate=1e-6)
    loss = fit_branch(fitted, maps, targets, epochs=30, batch_size=16, learning_rate=0.05)
    assert loss < 0.5 * untrained
    held_out, expected = data(seed=1)
    found = np.asarray(fitted(held_out.astype("float32")))
    assert np.mean((found > 0.5) == expected) > 0.85
    assert fit_branch(again, maps, targets, epochs=30, batch_size=16, learning_rate=0.05) == loss
    np.testing.assert_array_equal(fitted.batch_norm.gamma, [1])


def test_scale_and_offset_are_trained_on_request():
    made = branch()
    fit_branch(made, *data(), epochs=2, train_affine=True)
    assert made.batch_norm.gamma[0] != 1


def test_refusals():
    maps, targets = data()
    with pytest.raises(ValueError, match=r"received \(64, 4, 4, 5\), \(64, 4, 3\)"):
        fit_branch(branch(), maps, targets[..., :3])
    with pytest.raises(ValueError, match="epochs=0"):
        fit_branch(branch(), maps, targets, epochs=0)
