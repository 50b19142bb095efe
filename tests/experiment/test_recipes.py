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
from keras_cr.experiment.run import Run
from keras_cr.pretraining import AUXILIARY
from tests.case import tiny_backbone
from tests.data.helpers import pixels, save_image, write_aircraft, write_cars

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
        given = [str(part) for flag in flags.items() for part in flag]
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments), *given])
        runpy.run_path(str(RECIPES / name), run_name="__main__")
        return tmp_path / "out"

    return run


@pytest.mark.slow
@pytest.mark.parametrize(("name", "write"), [("cars", write_cars), ("aircraft", write_aircraft)])
def test_official_layouts(recipe, birds, tmp_path, name, write):
    output = recipe(f"train_{name}.py", "--data-dir", write(birds, tmp_path / name))
    metrics = json.loads((output / "metrics.json").read_text())
    protocol = metrics["protocol"]
    assert protocol["images"] == {"train": 16, "test": 6}
    assert metrics["localization"]["images"] == 6
    settings = json.loads((output / "config.json").read_text())["settings"]
    assert (settings["dataset"], settings["learning_rate"]) == (name, 0.03)
    assert CommonRationaleEncoder.from_preset(f"{name}_tiny").num_detectors == 1


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["byol", "patch_wise", "supervised", "pretext"])
def test_other_objectives(recipe, birds, tmp_path, monkeypatch, objective):
    monkeypatch.setattr(sys.modules[Run.__module__], "write_pictures", lambda *_: None)  # slow
    options = ["--objective", objective, "--refit", "off"]
    if objective == "pretext":
        options += ["--auxiliary", ",".join(f"{name}=1" for name in AUXILIARY)]
    data = write_cub_layout(birds, tmp_path / "birds")
    output = recipe("train_cub.py", "--data-dir", data, *options)
    (row,) = read_history(output / "history.csv")
    numbers = [float(row[name]) for name in ("loss", "fit_loss", "embedding_std", "agreement")]
    assert np.isfinite(numbers).all()
    assert json.loads((output / "config.json").read_text())["settings"]["objective"] == objective
    images = np.stack(list(birds.images[:2])).astype("float32")
    assert np.isfinite(CommonRationaleEncoder.from_preset("cub_tiny")(images)).all()


@pytest.mark.slow
def test_a_folder_without_labels_is_pretrained_on(recipe, tmp_path, capsys):
    for number, image in enumerate(pixels(9, 64, 72)):
        save_image(tmp_path / "photos" / f"{number}.jpg", image)
    output = recipe("train_folder.py", "--data-dir", tmp_path / "photos")
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
        ("cars", ["--data-dir", "nowhere"], "'nowhere' holds no layout of Stanford Cars"),
        ("aircraft", ["--data-dir", "nowhere"], "'nowhere' holds no images_variant_trainval.txt"),
        ("folder", [], "--data-dir: name the folder of images"),
    ],
)
def test_mistakes_are_told_in_one_line(recipe, name, arguments, message):
    with pytest.raises(SystemExit, match=rf"^train_{name}.py: error: .*{message}") as error:
        recipe(f"train_{name}.py", *arguments)
    assert "\n" not in str(error.value)
