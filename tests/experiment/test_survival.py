"""Runs that are killed, stopped, damaged, given other data, or that diverge."""

import json
import os
import resource
import shutil
import signal
import sys
import threading

import keras
import numpy as np
import pytest

from keras_cr.callbacks._history import read_history
from keras_cr.data import read_cub
from keras_cr.experiment import Run, Settings
from keras_cr.experiment.checkpoints import (
    Reached,
    last_checkpoint,
    write_checkpoint,
)
from keras_cr.experiment.folder import clear_leftovers
from keras_cr.experiment.program import main
from keras_cr.experiment.stopping import Terminated
from keras_cr.presets.atomic import staging
from keras_cr.pretraining.divergence import DivergedError
from tests.case import tiny_backbone
from tests.experiment.helpers import QUICK, leave_out_pictures, settings, start

OPTIONS = QUICK | {"epochs": 3, "monitor_every": 2, "optimizer": "lars", "warmup_epochs": 1}
OPTIONS |= {"learning_rate": 1.0, "weight_decay": 0.04, "final_weight_decay": 0.4}
OPTIONS |= {"rationale_options": {"fit_every": 3}}  # stopped between two fits
pytestmark = pytest.mark.usefixtures("without_pictures")


class Act(keras.callbacks.Callback):
    """Does something after the step of a number, from 1."""

    def __init__(self, step, act):
        super().__init__()
        self.left, self.act = step, act

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if self.left == 0:
            self.act()


def acting(birds, output, step, act, **options):
    """A run that does something after a step, before its state is kept."""
    prepared = Run.prepare(
        settings(birds, output, **OPTIONS | options), read_cub, build_backbone=tiny_backbone
    )
    prepared.watching.append(Act(step, act))
    return prepared.execute()


@pytest.fixture(scope="module")
def whole(birds, tmp_path_factory):
    """A run that nothing stopped: three epochs of three steps."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_CR_HOME", str(tmp_path_factory.mktemp("home")))
        leave_out_pictures(patch)
        output = tmp_path_factory.mktemp("whole") / "out"
        start(birds, output, **OPTIONS)
    return output


def same(output, whole):
    for file in ("history.csv", "health.csv"):
        assert (output / file).read_text() == (whole / file).read_text(), file
    states = [last_checkpoint(each)[0] for each in (output, whole)]
    for one, other in zip(*(state.variables for state in states), strict=True):
        np.testing.assert_array_equal(one, other)
    ends = [json.loads((each / "metrics.json").read_text()) for each in (output, whole)]
    assert ends[0]["retrieval"] == ends[1]["retrieval"]


@pytest.mark.slow
@pytest.mark.parametrize("step", [2, 6])
def test_sigterm_ends_a_step_and_the_run_goes_on_bit_for_bit(birds, whole, tmp_path, step):
    output = tmp_path / "out"
    with pytest.raises(Terminated):
        acting(birds, output, step, lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert last_checkpoint(output)[1].step == step
    assert len(read_history(output / "history.csv")) == step // 3
    start(birds, output, **OPTIONS, resume=True)
    same(output, whole)


@pytest.mark.slow
def test_a_kill_loses_no_more_than_save_every(birds, whole, tmp_path, capsys):
    """Between a state and the history, and with the last state damaged."""

    class Killed(BaseException):
        pass

    def kill():
        raise Killed

    output = tmp_path / "out"
    with pytest.raises(Killed):
        acting(birds, output, 6, kill, save_every="1")
    states = sorted(path.name for path in (output / "checkpoints").glob("step-*"))
    assert states == [f"step-0000000{n}.{kind}" for n in (4, 5) for kind in ("json", "keras")]
    (output / "checkpoints" / "step-00000006.part.keras").write_bytes(b"half")
    (output / ".metrics.json.0123abcd.part").write_text("half")
    last = output / "checkpoints" / "step-00000005.keras"
    flipped = bytearray(last.read_bytes())
    flipped[len(flipped) // 2] ^= 1
    last.write_bytes(flipped)
    (output / "history.csv").unlink()
    start(birds, output, **OPTIONS, resume=True)
    assert "step-00000005.keras (its sha256 is another" in capsys.readouterr().err
    same(output, whole)
    assert not [*output.glob(".metrics*"), *(output / "checkpoints").glob("*.part.*")]

    for state in (output / "checkpoints").glob("*.keras"):
        os.truncate(state, 100)
    with pytest.raises(ValueError, match="no state in .* can go on: step-00000009.keras .*anew"):
        start(birds, output, **OPTIONS, resume=True)


def test_what_a_run_that_goes_on_changes_is_written_down(birds, whole, tmp_path):
    shutil.copytree(whole, output := tmp_path / "out")
    before = json.loads((output / "config.json").read_text())
    start(birds, output, **OPTIONS | {"pooling": "average"}, resume=True)
    after = json.loads((output / "config.json").read_text())
    for name, pooling in (("other_settings", "auto"), ("decided", "rationale_vlad")):
        assert before.pop(name)["pooling"] == pooling
        assert after.pop(name)["pooling"] == "average"
    assert after == before


def test_a_half_written_state_takes_no_whole_one_s_place(tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    for step in (60, 80):
        write_checkpoint(tmp_path, model, Reached(step, 1, 0, [], {}))
    (tmp_path / "checkpoints" / "step-00000080.json").unlink()  # killed between the two
    write_checkpoint(tmp_path, model, Reached(100, 2, 0, [], {}))
    kept = sorted(path.name for path in (tmp_path / "checkpoints").glob("*.keras"))
    assert kept == ["step-00000060.keras", "step-00000100.keras"]


def test_what_a_state_says_of_itself_is_vouched_for(tmp_path, capsys):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    for step in (2, 4, 6):
        write_checkpoint(tmp_path, model, Reached(step, step, 0, [{"loss": float("nan")}], {}))
    beside = tmp_path / "checkpoints" / "step-00000006.json"
    beside.write_text(beside.read_text().replace('"epoch": 6', '"epoch": 9'))
    assert last_checkpoint(tmp_path)[1].step == 4
    assert "step-00000006.json is another than when it was" in capsys.readouterr().err

    write_checkpoint(tmp_path, model, Reached(5, 5, 0, [], {}))  # the way on from there
    kept = sorted(path.name for path in (tmp_path / "checkpoints").glob("*.keras"))
    assert kept == ["step-00000004.keras", "step-00000005.keras"]
    beside = tmp_path / "checkpoints" / "step-00000005.json"
    for content in ("", "[]", "{}", '{"sha256": 1}', beside.read_text().replace("5", "7")):
        beside.write_text(content)
        assert last_checkpoint(tmp_path)[1].step == 4


@pytest.mark.slow
def test_a_full_disk_leaves_the_states_before_it(birds, whole, tmp_path):
    output, unlimited = tmp_path / "out", resource.getrlimit(resource.RLIMIT_FSIZE)
    size = next((whole / "checkpoints").glob("*.keras")).stat().st_size

    def fill():
        resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, unlimited[1]))

    try:
        with pytest.raises(OSError, match="the training's state can't be written .*00000005.keras"):
            acting(birds, output, 5, fill, save_every="1")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    kept = sorted(path.name for path in (output / "checkpoints").iterdir())
    states = [f"step-0000000{n}.{kind}" for n in (3, 4) for kind in ("json", "keras")]
    assert kept == ["foregrounds-00000.npz", *states]
    start(birds, output, **OPTIONS, resume=True)
    same(output, whole)


def test_a_run_knows_its_data(birds, whole, tmp_path):
    output, moved = tmp_path / "out", tmp_path / "moved" / "birds"
    shutil.copytree(whole, output)
    shutil.copytree(birds, moved)
    again = {**OPTIONS, "resume": True}
    Run.prepare(settings(moved, output, **again), read_cub, build_backbone=tiny_backbone)
    labels = (moved / "image_class_labels.txt").read_text().splitlines()
    labels[0] = labels[0].split()[0] + " 3"
    (moved / "image_class_labels.txt").write_text("\n".join(labels) + "\n")
    with pytest.raises(ValueError, match="`resume`: .* other images, labels or splits: as many"):
        start(moved, output, **again)
    names = (moved / "images.txt").read_text().splitlines()
    for name in ("images", "image_class_labels", "train_test_split", "bounding_boxes"):
        lines = (moved / f"{name}.txt").read_text().splitlines()
        (moved / f"{name}.txt").write_text("\n".join(lines[: len(names) - 1]) + "\n")
    with pytest.raises(ValueError, match=r"24 training images and 12 others then, 2\d .* now"):
        start(moved, output, **again)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.json", "{}", "config.json is damaged"),
        ("config.json", "[]", "config.json is damaged"),
        ("config.json", '{"settings": {"see', "config.json is damaged"),
        ("history.csv", "epoch\n", "holds no run: there is no config.json"),
    ],
)
def test_dead_ends_are_told(birds, tmp_path, name, content, message):
    output = tmp_path / "out"
    output.mkdir()
    (output / name).write_text(content)
    with pytest.raises(ValueError, match=f"`resume`: .*{message}"):
        start(birds, output, resume=True)
    assert [path.name for path in output.iterdir()] == [name]


def test_a_user_s_hidden_files_are_no_leftovers(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    theirs = [".project.settings", ".env", ".notes.20261129", "config.json.0123abcd.part"]
    (tmp_path / "checkpoints" / ".folder.0123abcd.part").mkdir()
    for name in [*theirs, ".config.json.0123abcd.part"]:
        (tmp_path / name).touch()
    clear_leftovers(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*theirs, "checkpoints"])


def test_what_a_kill_left_in_any_folder_of_a_run_is_cleared(tmp_path):
    left = [".config.json.0123abcd", "rationales/.epoch-0001.png.566d6806", "a/b/.c.csv.01234567"]
    left = [f"{name}.part" for name in left]
    kept = ["rationales/epoch-0001.png", "other/.lock", "other/.config.json.0123abcd.part"]
    for name in left + kept:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "a/.keras-cr.new-0123456789abcdef-01234567").mkdir()
    clear_leftovers(tmp_path)
    found = {path for path in tmp_path.rglob("*") if path.is_file() or path.parent.name == "a"}
    assert found == {tmp_path / name for name in kept} | {tmp_path / "a/b"}


@pytest.mark.parametrize("exists", [False, True])
def test_a_preset_that_a_kill_left_half_written_is_cleared(tmp_path, exists):
    preset = tmp_path / "preset"
    if exists:
        preset.mkdir()
    with staging(preset) as new:
        (new / "config.json").write_text("half")
        shutil.copytree(new, tmp_path / "killed")
    (tmp_path / "killed").rename(new)
    clear_leftovers(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["preset"][: int(exists)]
    assert not exists or not list(preset.iterdir())


@pytest.mark.slow
def test_a_signal_after_the_last_step_is_not_lost(birds, tmp_path):
    class Late(keras.callbacks.Callback):
        def on_train_end(self, logs=None):
            os.kill(os.getpid(), signal.SIGINT)

    given = settings(birds, tmp_path / "out", **QUICK | {"epochs": 1})
    run = Run.prepare(given, read_cub, build_backbone=tiny_backbone)
    run.watching.append(Late())
    with pytest.raises(KeyboardInterrupt):
        run.execute()
    assert last_checkpoint(tmp_path / "out")[1].epoch == 1


@pytest.mark.parametrize("resume", [True, False])
def test_what_a_kill_at_the_very_beginning_leaves_is_no_obstacle(birds, tmp_path, resume, capsys):
    output = tmp_path / "out"
    output.mkdir()
    (output / ".config.json.0123abcd.part").write_text("{")
    given = settings(birds, output, epochs=0, resume=resume)
    run = Run.prepare(given, read_cub, build_backbone=tiny_backbone)
    assert ("Nothing to go on with" in capsys.readouterr().err) == resume
    assert sorted(path.name for path in output.iterdir()) == [".lock", "config.json"]

    other = settings(birds, output, epochs=0, resume=True)
    refused = []

    def second():
        try:
            Run.prepare(other, read_cub, build_backbone=tiny_backbone)
        except ValueError as error:
            refused.append(str(error))

    thread = threading.Thread(target=second)
    thread.start()
    thread.join()
    assert "another process runs in" in refused[0]
    run.lock.release()
    Run.prepare(other, read_cub, build_backbone=tiny_backbone)


@pytest.mark.slow
@pytest.mark.parametrize("rationale", ["on", "off"])
def test_a_training_that_diverges_is_stopped_before_its_state_is_lost(birds, tmp_path, rationale):
    output = tmp_path / "out"
    options = {"rationale": rationale, "optimizer": "sgd", "epochs": 4, "monitor_every": 0}
    options |= {"warmup_epochs": 0, "final_weight_decay": None, "learning_rate": 0.01}
    options["rationale_options"] = QUICK["rationale_options"] if rationale == "on" else None

    def poison():
        run.watching[-1].model.encoder.backbone.weights[0].assign_add(
            np.full(run.watching[-1].model.encoder.backbone.weights[0].shape, np.inf, "float32")
        )

    given = settings(birds, output, **OPTIONS | options)
    run = Run.prepare(given, read_cub, build_backbone=tiny_backbone)
    run.watching.append(Act(4, poison))
    told = r"at step 2 of epoch 2, on the images .*\.(jpg|png).* last state .*step-00000003.keras"
    with pytest.raises(DivergedError, match=told):
        run.execute()
    _, reached = last_checkpoint(output)
    assert reached.epoch == 1
    assert all(np.isfinite(float(row["loss"])) for row in read_history(output / "history.csv"))


@pytest.mark.slow
def test_a_rate_that_can_only_diverge_ends_in_one_line(birds, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["birds.py"])
    given = vars(settings(birds, tmp_path / "out", **QUICK, learning_rate=1e30))
    with pytest.raises(SystemExit, match="not finite.*--learning-rate"):
        main("Trains.", read_cub, tiny_backbone, **given)
    assert not list((tmp_path / "out" / "checkpoints").glob("step-*"))


@pytest.mark.slow
def test_no_state_that_is_whole_ends_in_one_line(birds, whole, tmp_path, monkeypatch):
    output = tmp_path / "out"
    shutil.copytree(whole, output)
    for state in (output / "checkpoints").glob("*.keras"):
        os.truncate(state, 100)
    monkeypatch.setattr(sys, "argv", ["birds.py"])
    given = vars(settings(birds, output, **OPTIONS, resume=True))
    with pytest.raises(SystemExit, match="birds.py: error: --resume: no state in .* can go on"):
        main("Trains.", read_cub, tiny_backbone, **given)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.0, -1.0])
def test_rates_that_are_none(value):
    with pytest.raises(ValueError, match="`learning_rate` must be positive and finite"):
        Settings(learning_rate=value)
    if value != 0:
        for name in ("weight_decay", "backbone_lr_multiplier", "final_weight_decay"):
            with pytest.raises(ValueError, match=f"`{name}` must be 0 or more, and"):
                Settings(optimizer="adamw", **{name: value})


@pytest.mark.parametrize("value", ["0", "-3", "10s", "min", "1.5"])
def test_intervals_that_are_none(value):
    with pytest.raises(ValueError, match="`save_every` must be a number of steps"):
        Settings(save_every=value)
