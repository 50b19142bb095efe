"""The local store keeps what other runs have left there."""

import json
import sys

import pytest

from keras_cr.data import read_cub, synthetic_birds, write_cub_layout
from keras_cr.experiment import Run, Settings
from keras_cr.experiment.stored import stored_name
from keras_cr.experiment.training import train_encoder
from keras_cr.presets import OccupiedFolderError, save_preset, store_path, stored_presets
from tests.case import tiny_backbone, tiny_encoder


@pytest.fixture(scope="module")
def birds(tmp_path_factory):
    dataset = synthetic_birds(num_classes=2, train_per_class=4, test_per_class=2, image_size=32)
    return str(write_cub_layout(dataset, tmp_path_factory.mktemp("birds") / "data"))


module = sys.modules[Run.__module__]  # the package has a function of that name


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch):
    monkeypatch.setattr(module, "write_pictures", lambda *args: None)


def prepare(birds, output, **changes):
    values = {"dataset": "birds", "data_dir": birds, "output": str(output), "epochs": 0}
    values |= {"rationale": "off", "image_size": 32, "batch_size": 4, "protocols": ("retrieval",)}
    return Run.prepare(Settings(**(values | changes)), read_cub, tiny_backbone)


def mark(name):
    return json.loads((store_path(name) / "preset.json").read_text())["source"]["run"]


def test_a_second_run_gets_a_number_and_says_so_before_and_after(birds, tmp_path, capsys):
    prepare(birds, tmp_path / "a").execute()
    assert "--overwrite" not in capsys.readouterr().out
    first = mark("birds_resnet50")
    prepare(birds, tmp_path / "b").execute()
    printed = capsys.readouterr().out.splitlines()
    told = next(number for number, line in enumerate(printed) if "--overwrite" in line)
    started = next(number for number, line in enumerate(printed) if "training images" in line)
    assert told < started
    assert "stored as 'birds_resnet50-2'" in printed[told]
    assert "--preset-name NAME" in printed[told]
    assert "from_preset('birds_resnet50-2')" in printed[-1]
    assert mark("birds_resnet50") == first
    assert list(stored_presets()) == ["birds_resnet50", "birds_resnet50-2"]


def test_a_run_that_goes_on_replaces_its_own(birds, tmp_path, capsys):
    prepare(birds, tmp_path / "a").execute()
    prepare(birds, tmp_path / "b").execute()
    marks = [mark("birds_resnet50"), mark("birds_resnet50-2")]
    capsys.readouterr()
    prepare(birds, tmp_path / "b", resume=True).execute()
    assert "another origin" in capsys.readouterr().out  # its name is still not the one wanted
    prepare(birds, tmp_path / "a", resume=True).execute()
    assert "another origin" not in capsys.readouterr().out
    assert list(stored_presets()) == ["birds_resnet50", "birds_resnet50-2"]
    assert [mark("birds_resnet50"), mark("birds_resnet50-2")] == marks


def test_overwriting_on_purpose(birds, tmp_path, capsys):
    prepare(birds, tmp_path / "a", preset_name="mine").execute()
    first = mark("mine")
    prepare(birds, tmp_path / "b", preset_name="mine", overwrite=True).execute()
    assert "another origin" not in capsys.readouterr().out
    assert list(stored_presets()) == ["mine"]
    assert mark("mine") != first


def test_a_name_taken_while_a_run_was_at_work(birds, tmp_path, monkeypatch):
    slow, fast = prepare(birds, tmp_path / "slow"), prepare(birds, tmp_path / "fast")

    def overtaken(*args):
        patch.undo()
        fast.execute()
        return train_encoder(*args)

    with monkeypatch.context() as patch:
        patch.setattr(module, "train_encoder", overtaken)
        slow.execute()
    assert mark("birds_resnet50") == fast.mark
    assert mark("birds_resnet50-2") == slow.mark


def test_what_has_a_name(tmp_path):
    assert stored_name("birds", "1") == "birds"
    save_preset(tiny_encoder(), store_path("birds"))  # by hand, by no run
    store_path("birds-2").mkdir()
    assert stored_name("birds", "1") == "birds-3"
    assert stored_name("birds", None) == "birds-3"
    save_preset(tiny_encoder(), store_path("birds-10"), source={"run": "1"})
    save_preset(tiny_encoder(), store_path("birds-x"), source={"run": "1"})
    assert stored_name("birds", "1") == "birds-10"
    assert stored_name("birds", "1", overwrite=True) == "birds"
    for damaged in ("{", "[]", '{"source": null}', '{"source": {"run": ["1"]}}'):
        (store_path("birds-10") / "preset.json").write_text(damaged)
        assert stored_name("birds", "1") == "birds-3"
    (store_path("birds") / "notes.txt").write_text("mine")
    with pytest.raises(OccupiedFolderError, match=r"holds 'notes.txt'"):
        stored_name("birds", "1", overwrite=True)


def test_a_store_that_is_no_folder_is_told_before_training(birds, tmp_path, monkeypatch):
    (tmp_path / "home").write_text("a file")
    monkeypatch.setenv("KERAS_CR_HOME", str(tmp_path / "home"))
    with pytest.raises(OSError, match="can't be written to"):
        prepare(birds, tmp_path / "out")
    assert not (tmp_path / "out").exists()
