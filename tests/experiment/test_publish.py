"""--publish: told before training that it can't work, and nothing lost where it fails after it."""

import json
import re
import shutil
import sys

import numpy as np
import pytest

from keras_cr.data import synthetic_birds
from keras_cr.experiment import Settings, main, run
from keras_cr.presets import (
    HubAccessError,
    home,
    list_presets,
    load_preset,
    register,
    store_path,
)
from keras_cr.presets.registry import read_card
from tests.case import tiny_backbone


@pytest.fixture(scope="module")
def birds():
    return synthetic_birds(num_classes=2, train_per_class=8, test_per_class=3, image_size=64)


@pytest.fixture
def flags(tmp_path, monkeypatch):
    """Settings of a short run that publishes to hf://org/birds."""
    backbone = tmp_path / "tiny.keras"
    tiny_backbone().save(backbone)
    monkeypatch.setenv("HF_TOKEN", "hf_writer")
    return {
        "init": str(backbone),
        "epochs": 1,
        "batch_size": 8,
        "image_size": 64,
        "protocols": ("retrieval",),
        "refit": "off",
        "rationale_options": {"foregrounds": "off"},
        "output": str(tmp_path / "out"),
        "publish": "hf://org/birds",
    }


def test_trained_published_registered_and_loaded_by_name(hub, flags, birds, capsys):
    metrics = run(Settings(**flags, preset_name="my_birds"), lambda data_dir: birds)
    handle = re.search(r"Published (hf://org/birds@\w+);", capsys.readouterr().out)[1]
    images = np.random.default_rng(0).uniform(0, 255, (3, 64, 64, 3)).astype("float32")
    trained = load_preset("my_birds")(images)

    card = read_card(register(handle, cards_folder=home() / "cards"))
    assert card.metrics["retrieval"]["map"] == round(metrics["retrieval"]["map"], 4)
    assert card.recipe["config"]["epochs"] == 1
    shutil.rmtree(store_path("my_birds"))
    assert next(i for i in list_presets() if i.name == "my_birds").where == "hub"
    np.testing.assert_array_equal(load_preset("my_birds")(images), trained)


def test_who_may_not_publish_is_told_before_the_data_are_read(hub, flags, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_TOKEN", "hf_reader")
    with pytest.raises(HubAccessError, match="may only read"):
        run(Settings(**flags), pytest.fail)
    assert not (tmp_path / "out").exists()


def test_a_failure_at_the_end_loses_nothing(hub, flags, birds, monkeypatch, tmp_path):
    hub.fault("POST", "/commit/", status=412)
    argv = ["train_birds.py", "--publish", "org/birds"]
    monkeypatch.setattr(sys, "argv", argv)
    flags |= {"epochs": 0, "rationale": "off", "rationale_options": None}
    with pytest.raises(SystemExit, match="somebody else published .* keras-cr presets publish .*"):
        main("Trains.", lambda data_dir: birds, **{k: flags[k] for k in flags if k != "publish"})
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["retrieval"]
    assert load_preset(tmp_path / "out" / "preset").built


def test_a_handle_with_a_revision_is_refused(flags, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["train_birds.py", "--publish", "org/birds@v1"])
    with pytest.raises(SystemExit, match="2"):
        main("Trains.", pytest.fail)
    assert "argument --publish: leave '@v1' out" in capsys.readouterr().err
