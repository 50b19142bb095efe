"""fit_rationale on features that are too large, too small, or that say nothing."""

import sys
import warnings

import keras
import numpy as np
import pytest

from keras_cr import CommonRationaleClassifier, CommonRationaleEncoder
from keras_cr.pretraining import Neighbours, Rationale, fit_rationale
from tests.case import images, tiny_backbone, tiny_encoder

OPTIONS = {"rationale": Rationale(Neighbours(k=3)), "rounds": 2, "epochs": 3}


def scaled_encoder(scale, dtype=None):
    """An encoder whose features are `scale` times those of another."""
    layers = [keras.Input((None, None, 3)), tiny_backbone(), keras.layers.Rescaling(scale)]
    return CommonRationaleEncoder(keras.Sequential(layers), num_detectors=2, seed=0, dtype=dtype)


def fitted(scale):
    encoder = scaled_encoder(scale)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", UserWarning)
        history = fit_rationale(encoder, images(16), **OPTIONS)
    assert not any("nothing to do with" in str(each.message) for each in told)
    return history, np.asarray(encoder.encode(images(16))["rationale"])


def test_features_that_leave_half_precision():
    _, expected = fitted(2.0**30)
    for power in (20, -20):  # float16 overflows, or loses most digits
        history, maps = fitted(2.0**power)
        assert all(np.isfinite(list(row.values())).all() for row in history)
        assert history[-1]["agreement"] > 0.1
        np.testing.assert_allclose(maps, expected, atol=1e-3)


@pytest.mark.parametrize(
    ("scale", "message"),
    [(1e38, "whose length float32 can hold.*Rescaling"), (1e300, "must be finite")],
)
def test_a_branch_that_is_not_finite_is_never_stored(scale, message):
    encoder = scaled_encoder(scale)
    before = encoder.branch.get_weights()
    with pytest.raises(ValueError, match=message):
        fit_rationale(encoder, images(16), **OPTIONS)
    for old, new in zip(before, encoder.branch.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_learning_rate_that_is_too_large():
    encoder = scaled_encoder(1.0)
    before = encoder.branch.get_weights()
    with pytest.raises(ValueError, match="smaller `learning_rate`"):
        fit_rationale(encoder, images(16), **OPTIONS, learning_rate=1e38)
    np.testing.assert_array_equal(encoder.branch.detectors.kernel, before[0])


def test_weights_that_are_not_finite():
    encoder = scaled_encoder(1.0)
    variable = encoder.backbone.weights[0]
    variable.assign(np.full(variable.shape, np.nan))
    with pytest.raises(ValueError, match="`encoder` must have finite weights; .*kernel hold NaN"):
        fit_rationale(encoder, images(16), **OPTIONS)


def test_maps_without_contrast_are_told():
    for encoder, batch in (
        (scaled_encoder(0.0), images(16)),
        (scaled_encoder(1.0), np.zeros((16, 32, 32, 3), "uint8")),
    ):
        with pytest.warns(
            UserWarning, match="100 % of the images have no contrast.*random weights"
        ):
            history = fit_rationale(encoder, batch, **OPTIONS)
        assert history[-1]["agreement"] == 0


def test_maps_that_do_not_follow_their_target_are_told(monkeypatch):
    monkeypatch.setattr(sys.modules["keras_cr.rationale.doubt"], "UNRELATED", 2.0)
    with pytest.warns(UserWarning, match=r"nothing to do with.*agreement .*random weights"):
        history = fit_rationale(encoder := scaled_encoder(1.0), images(16), **OPTIONS)
    # what is left, and measured, is the one detector of the rounds, not one that learned from it
    kernel = np.asarray(encoder.branch.detectors.kernel)
    assert kernel.shape[-1] == 2
    np.testing.assert_array_equal(kernel[..., 0], kernel[..., 1])
    alone = Rationale(Neighbours(k=3), self_training=False)
    single = CommonRationaleEncoder(encoder.backbone, num_detectors=1, seed=0)
    with pytest.warns(UserWarning, match="nothing to do with"):
        again = fit_rationale(single, images(16), **OPTIONS | {"rationale": alone})
    assert again[-1] == pytest.approx(history[-1], abs=1e-4)
    maps = (np.asarray(each.encode(images(16))["rationale"]) for each in (encoder, single))
    np.testing.assert_allclose(*maps, atol=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"encoder": tiny_backbone()}, r"`encoder` must be .*Give CommonRationaleEncoder\("),
        (
            {"encoder": CommonRationaleClassifier(tiny_encoder(), 2)},
            r"`encoder` must be .*Give classifier.encoder",
        ),
        ({"rationale": None}, "`rationale` must be a Rationale. Received: None"),
        ({"learning_rate": -1}, "`learning_rate` must be a positive number.*=-1"),
        ({"learning_rate": "a"}, "`learning_rate` must be a positive number"),
        ({"on_round": 3}, "`on_round` must be a function or None. Received: 3"),
    ],
)
def test_arguments_of_another_kind_are_told_before_any_work(change, message):
    given = {
        "encoder": tiny_encoder(),
        "images": images(8),
        "rationale": Rationale(Neighbours(k=3)),
    }
    with pytest.raises(ValueError, match=message):
        fit_rationale(**given | change)
