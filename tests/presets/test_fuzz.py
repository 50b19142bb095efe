"""Changed files of presets: they load, or are refused by an error of ours, in one line, at once.

`KERAS_CR_FUZZ=10000 python -m pytest -n 0 -s tests/presets/test_fuzz.py` tries so many of each kind
and tells what came of them.
"""

import collections
import contextlib
import gc
import json
import os
import resource
import shutil
import time
import warnings

import keras
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keras_cr.models import CommonRationaleClassifier, CommonRationaleEncoder, ResNet
from keras_cr.presets import CardError, PresetError, load_preset, registry, save_preset
from keras_cr.presets.manifest import fingerprint, is_fingerprint, sealed
from keras_cr.presets.model_card import headline, model_card
from keras_cr.presets.register import _pinned, _recipe
from tests.presets.mutations import texts, trees
from tests.presets.tiny import tiny_encoder

EXAMPLES = int(os.environ.get("KERAS_CR_FUZZ", 60))
SECONDS = 2.0  # of one processor
GIGABYTES = 1.0
FUZZ = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize="KERAS_CR_FUZZ" not in os.environ,
    database=None,
    suppress_health_check=list(HealthCheck),
)


class Judge:
    """Tries inputs, and keeps what came of them."""

    def __init__(self, kind):
        self.kind = kind
        self.outcomes = collections.Counter()
        self.slowest = 0.0
        self.memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    @contextlib.contextmanager
    def tries(self, expected=PresetError):
        start = time.process_time()
        try:
            yield
            self.outcomes["loads"] += 1
        except expected as error:
            self.outcomes[type(error).__name__] += 1
            told = str(error)
            assert "\n" not in told
            assert 20 < len(told) < 900, told
        seconds = time.process_time() - start
        self.slowest = max(self.slowest, seconds)
        assert seconds < SECONDS
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - self.memory
        assert grown < GIGABYTES * 2**20  # kilobytes
        if self.outcomes.total() % 200 == 0:
            keras.backend.clear_session()
            gc.collect()

    def __str__(self):
        outcomes = dict(self.outcomes.most_common())
        return (
            f"{self.kind}: {self.outcomes.total()} tried, slowest {self.slowest:.2f} s, {outcomes}"
        )


@pytest.fixture(scope="module")
def judged():
    """A judge for each kind, whose findings are told in the end."""
    judges = {}
    yield lambda kind: judges.setdefault(kind, Judge(kind))
    print("", *judges.values(), sep="\n")


@pytest.fixture(scope="module")
def models():
    keras.utils.set_random_seed(0)
    backbone = ResNet((1, 1), bottleneck=False, width=4, seed=0, name="small")
    encoder = CommonRationaleEncoder(backbone, num_detectors=2, image_size=64, seed=0)
    images = keras.Input((None, None, 3))
    x = keras.layers.ZeroPadding2D(1)(images)
    x = keras.layers.SeparableConv2D(4, 3, activation="silu", pointwise_regularizer="l2")(x)
    x = keras.layers.Dropout(0.1)(keras.layers.MaxPooling2D(2)(x))
    x = keras.layers.GroupNormalization(2)(keras.ops.relu(x) * 2)
    other = CommonRationaleEncoder(keras.Model(images, x), num_detectors=2, pooling="concat")
    return [tiny_encoder(), encoder, CommonRationaleClassifier(other, 3, dropout=0.1)]


@pytest.fixture(scope="module")
def folders(models, tmp_path_factory):
    root = tmp_path_factory.mktemp("fuzz")
    return [save_preset(model, root / str(number)) for number, model in enumerate(models)]


def as_json(tree):
    """JSON of whatever can be written at all, what presets refuse to write too."""
    return json.dumps(tree, indent=1).encode()


def manifest_of(folder):
    content = json.loads((folder / "preset.json").read_text())
    return {name: value for name, value in content.items() if name != "sha256"}


@pytest.mark.parametrize("number", range(3))
def test_config(folders, judged, number, tmp_path):
    folder, judge = shutil.copytree(folders[number], tmp_path / "preset"), judged("config.json")
    original, manifest = (folder / "config.json").read_bytes(), manifest_of(folder)
    changed = trees(json.loads(original)).map(lambda tree: as_json(tree))

    @settings(FUZZ, max_examples=EXAMPLES // 3 + 1)
    @given(data=changed | changed | changed | texts(original), load_weights=st.booleans())
    def check(data, load_weights):
        (folder / "config.json").write_bytes(data)
        manifest["files"]["config.json"] = fingerprint(folder / "config.json")
        (folder / "preset.json").write_bytes(sealed(manifest))
        with judge.tries(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            load_preset(folder, load_weights=load_weights)

    check()


def test_manifest(folders, judged, monkeypatch, tmp_path):
    folder, judge = shutil.copytree(folders[0], tmp_path / "preset"), judged("preset.json")
    manifest = manifest_of(folder) | {
        "metrics": registry.card("demo_squeezenet").metrics,
        "source": {"command": "python recipes/train_cub.py", "seed": 0, "config": {"epochs": 1}},
    }
    original = sealed(manifest)
    monkeypatch.setattr("keras_cr.presets.load.build_model", lambda *_: None)  # as it always is

    def signed(tree):
        """Bytes whose sum holds, however wrong the rest is."""
        with contextlib.suppress(PresetError):
            return sealed(tree)
        return as_json(tree)

    unsealed = trees(manifest | {"format": 1}).map(lambda tree: as_json(tree))

    @FUZZ
    @given(data=trees(manifest).map(signed) | unsealed | texts(original))
    def check(data):
        (folder / "preset.json").write_bytes(data)
        with judge.tries():
            load_preset(folder)
            use_manifest(json.loads(data))

    check()


def use_manifest(manifest):
    """What is made of a preset.json that is in order."""
    assert all(map(is_fingerprint, manifest["files"].values()))
    model_card(manifest, None, "org/name", "v1")
    headline(manifest.get("metrics") or {})
    _recipe({"command": "x"}, manifest)
    _pinned(manifest, "org/name", "0" * 40, {})


@pytest.mark.parametrize("name", ["demo_squeezenet", "cub_resnet50"])
def test_card(judged, tmp_path, name):
    judge = judged("cards")
    path = tmp_path / f"{name}.yaml"
    original = (registry.cards_folder() / path.name).read_bytes()
    changed = trees(yaml.safe_load(original)).map(
        lambda tree: yaml.safe_dump(tree, sort_keys=False, allow_unicode=True).encode()
    )

    @settings(FUZZ, max_examples=EXAMPLES // 2 + 1)
    @given(data=changed | texts(original))
    def check(data):
        path.write_bytes(data)
        with judge.tries(CardError):
            card = registry.read_card(path)
            model_card({"name": name, "class": "keras_cr>CommonRationaleEncoder"}, card, None)
            json.dumps(card.__dict__)
            registry.unpublished_message(card)

    check()
