"""The predictor's learning rate, which doesn't fall with the others'."""

import keras
import numpy as np
import pytest

from keras_cr.pretraining import SimSiam
from tests.case import tiny_encoder
from tests.pretraining.objectives.test_moco import batch
from tests.pretraining.objectives.test_values import SIZES


def simsiam(rate, optimizer=keras.optimizers.SGD, **options):
    pretrainer = SimSiam(tiny_encoder(), rationale=None, **SIZES["simsiam"], **options)
    pretrainer.compile(optimizer(rate), run_eagerly=True)
    return pretrainer


def step(pretrainer):
    """How far the first kernels of both heads go."""
    kernels = [pretrainer.heads[name].linears[0].kernel for name in ("predict", "project")]
    before = [np.asarray(kernel) for kernel in kernels]
    pretrainer.train_on_batch(batch())
    return [np.asarray(k) - old for k, old in zip(kernels, before, strict=True)]


@pytest.mark.parametrize("optimizer", [keras.optimizers.SGD, keras.optimizers.Adam])
def test_the_predictors_rate_stays_as_others_fall_to_a_hundredth(optimizer):
    rates = keras.optimizers.schedules.PiecewiseConstantDecay([0, 1], [0.1, 0.01, 1e-4])
    constant, common = (
        simsiam(rates, optimizer, constant_predictor_rate=choice) for choice in (True, False)
    )
    for longer in (1, 10, 100):
        (predict, project), others = step(constant), step(common)
        np.testing.assert_allclose(predict, longer * others[0], rtol=0.02, atol=1e-5)
        np.testing.assert_allclose(project, others[1], rtol=0.02, atol=1e-6)
        common.set_weights(constant.get_weights())


def test_it_is_warmed_up_with_the_others_and_saved(tmp_path):
    warm = keras.optimizers.schedules.CosineDecay(0.0, 4, warmup_target=0.1, warmup_steps=2)
    pretrainer = simsiam(warm)
    assert not np.any(step(pretrainer)[0]), "the rate is 0"
    rates = []
    for _ in range(4):
        assert np.any(step(pretrainer)[0])
        rates.append(float(pretrainer.highest_rate))
    np.testing.assert_allclose(rates, [0.05, 0.1, 0.1, 0.1], rtol=1e-5)
    pretrainer.save(tmp_path / "simsiam.keras")
    loaded = keras.saving.load_model(tmp_path / "simsiam.keras")
    assert float(loaded.highest_rate) == rates[-1]
    assert loaded.constant_predictor_rate
