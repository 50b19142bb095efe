"""The choices of a rationale beside its default, each by what it changes."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from keras_cr.pretraining import MoCo, Rationale, fit_rationale
from keras_cr.rationale.explain import embed_for_neighbours, explain_neighbours
from keras_cr.rationale.neighbours import NeighbourBank
from tests.case import run_pretrainer_test, tiny_encoder
from tests.pretraining.objectives.test_moco import SMALL, batch, moco
from tests.rationale.test_neighbours import color_encoder, squares, unit


def changed(**choices):
    return SMALL.changed(choices)


def eager(rationale=SMALL, **kwargs):
    """A pretrainer that is quicker where a test takes a step or two."""
    pretrainer = moco(rationale, **kwargs)
    pretrainer.run_eagerly = True
    return pretrainer


def kernel(pretrainer):
    return np.asarray(pretrainer.encoder.branch.detectors.kernel)


def trained(pretrainer, steps=1):
    """The logs of the last step."""
    return [pretrainer.train_on_batch(batch(), return_dict=True) for _ in range(steps)][-1]


def test_the_branch_has_a_learning_rate_of_its_own():
    paper = Rationale.paper()
    whole, tenth, none = (
        eager(dataclasses.replace(paper, lr_multiplier=share), backbone_lr_multiplier=0.5)
        for share in (1.0, 0.1, 0.0)
    )
    before = kernel(whole)
    for pretrainer in (whole, tenth, none):
        trained(pretrainer)
    step = kernel(whole) - before
    assert np.abs(step).max() > 1e-3
    np.testing.assert_allclose(kernel(tenth) - before, 0.1 * step, rtol=1e-3, atol=1e-6)
    np.testing.assert_array_equal(kernel(none), before)
    for one, other in (
        (whole.heads["project"], none.heads["project"]),
        (whole.encoder.backbone, none.encoder.backbone),
    ):
        for a, b in zip(one.weights, other.weights, strict=True):
            np.testing.assert_array_equal(a, b)


def test_the_similarity_to_the_positive_has_no_negatives():
    embeddings = unit(np.random.default_rng(0).standard_normal((20, 6))).astype("float32")
    bank = NeighbourBank(20, 3, contrast="similarity")
    bank.build((None, 6))
    bank.enqueue(embeddings, np.arange(20))
    gradient = np.asarray(bank.gradient(tf.constant(embeddings), np.arange(20)))
    for row, e in enumerate(embeddings):
        others = np.delete(embeddings, row, axis=0)
        positive = unit(others[np.argsort(-(others @ e))[:3]].mean(axis=0))
        np.testing.assert_allclose(-gradient[row], positive - (positive @ e) * e, atol=1e-5)
    assert NeighbourBank.from_config(bank.get_config()).contrast == "similarity"
    with pytest.raises(ValueError, match="`contrast` must be .*Received: contrast='triplet'"):
        NeighbourBank(20, 3, contrast="triplet")


def test_a_step_uses_the_contrast_it_is_told():
    infonce, similarity = eager(), eager(changed(contrast="similarity"))
    peaks = [float(trained(p, steps=2)["cam_peak"]) for p in (infonce, similarity)]
    assert abs(peaks[0] - peaks[1]) > 1e-4


def test_places_are_fitted_without_a_softmax():
    paper = Rationale.paper()
    maps, places = (
        eager(dataclasses.replace(paper, softmax=softmax)) for softmax in ("map", "places")
    )
    logs = [trained(pretrainer) for pretrainer in (maps, places)]
    assert places.explainer.fit_loss.over == "places"
    assert float(logs[0]["agreement"]) == float(logs[1]["agreement"]), "the target is the same"
    assert 0 < float(logs[1]["fit_loss"]) < 1
    assert not np.allclose(kernel(maps), kernel(places), atol=1e-4)


def test_views_are_compared_in_place_of_whole_images():
    data = batch()
    del data["image"]
    pretrainer = eager(changed(images="views"))
    feature_map = pretrainer.encoder.feature_map(data["query"], training=True)
    expected = ops.convert_to_numpy(pretrainer.encoder.pool(feature_map))
    pretrainer = eager(changed(images="views"))
    pretrainer.train_on_batch(data)
    stored = pretrainer.neighbours.queue.features[:8, : expected.shape[1]]
    np.testing.assert_allclose(stored, expected, atol=1e-5)
    plain = eager(None)
    plain.train_on_batch(data)
    for _ in range(2):
        logs = pretrainer.train_on_batch(data, return_dict=True)
        plain.train_on_batch(data)
    assert float(logs["cam_peak"]) > 0
    for a, b in zip(
        plain.encoder.backbone.weights, pretrainer.encoder.backbone.weights, strict=True
    ):
        np.testing.assert_array_equal(a, b)


def test_the_mirror_images_target_is_flipped_back():
    """Where features are a place's own colours, both targets are the same."""
    images, _ = squares(32)
    data = {"query": images, "key": images, "image": images, "index": np.arange(32)}
    logs = []
    for mirror in (False, True):
        pretrainer = MoCo(color_encoder(), changed(mirror=mirror, bank_size=32), queue_size=32)
        # Nothing is learnt: many places are exactly alike here, and steps make of a rounding error
        # another target.
        pretrainer.compile(keras.optimizers.SGD(0.0))
        logs.append([pretrainer.train_on_batch(data, return_dict=True) for _ in range(3)][-1])
    assert float(logs[0]["cam_peak"]) > 0
    for name, value in logs[0].items():
        assert float(logs[1][name]) == pytest.approx(float(value), rel=1e-3, abs=1e-4), name


def test_the_target_is_the_mean_over_an_image_and_its_mirror_image():
    mirrored = eager(changed(mirror=True))
    trained(mirrored)  # fills the bank
    data, flipped = batch(), batch()
    flipped["image"] = data["image"][:, :, ::-1]

    def target(pretrainer, data):
        explained, _ = pretrainer.explainer.by_neighbours(data, {}, "query")
        return ops.convert_to_numpy(explained.target)

    def single(data):
        explainer, encoder = mirrored.explainer, mirrored.encoder
        feature_map = ops.cast(encoder.feature_map(data["image"]), "float32")
        even = ops.ones(feature_map.shape[:3])
        embedding = embed_for_neighbours(explainer.choices, encoder, feature_map, even)
        bank, index = explainer.bank, data["index"]
        found = explain_neighbours(explainer.choices, bank, feature_map, embedding, index)
        return ops.convert_to_numpy(found[1])

    first, second = single(data), single(flipped)[:, :, ::-1]
    assert np.abs(second - first).max() > 0.1
    np.testing.assert_allclose(target(mirrored, data), (first + second) / 2, atol=1e-6)


def test_all_choices_at_once(tmp_path):
    choices = {"contrast": "similarity", "softmax": "places", "mirror": True, "lr_multiplier": 0.5}
    rationale = changed(**choices)
    run_pretrainer_test(lambda: moco(rationale), batch(), tmp_path)


def fitted(make=color_encoder, learning_rate=0.02, rounds=1, **choices):
    encoder = make()
    rationale = Rationale().changed({"k": 5, **choices})
    images = squares(64)[0]
    history = fit_rationale(encoder, images, rationale, rounds, 4, learning_rate=learning_rate)
    return history, np.asarray(encoder.branch.detectors.kernel)


def tiny():
    return tiny_encoder(num_detectors=1)


@pytest.mark.filterwarnings("ignore:The fitted maps")
def test_a_frozen_encoder_has_the_same_choices():
    _, plain = fitted()
    assert np.array_equal(fitted(learning_rate=0.04, lr_multiplier=0.5)[1], plain)
    assert not np.allclose(fitted(contrast="similarity")[1], plain, atol=1e-4)
    assert fitted(softmax="places")[0][0]["fit_loss"] < 1
    assert not np.allclose(fitted(tiny)[1], fitted(tiny, mirror=True)[1], atol=1e-4)


def test_a_frozen_encoder_sees_the_mirror_image_flipped_back():
    """Where features are a place's own colours, both targets are the same."""
    plain, mirrored = fitted(rounds=2)[0], fitted(rounds=2, mirror=True)[0]
    for row, other in zip(mirrored, plain, strict=True):
        assert row == pytest.approx(other, rel=2e-2)


@pytest.mark.filterwarnings("ignore:The fitted maps")
def test_a_frozen_encoder_is_fitted_to_whole_images():
    for ours, theirs in zip(fitted()[1], fitted(images="views", foregrounds="off")[1], strict=True):
        np.testing.assert_array_equal(ours, theirs)
