"""Whole numbers and image sizes, wherever a user gives them."""

import json

import keras
import numpy as np
import pytest

from keras_cr import CommonRationaleClassifier, CommonRationaleEncoder
from keras_cr._numbers import as_sides, as_whole, sides, square_side, whole_number
from keras_cr.callbacks import KNNMonitor
from keras_cr.data import (
    foreground,
    image_batches,
    random_views,
    read_images,
    synthetic_birds,
    two_views,
)
from keras_cr.data.augmentation import Augmentation
from keras_cr.evaluation import embed, extract
from keras_cr.evaluation.boxes import map_boxes
from keras_cr.experiment.settings import Settings
from keras_cr.layers import FeatureQueue, ProjectionHead, RationaleBranch
from keras_cr.models import ResNet
from keras_cr.pretraining import MoCo, Neighbours, Rationale, fit_rationale
from tests.case import images, tiny_backbone, tiny_encoder
from tests.data.helpers import save_image

NUMBERS = (4, np.int64(4), np.uint8(4), np.array(4))
NO_NUMBERS = (True, np.True_, 4.0, np.float32(4), "4", None, (4,), np.array([4, 4]))


@pytest.mark.parametrize("value", NUMBERS)
def test_whole_numbers(value):
    assert type(as_whole(value)) is int
    assert whole_number("k", value) == 4


@pytest.mark.parametrize("value", NO_NUMBERS)
def test_no_whole_numbers(value):
    assert as_whole(value) is None
    with pytest.raises(ValueError, match="`k` must be a positive integer. Received: k="):
        whole_number("k", value)


def test_the_least():
    assert whole_number("seed", 0, least=0) == 0
    for least, kind in ((1, "a positive integer"), (2, "an integer of 2 or more")):
        with pytest.raises(ValueError, match=f"must be {kind}. Received: k=0"):
            whole_number("k", 0, least)


@pytest.mark.parametrize(
    "value", [16, np.int32(16), (16, 16), [16, 16], np.array([16, 16]), (np.int64(16), 16)]
)
def test_sides(value):
    assert sides("image_size", value) == (16, 16)
    assert square_side("image_size", value) == 16


@pytest.mark.parametrize(
    "value", [0, -3, 1.5, True, "16", (16,), (16, 16, 3), (16, 0), (16, 1.5), {}]
)
def test_no_sides(value):
    assert as_sides(value) is None
    with pytest.raises(ValueError, match=r"`size` must be .* \(height, width\). Received: size="):
        sides("size", value)


def test_squares_where_only_squares_work():
    assert sides("size", (16, 24)) == (16, 24)
    with pytest.raises(ValueError, match=r"images are square. Received: size=\(16, 24\)"):
        square_side("size", (16, 24))


def birds():
    return synthetic_birds(np.int64(2), np.int64(4), np.int64(1), (32, 32), seed=np.int64(0))


def test_readers_of_images(tmp_path):
    data, size = birds(), (np.int64(32), 32)
    save_image(tmp_path / "a.png", data.images[0])
    two = np.int64(2)
    assert read_images([tmp_path / "a.png"], size).shape == (1, 32, 32, 3)
    assert next(iter(image_batches(data, size, two))).shape == (2, 32, 32, 3)
    views = two_views(data, size, two, epochs=two, small_crops=two, small_size=np.int64(16))
    assert views.element_spec["query"].shape == (2, 32, 32, 3)
    assert next(iter(random_views(data, size, two, Augmentation())))[0].shape[1:] == (32, 32, 3)
    assert foreground(data, size).shape == (10, 32, 32)
    for read in (image_batches, two_views):
        with pytest.raises(ValueError, match=r"^image_size: images are read as squares.*\(32, 24"):
            read(data, (32, 24), 2)
    with pytest.raises(ValueError, match="^batch_size: must be a positive integer; received 2.5"):
        image_batches(data, 32, 2.5)
    with pytest.raises(ValueError, match="^image_size: must be an integer of 32 or more"):
        synthetic_birds(image_size=(16, 16))


def test_models_are_saved_with_them(tmp_path):
    one, two = np.int64(1), np.int64(2)
    backbone = ResNet((one,), bottleneck=False, width=np.int64(4), seed=one)
    encoder = CommonRationaleEncoder(
        backbone, num_detectors=two, image_size=(np.int64(32), np.int64(32)), seed=one
    )
    classifier = CommonRationaleClassifier(encoder, num_classes=np.int64(3))
    assert (encoder.image_size, classifier.num_classes) == ((32, 32), 3)
    classifier.save(tmp_path / "classifier.keras")
    loaded = keras.saving.load_model(tmp_path / "classifier.keras")
    np.testing.assert_array_equal(loaded(images(2)), classifier(images(2)))
    encoder.save_to_preset(tmp_path / "preset", metrics={"k": 1})
    loaded = CommonRationaleEncoder.from_preset(str(tmp_path / "preset"))
    np.testing.assert_array_equal(loaded(images(2)), encoder(images(2)))


def test_layers_and_choices():
    two = np.int64(2)
    pieces = [
        FeatureQueue(two).get_config(),
        ProjectionHead((two, np.int32(3))).get_config(),
        RationaleBranch(two).get_config(),
    ]
    numbers = [{k: v for k, v in each.items() if k != "dtype"} for each in pieces]
    numbers.append(Rationale(Neighbours(k=two, bank_size=np.int64(8))).get_config())
    settings = Settings(epochs=two, image_size=(np.int64(64), 64), num_detectors=two, seed=two)
    numbers.append(settings.of_the_run())
    json.dumps(numbers)
    assert settings.image_size == 64
    for make in (FeatureQueue, RationaleBranch, lambda k: Rationale(Neighbours(k=k))):
        with pytest.raises(ValueError, match="must be a positive integer. Received: .*=True"):
            make(True)
    with pytest.raises(ValueError, match="units"):
        ProjectionHead((2, True))
    with pytest.raises(ValueError, match=r"`image_size` must be an integer.*\(64, 32\)"):
        Settings(image_size=(64, 32))
    with pytest.raises(ValueError, match="`num_classes` must be an integer of 2 or more.*True"):
        CommonRationaleClassifier(tiny_encoder(), True)
    moco = MoCo(
        tiny_encoder(),
        Rationale(Neighbours(k=two, bank_size=np.int64(8))),
        two,
        two,
        queue_size=np.int64(8),
    )
    keras.saving.serialize_keras_object(moco)


def test_evaluation_and_fit_rationale():
    two, data, encoder = np.int64(2), birds(), tiny_encoder()
    features = extract(encoder, data, (np.int64(32), np.int64(32)), two)
    json.dumps([features.image_size, features.batch_size])
    with pytest.raises(ValueError, match="images are square"):
        extract(encoder, data, (32, 24))
    assert len(embed(encoder, data.images, two)) == 10
    fit_rationale(
        encoder,
        data.images,
        Rationale(Neighbours(k=two)),
        np.int64(1),
        two,
        two,
        max_images=two * 4,
    )
    with pytest.raises(ValueError, match="`epochs` must be a positive integer.*epochs=2.5"):
        fit_rationale(encoder, data.images, Rationale(Neighbours(k=2)), epochs=2.5)
    assert KNNMonitor(data, (32, 32), every=two).image_size == 32
    assert map_boxes(np.eye(4)[None], (16, 16)).shape == (1, 4)


def test_a_pair_of_different_sides_is_for_encoders_only():
    encoder = CommonRationaleEncoder(tiny_backbone(), image_size=(32, 48))
    assert encoder.image_size == (32, 48)
    with pytest.raises(ValueError, match=r"`image_size` must be.*image_size=\(32, 0\)"):
        CommonRationaleEncoder(tiny_backbone(), image_size=(32, 0))
