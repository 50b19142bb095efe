"""A whole training: the rationale's maps in the loop, stopped and gone on, and what it is for."""

import dataclasses
import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_cr.data import Augmentation, FineGrainedDataset, image_batches, two_views
from keras_cr.pretraining import (
    Foregrounds,
    MoCo,
    Neighbours,
    Rationale,
    SimCLR,
    fit_rationale,
    pretrain,
)
from keras_cr.rationale import foreground_maps, foregrounds
from keras_cr.rationale.colours import SIDE as SIDE_REFINED
from keras_cr.rationale.colours import refine_by_colours
from keras_cr.rationale.foregrounds import read_maps
from tests.case import tiny_encoder

SIDE, BATCH = 32, 8


@pytest.fixture(autouse=True)
def _quick_fits(monkeypatch):
    quick = functools.partial(fit_rationale, rounds=1, epochs=2)
    monkeypatch.setattr("keras_cr.pretraining.loop.fit_rationale", quick)


@pytest.fixture
def trusted(monkeypatch):
    """Maps cut, though those of an untrained network deserve doubt."""
    monkeypatch.setattr("keras_cr.pretraining.loop.doubt_of", lambda last: None)


def scenes(number: int = 16, seed: int = 0) -> FineGrainedDataset:
    """Squares of one of four patterns, somewhere on a background of its own; with masks."""
    rng = np.random.default_rng(seed)
    patterns = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 0]])[:, None, None]
    labels = np.arange(number) % 4
    grounds = rng.integers(0, 256, (number, 4, 4, 3)).repeat(8, axis=1).repeat(8, axis=2)
    images = grounds.astype("uint8")
    masks = np.zeros((number, SIDE, SIDE), "uint8")
    for row, (y, x) in enumerate(rng.integers(0, SIDE - 12, (number, 2))):
        images[row, y : y + 12, x : x + 12] = patterns[labels[row]]
        masks[row, y : y + 12, x : x + 12] = 1
    is_train = np.ones(number, bool)
    return FineGrainedDataset("scenes", images, labels, list("abcd"), is_train, masks=masks)


def pretrainer(objective=MoCo, rationale=None, rate=0.05, **options):
    keras.utils.set_random_seed(0)
    if objective is MoCo:
        options = {"queue_size": 16} | options
    made = objective(tiny_encoder(num_detectors=1), rationale=rationale, **options)
    made.compile(keras.optimizers.SGD(rate, momentum=0.9))
    return made


def looped(**options) -> Rationale:
    neighbours = Neighbours(k=3, bank_size=64)
    return Rationale(neighbours, foregrounds=Foregrounds(**{"fit_every": 2} | options))


def train(made, data, epochs, **options):
    return pretrain(made, data, SIDE, BATCH, epochs, **options)


def same(first, second):
    for a, b in zip(first.variables, second.variables, strict=True):
        np.testing.assert_array_equal(a, b)


def test_without_foregrounds_it_is_one_fit(monkeypatch):
    data = scenes()
    rationale = Rationale(Neighbours(k=3, bank_size=16), foregrounds=None)
    first, second = pretrainer(rationale=rationale), pretrainer(rationale=rationale)
    fits, fit = [], first.fit
    monkeypatch.setattr(first, "fit", lambda *args, **given: fits.append(fit(*args, **given)))
    train(first, data, 2)
    assert len(fits) == 1
    second.fit(two_views(data, SIDE, BATCH, epochs=2), epochs=2, steps_per_epoch=2, verbose=0)
    same(first, second)


def test_stopped_and_gone_on_it_is_the_same_training(tmp_path, trusted):
    """Between two fits, and at one; on views that the kept maps changed."""
    data, whole, part = scenes(), *(pretrainer(rationale=looped(), total_steps=6) for _ in range(2))
    train(whole, data, 3, folder=tmp_path / "whole")
    for begun in range(3):
        train(part, data, begun + 1, first_epoch=begun, folder=tmp_path / "part")
    same(whole, part)
    assert read_maps(tmp_path / "part" / "foregrounds-00002.npz").max() > 0.5
    plain = pretrainer(total_steps=6)
    train(plain, data, 3)
    kernels = [made.encoder.backbone.weights[0].numpy() for made in (whole, plain)]
    assert not np.array_equal(*kernels), "the maps must have changed what was seen"


def test_maps_that_are_gone_are_fitted_anew(tmp_path, capsys, trusted):
    data, made = scenes(), pretrainer(rationale=looped())
    train(made, data, 1, folder=tmp_path)
    (tmp_path / "foregrounds-00000.npz").write_bytes(b"PK\x03\x04damaged")
    train(made, data, 2, first_epoch=1, folder=tmp_path)
    assert "foregrounds-00000.npz holds no maps of epoch 1: the branch is fitted anew" in (
        capsys.readouterr().err
    )
    assert [path.name for path in tmp_path.iterdir()] == ["foregrounds-00000.npz"]


def test_maps_of_other_masks_are_cut_anew(tmp_path, capsys):
    data, made = scenes(), pretrainer(rationale=looped(cut="mask"))
    train(made, data, 1, folder=tmp_path)
    kept = read_maps(tmp_path / "foregrounds-00000.npz")
    train(made, data, 2, first_epoch=1, folder=tmp_path)
    assert "holds no maps" not in capsys.readouterr().err
    other = dataclasses.replace(data, masks=np.roll(data.masks, 1, axis=0))
    train(made, other, 2, first_epoch=1, folder=tmp_path)
    assert "holds no maps" in capsys.readouterr().err
    cut = read_maps(tmp_path / "foregrounds-00000.npz")
    np.testing.assert_array_equal(cut, np.roll(kept, 1, axis=0))


def test_the_maps_are_fitted_every_few_epochs(monkeypatch, trusted):
    epochs, fits = [], []
    of = foregrounds.foreground_maps
    monkeypatch.setattr(
        "keras_cr.pretraining.loop.foreground_maps",
        lambda *args, **options: fits.append(len(epochs)) or of(*args, **options),
    )
    counted = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: epochs.append(epoch)
    )
    train(pretrainer(rationale=looped(fit_every=2)), scenes(), 3, callbacks=[counted])
    assert epochs == [0, 1, 2]
    assert fits == [0, 2]


def test_the_maps_that_cut_are_refined_unless_they_should_not(tmp_path, trusted):
    sides = {}
    for refine in ("colours", "none"):
        folder = tmp_path / refine
        train(pretrainer(rationale=looped(refine=refine)), scenes(), 1, folder=folder)
        sides[refine] = read_maps(folder / "foregrounds-00000.npz").shape[1]
    assert sides["colours"] == SIDE_REFINED > sides["none"]


def test_crops_hold_the_objects_that_the_maps_show():
    """A training with `crop_share` is the `fit` on views whose crops those maps move."""
    data, moving = scenes(), looped(cut="mask", crop_share=0.9, fit_every=9, filling="mean")
    first, second, still = (
        pretrainer(rationale=rationale) for rationale in (moving,) * 2 + (None,)
    )
    train(first, data, 2)
    maps = foreground_maps(second.encoder, data, SIDE, cut="mask")
    swap, crops = moving.foregrounds.swap(maps), moving.foregrounds.crops(maps)
    views = two_views(data, SIDE, BATCH, epochs=2, backgrounds=swap, crops=crops)
    second.fit(views, epochs=2, steps_per_epoch=2, verbose=0)
    same(first, second)
    still.fit(two_views(data, SIDE, BATCH, epochs=2, backgrounds=swap), epochs=2, verbose=0)
    kernels = [made.encoder.backbone.weights[0].numpy() for made in (first, still)]
    assert not np.array_equal(*kernels), "the crops must have moved"
    assert looped(crop_share=0).foregrounds.crops(maps) is None


def test_callbacks_see_one_training(tmp_path):
    """However many calls of `fit` it is made of; and stop it."""
    stop = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: setattr(made, "stop_training", epoch == 2)
    )
    begun, logger = [], keras.callbacks.CSVLogger(tmp_path / "log.csv")
    beginnings = keras.callbacks.LambdaCallback(on_train_begin=lambda logs: begun.append(1))
    made = pretrainer(rationale=looped(cut="mask"))
    history = train(made, scenes(), 6, callbacks=[stop, logger, beginnings], seed=np.int64(0))
    assert [len(begun), logger.params["epochs"]] == [1, 6]
    rows = (tmp_path / "log.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["epoch", "0", "1", "2"]
    assert history.epoch == [0, 1, 2]


def test_what_can_not_be_is_found_before_a_fit(monkeypatch):
    def never(*args, **options):
        raise AssertionError("fitted")

    monkeypatch.setattr("keras_cr.pretraining.loop.fit_rationale", never)
    made = pretrainer(rationale=looped())
    with pytest.raises(ValueError, match="batch_size.*received 99"):
        pretrain(made, scenes(), SIDE, 99, 2)
    with pytest.raises(ValueError, match="augmentation: must be.*'strong'"):
        train(made, scenes(), 2, augmentation="strong")
    with pytest.raises(ValueError, match=r"`image_size` must be one number.*Received: .*\(48, 32"):
        pretrain(made, scenes(), (48, 32), BATCH, 2)
    for size in ("8", 7.5):
        with pytest.raises(ValueError, match=f"`batch_size` must be .*{size}"):
            pretrain(made, scenes(), SIDE, size, 2)
    small = pretrainer(rationale=looped(swapped=("query", "small")))
    with pytest.raises(ValueError, match="`swapped` must name views that MoCo sees, query, key"):
        train(small, scenes(), 2)
    for cut in ("rationale", "shuffled"):
        many = pretrainer(rationale=Rationale(Neighbours(), foregrounds=Foregrounds(cut=cut)))
        with pytest.raises(ValueError, match="`dataset` must .*twice the 10 neigh.*: 16 images;"):
            train(many, scenes(), 2)
    cut = Foregrounds(swapped="small").swap(np.ones((16, 4, 4)))
    with pytest.raises(ValueError, match=r"backgrounds: views .*'small', which needs small_crops"):
        two_views(scenes(), SIDE, BATCH, backgrounds=cut)


def test_maps_that_say_nothing_change_no_view(monkeypatch, capsys):
    data = scenes()
    monkeypatch.setattr("keras_cr.pretraining.loop.doubt_of", lambda last: "They are flat.")
    plain, doubted = pretrainer(), pretrainer(rationale=looped())
    train(doubted, data, 2)
    assert "Views keep their backgrounds. They are flat." in capsys.readouterr().err
    train(plain, data, 2)
    for a, b in zip(
        plain.encoder.backbone.variables, doubted.encoder.backbone.variables, strict=True
    ):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("cut", ["rationale", "center", "shuffled", "mask"])
def test_the_maps_of_each_cut(cut):
    data, encoder = scenes(16), tiny_encoder(num_detectors=1)
    before = encoder.get_weights()
    maps = foreground_maps(encoder, data, SIDE, batch_size=5, cut=cut, refine="none")
    assert maps.dtype == "float16"
    assert maps.min() >= 0
    assert maps.max() <= 1
    for a, b in zip(before, encoder.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    images = np.concatenate(list(image_batches(data, SIDE, 16)))
    own = np.asarray(encoder.encode(images)["rationale"])
    if cut in ("rationale", "shuffled"):
        expected = np.roll(own, 8, axis=0) if cut == "shuffled" else own
        np.testing.assert_allclose(maps, expected, atol=2e-3)
    elif cut == "mask":
        small = tf.image.resize(data.masks[..., None], (8, 8), "area")[..., 0]
        assert np.corrcoef(np.ravel(small), maps.ravel())[0, 1] > 0.95
    else:
        middle, border = maps[:, 1:3, 1:3].mean(), np.delete(maps.reshape(16, -1), [5, 6, 9, 10], 1)
        assert middle > border.mean()


def test_maps_are_refined_by_each_images_own_colours():
    data, encoder = scenes(16), tiny_encoder(num_detectors=1)
    images = np.concatenate(list(image_batches(data, SIDE, 16)))
    refined = refine_by_colours(encoder.encode(images)["rationale"], images)
    maps = foreground_maps(encoder, data, SIDE, batch_size=5)
    np.testing.assert_allclose(maps, refined, atol=2e-3)
    shuffled = foreground_maps(encoder, data, SIDE, batch_size=5, cut="shuffled")
    np.testing.assert_array_equal(shuffled, np.roll(maps, 8, axis=0))
    masks = [
        foreground_maps(encoder, data, SIDE, cut="mask", refine=refine)
        for refine in ("colours", "none")
    ]
    np.testing.assert_array_equal(*masks)


def test_masks_that_are_not_there():
    data = scenes(16)
    data = FineGrainedDataset("bare", data.images, data.labels, data.class_names, data.is_train)
    with pytest.raises(ValueError, match="`cut` is 'mask', and 'bare' has neither masks nor boxes"):
        train(pretrainer(rationale=looped(cut="mask")), data, 1)


def nearest_of_kind(encoder, data) -> float:
    """Share of images whose nearest other shows the same object."""
    images = np.concatenate(list(image_batches(data, SIDE, 64)))
    embedding = np.asarray(encoder.encode(images)["average_embedding"])
    alike = embedding @ embedding.T - 2 * np.eye(len(data))
    return float(np.mean(data.labels[alike.argmax(axis=1)] == data.labels))


def test_objects_are_learnt_where_backgrounds_tell_images_apart():
    """Two views of an image share its background, which is enough, unless it is swapped."""
    data, found = scenes(128), {}
    augmentation = Augmentation(scale=(0.6, 1), jitter=0, grayscale=0, blur=0)
    swapping = looped(cut="mask", fit_every=50, swap_probability=0.5)
    for name, rationale in (("plain", None), ("swapped", swapping)):
        made = pretrainer(SimCLR, rationale, rate=0.1, temperature=0.2)
        pretrain(made, data, SIDE, 32, 50, augmentation=augmentation)
        found[name] = nearest_of_kind(made.encoder, data)
    assert found["swapped"] > max(0.9, found["plain"] + 0.15)  # one in four is chance
