"""The examples of docstrings run, one test a module, in a small world that all of them share."""

import doctest
import functools
import importlib
import inspect
import os
import pathlib
import pkgutil
import re
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import pytest

import keras_cr
from keras_cr.data import FineGrainedDataset, image_batches, synthetic_birds
from keras_cr.evaluation import embed, evaluate_features, extract
from keras_cr.models import CommonRationaleEncoder
from keras_cr.pretraining import SimCLR

NOT_RUN = {
    "callbacks.knn_monitor.KNNMonitor": "trains for minutes",
    "callbacks.rationale_health.RationaleHealth": "trains for minutes",
    "callbacks.rationale_images.RationaleImages": "trains for minutes",
    "comparison.compare.compare": "trains for minutes",
    "conversion.convert.convert_checkpoint": "needs a published checkpoint",
    "data.aircraft.download_aircraft": "needs the network",
    "data.aircraft.read_aircraft": "needs the official images",
    "data.backgrounds.BackgroundSwap": "as foreground_maps, whose example runs",
    "data.cars.read_cars": "needs the official images",
    "data.cub.download_cub": "needs the network",
    "data.cub.read_cub": "needs the official images",
    "data.dataset.FineGrainedDataset": "needs the official images",
    "data.verify.verify": "needs the official images",
    "data.views.two_views": "trains for minutes",
    "evaluation.controls.add_controls": "fits several branches",
    "models.adapt.adapt_backbone": "needs the network",
    "models.classifier.CommonRationaleClassifier": "trains for minutes",
    "models.encoder.CommonRationaleEncoder": "needs the network",
    "models.encoder.CommonRationaleEncoder.from_backbone": "needs the network",
    "models.image_model.ImageModel.export": "needs the extra for ONNX",
    "rationale.posthoc.fit_rationale": "fits a branch for seconds; README's does",
    "presets.checkpoint.read_checkpoint": "needs a published checkpoint",
    "presets.publish.publish": "needs the network",
    "pretraining.loop.pretrain": "trains for minutes",
    "pretraining.objectives.moco.MoCo": "trains for minutes",
    "pretraining.student.Distill": "trains for minutes",
    "pretraining.student.distill": "trains for minutes",
}
SIDE = 96


@functools.cache
def examples() -> dict[str, list[doctest.DocTest]]:
    """The examples of every module that has some, by the name below keras_cr."""
    finder, found = doctest.DocTestFinder(exclude_empty=True), {}
    for module in pkgutil.walk_packages(keras_cr.__path__, "keras_cr."):
        spec = importlib.util.find_spec(module.name)
        if ">>>" in pathlib.Path(spec.origin).read_text(encoding="utf-8"):
            tests = finder.find(importlib.import_module(module.name))
            found[module.name.removeprefix("keras_cr.")] = [each for each in tests if each.examples]
    return found


def public_names() -> dict[str, Any]:
    packages = [importlib.import_module(f"keras_cr.{name}") for name in keras_cr._SUBPACKAGES]
    return {name: getattr(package, name) for package in packages for name in package.__all__}


@functools.cache
def birds() -> FineGrainedDataset:
    return synthetic_birds(num_classes=2, train_per_class=4, test_per_class=4, image_size=SIDE)


@functools.cache
def images() -> np.ndarray:
    return birds().images[birds().is_train]


@functools.cache
def encoder() -> CommonRationaleEncoder:
    return CommonRationaleEncoder.from_preset("demo_squeezenet")


@functools.cache
def seen() -> dict[str, np.ndarray]:
    return {name: np.asarray(each) for name, each in encoder().encode(images()).items()}


@functools.cache
def train() -> FineGrainedDataset:
    """Some images many times, as many as examples take for a batch."""
    few = birds().split("train")
    rows = np.tile(np.arange(len(few)), 32 // len(few))
    return few.take(rows)


@functools.cache
def metrics() -> dict:
    return evaluate_features(extract(encoder(), birds(), SIDE), ("retrieval",)).metrics


WORLD: dict[str, Callable[[], Any]] = {
    "backbone": lambda: CommonRationaleEncoder.from_preset("demo_squeezenet").backbone,
    "after": metrics,
    "before": metrics,
    "cam": lambda: seen()["rationale"],
    "correct_a": lambda: np.eye(3),
    "correct_b": lambda: np.zeros((3, 3)),
    "dataset": birds,
    "embeddings": lambda: embed(encoder(), images()).embedding,
    "encoder": encoder,
    "feature_map": lambda: keras.ops.convert_to_tensor(seen()["feature_map"]),
    "images": images,
    "keras": lambda: keras,
    "keys": lambda: keras.ops.ones((8, 128)),
    "labels": lambda: birds().labels[birds().is_train],
    "maps": lambda: seen()["rationale"],
    "metrics": metrics,
    "names": lambda: ["bird.jpg", "sparrow.jpg", "wren.jpg"],
    "np": lambda: np,
    "ops": lambda: keras.ops,
    "os": lambda: os,
    "other": lambda: images()[1],
    "others": lambda: images()[:2],
    "paths": lambda: ["photos/bird.jpg", "photos/wren.jpg"],
    "pretrainer": lambda: SimCLR(CommonRationaleEncoder.from_preset("demo_squeezenet")),
    "queries": lambda: keras.ops.ones((8, 128)),
    "rationale": lambda: seen()["rationale"],
    "steps": lambda: 10_000,
    "test_batches": lambda: image_batches(birds().split("test"), SIDE, 4),
    "tokens": lambda: keras.ops.ones((8, 257, 384)),
    "train": train,
    "train_batches": lambda: image_batches(birds().split("train"), SIDE, 4),
}


def names_of(test: doctest.DocTest) -> Iterator[str]:
    for example in test.examples:
        codes = [compile(example.source, test.name, "single")]
        for code in codes:
            codes += [each for each in code.co_consts if inspect.iscode(each)]
            yield from code.co_names


def rounded(text: str) -> str:
    return re.sub(r"\d+\.\d+", lambda number: repr(round(float(number[0]), 2)), text)


class ShownOutput(doctest.OutputChecker):
    """What an example shows must come, to two decimals; one that shows nothing may return any."""

    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        return not want or super().check_output(rounded(want), rounded(got), optionflags)


@pytest.fixture
def folder(tmp_path, monkeypatch) -> pathlib.Path:
    """A working directory with the photographs that examples name."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for name, image in zip(("bird", "sparrow", "wren"), images(), strict=False):
        keras.utils.save_img(photos / f"{name}.jpg", image, scale=False)
        shutil.copy(photos / f"{name}.jpg", tmp_path)
    for kind in ("flowers/rose", "flowers/tulip", "parts/bolt", "parts/nut"):
        shutil.copytree(photos, tmp_path / kind)
    (tmp_path / "run").mkdir()
    (tmp_path / "run/history.csv").write_text("epoch,loss\n1,4.2\n2,3.1\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_is_not_run_is_there():
    assert set(NOT_RUN) <= {
        each.name.removeprefix("keras_cr.") for tests in examples().values() for each in tests
    }


@pytest.mark.parametrize("module", examples())
def test_examples(module, folder, capsys):
    runner = doctest.DocTestRunner(ShownOutput(), optionflags=doctest.ELLIPSIS)
    for test in examples()[module]:
        if test.name.removeprefix("keras_cr.") in NOT_RUN:
            continue
        used = set(names_of(test))
        own = {name: each for name, each in public_names().items() if name in used}
        test.globs = (
            own
            | vars(importlib.import_module(f"keras_cr.{module}"))
            | {name: make() for name, make in WORLD.items() if name in used}
        )
        told: list[str] = []
        runner.run(test, out=told.append, clear_globs=True)
        assert not runner.failures, "".join(told)
