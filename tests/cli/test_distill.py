"""keras-cr distill: a small backbone learns an encoder's embeddings and becomes a preset."""

import inspect
import json
import re

import keras
import numpy as np
import pytest

from keras_cr import CommonRationaleEncoder
from keras_cr.cli import distill as command
from keras_cr.cli import main
from keras_cr.data import read_images, synthetic_birds
from keras_cr.pretraining import distill
from tests.case import tiny_backbone
from tests.cli.test_main import fails
from tests.data.helpers import save_image

FEW = ("--epochs", 6, "--batch-size", 8, "--learning-rate", 0.01)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of 16 birds, 32 pixels wide."""
    folder = tmp_path_factory.mktemp("birds")
    for number, image in enumerate(synthetic_birds(2, 8, 0, image_size=32).images):
        save_image(folder / f"{number:02d}.png", image)
    return folder


@pytest.fixture
def student(tmp_path):
    """A backbone with half as many channels as the teacher's."""
    tiny_backbone(channels=4).save(tmp_path / "small.keras")
    return tmp_path / "small.keras"


def run(images, output, *more):
    return main([str(part) for part in ("distill", images, "-o", output, *FEW, *more)])


def test_a_student_becomes_a_preset(folder, preset, student, tmp_path, capsys):
    output = tmp_path / "my student"
    argv = (folder, output, "--teacher", preset, "--student", student, "--seed", 3)
    assert run(*argv, "--map-weight", 0) == 0
    printed = capsys.readouterr().out
    assert "a student of 520 parameters, its teacher has 644." in printed
    assert f"keras-cr explain {folder} --preset '{output}'" in printed

    teacher = CommonRationaleEncoder.from_preset(preset)
    encoder = CommonRationaleEncoder.from_preset(output)
    assert encoder.image_size == (32, 32)
    shown = read_images(sorted(folder.iterdir()), image_size=32)
    start = distill_start(teacher, student)
    near = [
        np.sum(np.asarray(model(shown)) * np.asarray(teacher(shown)), axis=-1).mean()
        for model in (start, encoder)
    ]
    assert near[1] > near[0] + 0.05
    manifest = json.loads((output / "preset.json").read_text())
    source = manifest["source"]
    assert source["command"].startswith(f"keras-cr distill {folder} -o '{output}' --epochs 6")
    assert (source["seed"], source["images"], source["image_size"]) == (3, 16, 32)
    told = manifest["extra"]["distill"]
    assert told["teacher"] == preset
    losses = next(values for name, values in told["history"].items() if "distillation" in name)
    assert losses[-1] < losses[0]


def distill_start(teacher, student):
    from keras_cr.pretraining.student import student_of

    return student_of(teacher, keras.saving.load_model(student), seed=3)


def test_a_named_student_and_the_map_of_the_teacher(folder, preset, tmp_path, monkeypatch):
    asked = {}

    def instead(teacher, student, dataset, image_size, **options):
        asked.update(options, student=student, image_size=image_size, images=len(dataset))
        return teacher

    monkeypatch.setattr("keras_cr.pretraining.distill", instead)
    options = ("--init", "none", "--image-size", 48)
    assert (
        run(folder, tmp_path / "out", "--teacher", preset, "--student", "squeezenet", *options) == 0
    )
    assert (asked["student"].name, asked["image_size"], asked["images"]) == ("squeezenet", 48, 16)
    assert (asked["epochs"], asked["batch_size"], asked["map_weight"]) == (6, 8, 0.1)


def test_what_is_refused(folder, preset, tmp_path, capsys):
    argv = ["distill", folder, "-o", tmp_path / "out", "--teacher", preset, *FEW]
    assert "none.keras' is no file" in fails([*argv, "--student", tmp_path / "none.keras"], capsys)
    other = CommonRationaleEncoder(tiny_backbone(channels=4), num_detectors=1, image_size=32)
    other.save(tmp_path / "other.keras")
    said = fails([*argv, "--student", tmp_path / "other.keras"], capsys)
    assert "--student must be a backbone, or an encoder with embeddings as long as the tea" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ((), "the following arguments are required: --student"),
        (("--student", "vgg"), "--student: must be resnet18, .*; received 'vgg'"),
        (("--student", "a.keras", "--init", "none"), "--init: is for a --student given by name"),
        (("--student", "a.keras", "--map-weight", "nan"), "--map-weight: must be a number of 0 or"),
        (("--student", "a.keras", "--epochs", "0"), "--epochs: must be a whole number of 1 or mor"),
    ],
)
def test_usage_errors(more, message, preset, tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["distill", "photos", "-o", str(tmp_path / "out"), "--teacher", preset, *more])
    assert re.search(message, capsys.readouterr().err)


def test_defaults_are_the_librarys():
    defaults = {
        name: parameter.default for name, parameter in inspect.signature(distill).parameters.items()
    }
    assert defaults["epochs"] == command.EPOCHS
    assert defaults["learning_rate"] == command.LEARNING_RATE
    assert defaults["map_weight"] == command.MAP_WEIGHT
