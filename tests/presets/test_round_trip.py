"""What is saved comes back the same, under the dtype that is asked for."""

import json

import keras
import numpy as np
import pytest

from keras_cr.models import CommonRationaleClassifier, CommonRationaleEncoder
from keras_cr.presets import (
    ForeignPresetError,
    OccupiedFolderError,
    PresetError,
    list_presets,
    load_preset,
    save_preset,
    store_path,
    stored_presets,
)
from tests.presets.tiny import TinyEncoder, images, tiny_backbone, tiny_encoder

FILES = {"config.json", "model.weights.h5", "preset.json"}


def outputs(model, x=None):
    return keras.ops.convert_to_numpy(model(images() if x is None else x)).astype("float32")


def test_same_outputs_and_what_preset_json_says(tmp_path):
    model = tiny_encoder()
    folder = save_preset(
        model,
        tmp_path / "a" / "b",
        name="birds",
        source={"seed": np.int64(3), "command": "python recipes/train_cub.py"},
        metrics={"retrieval": {"rank1": np.float32(0.5)}},
        licence="Apache-2.0",
    )
    assert {path.name for path in folder.iterdir()} == FILES
    manifest = json.loads((folder / "preset.json").read_text())
    assert manifest["name"] == "birds"
    assert manifest["class"] == "keras_cr>TinyEncoder"
    assert manifest["source"]["seed"] == 3
    assert manifest["metrics"] == {"retrieval": {"rank1": 0.5}}
    assert manifest["files"].keys() == FILES - {"preset.json"}
    loaded = load_preset(folder, expected=TinyEncoder)
    assert type(loaded) is TinyEncoder
    np.testing.assert_allclose(outputs(loaded), outputs(model), rtol=1e-6)


@pytest.mark.parametrize("pooling", ["rationale", "concat", "rationale_max", "rationale_vlad"])
def test_encoder(tmp_path, pooling):
    encoder = CommonRationaleEncoder(tiny_backbone(), num_detectors=3, pooling=pooling)
    encoder.save_to_preset(tmp_path / "encoder")
    loaded = CommonRationaleEncoder.from_preset(str(tmp_path / "encoder"))
    np.testing.assert_allclose(
        outputs(loaded, images(32)), outputs(encoder, images(32)), rtol=1e-5, atol=1e-6
    )


def test_classifier_from_an_encoder_and_from_itself(tmp_path):
    encoder = CommonRationaleEncoder(tiny_backbone(), num_detectors=3)
    encoder.save_to_preset(tmp_path / "encoder")
    classifier = CommonRationaleClassifier.from_preset(tmp_path / "encoder", num_classes=5)
    classifier.compile("adam", "sparse_categorical_crossentropy")
    classifier.fit(images(32), np.array([0, 1]), verbose=0)
    classifier.save_to_preset(tmp_path / "classifier")
    loaded = CommonRationaleClassifier.from_preset(tmp_path / "classifier")
    assert not loaded.compiled
    np.testing.assert_allclose(
        outputs(loaded, images(32)), outputs(classifier, images(32)), rtol=1e-5, atol=1e-6
    )


def test_resnet_by_name(tmp_path):
    encoder = CommonRationaleEncoder("resnet18", image_size=64)
    encoder.save_to_preset(store_path("small"))
    loaded = CommonRationaleEncoder.from_preset("small")
    x = images(64)
    np.testing.assert_allclose(outputs(loaded, x), outputs(encoder, x), rtol=1e-5, atol=1e-6)


def test_optimizer_stays_out(tmp_path):
    model = tiny_encoder()
    plain = save_preset(model, tmp_path / "plain")
    model.compile("adam", "mse")
    model.fit(images(), np.zeros((2, 4)), verbose=0)
    compiled = save_preset(model, tmp_path / "compiled")
    sizes = [(folder / "model.weights.h5").stat().st_size for folder in (plain, compiled)]
    assert sizes[0] == sizes[1]
    assert "compile_config" not in (compiled / "config.json").read_text()
    assert not load_preset(compiled).compiled


def test_by_name_from_the_local_store():
    model = tiny_encoder()
    save_preset(model, store_path("my_birds"))
    assert list(stored_presets()) == ["my_birds"]
    listed = {info.name: info for info in list_presets()}
    assert listed["my_birds"].stored == store_path("my_birds")
    assert listed["cub_resnet50"].stored is None
    np.testing.assert_allclose(outputs(load_preset("my_birds")), outputs(model), rtol=1e-6)


def test_folders_are_told_from_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_preset(tiny_encoder(seed=0), store_path("birds"))
    (tmp_path / "birds").mkdir()  # no preset: the name means the stored one
    assert load_preset("birds").built
    here = tiny_encoder(seed=1)
    save_preset(here, "birds")
    for handle in ("birds", "./birds", tmp_path / "birds"):
        np.testing.assert_allclose(outputs(load_preset(handle)), outputs(here), rtol=1e-6)


def test_fresh_weights_need_no_weights_file(tmp_path):
    model = tiny_encoder()
    folder = save_preset(model, tmp_path / "preset")
    (folder / "model.weights.h5").unlink()
    fresh = load_preset(folder, load_weights=False)
    assert fresh.count_params() == model.count_params()
    assert not np.allclose(outputs(fresh), outputs(model))


@pytest.mark.parametrize("dtype", ["bfloat16", "mixed_bfloat16", "float16", "float32"])
def test_dtype(tmp_path, dtype):
    model = TinyEncoder(tiny_backbone())
    folder = save_preset(model, tmp_path / "preset")
    loaded = load_preset(folder, dtype=dtype)
    policy = keras.DTypePolicy(dtype)
    layers = (loaded, loaded.head, loaded.backbone.get_layer("norm"))
    assert {layer.dtype_policy.name for layer in layers} == {dtype}
    assert loaded.head.kernel.dtype == policy.variable_dtype
    tolerance = 1e-6 if dtype == "float32" else 3e-2
    np.testing.assert_allclose(outputs(loaded), outputs(model), atol=tolerance, rtol=tolerance)
    again = load_preset(save_preset(loaded, tmp_path / "again"))
    assert again.dtype_policy.name == dtype
    np.testing.assert_array_equal(outputs(again), outputs(loaded))


def test_dtype_of_the_encoder(tmp_path):
    encoder = CommonRationaleEncoder(tiny_backbone(), num_detectors=3)
    folder = encoder.save_to_preset(tmp_path / "preset")
    loaded = CommonRationaleEncoder.from_preset(folder, dtype=keras.DTypePolicy("mixed_bfloat16"))
    assert loaded.branch.compute_dtype == "bfloat16"
    assert loaded.backbone.get_layer("conv").compute_dtype == "bfloat16"
    np.testing.assert_allclose(outputs(loaded, images(32)), outputs(encoder, images(32)), atol=3e-2)


def test_dtype_leaves_pinned_layers(tmp_path):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = TinyEncoder(tiny_backbone(pinned="float32"))
    finally:
        keras.config.set_dtype_policy("float32")
    folder = save_preset(model, tmp_path / "preset")
    loaded = load_preset(folder, dtype="float16")
    assert loaded.backbone.get_layer("norm").dtype_policy.name == "float32"
    assert loaded.backbone.get_layer("conv").dtype_policy.name == "float16"


@pytest.mark.parametrize("dtype", ["int8", "bfloat17", "int8_from_float32", 3.5])
def test_dtype_that_is_none(tmp_path, dtype):
    with pytest.raises(PresetError, match="dtype must be a floating-point dtype"):
        load_preset(tmp_path, dtype=dtype)


def test_values_that_json_cannot_hold(tmp_path):
    model = tiny_encoder()
    with pytest.raises(PresetError, match=r"preset.json: metrics: knn: top1 is nan"):
        save_preset(model, tmp_path / "p", metrics={"knn": {"top1": np.float32("nan")}})
    with pytest.raises(PresetError, match="strings for keys; received 1"):
        save_preset(model, tmp_path / "p", source={1: 2})
    with pytest.raises(PresetError, match=r"extra: a must be text.*received object"):
        save_preset(model, tmp_path / "p", extra={"a": object()})
    assert list(tmp_path.iterdir()) == []


def test_models_that_could_not_be_loaded_again(tmp_path):
    foreign = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    with pytest.raises(ForeignPresetError, match=r"foreign class 'Sequential'.*model.save"):
        save_preset(foreign, tmp_path / "p")

    class Unregistered(keras.layers.Layer):
        def call(self, x):
            return x

    x = keras.Input((None, None, 3))
    with pytest.raises(ForeignPresetError, match="'Unregistered'; decorate it with"):
        save_preset(TinyEncoder(keras.Model(x, Unregistered()(x))), tmp_path / "p")
    unbuilt = tiny_encoder()
    unbuilt.built = False
    with pytest.raises(PresetError, match="has no weights yet"):
        save_preset(unbuilt, tmp_path / "p")
    assert list(tmp_path.iterdir()) == []


def test_folders_that_are_not_presets_are_left_alone(tmp_path):
    model = tiny_encoder()
    (tmp_path / "photo.jpg").write_bytes(b"")
    with pytest.raises(OccupiedFolderError, match=r"holds 'photo.jpg'"):
        save_preset(model, tmp_path)
    with pytest.raises(OccupiedFolderError, match="must not be a file"):
        save_preset(model, tmp_path / "photo.jpg")
    folder = save_preset(model, tmp_path / "preset")
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(OccupiedFolderError, match=r"holds 'notes.txt'"):
        save_preset(model, folder)
    with pytest.raises(PresetError, match="folder must be a path on this machine"):
        save_preset(model, "hf://org/name")
    (tmp_path / "empty").mkdir()
    assert load_preset(save_preset(model, tmp_path / "empty")).built
