"""model.weights.h5 is read whole, or refused: nothing in it is passed over."""

import json
import shutil

import h5py
import keras
import numpy as np
import pytest

from keras_cr.presets import IncompatiblePresetError, load_preset, save_preset
from keras_cr.presets.manifest import fingerprint, sealed
from keras_cr.presets.weights import check_layout, read_layout
from tests.presets.tiny import TinyEncoder, tiny_backbone, tiny_encoder

NORM = "backbone/layers/batch_normalization"
KERNEL = "backbone/layers/conv2d/vars/0"


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    return save_preset(tiny_encoder(), tmp_path_factory.mktemp("weights") / "preset")


@pytest.fixture
def folder(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "preset")


def change(folder, how):
    """Another weights file under sums that hold."""
    path = folder / "model.weights.h5"
    with h5py.File(path, "a") as file:
        how(file)
    manifest = json.loads((folder / "preset.json").read_text())
    manifest.pop("sha256")
    manifest["files"][path.name] = fingerprint(path)
    (folder / "preset.json").write_bytes(sealed(manifest))


def put(path, value, **options):
    def how(file):
        if path in file:
            del file[path]
        file.create_dataset(path, data=value, **options)

    return how


def rename(old, new):
    return lambda file: file.move(old, new)


def note(path, name, value):
    return lambda file: file[path].attrs.__setitem__(name, value)


def link(path, target):
    return lambda file: file.__setitem__(path, target)


def replaced(value_of, **options):
    def how(file):
        value = value_of(np.asarray(file[KERNEL]))
        put(KERNEL, value, **options)(file)

    return how


def virtual(file):
    layout = h5py.VirtualLayout(file[KERNEL].shape, "float32")
    layout[:] = h5py.VirtualSource(file[KERNEL])
    del file["head/vars/0"]
    file.create_virtual_dataset("head/vars/0", layout)


def unwritten(file):
    del file[KERNEL]
    file.create_dataset(KERNEL, (3, 3, 3, 6), "float32")


def outsized(file):
    del file[KERNEL]
    file.create_dataset(KERNEL, (10**6, 10**6, 10), "float32", chunks=(1000, 1000, 1))


def cycle(file):
    file["backbone/layers/conv2d/loop"] = file["backbone"]


CHANGES = {
    "array more": (put("head/vars/2", np.ones(3, "float32")), "'head' has 3 arrays instead of 2"),
    "array less": (lambda file: file.__delitem__("head/vars/1"), "'head' has 1 arrays instead"),
    "array renamed": (rename("head/vars/1", "head/vars/x"), "'head' has 2 arrays"),
    "array beside vars": (put("head/x", 1.0), "'head/x' is an array outside"),
    "array at the top": (put("x", 1.0), "'x' is an array outside"),
    "layer more": (put("evil/vars/0", np.ones(3, "float32")), "'evil' belongs to no layer"),
    "layer renamed": (rename("head", "heads"), "layer 'head' has 2 arrays, the file none"),
    "layer in a list renamed": (rename(NORM, NORM + "_1"), "layer 'norm' has 4 arrays"),
    "empty group": (lambda file: file.create_group("evil"), "'evil' is an empty group"),
    "empty layer": (lambda file: file.create_group("evil/vars"), "'evil' belongs to no layer"),
    "empty layer in a list": (
        lambda file: file.create_group("backbone/layers/evil/vars"),
        "'backbone/layers/evil' belongs to no layer",
    ),
    "attribute of the file": (note("/", "x", 1), "'/' has an attribute 'x'"),
    "attribute of a group": (note("backbone", "x", 1), "'backbone' has an attribute 'x'"),
    "attribute of vars": (note("head/vars", "x", 1), "'head/vars' has an attribute 'x'"),
    "attribute of an array": (note(KERNEL, "x", 1), "has an attribute 'x'"),
    "another dtype noted": (note(KERNEL, "dtype", "bfloat16"), "which only bfloat16 has"),
    "soft link": (link("backbone/evil", h5py.SoftLink("/head")), "'backbone/evil' is a link"),
    "external link": (link("x", h5py.ExternalLink("/etc/passwd", "/")), "'x' is a link"),
    "dangling link": (link("x", h5py.SoftLink("/nothing")), "'x' is a link"),
    "second link": (lambda file: link("x", file["head"])(file), "is a link"),
    "cycle": (cycle, "is a link"),
    "type": (link("x", np.dtype("float32")), "'x' is a link or a type"),
    "NaN": (replaced(lambda x: np.where(x > 1, np.nan, x)), "holds NaN or infinite"),
    "infinity": (replaced(lambda x: x * np.inf), "holds NaN or infinite"),
    "shape": (replaced(lambda x: x[..., :5]), r"conv2d/0' has the shape \(3, 3, 3, 5\) instead"),
    "order": (replaced(lambda x: x.T), "has the shape"),
    "width": (replaced(lambda x: x.astype("float64")), "is float64 instead of float32"),
    "integers": (replaced(lambda x: x.astype("int32")), "is int32 instead of float32"),
    "text": (put(KERNEL, "text"), "instead of|not stored"),
    "compressed": (replaced(lambda x: x, compression="gzip"), "stored in another way"),
    "virtual": (virtual, "stored in another way"),
    "not written": (unwritten, "not stored whole"),
    "outsized": (outsized, "stored in another way"),
    "nothing in it": (lambda file: put(KERNEL, h5py.Empty("f"))(file), "stored in another way"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_nothing_reads_is_refused(folder, name):
    how, told = CHANGES[name]
    change(folder, how)
    message = f"does not fit the model in config.json.*{told}.*get a fresh copy"
    with pytest.raises(IncompatiblePresetError, match=message) as caught:
        load_preset(folder)
    assert "\n" not in str(caught.value)


def test_a_truncated_file_under_sums_that_hold(folder):
    path = folder / "model.weights.h5"
    path.write_bytes(path.read_bytes()[:-3000])
    manifest = json.loads((folder / "preset.json").read_text())
    manifest.pop("sha256")
    manifest["files"][path.name] = fingerprint(path)
    (folder / "preset.json").write_bytes(sealed(manifest))
    with pytest.raises(IncompatiblePresetError, match="does not fit"):
        load_preset(folder)


def test_a_layer_without_weights_may_have_had_another_class(folder):
    change(folder, rename("backbone/layers/rescaling", "backbone/layers/normalization"))
    assert load_preset(folder).built


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float64"])
def test_floats_of_any_width_load_where_a_dtype_is_asked_for(tmp_path, dtype):
    folder = save_preset(TinyEncoder(tiny_backbone(), dtype=dtype), tmp_path / "preset")
    assert load_preset(folder).head.kernel.dtype == dtype
    assert load_preset(folder, dtype="float32").head.kernel.dtype == "float32"


class Numbered(keras.layers.Layer):
    """A layer with whole numbers, as position ids are."""

    def __init__(self, dtype_of_ids):
        super().__init__(name="numbered")
        options = {"initializer": "zeros", "trainable": False, "name": "ids"}
        self.ids = self.add_weight(shape=(3,), dtype=dtype_of_ids, **options)
        self.built = True

    def call(self, x):
        return x + keras.ops.cast(self.ids, x.dtype)


def test_whole_numbers_are_as_wide_as_the_backend_has_them(tmp_path):
    wide, narrow = (keras.Sequential([Numbered(dtype)]) for dtype in ("int64", "int32"))
    for model in (wide, narrow):
        model.build((None, 3))
    wide.layers[0].ids.assign([0, 1, 2])
    wide.save_weights(tmp_path / "wide.weights.h5")
    layout = read_layout(tmp_path / "wide.weights.h5")
    check_layout(narrow, layout)
    narrow.load_weights(tmp_path / "wide.weights.h5")
    np.testing.assert_array_equal(narrow.layers[0].ids, [0, 1, 2])
    floats = keras.Sequential([Numbered("float32")])
    floats.build((None, 3))
    with pytest.raises(ValueError, match="is int64 instead of float32"):
        check_layout(floats, layout)
