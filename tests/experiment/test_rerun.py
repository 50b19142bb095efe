"""A run that is made again: the same to the last bit, or told where not."""

import json
import os
import re
import runpy
import shutil
import signal
import sys

import pytest

from keras_cr.cli import main
from keras_cr.experiment import Run
from keras_cr.experiment.rerun import Number, numbers_of
from keras_cr.presets.store import stored_presets

RECIPE = """
from keras_cr import experiment
from keras_cr.data import read_cub
from tests.case import tiny_backbone

if __name__ == "__main__":
    metrics = experiment.main(
        "Trains.", read_cub, tiny_backbone, dataset="birds", epochs=1, batch_size=8,
        image_size=32, rationale="off", protocols=("retrieval",)
    )
    print(metrics["retrieval"]["map"])
"""


@pytest.fixture(scope="module")
def made(birds, tmp_path_factory):
    """A place with a recipe, its images, and the run it made of them."""
    place = tmp_path_factory.mktemp("made")
    shutil.copytree(birds, place / "data")
    (place / "recipe.py").write_text(RECIPE)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setenv("KERAS_CR_HOME", str(place / "home"))
        patch.setattr(sys.modules[Run.__module__], "write_pictures", lambda *_: None)
        patch.setattr(sys, "argv", ["recipe.py", "--data-dir", "data", "--output", "out"])
        runpy.run_path("recipe.py", run_name="__main__")
    return place


@pytest.fixture
def again(made, tmp_path, monkeypatch, capsys):
    """Runs the command on a copy of the run that was changed; its status and what it says."""

    def run(change=lambda folder: None, *more):
        shutil.copytree(made, tmp_path / "made")
        change(tmp_path / "made")
        config = tmp_path / "made" / "out" / "config.json"
        config.write_text(config.read_text().replace(str(made), str(tmp_path / "made")))
        monkeypatch.chdir(tmp_path / "made")
        capsys.readouterr()
        return main(["rerun", "out", *more]), capsys.readouterr()

    return run


@pytest.mark.slow
@pytest.mark.usefixtures("without_pictures")
def test_a_run_made_again_is_the_same_to_the_last_bit(again, tmp_path):
    def other_machine(place):
        config = json.loads((place / "out" / "config.json").read_text())
        assert {"python", "keras", "tensorflow", "numpy"} <= config["surroundings"][
            "versions"
        ].keys()
        config["surroundings"]["versions"]["keras"] = "3.0"
        (place / "out" / "config.json").write_text(json.dumps(config))

        (place / "data").rename(place / "moved")

    status, said = again(other_machine, "--data-dir", "moved")
    assert "numbers, the same to the last bit." in said.out
    assert "Not as it was then: keras was '3.0', is '3." in said.err
    assert status == 0
    assert {"history.csv", "metrics.json", "preset"} <= {
        path.name for path in (tmp_path / "made" / "out-rerun").iterdir()
    }
    assert not stored_presets()


def other_labels(place):
    labels = place / "data" / "image_class_labels.txt"
    labels.write_text(labels.read_text().replace("1 1\n", "1 2\n", 1))


def other_recipe(place):
    (place / "recipe.py").write_text("print()")


def inside(place):
    shutil.move(place / "recipe.py", place / "out" / "recipe.py")
    config = place / "out" / "config.json"
    config.write_text(config.read_text().replace("/recipe.py", "/out/recipe.py"))


def unfinished(place):
    (place / "out" / "metrics.json").unlink()


@pytest.mark.parametrize(
    ("change", "more", "message"),
    [
        (other_labels, (), "FOLDER: out holds a run on other images, labels or splits: as many"),
        (other_recipe, (), "--recipe: .*recipe.py is not as it was .*Give it, --recipe /"),
        (other_recipe, ("--recipe", "recipe.py"), "--recipe: recipe.py starts no run"),
        (inside, (), "--recipe: .* lies in the run's own. Give it, --recipe /"),
        (unfinished, (), "FOLDER: out holds no run that is whole"),
    ],
)
def test_what_is_not_made_again(again, tmp_path, change, more, message):
    status, said = again(change, *more)
    assert status == 1
    assert re.search(f"keras-cr rerun: error: {message}", said.err)
    assert not (tmp_path / "made" / "out-rerun").exists()


def test_a_folder_that_was_there_stays(again, tmp_path):
    new = tmp_path / "made" / "new"

    def make(place):
        other_labels(place)
        new.mkdir()

    status, said = again(make, "--output", "new")
    assert status == 1
    assert "other images, labels or splits" in said.err
    assert list(new.iterdir()) == []
    (new / "notes.txt").touch()
    assert main(["rerun", "out", "--output", "new"]) == 1
    assert [path.name for path in new.iterdir()] == ["notes.txt"]


def test_sigterm_has_its_exit_status(again, monkeypatch):
    def run(self):
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Run, "execute", run)
    assert again()[0] == 143


@pytest.mark.parametrize(
    ("tolerance", "status", "told"),
    [("0.5", 0, "3 of 4 numbers differ"), ("0.1", 1, ""), ("0", 1, "")],
)
def test_what_differs_is_shown(tmp_path, monkeypatch, capsys, tolerance, status, told):
    for name, loss, score in (("a", 1.0, 0.5), ("b", 1.25, 0.4)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "history.csv").write_text(f"epoch,loss\n0,{loss}\n1,nan\n")
        scores = {"retrieval": {"map": score, "rank1": score}, "labels": None, "set": "birds"}
        (tmp_path / name / "metrics.json").write_text(json.dumps(scores))
    numbers = numbers_of(tmp_path / "a", tmp_path / "b")
    assert numbers[0] == Number("loss of epoch 1", 1.0, 1.25)
    assert [number.difference for number in numbers] == pytest.approx([0.25, 0.1, 0.1, 0])
    assert Number("", 1.0, None).difference == float("inf")
    monkeypatch.setattr(sys.modules[Number.__module__], "rerun_recipe", lambda *_: numbers)
    assert main(["rerun", "out", "--tolerance", tolerance]) == status
    said = capsys.readouterr()
    assert "loss of epoch 1" in said.out
    assert told in said.out
    assert status == 0 or f"0.25 (loss of epoch 1); --tolerance is {tolerance}" in said.err
