"""DenseCL's losses and queues in NumPy."""

import numpy as np
import pytest

from keras_cr.pretraining import View
from tests.case import tiny_encoder
from tests.pretraining.objectives.test_values import small, unit


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def view(rng):
    projected = rng.standard_normal((5, 6)).astype("float32")
    feature_map = rng.standard_normal((5, 2, 3, 8)).astype("float32")
    return View(feature_map, None, projected, projected, rng.standard_normal((5, 6, 6)))


def cross_entropy(positive, negatives):
    logits = np.array([positive, *negatives]) / 0.2
    return np.log(np.exp(logits).sum()) - logits[0]


@pytest.mark.parametrize("weight", [0.5, 0.8])
def test_value_and_queues(rng, weight):
    densecl = small("densecl", tiny_encoder(), rationale=None, dense_weight=weight)
    densecl.dense_queue.enqueue(unit(rng.standard_normal((4, 6))), np.arange(4))
    densecl.queue.enqueue(unit(rng.standard_normal((4, 6))), np.arange(4))
    query, key = view(rng), view(rng)
    old, dense_old = (np.asarray(q.features) for q in (densecl.queue, densecl.dense_queue))

    whole, dense, found = [], [], []
    for i in range(5):
        kept = [place for place in range(16) if place != i or i > 3]  # not its own old key
        one, other = unit(query.projected[i]), unit(key.projected[i])
        whole.append(cross_entropy(one @ other, old[kept] @ one))
        places, key_places = query.map[i].reshape(6, 8), key.map[i].reshape(6, 8)
        for place in range(6):
            match = (unit(key_places) @ unit(places[place])).argmax()
            one, other = unit(query.dense[i, place]), unit(key.dense[i, match])
            dense.append(cross_entropy(one @ other, dense_old[kept] @ one))
            found.append(one @ other > (dense_old[kept] @ one).max())
    batch = {"index": np.arange(5)}
    outcome = densecl.objective({"query": query}, {"key": key}, batch)
    expected = (1 - weight) * np.mean(whole) + weight * np.mean(dense)
    assert float(outcome.loss) == pytest.approx(expected, rel=1e-5)
    assert float(outcome.logs["dense_accuracy"]) == pytest.approx(np.mean(found))

    densecl.after_step({"key": key}, batch)
    stored = np.asarray(densecl.dense_queue.features)[4:9]
    np.testing.assert_allclose(stored, unit(key.dense.mean(axis=1)), atol=1e-6)
    assert np.asarray(densecl.dense_queue.indices)[4:9].tolist() == list(range(5))
    np.testing.assert_allclose(
        np.asarray(densecl.queue.features)[4:9], unit(key.projected), atol=1e-6
    )


def test_places_go_through_a_head_of_their_own(rng):
    densecl = small("densecl", tiny_encoder(), rationale=None)
    assert set(densecl.twin.heads) == {"project", "dense"}
    feature_map = rng.standard_normal((5, 2, 3, 8)).astype("float32")
    seen = densecl.see(feature_map, densecl.heads)
    by_hand = densecl.heads["dense"](feature_map.reshape(30, 8)).numpy().reshape(5, 6, 6)
    np.testing.assert_allclose(seen.dense, by_hand, rtol=1e-5)


def test_bad_weight():
    with pytest.raises(ValueError, match="`dense_weight` must lie in 0..1. Received: 2"):
        small("densecl", tiny_encoder(), dense_weight=2)
