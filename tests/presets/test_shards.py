"""Presets whose weights are in several files, each of a size at most; old ones are as they were."""

import h5py
import keras
import numpy as np
import pytest

from keras_cr.presets import (
    CorruptPresetError,
    IncompatiblePresetError,
    OccupiedFolderError,
    PresetError,
    load_preset,
    publish,
    register,
    registry,
    save_preset,
    verify_preset,
)
from keras_cr.presets.manifest import Located, fingerprint, read_manifest, sealed
from tests.interoperability.models import small_encoder
from tests.presets.test_errors import edit_json
from tests.presets.tiny import images, tiny_encoder

SECOND = "model.weights.2.h5"


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def sharded(folder, parts=3, **options):
    """A preset of a tiny encoder in about so many weights files, and the encoder."""
    model = small_encoder()
    size = (save_preset(model, folder / "whole", **options) / "model.weights.h5").stat().st_size
    limit = size / parts / 1e9
    return save_preset(model, folder / "parts", max_shard_size=limit, **options), model, limit


@pytest.mark.parametrize("dtype", [None, "float16"])
def test_the_same_model_in_smaller_files(tmp_path, dtype):
    folder, _, limit = sharded(tmp_path, weights_dtype=dtype)
    parts = sorted(folder.glob("*.h5"))
    assert len(parts) >= 3
    assert max(path.stat().st_size for path in parts) <= limit * 1e9
    assert SECOND in names(folder)
    manifest = read_manifest(Located(folder, "parts"))
    assert (manifest["format"], manifest["weights_dtype"]) == (5, dtype)
    expected = load_preset(tmp_path / "whole").get_weights()
    for ours, its in zip(load_preset(folder).get_weights(), expected, strict=True):
        np.testing.assert_array_equal(ours, its)
    assert load_preset(folder, load_weights=False).built


@pytest.mark.filterwarnings("ignore:Skipping nested container")
def test_keras_alone_refuses_a_part_as_the_whole(tmp_path):
    folder, _, _ = sharded(tmp_path)
    with pytest.raises(ValueError, match="objects could not be loaded"):
        keras.saving.load_model(folder)


def test_what_is_small_enough_is_one_file_of_the_format_before(tmp_path):
    model = tiny_encoder()
    folder = save_preset(model, tmp_path / "one", max_shard_size=1)
    other = save_preset(model, tmp_path / "other", name="one")
    assert (folder / "preset.json").read_bytes() == (other / "preset.json").read_bytes()


@pytest.mark.parametrize("damage", ["flipped", "missing", "truncated", "of another"])
def test_a_damaged_part_is_refused(tmp_path, damage):
    folder, _, _ = sharded(tmp_path)
    path = folder / SECOND
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(data[:100] if damage == "truncated" else data)
    if damage == "of another":  # whose sums hold
        path.write_bytes((folder / "model.weights.h5").read_bytes())
        fault = f"is in model.weights.h5 and in {SECOND}"
        edit_json(folder, "preset.json", lambda m: m["files"].update({SECOND: fingerprint(path)}))
        with pytest.raises(IncompatiblePresetError, match=fault):
            load_preset(folder)
        return
    told = {"flipped": "is altered", "missing": "is missing", "truncated": "is truncated"}
    for look in (load_preset, verify_preset):
        with pytest.raises(CorruptPresetError, match=f"{SECOND} {told[damage]}.*fresh copy"):
            look(folder)


def test_a_part_that_holds_nothing_of_the_model_is_refused(tmp_path):
    folder, _, _ = sharded(tmp_path)
    with h5py.File(folder / SECOND, "a") as file:
        file.create_group("unknown").create_group("vars")["0"] = np.zeros(3, "float32")
    edit_json(
        folder,
        "preset.json",
        lambda m: m["files"].update({SECOND: fingerprint(folder / SECOND)}),
    )
    with pytest.raises(IncompatiblePresetError, match="'unknown' belongs to no layer"):
        load_preset(folder)


@pytest.mark.parametrize(
    "change",
    [
        lambda files: files.pop(SECOND),
        lambda files: files.pop("model.weights.h5"),
        lambda files: files.update({"model.weights.02.h5": files.pop(SECOND)}),
        lambda files: files.update({"../model.weights.9.h5": files.pop(SECOND)}),
    ],
)
def test_files_without_a_gap(tmp_path, change):
    folder, _, _ = sharded(tmp_path)
    manifest = read_manifest(Located(folder, "parts"))
    assert sealed(manifest)
    manifest["files"] = dict(manifest["files"])
    change(manifest["files"])
    with pytest.raises(PresetError, match=f"must hold the sha256 and size of config.*{SECOND}"):
        sealed(manifest)


def test_replaced_by_as_many_and_never_by_fewer(tmp_path):
    folder, model, limit = sharded(tmp_path)
    before = names(folder)
    model.branch.set_weights([weight + 1 for weight in model.branch.get_weights()])
    save_preset(model, folder, max_shard_size=limit)
    assert names(folder) == before
    np.testing.assert_array_equal(load_preset(folder)(images()), model(images()))
    with pytest.raises(OccupiedFolderError, match=f"of more files, '{SECOND}' among.*remove it"):
        save_preset(model, folder)
    save_preset(model, tmp_path / "whole", max_shard_size=limit)
    assert names(tmp_path / "whole") == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_shard_size": 0}, "must be a positive number of GB, or None; received 0"),
        ({"max_shard_size": "5MB"}, "must be a positive number of GB, or None; received '5MB'"),
        ({"max_shard_size": 1e-8}, "a layer is not split; give more"),
        ({"max_shard_size": 1, "backbone": "reference"}, "with their backbone inside"),
    ],
)
def test_limits_that_are_none(tmp_path, options, message):
    with pytest.raises(PresetError, match=f"max_shard_size.*{message}"):
        save_preset(tiny_encoder(), tmp_path / "parts", **options)
    assert not list(tmp_path.iterdir())


def test_published_registered_and_loaded_by_name(hub, tmp_path, monkeypatch):
    folder, model, _ = sharded(tmp_path)
    published = publish(folder, "hf://org/parts", tag="v1", token="hf_writer")
    assert {"config.json", *(path.name for path in folder.glob("*.h5"))} < {*published.files}
    np.testing.assert_array_equal(load_preset("hf://org/parts@v1")(images()), model(images()))
    register(folder, "parts", repo="hf://org/parts@v1", cards_folder=tmp_path / "cards")
    monkeypatch.setattr(registry, "cards_folder", lambda: tmp_path / "cards")
    np.testing.assert_array_equal(load_preset("parts")(images()), model(images()))
