"""The target from nearest other images, against its formula, and what a branch learns from it."""

import dataclasses
import json
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_cr import CommonRationaleEncoder
from keras_cr.attribution import center_prior
from keras_cr.pretraining import MoCo, Neighbours, Rationale, fit_rationale
from keras_cr.rationale.branch_fit import BranchFit
from keras_cr.rationale.neighbours import NeighbourBank
from tests.pretraining.objectives.test_moco import SMALL, batch, moco


def unit(array):
    return array / np.linalg.norm(array, axis=-1, keepdims=True)


def filled_bank(embeddings, size=None, k=3):
    bank = NeighbourBank(size or len(embeddings), k, temperature=0.2)
    bank.build((None, embeddings.shape[1]))
    bank.enqueue(embeddings, np.arange(len(embeddings)))
    return bank


def by_hand(embeddings, row, k, temperature=0.2):
    """d = L2norm(mean of the k nearest) minus the negatives' softmax mean, across the embedding."""
    e = embeddings[row]
    others = np.delete(np.arange(len(embeddings)), row)
    order = others[np.argsort(-(embeddings[others] @ e))]
    positive = unit(embeddings[order[:k]].mean(axis=0))
    negatives = embeddings[order[k:]]
    shares = np.exp(negatives @ e / temperature)
    direction = positive - (shares / shares.sum()) @ negatives
    return direction - (direction @ e) * e


@pytest.mark.parametrize("size", [20, 64])
def test_the_gradient_points_away_from_what_neighbours_share(size):
    embeddings = unit(np.random.default_rng(0).standard_normal((20, 6))).astype("float32")
    bank = filled_bank(embeddings, size)
    gradient = np.asarray(bank.gradient(tf.constant(embeddings), np.arange(20)))
    for row in range(20):
        expected = unit(by_hand(embeddings.astype("float64"), row, k=3))
        np.testing.assert_allclose(unit(-gradient[row]), expected, atol=1e-3)
    np.testing.assert_allclose((gradient * embeddings).sum(axis=1), 0, atol=1e-5)


def test_without_numbers_an_image_is_its_own_neighbour():
    embeddings = unit(np.random.default_rng(0).standard_normal((20, 6))).astype("float32")
    bank = filled_bank(embeddings)
    numbered = bank.gradient(tf.constant(embeddings), np.arange(20))
    assert np.abs(np.asarray(numbered) - bank.gradient(tf.constant(embeddings))).max() > 1e-2


def test_a_bank_that_is_too_young_says_nothing():
    embeddings = unit(np.random.default_rng(0).standard_normal((5, 6))).astype("float32")
    bank = filled_bank(embeddings, size=64)  # 5 are fewer than twice 3
    assert not bank.ready
    assert not np.asarray(bank.gradient(tf.constant(embeddings), np.arange(5))).any()
    bank.enqueue(embeddings[:1], np.arange(5, 6))  # 6, and one is the image's own
    assert not bank.ready
    bank.enqueue(embeddings, np.arange(6, 11))
    assert bank.ready
    assert np.asarray(bank.gradient(tf.constant(embeddings), np.arange(5))).any()
    assert not bank.filled(1)
    with pytest.raises(ValueError, match="`k` must be positive and below.*k=64, size=64"):
        NeighbourBank(64, 64)
    with pytest.raises(ValueError, match="below half.*k=10, size=20"):
        NeighbourBank(20, 10)


def squares(n=96, size=32, seed=0):
    """Squares that share their red, in one of four shades, on a clutter of other colours."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, [60, 256, 256], (n, size // 4, size // 4, 3))
    images = images.repeat(4, axis=1).repeat(4, axis=2)
    masks = np.zeros((n, size, size), "float32")
    for i, (y, x) in enumerate(rng.integers(4, size - 16, (n, 2))):
        images[i, y : y + 12, x : x + 12] = [240, 80 * (i % 4), 240 - 80 * (i % 4)]
        masks[i, y : y + 12, x : x + 12] = 1
    return images.astype("float32"), masks


def color_encoder():
    """Features are 48 random rectified mixtures of a place's colours."""
    backbone = keras.Sequential(
        [
            keras.Input((None, None, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.AveragePooling2D(4),
            keras.layers.Conv2D(
                48,
                1,
                activation="relu",
                kernel_initializer=keras.initializers.RandomNormal(seed=0),
                bias_initializer=keras.initializers.RandomNormal(stddev=0.03, seed=1),
            ),
        ]
    )
    return CommonRationaleEncoder(backbone, num_detectors=1, image_size=32, seed=5)


def energy_ratio(encoder, images, masks):
    return energy_of(np.asarray(encoder.encode(images)["rationale"]), masks)


def energy_of(maps, masks):
    cells = masks.reshape(len(masks), 8, 4, 8, 4).mean(axis=(2, 4))
    inside = (maps * cells).sum(axis=(1, 2)) / np.maximum(maps.sum(axis=(1, 2)), 1e-9)
    return float(np.mean(inside / cells.mean(axis=(1, 2))))


def test_fit_rationale_finds_what_images_share():
    images, _ = squares()
    encoder = color_encoder()
    options = {
        "rationale": Rationale(Neighbours(k=5)),
        "rounds": 2,
        "epochs": 20,
        "learning_rate": 0.02,
    }
    history = fit_rationale(encoder, images, **options)
    held_out = squares(seed=1)
    prior = energy_of(np.tile(center_prior(8, 8), (96, 1, 1)), held_out[1])
    assert 1 < prior < 3 < energy_ratio(encoder, *held_out)
    assert len(history) == 2
    assert history[-1]["agreement"] > 0.3
    assert history[-1]["map_change"] < history[0]["map_change"]
    assert json.loads(json.dumps(history)) == history
    again = color_encoder()
    batches = (images[i : i + 40] for i in range(0, 96, 40))
    same = fit_rationale(again, batches, **options)
    for row, other in zip(same, history, strict=True):  # batches and an array: the same images
        assert row == pytest.approx(other, rel=1e-2)


def test_a_round_goes_on_from_the_last(monkeypatch):
    kernels, fit = [], BranchFit.to

    def watched(self, *given):
        kernels.append(np.array(self.branch.detectors.kernel))
        loss = fit(self, *given)
        kernels.append(np.array(self.branch.detectors.kernel))
        return loss

    monkeypatch.setattr(BranchFit, "to", watched)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        fit_rationale(color_encoder(), squares(40)[0], rounds=2, epochs=1)
    first, fitted, second, _ = kernels
    np.testing.assert_array_equal(second, fitted)
    assert np.abs(fitted - first).max() > 1e-3


def test_by_default_all_rounds_have_sixteen_epochs(monkeypatch):
    epochs = []
    monkeypatch.setattr(BranchFit, "to", lambda self, *_: epochs.append(self.epochs) or 0.0)
    for rounds in (1, 4, 5):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            fit_rationale(color_encoder(), squares(40)[0], rounds=rounds)
    assert epochs == [16] + 4 * [4] + 5 * [4]


def test_fit_rationale_leaves_the_backbone_alone():
    images, _ = squares(40)
    encoder = moco().encoder
    before = encoder.backbone.get_weights()
    average = np.asarray(encoder.encode(images)["average_embedding"])
    fit_rationale(encoder, images, SMALL, rounds=1, epochs=1)
    for old, new in zip(before, encoder.backbone.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    np.testing.assert_array_equal(encoder.branch.batch_norm.gamma, [1, 1, 1])
    np.testing.assert_allclose(encoder.encode(images)["average_embedding"], average, atol=1e-6)


def test_maps_that_shun_the_middle_are_told():
    images, _ = squares()
    wrong = Rationale(Neighbours(k=5), sign=1)  # marks what neighbours do not share
    encoder = color_encoder()
    border = np.full_like(images, 10)
    border[:, 8:24, 8:24] = images[:, 8:24, 8:24]
    with pytest.warns(UserWarning, match="shun the middle.*may mark the background"):
        fit_rationale(encoder, border, dataclasses.replace(wrong, prior="none"), rounds=1)


def test_fit_rationale_refuses():
    images, _ = squares(12)
    with pytest.raises(ValueError, match="more than twice the 10 neighbours.*Received: 12 images"):
        fit_rationale(color_encoder(), images)
    with pytest.raises(ValueError, match=r"must have Neighbours\(...\).*Received: Views"):
        fit_rationale(color_encoder(), images, Rationale.paper())
    with pytest.raises(ValueError, match="rounds=0"):
        fit_rationale(color_encoder(), images, rounds=0)
    with pytest.raises(ValueError, match="at least one image"):
        fit_rationale(color_encoder(), [])


def test_the_branch_learns_beside_the_objective():
    images, _ = squares()
    data = {"query": images, "key": images, "image": images, "index": np.arange(96)}
    views = tf.data.Dataset.from_tensor_slices(data).batch(32).repeat(25)
    encoder = color_encoder()
    rationale = Rationale(Neighbours(k=5, bank_size=96))
    pretrainer = MoCo(encoder, rationale=rationale, queue_size=64, seed=0)
    pretrainer.compile(keras.optimizers.Adam(0.02))
    history = pretrainer.fit(views, epochs=2, steps_per_epoch=36, verbose=0).history
    assert energy_ratio(encoder, *squares(seed=1)) > 3
    assert history["agreement"][1] > history["agreement"][0]


def test_whole_images_are_asked_for():
    data = batch()
    del data["image"]
    with pytest.raises(ValueError, match="batches need 'image'.*Rationale.paper"):
        moco().train_on_batch(data)
    paper = moco(Rationale.paper()).train_on_batch(data, return_dict=True)
    assert np.isfinite(float(paper["fit_loss"]))
