"""LeJEPA's loss in NumPy, and that it spreads embeddings as a Gaussian."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_cr.pretraining import View
from keras_cr.pretraining.objectives.lejepa import epps_pulley
from tests.case import images, tiny_encoder
from tests.pretraining.objectives.test_values import small


def statistic(samples):
    """Of numbers `(N,)`, by the characteristic function on both sides of zero."""
    t = np.linspace(-3, 3, 33)
    gaussian = np.exp(-(t**2) / 2)
    empirical = np.exp(1j * t[:, None] * samples).mean(axis=1)
    return len(samples) * np.trapezoid(np.abs(empirical - gaussian) ** 2 * gaussian, t)


def compiled(**options):
    pretrainer = small("lejepa", tiny_encoder(), rationale=None, **options)
    pretrainer.compile(keras.optimizers.SGD(0.05, momentum=0.9))
    return pretrainer


def test_statistic():
    samples = np.random.default_rng(0).standard_normal((2, 40, 3)).astype("float32")
    samples[1] *= [0.0, 2.0, 1.0]
    expected = [[statistic(each[:, column]) for column in range(3)] for each in samples]
    np.testing.assert_allclose(epps_pulley(samples), expected, rtol=1e-4)
    collapsed, wide = expected[1][:2]
    assert collapsed > wide > 5 * np.mean(expected[0])


def test_value():
    """In one dimension every direction is 1 or -1, and the statistic is the same for both."""
    query, key, *crops = np.random.default_rng(0).standard_normal((5, 5, 1)).astype("float32")
    small_crops = np.stack(crops, axis=1).reshape(15, 1)
    student = {"query": query, "key": key, "small": small_crops}
    student = {name: View(None, None, each, each) for name, each in student.items()}
    outcome = compiled(projection_dim=1, small_crops=3).objective(student, {}, {})
    views, middle = [query, key, *crops], (query + key) / 2
    prediction = np.mean([(view - middle) ** 2 for view in views])
    gaussianity = np.mean([statistic(view[:, 0]) for view in views])
    assert float(outcome.logs["prediction"]) == pytest.approx(prediction, rel=1e-5)
    assert float(outcome.logs["gaussianity"]) == pytest.approx(gaussianity, rel=1e-4)
    expected = 0.95 * prediction + 0.05 * gaussianity
    assert float(outcome.loss) == pytest.approx(expected, rel=1e-4)


def test_directions_are_those_of_the_seed_and_the_step():
    one, other, another = compiled(seed=1), compiled(seed=1), compiled(seed=2)
    first = np.asarray(one.draw_directions())
    np.testing.assert_allclose((first**2).sum(axis=0), np.ones(16), rtol=1e-5)
    np.testing.assert_array_equal(first, other.draw_directions())
    assert not np.allclose(first, another.draw_directions())
    other.optimizer.iterations.assign(1)
    assert not np.allclose(first, other.draw_directions())


def test_projections_become_gaussian_and_views_agree():
    rng, whole = np.random.default_rng(0), images(32)

    def views():
        while True:
            noisy = whole + rng.normal(0, 20, (2, *whole.shape))
            yield dict(zip(("query", "key"), noisy.astype("float32"), strict=True))

    keras.utils.set_random_seed(0)
    pretrainer = compiled(hidden_dim=32, directions=64)
    spec = tf.TensorSpec(whole.shape, "float32")
    data = tf.data.Dataset.from_generator(views, output_signature={"query": spec, "key": spec})
    history = pretrainer.fit(data, epochs=3, steps_per_epoch=25, verbose=0).history
    assert history["gaussianity"][-1] < 0.5 * history["gaussianity"][0] < 3
    assert history["embedding_std"][-1] > 0.8
    query, key = (next(views())[name] for name in ("query", "key"))
    seen = [
        pretrainer.see(pretrainer.look(each), pretrainer.heads).projected for each in (query, key)
    ]
    spread = np.var(seen[0], axis=0).mean()
    assert 0.5 < spread < 2
    assert np.mean(np.square(seen[0] - seen[1])) < spread / 4


@pytest.mark.parametrize("wrong", [{"gaussian_weight": 2}, {"small_crops": -1}, {"directions": 0}])
def test_bad_arguments(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        small("lejepa", tiny_encoder(), **wrong)
