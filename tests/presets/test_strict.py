"""Every entry of config.json is read, names nothing but layers, and builds nothing outsized."""

import copy
import json
import random
import shutil

import keras
import numpy as np
import pytest

from keras_cr.models import CommonRationaleClassifier, CommonRationaleEncoder, ResNet
from keras_cr.presets import (
    ForeignPresetError,
    IncompatiblePresetError,
    PresetError,
    load_preset,
    save_preset,
)
from keras_cr.presets.manifest import fingerprint, sealed
from tests.presets.tiny import images, tiny_backbone, tiny_encoder


@keras.saving.register_keras_serializable(package="tests")
class Table(keras.layers.Layer):
    """Makes a variable of an array, and doesn't keep its name."""

    def __init__(self, **options):
        super().__init__(**options)
        self.table = keras.Variable(np.ones(3, "float32"))

    def call(self, x):
        return x * self.table


@keras.saving.register_keras_serializable(package="tests")
class Assigning(keras.layers.Layer):
    """Gives its variable a value when it is built."""

    def build(self, shape):
        self.scale = self.add_weight(shape=(shape[-1],), name="scale")
        self.scale.assign(np.full(shape[-1], 7.0, "float32"))

    def call(self, x):
        return x * self.scale


@keras.saving.register_keras_serializable(package="tests")
class Forgetful(keras.layers.Layer):
    """Takes entries that it never tells."""

    def __init__(self, factor=1.0, **kwargs):
        super().__init__(name=kwargs.get("name"))
        self.factor = factor

    def call(self, x):
        return x * self.factor

    def get_config(self):
        return super().get_config() | {"factor": 2 * self.factor}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    return save_preset(tiny_encoder(), tmp_path_factory.mktemp("strict") / "preset")


@pytest.fixture
def folder(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "preset")


def config_of(folder):
    return json.loads((folder / "config.json").read_text())


def rewrite(folder, config, **entries):
    """Another config.json under sums that hold."""
    (folder / "config.json").write_text(json.dumps(config))
    manifest = json.loads((folder / "preset.json").read_text()) | entries
    manifest.pop("sha256")
    manifest["files"]["config.json"] = fingerprint(folder / "config.json")
    (folder / "preset.json").write_bytes(sealed(manifest))


def dicts(value, path=()):
    """The paths of all dicts in a tree."""
    if isinstance(value, dict):
        yield path
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(item, dict | list):
            yield from dicts(item, (*path, key))


def at(tree, path):
    for key in path:
        tree = tree[key]
    return tree


def outputs(model):
    return np.asarray(keras.ops.convert_to_numpy(model(images(32))), "float32")


def encoder_on(layer):
    image = keras.Input((None, None, 3))
    return CommonRationaleEncoder(keras.Model(image, keras.layers.Conv2D(4, 3)(layer(image))), 2)


def test_an_entry_more_is_refused_wherever_it_stands(folder):
    config = config_of(folder)
    for path in dicts(config):
        changed = copy.deepcopy(config)
        at(changed, path)["wings"] = 2
        rewrite(folder, changed)
        with pytest.raises(PresetError, match="wings|not written by Keras|shape|arguments"):
            load_preset(folder)


def test_a_renamed_entry_is_refused_wherever_it_stands(folder):
    config = config_of(folder)
    for path in dicts(config):
        for key in at(config, path):
            changed = copy.deepcopy(config)
            inner = at(changed, path)
            inner[key + "s"] = inner.pop(key)
            rewrite(folder, changed)
            with pytest.raises(PresetError):
                load_preset(folder)


def test_an_entry_less_is_refused_or_changes_nothing(folder):
    config, expected = config_of(folder), outputs(load_preset(folder))
    for path in dicts(config):
        for key in at(config, path):
            changed = copy.deepcopy(config)
            del at(changed, path)[key]
            rewrite(folder, changed)
            try:
                model = load_preset(folder)
            except PresetError:
                continue
            np.testing.assert_array_equal(outputs(model), expected, err_msg=f"{path} {key}")


def test_the_entry_and_the_way_out_are_named(folder):
    config = config_of(folder)
    norm = next(x for x in config["config"]["backbone"]["config"]["layers"] if x["name"] == "norm")
    del norm["config"]["momentum"]
    rewrite(folder, config)
    message = r"backbone.layers\[3\].momentum is missing.*has 0.99.*get a fresh copy"
    with pytest.raises(IncompatiblePresetError, match=message):
        load_preset(folder)


def test_another_keras_may_have_had_fewer_entries_but_none_that_this_one_does_not_read(folder):
    config = config_of(folder)
    del config["config"]["backbone"]["config"]["layers"][3]["config"]["momentum"]
    rewrite(folder, config, keras="3.14.0")
    assert load_preset(folder).built
    config["config"]["backbone"]["config"]["layers"][3]["build_config"]["wings"] = 2
    rewrite(folder, config, keras="3.14.0")
    with pytest.raises(IncompatiblePresetError, match=r"wings.*with Keras 3.14.0, this is"):
        load_preset(folder)


def test_a_classes_module_may_have_moved_inside_of_its_package(folder, tmp_path):
    encoder = CommonRationaleEncoder(tiny_backbone(), num_detectors=2)
    folder = save_preset(encoder, tmp_path / "encoder")
    config = config_of(folder)
    config["module"] = "keras_cr.models.moved"
    rewrite(folder, config)
    assert load_preset(folder).built
    config["module"] = "keras_cs.models.encoder"
    rewrite(folder, config)
    with pytest.raises(IncompatiblePresetError, match="nothing reads module"):
        load_preset(folder)


@pytest.mark.parametrize(
    ("entry", "value"),
    [("units", 10**9), ("units", 10**12), ("units", 2**62)],
)
@pytest.mark.parametrize("load_weights", [True, False])
def test_a_layer_larger_than_the_weights_is_not_allocated(folder, entry, value, load_weights):
    config = config_of(folder)
    config["config"][entry] = value
    rewrite(folder, config)
    with pytest.raises(IncompatiblePresetError, match="no model can be built"):
        load_preset(folder, load_weights=load_weights)
    assert load_nothing_more()


def load_nothing_more():
    """What was refused gets no numbers later, when Keras next leaves a scope."""
    with keras.StatelessScope():
        layer = keras.layers.Dense(2)
        layer.build((None, 2))
    return layer.kernel.shape == (2, 2)


@pytest.mark.parametrize("blocks", [[10**9], [1, 10**9], [10**9] * 50])
def test_a_network_of_more_layers_than_the_weights_is_not_built(tmp_path, blocks):
    backbone = ResNet((1, 1), bottleneck=False, width=4, seed=None)
    folder = save_preset(CommonRationaleEncoder(backbone, num_detectors=2), tmp_path / "p")
    config = config_of(folder)
    config["config"]["backbone"]["config"]["blocks"] = blocks
    rewrite(folder, config)
    with pytest.raises(IncompatiblePresetError, match="far more than were saved"):
        load_preset(folder)


def test_layers_that_cannot_wait_for_their_numbers_load(tmp_path):
    encoder = encoder_on(Table(name="mine"))
    loaded = load_preset(save_preset(encoder, tmp_path / "p"))
    np.testing.assert_array_equal(outputs(loaded), outputs(encoder))


def test_what_a_layer_assigns_when_it_is_built_stays(tmp_path):
    folder = save_preset(encoder_on(Assigning()), tmp_path / "p")
    fresh = load_preset(folder, load_weights=False)
    scale = next(v for v in fresh.variables if v.name == "scale")
    np.testing.assert_array_equal(scale, np.full(3, 7.0))


def test_saving_refuses_what_would_not_load(tmp_path):
    with pytest.raises(
        IncompatiblePresetError, match=r"factor is 2.0.*has 4.0\); nothing was saved"
    ):
        save_preset(encoder_on(Forgetful()), tmp_path / "p")
    broken = tiny_encoder()
    broken.head.kernel.assign(broken.head.kernel * np.nan)
    with pytest.raises(PresetError, match="head/kernel hold NaN"):
        save_preset(broken, tmp_path / "p")
    assert list(tmp_path.iterdir()) == []


def test_saving_draws_no_random_numbers(tmp_path):
    model = tiny_encoder()
    before = random.getstate()
    save_preset(model, tmp_path / "p")
    assert random.getstate() == before


OBJECTS = {
    "get_file": ("keras.utils", "get_file", {"fname": "x", "origin": "http://localhost/x"}),
    "load_model": ("keras.saving", "load_model", {"filepath": "x"}),
    "callback": ("keras.callbacks", "ModelCheckpoint", {"filepath": "x"}),
    "saved model": ("keras.layers", "TFSMLayer", {"filepath": "x"}),
    "pickle": ("keras.layers", "TorchModuleWrapper", {"module": "x"}),
    "jax": ("keras.layers", "JaxLayer", {"call_fn": "x"}),
    "optimizer": ("keras.optimizers", "Adam", {}),
    "data": ("keras.utils", "PyDataset", {}),
    "private": ("keras.src.utils.file_utils", "get_file", {}),
    "test": ("keras.src.saving.saving_lib_test", "x", {}),
    "os": ("os", "system", {"command": "true"}),
    "builtins": ("builtins", "eval", {}),
    "ours, private": ("keras_cr.presets.load", "load_preset", {}),
}


@pytest.mark.parametrize("name", OBJECTS)
def test_only_building_blocks_of_models_are_reached(folder, name, monkeypatch):
    module, kind, inner = OBJECTS[name]
    item = {"module": module, "class_name": kind, "config": inner, "registered_name": None}
    monkeypatch.setattr("keras.saving.deserialize_keras_object", lambda *_, **__: 1 / 0)
    config = config_of(folder)
    for place in (config["config"], config["config"]["backbone"]["config"]["layers"][2]["config"]):
        changed = copy.deepcopy(config)
        at(changed, next(p for p in dicts(config) if at(config, p) is place))["extra"] = [item]
        rewrite(folder, changed)
        with pytest.raises((ForeignPresetError, IncompatiblePresetError), match="foreign|has no"):
            load_preset(folder)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("builtins", "get"),
        ("builtins", "deserialize"),
        ("builtins", "eval"),
        ("keras.activations", "get"),
        ("keras.utils", "plot_model"),
        ("os", "system"),
        (None, "x"),
    ],
)
def test_only_activations_and_operations_are_functions(folder, module, name):
    config = config_of(folder)
    function = {"module": module, "class_name": "function", "config": name, "registered_name": name}
    config["config"]["backbone"]["config"]["layers"][2]["config"]["activation"] = function
    rewrite(folder, config)
    with pytest.raises(ForeignPresetError, match=name):
        load_preset(folder)


@pytest.mark.parametrize(
    "item",
    [
        {"class_name": "__lambda__"},
        {"class_name": "__lambda__", "config": {"value": ["x", None, None]}},
        {"class_name": "__numpy__", "config": {"value": ["a"], "dtype": "U1000000000"}},
        {"class_name": "__typespec__", "spec_name": "x", "config": [], "registered_name": "x"},
        {"class_name": ["a"], "config": {}},
        {"class_name": "Dense", "config": {"units": 1}},  # the old way, without a module
        {"class_name": "Dense", "module": ["keras"], "registered_name": None, "config": {}},
        {"class_name": "Dense", "module": "keras.layers", "registered_name": ["a"], "config": {}},
        {"class_name": "Dense", "module": "keras.layers", "registered_name": None, "config": []},
        {
            "class_name": "Lambda",
            "module": "keras.layers",
            "registered_name": None,
            "config": {"function": ["4wEAAAAAAAAA", None, None], "function_type": "lambda"},
        },
    ],
)
def test_objects_that_are_code_or_not_as_keras_writes_them(folder, item, monkeypatch):
    monkeypatch.setattr("keras.saving.deserialize_keras_object", lambda *_, **__: 1 / 0)
    config = config_of(folder)
    config["config"]["backbone"] = item
    rewrite(folder, config)
    with pytest.raises((ForeignPresetError, IncompatiblePresetError), match="code|written"):
        load_preset(folder)


def test_a_compiled_config_is_refused(folder):
    config = config_of(folder)
    config["compile_config"] = {"optimizer": "adam", "loss": "mse"}
    rewrite(folder, config)
    with pytest.raises(IncompatiblePresetError, match="'compile_config' that nobody reads"):
        load_preset(folder)


def all_kinds_of_layers():
    image = keras.Input((32, 32, 3))
    x = keras.layers.RandomFlip(seed=1)(image)
    x = keras.layers.SeparableConv2D(8, 3, activation=keras.activations.gelu)(x)
    x = keras.layers.Lambda(keras.ops.relu)(keras.ops.relu(x) * 2 + 1)
    convolution = keras.layers.Conv2D(8, 3, kernel_constraint="max_norm")
    x = keras.layers.SpectralNormalization(convolution)(x)
    x = keras.layers.GroupNormalization(2)(keras.layers.Dropout(0.1)(x))
    x = keras.layers.Reshape((28 * 28, 8))(x)
    x = keras.layers.MultiHeadAttention(2, 4)(x, x)
    x = keras.layers.Reshape((28, 28, 8))(x)
    last = [keras.layers.Conv2D(8, 3, kernel_regularizer="l2"), keras.layers.ReLU()]
    return keras.Model(image, keras.Sequential(last)(x))


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("trainable", [True, False])
def test_all_kinds_of_layers_come_back(tmp_path, policy, trainable):
    keras.config.set_dtype_policy(policy)
    try:
        encoder = CommonRationaleEncoder(all_kinds_of_layers(), num_detectors=2)
    finally:
        keras.config.set_dtype_policy("float32")
    classifier = CommonRationaleClassifier(encoder, 3)
    encoder.backbone.trainable = trainable
    folder = save_preset(classifier, tmp_path / "p")
    loaded = load_preset(folder)
    tolerance = 1e-6 if policy == "float32" else 1e-2
    np.testing.assert_allclose(outputs(loaded), outputs(classifier), atol=tolerance)
    for dtype in ("float32", "mixed_bfloat16", "float16"):
        assert load_preset(folder, dtype=dtype).encoder.backbone.layers[1].compute_dtype
