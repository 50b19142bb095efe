"""LARS and AdamW against their formulas, written out in NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_cr.optimizers import LARS, AdamW

Cosine = keras.optimizers.schedules.CosineDecay
STEPS = 6


def rates(step):
    """Two steps of warm-up from 0 to 0.5, then a cosine over six."""
    return 0.25 * step if step < 2 else 0.25 * (1 + np.cos(np.pi * (step - 2) / 6))


def decays(step):
    """From 0.04 to 0.4 along a cosine over six steps."""
    return 0.4 - 0.18 * (1 + np.cos(np.pi * step / 6))


def rate_schedule():
    return Cosine(0.0, 6, warmup_target=0.5, warmup_steps=2)


def decay_schedule():
    return Cosine(0.04, 6, alpha=10.0)


def drawn():
    """A matrix, a bias, one that is zero and a filter, and their gradients at every step."""
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=(4, 3)), rng.normal(size=3), np.zeros((2, 2))]
    weights.append(rng.normal(size=(3, 3, 2, 4)))
    gradients = [[rng.normal(size=w.shape) for w in weights] for _ in range(STEPS)]
    return weights, gradients


def trained(optimizer, weights, gradients, compiled=lambda step: step, dtype="float32"):
    variables = [keras.Variable(w, dtype=dtype) for w in weights]
    optimizer.build(variables)
    step = compiled(lambda *g: optimizer.apply(g, variables))
    for each in gradients:
        step(*(tf.constant(g, dtype) for g in each))
    return [np.asarray(v) for v in variables]


def lars_by_hand(weights, gradients, rates, decays, momentum=0.9, trust=0.001):
    weights = [w.copy() for w in weights]
    velocities = [np.zeros_like(w) for w in weights]
    for step, each in enumerate(gradients):
        for w, v, g in zip(weights, velocities, each, strict=True):
            if w.ndim > 1:
                g = g + decays(step) * w
                lengths = np.linalg.norm(w), np.linalg.norm(g)
                g = g * (trust * lengths[0] / lengths[1] if min(lengths) > 0 else 1)
            v[:] = momentum * v - rates(step) * g
            w += v
    return weights


def adamw_by_hand(weights, gradients, rates, decays):
    weights = [w.copy() for w in weights]
    first, second = ([np.zeros_like(w) for w in weights] for _ in range(2))
    for step, each in enumerate(gradients):
        for w, m, v, g in zip(weights, first, second, each, strict=True):
            if w.ndim > 1:
                w -= rates(step) * decays(step) * w
            m += 0.1 * (g - m)
            v += 0.001 * (g**2 - v)
            share = rates(step) * np.sqrt(1 - 0.999 ** (step + 1)) / (1 - 0.9 ** (step + 1))
            w -= share * m / (np.sqrt(v) + 1e-7)
    return weights


WAYS = [lambda f: f, tf.function, lambda f: tf.function(f, jit_compile=True)]
BY_HAND = [(LARS, lars_by_hand), (AdamW, adamw_by_hand)]


@pytest.mark.parametrize("compiled", WAYS, ids=["eager", "graph", "xla"])
@pytest.mark.parametrize(("optimizer", "by_hand"), BY_HAND)
def test_schedules_by_hand(optimizer, by_hand, compiled):
    weights, gradients = drawn()
    made = optimizer(rate_schedule(), weight_decay=decay_schedule())
    found = trained(made, weights, gradients, compiled)
    expected = by_hand(weights, gradients, rates, decays)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=2e-5)
    assert decays(0) == pytest.approx(0.04)
    assert float(made.weight_decay) == pytest.approx(decays(STEPS), rel=1e-5)


@pytest.mark.parametrize(("optimizer", "by_hand"), BY_HAND)
def test_numbers_by_hand(optimizer, by_hand):
    weights, gradients = drawn()
    found = trained(optimizer(0.3, weight_decay=0.02), weights, gradients)
    expected = by_hand(weights, gradients, lambda step: 0.3, lambda step: 0.02)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=2e-5)


def test_other_arguments_of_lars():
    weights, gradients = drawn()
    found = trained(LARS(0.3, 0.5, 0.02, 0.1), weights, gradients)
    expected = lars_by_hand(weights, gradients, lambda s: 0.3, lambda s: 0.02, 0.5, 0.1)
    np.testing.assert_allclose(found[0], expected[0], rtol=2e-5)
    still = trained(LARS(0.3, 0.0, 0.02, 0.1), weights, [gradients[0]])[0] - weights[0]
    length = 0.3 * 0.1 * np.linalg.norm(weights[0])
    assert np.linalg.norm(still) == pytest.approx(length, rel=1e-5), "whatever the gradient"


@pytest.mark.parametrize("optimizer", [LARS, AdamW])
def test_what_is_excluded_by_name_stays_so(optimizer):
    weights, gradients = drawn()
    variables = [keras.Variable(w, name=f"{n}_of_it") for n, w in zip("abcd", weights, strict=True)]
    made, none = optimizer(0.3, weight_decay=0.5), optimizer(0.3, weight_decay=0.0)
    for each in (made, none):
        each.exclude_from_weight_decay(var_names=["a_of"])
        each.apply([tf.constant(g, "float32") for g in gradients[0]], variables)
        each.found = [np.asarray(v) for v in variables]
        for variable, value in zip(variables, weights, strict=True):
            variable.assign(value)
    np.testing.assert_array_equal(made.found[0], none.found[0])
    if optimizer is LARS:
        np.testing.assert_allclose(made.found[0], weights[0] - 0.3 * gradients[0][0], rtol=1e-5)


def test_low_precision_weights_have_exact_norms():
    weights, gradients = drawn()
    large = [300 * w for w in weights]  # whose squares overflow float16
    low = trained(LARS(1.0, weight_decay=0.0), large, gradients[:1], dtype="float16")
    exact = trained(LARS(1.0, weight_decay=0.0), large, gradients[:1])
    assert np.isfinite(low[0]).all()
    np.testing.assert_allclose(low[0], exact[0], rtol=1e-3)


def model(optimizer):
    layers = [keras.layers.Dense(5, activation="relu", kernel_initializer="ones")]
    layers += [keras.layers.BatchNormalization(), keras.layers.Dense(1, kernel_initializer="ones")]
    made = keras.Sequential([keras.Input((4,)), *layers])
    made.compile(optimizer, "mse")
    return made


def data():
    x = np.random.default_rng(1).normal(size=(16, 4)).astype("float32")
    y = np.abs(x.sum(axis=1))
    return {"x": x, "y": y, "shuffle": False, "batch_size": 8, "verbose": 0}


@pytest.mark.parametrize("optimizer", [LARS, AdamW])
def test_a_saved_training_goes_on_exactly(optimizer, tmp_path):
    schedules = {"learning_rate": Cosine(0.0, 8, warmup_target=0.05, warmup_steps=2)}
    schedules["weight_decay"] = Cosine(0.04, 10, alpha=10.0)
    whole = model(optimizer(**schedules))
    whole.fit(**data(), epochs=2)
    whole.save(tmp_path / "half.keras")
    half = keras.saving.load_model(tmp_path / "half.keras")
    assert type(half.optimizer) is optimizer
    decay = 0.4 - 0.18 * (1 + np.cos(np.pi * 4 / 10))
    assert float(half.optimizer.weight_decay) == pytest.approx(decay, rel=1e-5)
    losses = [each.fit(**data(), epochs=3).history["loss"] for each in (whole, half)]
    assert losses[0] == losses[1]
    for one, other in zip(whole.variables, half.variables, strict=True):
        np.testing.assert_array_equal(one, other)


def test_gradients_are_accumulated_to_the_same_step():
    weights, gradients = drawn()
    twice = [each for each in gradients[:2] for _ in range(2)]
    made = LARS(0.3, weight_decay=0.02, gradient_accumulation_steps=2)
    found = trained(made, weights, twice)
    expected = trained(LARS(0.3, weight_decay=0.02), weights, gradients[:2])
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)


def test_lars_learns():
    losses = model(LARS(0.03, trust_coefficient=0.3)).fit(**data(), epochs=40).history["loss"]
    assert losses[-1] < 0.2 * losses[0]


@pytest.mark.parametrize("optimizer", [LARS, AdamW])
@pytest.mark.parametrize("value", [-0.1, None, "cosine", float("nan")])
def test_a_weight_decay_that_cannot_be(optimizer, value):
    with pytest.raises(ValueError, match="`weight_decay` must be a number of 0 or more"):
        optimizer(weight_decay=value)


def test_other_bad_arguments():
    with pytest.raises(ValueError, match="`momentum` must lie in 0..1. Received: momentum=1.5"):
        LARS(momentum=1.5)
    with pytest.raises(ValueError, match="trust_coefficient=0"):
        LARS(trust_coefficient=0)
