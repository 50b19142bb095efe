"""Presets whose weights are stored as float16: half the bytes, nearly the same numbers."""

import json

import h5py
import keras
import numpy as np
import pytest

from keras_cr import CommonRationaleEncoder
from keras_cr.presets import (
    CorruptPresetError,
    IncompatiblePresetError,
    PresetError,
    load_preset,
    save_preset,
)
from keras_cr.presets.manifest import WEIGHTS, Located, fingerprint, read_manifest, sealed
from tests.case import images
from tests.interoperability.models import small_encoder
from tests.presets.test_errors import edit_json
from tests.presets.tiny import tiny_encoder


@pytest.fixture
def folder(tmp_path):
    return save_preset(tiny_encoder(), tmp_path / "half", weights_dtype="float16")


def arrays(folder):
    """Every array of a preset's weights file, by its path."""
    found = {}
    with h5py.File(folder / WEIGHTS, "r") as file:
        file.visititems(
            lambda name, item: (
                found.update({name: np.asarray(item)}) if isinstance(item, h5py.Dataset) else None
            )
        )
    return found


def test_half_the_bytes_and_the_same_model(tmp_path):
    encoder = small_encoder()
    whole = encoder.save_to_preset(tmp_path / "whole")
    half = encoder.save_to_preset(tmp_path / "half", weights_dtype="float16")
    expected, found = arrays(whole), arrays(half)
    assert list(found) == list(expected)
    for name, values in found.items():
        np.testing.assert_array_equal(values, expected[name].astype("float16"), strict=True)
    loaded = CommonRationaleEncoder.from_preset(half)
    assert {variable.dtype for variable in loaded.weights} == {"float32"}
    for one, other in zip(loaded.weights, encoder.weights, strict=True):
        np.testing.assert_array_equal(one, np.asarray(other).astype("float16").astype("float32"))
    cosines = np.sum(np.asarray(loaded(images())) * np.asarray(encoder(images())), axis=-1)
    assert cosines.min() > 0.999
    np.testing.assert_array_equal(keras.saving.load_model(half)(images()), loaded(images()))
    again = loaded.save_to_preset(tmp_path / "again", weights_dtype="float16")
    assert (again / WEIGHTS).read_bytes() == (half / WEIGHTS).read_bytes()


@pytest.mark.parametrize("policy", ["float16", "bfloat16", "mixed_bfloat16", "float64"])
def test_loaded_under_another_dtype_policy(policy, folder):
    loaded, expected = load_preset(folder, dtype=policy), load_preset(folder)
    assert loaded.dtype_policy.name == policy
    for one, other in zip(loaded.weights, expected.weights, strict=True):
        values = keras.ops.convert_to_numpy(keras.ops.cast(one, "float32"))
        np.testing.assert_allclose(values, other, rtol=1e-2)


def test_numbers_that_are_narrow_already_stay(tmp_path):
    model = load_preset(save_preset(tiny_encoder(), tmp_path / "wide"), dtype="bfloat16")
    expected = arrays(save_preset(model, tmp_path / "narrow"))
    folder = save_preset(model, tmp_path / "half", weights_dtype="float16")
    for name, values in arrays(folder).items():
        np.testing.assert_array_equal(values, expected[name], strict=True)
    for one, other in zip(load_preset(folder).weights, model.weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_changed_byte_is_refused(folder):
    data = bytearray((folder / WEIGHTS).read_bytes())
    data[-1] ^= 1
    (folder / WEIGHTS).write_bytes(data)
    with pytest.raises(CorruptPresetError, match=f"{WEIGHTS} is altered: its sha256 differs"):
        load_preset(folder)


@pytest.mark.parametrize("half", [True, False])
def test_what_preset_json_says_and_the_file_holds_agree(half, tmp_path):
    folder = save_preset(tiny_encoder(), tmp_path / "half", weights_dtype="float16")
    other = save_preset(tiny_encoder(), tmp_path / "whole")
    folder, other = (folder, other) if half else (other, folder)
    (folder / WEIGHTS).write_bytes((other / WEIGHTS).read_bytes())
    manifest = read_manifest(Located(folder, "x"))
    manifest["files"][WEIGHTS] = fingerprint(folder / WEIGHTS)
    (folder / "preset.json").write_bytes(sealed(manifest))
    told = "is float32 instead of float16" if half else "is float16 instead of float32"
    with pytest.raises(IncompatiblePresetError, match=told):
        load_preset(folder)


def test_preset_json(folder):
    manifest = json.loads((folder / "preset.json").read_text())
    assert (manifest["format"], manifest["weights_dtype"]) == (4, "float16")
    with pytest.raises(PresetError, match="must hold 'float16' as 'weights_dtype'; received 'in"):
        edit_json(folder, "preset.json", lambda content: content.update(weights_dtype="int8"))
    with pytest.raises(PresetError, match="'weights_dtype', an entry that format 2 has not"):
        edit_json(folder, "preset.json", lambda content: content.update(format=2))


def test_what_float16_can_t_hold(tmp_path):
    model = tiny_encoder()
    model.weights[0].assign(np.full(model.weights[0].shape, -7e4))
    with pytest.raises(PresetError, match=r"kernel|vars/0' holds 7e\+04, beyond what float16 can"):
        save_preset(model, tmp_path / "half", weights_dtype="float16")
    assert not list(tmp_path.iterdir())


def test_a_variance_that_float16_makes_nothing(tmp_path):
    model = small_encoder()
    variance = next(each for each in model.weights if each.name == "moving_variance")
    variance.assign(np.full(variance.shape, 1e-9))
    with pytest.raises(PresetError, match="holds 1e-09, which float16 makes 0; leave weights_dty"):
        save_preset(model, tmp_path / "half", weights_dtype="float16")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weights_dtype": "float16", "backbone": "refer"}, "backbone must be .*'refer'"),
        ({"weights_dtype": "int8"}, "must be None, .*, or 'float16'; received 'int8'"),
        ({"weights_dtype": "float16", "backbone": "reference"}, "with their backbone inside"),
    ],
)
def test_arguments(options, message, tmp_path):
    with pytest.raises(PresetError, match=message):
        save_preset(tiny_encoder(), tmp_path / "half", **options)
