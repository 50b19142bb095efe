"""Presets that hold the branch alone: what they pin, what they refuse, how they are small."""

import json
import shutil

import keras
import numpy as np
import pytest
import yaml

from keras_cr import CommonRationaleClassifier, CommonRationaleEncoder
from keras_cr.models import load_backbone
from keras_cr.presets import (
    BackboneError,
    BackboneSource,
    CorruptPresetError,
    ForeignPresetError,
    PresetError,
    card,
    digest,
    load_preset,
    pinned_backbone,
    publish,
    registry,
    verify_preset,
)
from keras_cr.presets.manifest import CONFIG, FILES, MANIFEST, fingerprint, sealed
from tests.presets.with_backbone import assert_same, encoder_over, images, size, small_backbone

DEMO = "demo_squeezenet"


@pytest.fixture
def file(tmp_path):
    """A backbone as a .keras file."""
    path = tmp_path / "elsewhere" / "backbone.keras"
    path.parent.mkdir()
    model = small_backbone()
    model.compile("adam", "mse")
    model.save(path)
    return path


@pytest.fixture
def saved(file, tmp_path):
    """An encoder, and a preset of its branch."""
    encoder = encoder_over(file)
    return encoder, encoder.save_to_preset(tmp_path / "branch", backbone="reference")


def reseal(folder, **changes):
    """Changes entries of preset.json, as somebody would who knows how it is sealed."""
    manifest = json.loads((folder / MANIFEST).read_text())
    del manifest["sha256"]
    (folder / MANIFEST).write_bytes(sealed(manifest | changes))


def test_it_is_the_whole_preset_bit_for_bit_and_far_smaller(tmp_path):
    encoder = encoder_over(DEMO)
    whole = encoder.save_to_preset(tmp_path / "whole")
    branch = encoder.save_to_preset(tmp_path / "branch", backbone="reference")
    loaded = CommonRationaleEncoder.from_preset(branch)
    twin = CommonRationaleEncoder.from_preset(whole)
    np.testing.assert_array_equal(loaded(images()), twin(images()))
    for mine, its in zip(loaded.weights, twin.weights, strict=True):
        np.testing.assert_array_equal(mine, its)
    assert loaded.backbone_source == encoder.backbone_source
    assert size(branch) < 30e3 < 3e6 < size(whole)
    assert {path.name for path in branch.iterdir()} == set(FILES)


def test_what_it_pins(saved, file):
    encoder, folder = saved
    manifest = json.loads((folder / MANIFEST).read_text())
    pinned = manifest["backbone"]
    assert manifest["format"] == 3
    assert pinned["handle"] == str(file)
    assert pinned["files"] == {"backbone.keras": fingerprint(file)}
    assert (pinned["converter"], pinned["converter_version"]) == ("keras", keras.__version__)
    assert pinned["weights"] == digest(encoder.backbone)
    assert "backbone_source" not in (folder / CONFIG).read_text()
    again = load_preset(folder).save_to_preset(folder.parent / "again", backbone="reference")
    for name in (CONFIG, "model.weights.h5"):
        assert (again / name).read_bytes() == (folder / name).read_bytes()


def test_the_source_survives_a_keras_file_and_a_whole_preset(saved, tmp_path):
    encoder, _ = saved
    encoder.save(tmp_path / "encoder.keras")
    loaded = keras.saving.load_model(tmp_path / "encoder.keras")
    assert loaded.backbone_source == encoder.backbone_source
    whole = CommonRationaleEncoder.from_preset(loaded.save_to_preset(tmp_path / "whole"))
    assert_same(whole, encoder)
    branch = whole.save_to_preset(tmp_path / "again", backbone="reference")
    assert_same(CommonRationaleEncoder.from_preset(branch), encoder)
    assert CommonRationaleEncoder("squeezenet", image_size=64).backbone_source is None


def test_other_dtypes_and_no_weights(saved, tmp_path, file):
    encoder, folder = saved
    whole = encoder.save_to_preset(tmp_path / "whole")
    for dtype in ("mixed_bfloat16", "bfloat16"):
        assert_same(load_preset(folder, dtype=dtype), load_preset(whole, dtype=dtype))
    with pytest.raises(BackboneError, match="loaded under another dtype"):
        load_preset(folder, dtype="bfloat16").save_to_preset(folder, backbone="reference")
    file.unlink()
    fresh = load_preset(folder, load_weights=False)
    assert fresh.backbone.count_params() == encoder.backbone.count_params()


def test_a_classifier_over_it(saved, tmp_path):
    encoder, folder = saved
    classifier = CommonRationaleClassifier.from_preset(folder, num_classes=3)
    assert_same(classifier.encoder, encoder)
    folder = classifier.save_to_preset(tmp_path / "classifier", backbone="reference")
    loaded = CommonRationaleClassifier.from_preset(folder)
    np.testing.assert_array_equal(loaded(images()), classifier(images()))
    assert loaded.encoder.backbone_source == encoder.backbone_source


def test_frozen_layers_stay_frozen(saved, tmp_path):
    encoder, _ = saved
    encoder.backbone.trainable = False
    folder = encoder.save_to_preset(tmp_path / "frozen", backbone="reference")
    loaded = load_preset(folder)
    assert not loaded.backbone.trainable_variables
    assert loaded.branch.trainable_variables


def test_a_backbone_that_was_trained_is_no_reference(saved, tmp_path):
    encoder, _ = saved
    kernel = encoder.backbone.get_layer("conv").kernel
    kernel.assign(kernel + 1e-7 * np.abs(kernel))
    with pytest.raises(BackboneError, match="has other weights than .*backbone='inside'"):
        encoder.save_to_preset(tmp_path / "new", backbone="reference")
    assert not (tmp_path / "new").exists()
    assert_same(load_preset(encoder.save_to_preset(tmp_path / "new")), encoder)


def test_a_backbone_from_nowhere_and_a_word_that_means_nothing(tmp_path):
    encoder = CommonRationaleEncoder(small_backbone(), image_size=64)
    with pytest.raises(BackboneError, match="doesn't know where .*load_backbone"):
        encoder.save_to_preset(tmp_path / "new", backbone="reference")
    with pytest.raises(PresetError, match="backbone must be 'inside' or 'reference'"):
        encoder.save_to_preset(tmp_path / "new", backbone="outside")
    _, encoder.backbone_source = load_backbone(DEMO)
    with pytest.raises(BackboneError, match="other weights than demo_squeezenet"):
        encoder.save_to_preset(tmp_path / "new", backbone="reference")
    with pytest.raises(PresetError, match="backbone_source must be a BackboneSource"):
        CommonRationaleEncoder(small_backbone(), backbone_source={"handle": "x"})


def test_a_file_that_has_moved_is_named(saved, file, tmp_path):
    encoder, folder = saved
    moved = shutil.move(file, tmp_path / "moved.keras")
    with pytest.raises(BackboneError, match=r"is not there; name a place .*backbone=PLACE") as told:
        load_preset(folder)
    assert "\n" not in str(told.value)
    assert_same(CommonRationaleEncoder.from_preset(folder, backbone=moved), encoder)
    assert_same(CommonRationaleEncoder.from_preset(folder, backbone=encoder.backbone), encoder)
    assert verify_preset(folder, backbone=moved)[1]["backbone"]["handle"] == str(file)
    with pytest.raises(BackboneError):
        encoder.save_to_preset(tmp_path / "new", backbone="reference")


def test_another_backbone_is_refused_before_anything_is_built(saved, file, monkeypatch):
    encoder, folder = saved
    small_backbone(seed=1).save(file)
    built = []
    monkeypatch.setattr("keras_cr.presets.load.build_model", lambda *args: built.append(args))
    with pytest.raises(BackboneError, match="It is not the backbone that the preset was made with"):
        load_preset(folder)
    with pytest.raises(BackboneError, match="backbone.keras is"):
        verify_preset(folder)
    assert not built
    monkeypatch.undo()
    with pytest.raises(BackboneError, match=r"the model given .* other numbers"):
        load_preset(folder, backbone=small_backbone(seed=1))
    whole = encoder.save_to_preset(folder.parent / "whole")
    with pytest.raises(PresetError, match="has its own inside"):
        load_preset(whole, backbone=file)


def test_a_converter_that_reads_other_numbers_is_refused(saved, monkeypatch):
    encoder, folder = saved

    def read(converter, path, size):
        return small_backbone(seed=1)

    monkeypatch.setattr("keras_cr.models.image_model.read_backbone", read)
    with pytest.raises(BackboneError, match=r"keras [\d.]+ had read it .*install that version"):
        load_preset(folder)
    monkeypatch.undo()
    pinned = json.loads((folder / MANIFEST).read_text())["backbone"]
    reseal(folder, backbone=pinned | {"converter_version": "1.0"})
    assert_same(load_preset(folder), encoder)  # another version, and the same numbers


@pytest.mark.parametrize(
    "change",
    [
        {"files": {}},
        {"files": {"../secret": {"sha256": "0" * 64, "size": 1}}},
        {"converter": "pickle"},
        {"commit": "main"},
        {"commit": "a" * 40},
        {"weights": "abc"},
        {"licence": ""},
        {"resized": ["1"]},
        {"more": 1},
    ],
)
def test_a_source_must_be_whole(change):
    whole = {
        "handle": "x.keras",
        "commit": None,
        "files": {"x.keras": {"sha256": "0" * 64, "size": 1}},
        "converter": "keras",
        "converter_version": "3.15.0",
        "weights": "1" * 64,
        "licence": None,
        "resized": [],
    }
    assert BackboneSource.of(whole).as_dict() == whole
    with pytest.raises(PresetError, match="^backbone_source"):
        BackboneSource.of(whole | change)


def test_the_files_agree_on_what_is_outside(saved, tmp_path):
    """Nothing is read twice, and nothing is left without its numbers."""
    encoder, folder = saved
    whole = encoder.save_to_preset(tmp_path / "whole")
    pinned = json.loads((folder / MANIFEST).read_text())["backbone"]
    mixed = shutil.copytree(whole, tmp_path / "mixed")
    config = encoder.save_to_preset(tmp_path / "x", backbone="reference") / CONFIG
    shutil.copy(config, mixed)
    files = {name: fingerprint(mixed / name) for name in FILES if name != MANIFEST}
    reseal(mixed, backbone=pinned, format=3, files=files)
    with pytest.raises(PresetError, match="whose weights are elsewhere"):
        load_preset(mixed)
    manifest = json.loads((folder / MANIFEST).read_text())
    del manifest["sha256"], manifest["backbone"]
    (folder / MANIFEST).write_bytes(sealed(manifest | {"format": 2}))
    with pytest.raises(PresetError, match="the file none of them"):
        load_preset(folder)


def test_the_licence_is_told_once_a_preset(saved, file, tmp_path, capsys, monkeypatch):
    encoder, _ = saved
    monkeypatch.setattr(pinned_backbone, "_told", set())
    folder = tmp_path / "branch"
    encoder.save_to_preset(folder, backbone="reference", licence="Apache-2.0")
    capsys.readouterr()
    load_preset(folder)
    told = capsys.readouterr().err
    assert told.count("is under the licence Apache-2.0") == 1
    load_preset(folder)
    load_preset(folder, load_weights=False)
    assert "licence" not in capsys.readouterr().err
    manifest = json.loads((folder / MANIFEST).read_text())
    assert manifest["licence"] == manifest["backbone"]["licence"] == "Apache-2.0"
    assert load_backbone(DEMO)[1].licence.startswith("MIT for the backbone")


def test_over_another_branch_the_backbone_is_that_of_the_first(saved, tmp_path):
    encoder, folder = saved
    backbone, source = load_backbone(folder)
    assert source == encoder.backbone_source
    assert digest(backbone) == source.weights


def test_in_the_package(tmp_path, monkeypatch):
    """A branch over a backbone that comes with the package, packed like it."""
    monkeypatch.setattr(registry, "PACKAGED", shutil.copytree(registry.PACKAGED, tmp_path / "p"))
    cards = shutil.copytree(registry.cards_folder(), tmp_path / "cards")
    monkeypatch.setattr(registry, "cards_folder", lambda: cards)
    encoder = encoder_over(DEMO)
    folder = encoder.save_to_preset(tmp_path / "p" / "tiny_branch", backbone="reference")
    content = yaml.safe_load((cards / f"{DEMO}.yaml").read_text())
    files = {name: fingerprint(folder / name) for name in FILES}
    content |= {"name": "tiny_branch", "files": files}
    (cards / "tiny_branch.yaml").write_text(yaml.safe_dump(content))
    assert card("tiny_branch").size < 30_000
    loaded = CommonRationaleEncoder.from_preset("tiny_branch")
    assert digest(loaded.backbone) == loaded.backbone_source.weights
    assert digest(loaded.branch) == digest(encoder.branch)


def test_files_that_hold_no_backbone(tmp_path, file):
    with pytest.raises(BackboneError, match="is not there"):
        load_backbone(tmp_path / "no.keras")
    with pytest.raises(BackboneError, match="neither a preset .* nor a model that KerasHub reads"):
        load_backbone(tmp_path)
    with pytest.raises(BackboneError, match="takes no revision"):
        load_backbone(file, revision="v1")
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(CorruptPresetError, match="can't be read as a .keras file"):
        load_backbone(file)
    inputs = keras.Input((None, None, 3))
    code = keras.layers.Lambda(lambda x: 2 * x)(inputs)
    keras.Model(inputs, code).save(tmp_path / "code.keras")
    with pytest.raises(ForeignPresetError, match="Python code is not loaded"):
        load_backbone(tmp_path / "code.keras")


def test_a_backbone_of_this_machine_alone_is_not_published(saved, hub):
    with pytest.raises(BackboneError, match="on this machine alone; publish the backbone"):
        publish(saved[1], "hf://org/branch", token="hf_writer")
