"""Neighbours that are alike in the object and unlike in the background, against their formula."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_cr.layers import RationalePooling
from keras_cr.pretraining import MoCo, Neighbours, Rationale, fit_rationale
from keras_cr.rationale.explain import Explainer, embed_for_neighbours, explain_neighbours
from keras_cr.rationale.neighbours import NeighbourBank
from tests.case import run_pretrainer_test, tiny_encoder
from tests.pretraining.objectives.test_moco import SMALL, batch, moco
from tests.rationale.test_neighbours import color_encoder, energy_ratio, unit

OFF = {"background": 0.0, "background_negatives": 0.0}
BOTH = {"background": 1.5, "background_negatives": 0.5}


def embeddings(number=20, channels=6, seed=0, shared=0.8):
    """Of objects and, behind them, of backgrounds, which the objects' hold a share of."""
    rng = np.random.default_rng(seed)
    objects, backgrounds = (unit(rng.standard_normal((number, channels)) + 1) for _ in range(2))
    return np.hstack([unit(objects + shared * backgrounds), backgrounds]).astype("float32")


def filled_bank(rows, size=None, k=3, **choices):
    bank = NeighbourBank(size or len(rows), k, temperature=0.2, **choices)
    bank.build((None, rows.shape[1]))
    bank.enqueue(rows, np.arange(len(rows)))
    return bank


def explained_by_hand(rows):
    """Of each pair: how alike the objects are, and what of that the backgrounds explain."""
    objects, backgrounds = np.split(rows.astype("float64"), 2, axis=1)
    seen = unit(backgrounds - backgrounds.mean(axis=0))
    similarity, alike = objects @ objects.T, np.maximum(seen @ seen.T, 0)
    others = ~np.eye(len(rows), dtype=bool)
    slope = np.polyfit(alike[others], similarity[others], 1)[0]
    return similarity, max(slope, 0) * alike


def gradients_by_hand(rows, k, background, background_negatives, temperature=0.2):
    similarity, explained = explained_by_hand(rows)
    objects = rows[:, : rows.shape[1] // 2].astype("float64")
    found = []
    for i, e in enumerate(objects):
        others = np.delete(np.arange(len(rows)), i)
        nearness = similarity[i] - background * explained[i]
        order = others[np.argsort(-nearness[others])]
        near, far = order[:k], order[k:]
        positive = unit(objects[near].mean(axis=0))
        logits = np.append(similarity[i] + background_negatives * explained[i], e @ positive)
        shares = np.exp(logits / temperature)
        shares /= shares[[*far, -1]].sum()
        slope = shares[far] @ objects[far] + (shares[-1] - 1) * positive
        slope /= temperature
        found.append(slope - (slope @ e) * e)
    return np.array(found)


@pytest.mark.parametrize(
    ("background", "background_negatives", "size"),
    [(1.0, 0.0, 20), (2.0, 1.0, 64), (0.0, 1.0, 20), (1e-9, 0.0, 20)],
)
def test_the_gradient_is_that_of_the_formula(background, background_negatives, size):
    rows = embeddings()
    bank = filled_bank(rows, size, background=background, background_negatives=background_negatives)
    gradient = np.asarray(bank.gradient(tf.constant(rows), np.arange(20)))
    expected = gradients_by_hand(rows, 3, background, background_negatives)
    np.testing.assert_allclose(gradient, expected, atol=1e-4)
    np.testing.assert_allclose((gradient * rows[:, :6]).sum(axis=1), 0, atol=1e-5)
    plain = filled_bank(rows[:, :6], size).gradient(tf.constant(rows[:, :6]), np.arange(20))
    same = np.abs(gradient - np.asarray(plain)).max() < 1e-4
    assert same == (background == 1e-9), "the toy must tell the choices apart"


def test_no_background_is_sought_because_it_is_alike():
    """Images of one object never share a background here, and a slope below 0 would ask for it."""
    rng = np.random.default_rng(0)
    kinds, grounds = unit(rng.standard_normal((4, 6))), unit(rng.standard_normal((5, 6)))
    objects = unit(kinds[np.arange(20) % 4] + 0.1 * rng.standard_normal((20, 6)))
    rows = np.hstack([objects, grounds[np.arange(20) // 4]]).astype("float32")
    assert not explained_by_hand(rows)[1].any()
    gradient = filled_bank(rows, **BOTH).gradient(tf.constant(rows), np.arange(20))
    plain = filled_bank(rows[:, :6]).gradient(tf.constant(rows[:, :6]), np.arange(20))
    np.testing.assert_allclose(gradient, plain, atol=1e-5)


@pytest.mark.parametrize(("height", "width"), [(5, 4), (3, 3), (2, 2), (1, 4)])
def test_a_background_is_what_the_rationale_leaves_of_the_border(height, width):
    rng = np.random.default_rng(0)
    feature_map = rng.random((2, height, width, 6)).astype("float32")
    weights = rng.random((2, height, width)).astype("float32")
    weights[1] = 1
    border = np.array(
        [
            (y, x)
            for y in range(height)
            for x in range(width)
            if y in (0, height - 1) or x in (0, width - 1)
        ]
    ).T
    left = (1 - weights)[:, border[0], border[1]]
    left[1] = 1  # where nothing is left, all of the border
    cells = feature_map[:, border[0], border[1]]
    expected = unit((left[..., None] * cells).sum(axis=1))
    encoder = tiny_encoder(num_detectors=1)
    found = embed_for_neighbours(Rationale().changed(BOTH), encoder, feature_map, weights)
    np.testing.assert_allclose(found[:, 6:], expected, atol=1e-5)
    np.testing.assert_array_equal(found[:, :6], RationalePooling()(feature_map, weights))
    plain = embed_for_neighbours(Rationale().changed(OFF), encoder, feature_map, weights)
    np.testing.assert_array_equal(found[:, :6], plain)


def scenes(number=64, size=32, seed=0):
    """Squares of four hues, anywhere but at the border, on one of four backgrounds."""
    rng = np.random.default_rng(seed)
    grounds = np.array([[20, 160, 230], [60, 220, 60], [200, 200, 60], [120, 60, 220]])
    images = grounds[rng.integers(4, size=number)][:, None, None]
    images = images + rng.normal(0, 12, (number, size // 4, size // 4, 3))
    images = images.repeat(4, axis=1).repeat(4, axis=2)
    masks = np.zeros((number, size, size), "float32")
    for i, (y, x) in enumerate(rng.integers(4, size - 16, (number, 2))):
        images[i, y : y + 12, x : x + 12] = [240, 60 * (i % 4), 180 - 60 * (i % 4)]
        masks[i, y : y + 12, x : x + 12] = 1
    return np.clip(images, 0, 255).astype("float32"), masks


def test_without_a_prior_the_object_is_found_on_backgrounds_that_many_share():
    images, _ = scenes()
    energies = []
    for choices in (OFF, {}):
        encoder = color_encoder()
        rationale = Rationale(Neighbours(k=5, **choices), prior="none")
        fit_rationale(encoder, images, rationale, 3, 8, learning_rate=0.02)
        energies.append(energy_ratio(encoder, *scenes(seed=1)))
    assert energies[0] < 1 < 2.5 < energies[1], energies


def test_a_step_asks_what_a_fit_to_the_frozen_encoder_asks():
    images, _ = scenes(32)
    encoder, rationale = color_encoder(), Rationale(Neighbours(k=5, bank_size=32, **BOTH))
    explainer = Explainer(encoder, rationale)
    feature_map = encoder.feature_map(images)
    even = np.ones(feature_map.shape[:3], "float32")  # as a step's first ones, the bank being cold
    rows = embed_for_neighbours(rationale, encoder, feature_map, even)
    explainer.bank.enqueue(rows, np.arange(32))
    data = {"image": images, "index": np.arange(32)}
    online, stored = explainer.by_neighbours(data, {}, "query")
    np.testing.assert_array_equal(stored, rows)
    bank = NeighbourBank.of(rationale.positives, 32, encoder.channels)
    bank.enqueue(rows, np.arange(32))
    _, target = explain_neighbours(rationale, bank, feature_map, rows, np.arange(32))
    np.testing.assert_array_equal(online.target, target)
    explainer.bank.enqueue(rows, np.arange(32))  # warm, so the branch's maps pool
    weights = encoder.branch(feature_map)
    expected = embed_for_neighbours(rationale, encoder, feature_map, weights)
    np.testing.assert_allclose(explainer.by_neighbours(data, {}, "query")[1], expected, atol=1e-6)


def test_a_pretrainer(tmp_path):
    rationale = SMALL.changed(BOTH | {"mirror": True})
    run_pretrainer_test(lambda: moco(rationale), batch(), tmp_path)


@pytest.mark.parametrize(("choices", "dtype"), [({"images": "views"}, None), ({}, "mixed_float16")])
def test_a_step(choices, dtype):
    pretrainer = moco(SMALL.changed(BOTH | choices), dtype=dtype, eager=True)
    for _ in range(4):
        logs = pretrainer.train_on_batch(batch(), return_dict=True)
    assert 0 < float(logs["cam_peak"]) < np.inf
    assert pretrainer.neighbours.queue.features.shape == (16, 2 * pretrainer.encoder.channels)


def test_what_earlier_versions_stored_compares_no_backgrounds():
    """A config without these choices is of a run that had a bank of objects alone."""
    config = Rationale(Neighbours(k=7)).get_config()
    for name in OFF:
        del config[name]
    earlier = Rationale.from_config(json.loads(json.dumps(config)))
    assert earlier == Rationale(Neighbours(k=7, **OFF))
    assert Rationale.from_config({"positives": "views"}) == Rationale("views", self_training=False)
    pretrainer = moco(SMALL.changed(OFF))
    config = pretrainer.get_config()
    for name in OFF:
        del config["rationale"][name]
    again = MoCo.from_config(config)
    assert [w.shape for w in again.weights] == [w.shape for w in pretrainer.weights]
    bank = again.neighbours.get_config()
    for name in OFF:
        del bank[name]
    assert NeighbourBank.from_config(bank).background == 0


def test_choices_by_name():
    changed = Rationale().changed(BOTH)
    assert changed.positives == Neighbours(**BOTH)
    assert Rationale.from_config(json.loads(json.dumps(changed.get_config()))) == changed
    assert Rationale.names()["background"] is float
    bank = NeighbourBank.of(changed.positives, 32, 6)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(bank))
    assert (again.background, again.background_negatives) == (1.5, 0.5)
    with pytest.raises(ValueError, match="`background` has no effect with positives='views'"):
        Rationale("views").changed({"background": 1.0})
