"""`import keras_cr` is enough for Keras to find the package's classes."""

import ast
import importlib
import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_cr
from keras_cr._registration import CLASSES
from keras_cr.layers import (
    FeatureQueue,
    ProjectionHead,
    RationaleBranch,
    RationalePooling,
    UnbiasedBatchNormalization,
)
from keras_cr.losses import RationaleFit
from keras_cr.models import (
    CommonRationaleClassifier,
    ConvNeXt,
    EfficientNet,
    ResNet,
    SqueezeNet,
    VisionTransformer,
)
from keras_cr.optimizers import LARS
from keras_cr.pretraining import MoCo, Neighbours, Rationale
from tests.case import tiny_encoder

ROOT = Path(__file__).parents[1]


def test_the_table_holds_every_registered_class():
    for module in pkgutil.walk_packages(keras_cr.__path__, "keras_cr."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    registered = {
        name: cls.__module__
        for name, cls in keras.saving.get_custom_objects().items()
        if cls.__module__.startswith("keras_cr.")
    }
    assert registered == {f"keras_cr>{name}": module for name, module in CLASSES.items()}
    for name, cls in keras.saving.get_custom_objects().items():
        if name in registered:
            assert keras.saving.get_registered_name(cls) == name
            assert cls is getattr(sys.modules[cls.__module__], cls.__name__)


def functional_model():
    """A user's own model with our layers in it."""
    images = keras.Input((16, 16, 3))
    features = keras.layers.Conv2D(4, 3, name="features")(images)
    features = UnbiasedBatchNormalization()(features)
    pooled = RationalePooling()(features, RationaleBranch(num_detectors=2)(features))
    return keras.Model(images, ProjectionHead(units=(4, 3))(pooled))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A .keras file for every class that such a file can hold."""
    folder = tmp_path_factory.mktemp("files")
    encoder = tiny_encoder()
    maps = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(1, 1)])
    maps.add(keras.layers.Reshape((8, 8)))
    maps.compile("adam", RationaleFit(temperature=0.3))
    pretrainer = MoCo(encoder, rationale=Rationale(Neighbours(k=2, bank_size=8)), queue_size=8)
    pretrainer.compile("sgd")
    pretrainer(np.zeros((2, 32, 32, 3)))
    linear = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    linear.compile(LARS(weight_decay=keras.optimizers.schedules.CosineDecay(0.04, 9)), "mse")
    models = {
        "encoder": encoder,
        "classifier": CommonRationaleClassifier(encoder, 3),
        "pretrainer": pretrainer,
        "resnet": ResNet((1,), bottleneck=False, width=8),
        "squeezenet": SqueezeNet(),
        "convnext": ConvNeXt((1,), (8,), version=2),
        "efficientnet": EfficientNet(8, [[("inverted", 3, 2, 16, 8, 2)]]),
        "transformer": VisionTransformer(width=8, depth=1, heads=2, grid=2, scaled=True),
        "sequential": keras.Sequential([encoder, keras.layers.Dense(2)]),
        "functional": functional_model(),
        "queue": keras.Sequential([keras.Input((4,)), FeatureQueue(size=8)]),
        "loss": maps,
        "optimizer": linear,
    }
    for name, model in models.items():
        model.save(folder / f"{name}.keras")
    (folder / "pooling.json").write_text(
        json.dumps(keras.saving.serialize_keras_object(RationalePooling()))
    )
    return folder


LOAD = """
import os, sys
{imports}
loaded = {{name for name in sys.modules if name.startswith("keras_cr.")}}
assert loaded <= {{"keras_cr._imports", "keras_cr._registration", "keras_cr.version"}}, loaded
import json, pathlib
failed = {{}}
for path in sorted(pathlib.Path({folder!r}).iterdir()):
    reading, writing = os.pipe()
    if os.fork() == 0:  # each in a process that has imported nothing else of ours
        try:
            if path.suffix == ".json":
                keras.saving.deserialize_keras_object(json.loads(path.read_text()))
            else:
                model = keras.models.load_model(path)
                model.save(path.with_suffix(".again.keras"))
        except BaseException as error:
            os.write(writing, repr(error)[:500].encode())
        os._exit(0)
    os.close(writing)
    told = os.read(reading, 1000)
    os.wait()
    if told:
        failed[path.name] = told.decode()
print(failed)
"""


@pytest.mark.skipif(not hasattr(sys.modules["os"], "fork"), reason="os.fork starts the processes")
@pytest.mark.slow
@pytest.mark.parametrize("imports", ["import keras_cr, keras", "import keras, keras_cr"])
def test_a_fresh_process_loads_every_file(files, tmp_path, imports):
    some = "*" if imports.endswith("keras") else "[ce]*"  # all of them once
    for path in files.glob(some):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    code = LOAD.format(imports=imports, folder=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert ast.literal_eval(done.stdout.splitlines()[-1]) == {}


def test_a_stand_in_builds_the_real_class_and_gives_way_to_it():
    code = """
import sys
import keras_cr
assert not {"keras", "tensorflow"} & set(sys.modules)
import importlib.util
assert importlib.util.find_spec("keras").name == "keras"  # a look alone changes nothing
import keras
before = list(sys.meta_path)
stand_in = keras.saving.get_registered_object("keras_cr>RationalePooling")
assert "keras_cr.layers" not in sys.modules
assert not any("keras_cr" in type(finder).__module__ for finder in sys.meta_path)
layer = stand_in(name="mine")
from keras_cr.layers import RationalePooling
assert type(layer) is RationalePooling
assert type(stand_in.from_config(layer.get_config())) is RationalePooling
assert keras.saving.get_registered_object("keras_cr>RationalePooling") is RationalePooling
assert keras.saving.get_registered_name(RationalePooling) == "keras_cr>RationalePooling"
with keras.saving.custom_object_scope({"keras_cr>RationalePooling": keras.layers.Dense}):
    assert keras.saving.get_registered_object("keras_cr>RationalePooling") is keras.layers.Dense
assert type(keras.__spec__.loader).__name__ == "SourceFileLoader"
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_weights_come_along(files):
    model = keras.models.load_model(files / "functional.keras")
    again = keras.models.load_model(files / "functional.keras")
    images = np.random.default_rng(0).uniform(0, 255, (2, 16, 16, 3)).astype("float32")
    np.testing.assert_array_equal(model(images), again(images))
