"""The preset inside the package: there without a network, and what its card says."""

import pathlib
import shutil

import keras
import numpy as np
import pytest

from keras_cr import CommonRationaleEncoder
from keras_cr.presets import CorruptPresetError, card, list_presets, load_preset, registry

SHARED = pathlib.Path(__file__).parents[3] / "shared" / "weights" / "squeezenet_v1_1_imagenet.keras"
NAME = "demo_squeezenet"


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("the network was asked")

    monkeypatch.setattr("huggingface_hub.snapshot_download", refuse)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", refuse)


def test_it_is_small_listed_and_loaded_without_a_network(no_network):
    folder = card(NAME).folder
    assert sum(path.stat().st_size for path in folder.iterdir()) < 3.5e6
    info = next(each for each in list_presets() if each.name == NAME)
    assert (info.where, info.published) == ("package", False)
    encoder = CommonRationaleEncoder.from_preset(NAME)
    images = np.random.default_rng(0).uniform(0, 255, (2, 96, 96, 3)).astype("float32")
    seen = encoder.encode(images)
    np.testing.assert_allclose(np.linalg.norm(seen["embedding"], axis=1), 1, rtol=1e-5)
    assert seen["rationale"].shape == (2, 5, 5)
    assert np.abs(seen["embedding"] - seen["average_embedding"]).max() > 0.01


def test_its_numbers_are_those_of_its_manifest():
    entry = card(NAME)
    assert (
        entry.metrics["retrieval"]["rank1"] > entry.metrics["average_pooling"]["retrieval"]["rank1"]
    )
    assert entry.recipe["config"]["epochs"] == 0
    assert entry.recipe["seeds"] == [0]


def test_files_are_checked_against_the_card(tmp_path, monkeypatch):
    shutil.copytree(registry.PACKAGED, tmp_path / "packaged")
    monkeypatch.setattr(registry, "PACKAGED", tmp_path / "packaged")
    manifest = tmp_path / "packaged" / NAME / "preset.json"
    assert load_preset(NAME).built
    manifest.write_text(manifest.read_text().replace('"MIT', '"mit'))
    with pytest.raises(CorruptPresetError, match=r"preset.json is altered.*install keras-cr again"):
        load_preset(NAME)


def test_a_backbone_starts_from_its_weights(no_network):
    encoder = CommonRationaleEncoder("squeezenet", weights="imagenet")
    expected = load_preset(NAME).backbone
    for ours, its in zip(encoder.backbone.weights, expected.weights, strict=True):
        np.testing.assert_array_equal(ours, its)
    assert encoder.num_detectors == 1
    random = CommonRationaleEncoder("squeezenet", seed=0).backbone.weights[0]
    assert not np.array_equal(random, expected.weights[0])
    with pytest.raises(ValueError, match="`weights` is for a backbone by name.*weights='imagenet'"):
        CommonRationaleEncoder(expected, weights="imagenet")
    with pytest.raises(ValueError, match="`weights` must be 'imagenet' or None. Received: 'coco'"):
        CommonRationaleEncoder("squeezenet", weights="coco")


@pytest.mark.skipif(not SHARED.exists(), reason="needs the ImageNet weights as a .keras file")
def test_its_backbone_is_the_published_one():
    original = keras.saving.load_model(SHARED, compile=False)
    images = np.random.default_rng(0).uniform(0, 255, (2, 96, 128, 3)).astype("float32")
    np.testing.assert_allclose(
        load_preset(NAME).feature_map(images), original(images), rtol=1e-5, atol=1e-4
    )
