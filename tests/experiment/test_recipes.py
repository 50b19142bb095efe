"""Recipes as programs, on miniatures of the official layouts that the tests draw.

`train_cub.py` runs in test_run.py, in a process of its own.
"""

import json
import pathlib
import runpy
import sys

import numpy as np
import pytest

from keras_cr import CommonRationaleEncoder
from keras_cr.callbacks._history import read_history
from keras_cr.data import synthetic_birds, write_cub_layout
from keras_cr.presets import store_path
from keras_cr.pretraining import AUXILIARY, OBJECTIVES
from tests.case import tiny_backbone
from tests.data.helpers import pixels, save_image, write_aircraft, write_cars
from tests.experiment.helpers import leave_out_pictures

RECIPES = pathlib.Path(__file__).parents[2] / "recipes"


@pytest.fixture(scope="module")
def birds():
    return synthetic_birds(num_classes=2, train_per_class=8, test_per_class=3, image_size=64)


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """Runs a recipe for an epoch with a tiny backbone; returns the folder of its results."""
    backbone = tmp_path / "tiny.keras"
    tiny_backbone().save(backbone)
    monkeypatch.syspath_prepend(RECIPES)

    def run(name, *arguments):
        monkeypatch.delitem(sys.modules, "train_cub", raising=False)
        flags = {"--init": backbone, "--epochs": 1, "--image-size": 64, "--batch-size": 8}
        flags |= {"--protocols": "retrieval,localization", "--output": tmp_path / "out"}
        flags = {flag: value for flag, value in flags.items() if flag not in arguments}
        given = [str(part) for flag in flags.items() for part in flag]
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments), *given])
        runpy.run_path(str(RECIPES / name), run_name="__main__")
        return tmp_path / "out"

    return run


@pytest.mark.slow
@pytest.mark.parametrize(("name", "write"), [("cars", write_cars), ("aircraft", write_aircraft)])
def test_official_layouts(recipe, birds, tmp_path, monkeypatch, name, write):
    leave_out_pictures(monkeypatch)
    untrained = ["--epochs", 0, "--rationale", "paper"]
    output = recipe(f"train_{name}.py", "--data-dir", write(birds, tmp_path / name), *untrained)
    metrics = json.loads((output / "metrics.json").read_text())
    protocol = metrics["protocol"]
    assert protocol["images"] == {"train": 16, "test": 6}
    assert metrics["localization"]["images"] == 6
    settings = json.loads((output / "config.json").read_text())["settings"]
    assert (settings["dataset"], settings["learning_rate"]) == (name, 0.03)
    assert CommonRationaleEncoder.from_preset(f"{name}_tiny").num_detectors == 1


@pytest.mark.slow
@pytest.mark.parametrize("objective", sorted(set(OBJECTIVES) - {"moco"}))
def test_other_objectives(recipe, birds, monkeypatch, objective):
    leave_out_pictures(monkeypatch)
    monkeypatch.setattr("keras_cr.data.read_cub", lambda _: birds)  # quicker than files
    options = ["--objective", objective, "--refit", "off", "--protocols", "retrieval"]
    if objective not in ("byol", "patch_wise"):
        options += ["--rationale-options", "foregrounds=off"]
    if objective == "pretext":
        options += ["--auxiliary", ",".join(f"{name}=1" for name in AUXILIARY)]
    output = recipe("train_cub.py", "--data-dir", "birds", *options)
    (row,) = read_history(output / "history.csv")
    numbers = [float(row[name]) for name in ("loss", "fit_loss", "embedding_std", "agreement")]
    assert np.isfinite(numbers).all()
    assert json.loads((output / "config.json").read_text())["settings"]["objective"] == objective
    images = np.stack(list(birds.images[:2])).astype("float32")
    assert np.isfinite(CommonRationaleEncoder.from_preset("cub_tiny")(images)).all()


def test_a_folder_of_classes(recipe, birds, tmp_path):
    images = write_cub_layout(birds, tmp_path / "birds") / "images"
    options = ["--epochs", 0, "--rationale", "off", "--preset-name", "my_birds"]
    output = recipe("train_folder.py", "--data-dir", images, *options, "--protocols", "retrieval")
    metrics = json.loads((output / "metrics.json").read_text())
    assert 0 <= metrics["retrieval"]["rank1"] <= 1
    assert (store_path("my_birds") / "preset.json").is_file()


@pytest.mark.slow
def test_a_folder_without_labels_is_pretrained_on(recipe, tmp_path, monkeypatch, capsys):
    leave_out_pictures(monkeypatch)
    quick = ["--refit", "off", "--rationale-options", "foregrounds=off"]
    for number, image in enumerate(pixels(9, 64, 72)):
        save_image(tmp_path / "photos" / f"{number}.jpg", image)
    output = recipe("train_folder.py", "--data-dir", tmp_path / "photos", *quick)
    assert (
        "photos: no class folders; pretrains, and skips all that needs" in capsys.readouterr().out
    )
    metrics = json.loads((output / "metrics.json").read_text())
    assert metrics["retrieval"] is None
    assert (output / "history.csv").is_file()
    assert CommonRationaleEncoder.from_preset("folder_tiny").num_detectors == 1


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("cars", [], "source .* is gone; .* --data-dir.*car_devkit.tgz.*cars_annos.mat"),
        ("cub", ["--data-dir", "nowhere"], "nowhere"),
        ("folder", ["--data-dir", "nowhere"], "nowhere"),
        ("cars", ["--data-dir", "nowhere"], "'nowhere' holds no layout of Stanford Cars"),
        ("aircraft", ["--data-dir", "nowhere"], "'nowhere' holds no images_variant_trainval.txt"),
        ("folder", [], "--data-dir: name the folder of images"),
    ],
)
def test_mistakes_are_told_in_one_line(recipe, name, arguments, message):
    with pytest.raises(SystemExit, match=rf"^train_{name}.py: error: .*{message}") as error:
        recipe(f"train_{name}.py", *arguments)
    assert "\n" not in str(error.value)
