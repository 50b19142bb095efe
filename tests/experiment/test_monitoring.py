"""What watches a run: training images alone, and nothing that a resumed run depends on."""

import importlib.util

import numpy as np
import pytest

from keras_cr.callbacks import KNNMonitor, RationaleImages
from keras_cr.callbacks._history import read_history
from keras_cr.data import synthetic_birds
from keras_cr.experiment import Run, Settings, parse_settings
from tests.callbacks.helpers import read_events
from tests.case import tiny_backbone
from tests.experiment.helpers import train


@pytest.fixture(scope="module")
def birds():
    return synthetic_birds(3, train_per_class=8, test_per_class=4, image_size=48, seed=1)


def prepare(birds, output, **changes):
    values = {"dataset": "birds", "output": str(output), "epochs": 1, "batch_size": 8}
    settings = Settings(**(values | {"image_size": 32} | changes))
    return Run.prepare(settings, lambda _: birds, tiny_backbone)


def test_monitoring_can_change_when_a_run_is_resumed(birds, tmp_path):
    pytest.importorskip("tensorboard", reason="needs TensorBoard")
    output = tmp_path / "out"
    quick = {"refit": "off", "rationale_options": {"foregrounds": "off"}}
    prepare(birds, output, **quick)
    run = prepare(birds, output, **quick, resume=True, monitor_every=1, tensorboard=True)
    train(run)
    assert 0 <= float(read_history(output / "history.csv")[0]["knn_train_top1"]) <= 1
    assert {"rationales", "knn/train_top1"} <= set(read_events(output / "tensorboard"))
    assert {"epoch_loss", "epoch_fit_loss"} <= set(read_events(output / "tensorboard" / "train"))
    assert sorted(path.name for path in (output / "rationales").iterdir()) == [
        "epoch-0000.png",
        "epoch-0001.png",
    ]


def test_monitors_see_training_images_alone(birds, tmp_path):
    watching = prepare(birds, tmp_path / "on", monitor_every=1).watching
    knn = next(monitor for monitor in watching if isinstance(monitor, KNNMonitor))
    sheets = next(monitor for monitor in watching if isinstance(monitor, RationaleImages))
    assert knn.dataset.is_train.all()
    whole = birds.split("train").images
    blank = np.zeros_like(birds.images)
    blank[birds.is_train] = whole
    blind = type(birds)("birds", blank, birds.labels, birds.class_names, birds.is_train)
    again = prepare(blind, tmp_path / "blind").watching
    other = next(monitor for monitor in again if isinstance(monitor, RationaleImages))
    np.testing.assert_array_equal(sheets.images, other.images)
    kinds = [type(m).__name__ for m in prepare(birds, tmp_path / "off", rationale="off").watching]
    assert kinds == ["RationaleHealth"], "an untrained branch is not drawn"
    assert prepare(birds, tmp_path / "none", epochs=0).watching == []


def test_what_can_be_wrong_is_told_before_the_folder_is_made(birds, tmp_path, monkeypatch, capsys):
    unlabelled = type(birds)("birds", birds.images, None, [], birds.is_train)
    with pytest.raises(ValueError, match="`monitor_every`: `dataset` must have labels"):
        prepare(unlabelled, tmp_path / "out", monitor_every=1)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"keras-cr\[tensorboard\]"):
        prepare(birds, tmp_path / "out", tensorboard=True)
    assert not (tmp_path / "out").exists()
    with pytest.raises(SystemExit):
        parse_settings("doc", ["--monitor-every", "-1"])
    assert "--monitor-every must be 0 or more. Received: -1" in capsys.readouterr().err
