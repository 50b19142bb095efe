"""The presets inside the package: there without a network, and what their cards say."""

import json
import pathlib
import shutil

import keras
import numpy as np
import pytest

from keras_cr import CommonRationaleEncoder
from keras_cr.data import synthetic_birds
from keras_cr.presets import CorruptPresetError, card, cards, list_presets, load_preset, registry
from keras_cr.presets.manifest import Located, read_manifest
from tests.presets.test_errors import edit_json

SHARED = pathlib.Path(__file__).parents[3] / "shared" / "weights"
NAME, LITE = "demo_squeezenet", "demo_efficientnet_lite0"
ORIGINAL = {
    NAME: SHARED / "squeezenet_v1_1_imagenet.keras",
    LITE: SHARED / "efficientnet_lite0_imagenet.keras",
}
BYTES = {NAME: 3.5e6, LITE: 7.5e6}
MAP = {NAME: (5, 5, 512), LITE: (3, 3, 1280)}  # of images of 96 pixels
needs_originals = pytest.mark.skipif(
    not SHARED.exists(), reason="needs the ImageNet weights as .keras files"
)


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("the network was asked")

    monkeypatch.setattr("huggingface_hub.snapshot_download", refuse)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", refuse)


def test_folders_and_cards_are_of_the_same_presets():
    folders = {path.name for path in registry.PACKAGED.iterdir() if path.is_dir()}
    assert folders == {name for name, entry in cards(own=False).items() if entry.packaged}
    assert folders == set(BYTES)


@pytest.mark.parametrize("name", BYTES)
def test_it_is_small_listed_and_loaded_without_a_network(name, no_network):
    folder = card(name).folder
    assert sum(path.stat().st_size for path in folder.iterdir()) < BYTES[name]
    info = next(each for each in list_presets() if each.name == name)
    assert (info.where, info.published) == ("package", False)
    encoder = CommonRationaleEncoder.from_preset(name)
    assert {variable.dtype for variable in encoder.weights} == {"float32"}
    images = np.random.default_rng(0).uniform(0, 255, (2, 96, 96, 3)).astype("float32")
    seen = encoder.encode(images)
    np.testing.assert_allclose(np.linalg.norm(seen["embedding"], axis=1), 1, rtol=1e-5)
    assert seen["feature_map"].shape == (2, *MAP[name])
    assert seen["rationale"].shape == (2, *MAP[name][:2])
    assert np.abs(seen["embedding"] - seen["average_embedding"]).max() > 0.01


@pytest.mark.parametrize("name", BYTES)
def test_its_numbers_are_those_of_its_manifest(name):
    entry = card(name)
    metrics = read_manifest(Located(entry.folder, name))["metrics"]
    for values, stored in (
        (entry.metrics, metrics),
        (entry.metrics["average_pooling"], metrics["average_pooling"]),
    ):
        for protocol in ("retrieval", "linear_probe", "knn"):
            for key, value in values[protocol].items():
                assert value == round(stored[protocol][key], 4)
    assert (
        entry.metrics["retrieval"]["rank1"] > entry.metrics["average_pooling"]["retrieval"]["rank1"]
    )
    assert entry.recipe["config"]["epochs"] == 0
    assert entry.recipe["seeds"] == [0]


def test_files_are_checked_against_the_card(tmp_path, monkeypatch):
    shutil.copytree(registry.PACKAGED / NAME, tmp_path / "packaged" / NAME)
    monkeypatch.setattr(registry, "PACKAGED", tmp_path / "packaged")
    manifest = tmp_path / "packaged" / NAME / "preset.json"
    assert load_preset(NAME).built
    manifest.write_text(manifest.read_text().replace('"MIT', '"mit'))
    with pytest.raises(CorruptPresetError, match=r"preset.json is altered.*install keras-cr again"):
        load_preset(NAME)


def test_a_config_without_entries_that_came_later_is_the_same_model(tmp_path):
    """As demo_squeezenet's was before encoders had `concat_class_token`."""
    folder = shutil.copytree(card(NAME).folder, tmp_path / "earlier")
    edit_json(folder, "config.json", lambda config: config["config"].pop("concat_class_token"))
    assert "concat_class_token" not in json.loads((folder / "config.json").read_text())["config"]
    images = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)).astype("float32")
    np.testing.assert_array_equal(load_preset(folder)(images), load_preset(NAME)(images))


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


@needs_originals
def test_squeezenet_s_backbone_is_the_published_one():
    original = keras.saving.load_model(ORIGINAL[NAME], compile=False)
    images = np.random.default_rng(0).uniform(0, 255, (2, 96, 128, 3)).astype("float32")
    np.testing.assert_allclose(
        load_preset(NAME).feature_map(images), original(images), rtol=1e-5, atol=1e-4
    )


@needs_originals
def test_half_precision_changes_embeddings_of_efficientnet_by_little():
    encoder = load_preset(LITE)
    original = CommonRationaleEncoder(
        keras.saving.load_model(ORIGINAL[LITE], compile=False), num_detectors=1
    )
    original.branch.set_weights(encoder.branch.get_weights())
    images = synthetic_birds(2, 2, 0, image_size=96).images.astype("float32")
    cosines = np.sum(np.asarray(encoder(images)) * np.asarray(original(images)), axis=-1)
    assert cosines.min() > 0.999
    for one, other in zip(encoder.backbone.weights, original.backbone.weights, strict=True):
        assert one.shape == other.shape
