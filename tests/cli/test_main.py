"""The program around the commands: help, versions, mistakes, Ctrl-C."""

import importlib
import os
import subprocess
import sys

import pytest

import keras_cr
from keras_cr.cli import COMMANDS, embed, main
from tests.case import tiny_encoder


def test_help_imports_neither_keras_nor_tensorflow():
    command = [sys.executable, "-X", "importtime", "-m", "keras_cr", "--help"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in COMMANDS)
    imported = {line.rsplit("|", 1)[-1].strip().split(".")[0] for line in done.stderr.splitlines()}
    assert "keras_cr" in imported
    assert not imported & {"keras", "tensorflow", "numpy", "matplotlib"}


def test_version(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"keras_cr {keras_cr.__version__}\n"


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "required: COMMAND"),
        (["paint"], "invalid choice: 'paint'"),
        (["embed", "x.png"], "required: --preset, -o/--output"),
        (["embed", "x.png", "--preset", "p", "-o", "x.csv"], "must end in .npz or .parquet"),
        (["embed", "x.png", "--preset", "p", "-o", "x.npz", "--pooling", "max"], "--pooling"),
        (["embed", "x.png", "--preset", "p", "-o", "x", "--shard", "3/2"], "must be I/N"),
        (["embed", "x.png", "--preset", "p", "-o", "x.npz", "--shard", "1/2"], "must be a folder"),
        (["embed", "x.png", "--preset", "p", "-o", "x.npz", "--part-size", "8"], "--shard I/N"),
        (["embed", "x.png", "--preset", "p", "-o", "x.npz", "--batch-size", "0"], "1 or more"),
        (["explain", "x.png", "--preset", "p", "-o", "o", "--image-size", "b"], "received 'b'"),
        (["explain", "x.png", "--preset", "p", "-o", "o", "--image-size", "1000000"], "or fewer"),
        (["explain", "x.png", "--preset", "p", "-o", "o", "--alpha", "2"], "from 0 to 1"),
        (["explain", "x.png", "--preset", "p", "-o", "o", "--alpha", "nan"], "from 0 to 1"),
        (["explain", "x.png", "--pre", "p", "-o", "o"], "required: --preset"),
        (["evaluate", "--preset", "p", "--data-dir", "d", "--dataset", "x"], "--dataset"),
    ],
)
def test_usage_errors(argv, message, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(argv)
    assert message in capsys.readouterr().err


def fails(argv, capsys):
    """What a command that fails says: one line."""
    assert main([str(part) for part in argv]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"keras-cr {argv[0]}: error: ")
    assert printed.err.count("\n") == 1
    return printed.err


@pytest.mark.parametrize("preset", ["no_such_preset", "./no/such/folder", "cub_resnet50"])
def test_presets_that_cannot_be_loaded(preset, photos, tmp_path, capsys):
    said = fails(["embed", photos, "--preset", preset, "-o", tmp_path / "x.npz"], capsys)
    assert preset in said
    assert not (tmp_path / "x.npz").exists()


def test_images_that_do_not_suit_the_encoder(preset, photos, tmp_path, capsys):
    argv = ["explain", photos, "--preset", preset, "-o", tmp_path / "out", "--image-size", 8]
    assert "--image-size: A rationale weighs the places" in fails(argv, capsys)
    assert not (tmp_path / "out").exists()


def test_an_encoder_without_an_image_size(photos, tmp_path, capsys):
    folder = tiny_encoder().save_to_preset(tmp_path / "preset")
    argv = ["embed", photos, "--preset", folder, "-o", tmp_path / "x.npz"]
    assert "error: --image-size must be given" in fails(argv, capsys)
    assert main([*map(str, argv), "--image-size", "32"]) == 0


def test_ctrl_c_ends_quietly_and_leaves_nothing(preset, photos, tmp_path, monkeypatch, capsys):
    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setitem(embed.WRITERS, ".npz", interrupted)
    output = tmp_path / "out" / "x.npz"
    assert main(["embed", str(photos), "--preset", preset, "-o", str(output)]) == 130
    printed = capsys.readouterr()
    assert printed.out == printed.err == ""
    assert not list(output.parent.iterdir())


def test_the_environment_is_prepared_and_a_users_choice_kept(monkeypatch):
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS")
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    importlib.reload(importlib.import_module("keras_cr._environment"))
    assert os.environ["TF_ENABLE_ONEDNN_OPTS"] == "1"
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "0"


def test_a_memory_that_is_exhausted_is_told(capsys, monkeypatch):
    def run(args):
        raise MemoryError

    monkeypatch.setattr(embed, "run", run)
    argv = ["embed", "x.png", "--preset", "p", "-o", "x.npz"]
    assert "a smaller --image-size or --batch-size" in fails(argv, capsys)


@pytest.mark.parametrize(
    ("command", "place"),
    [
        ("embed", "file/x.npz"),
        ("embed", "file/x/y.npz"),
        ("explain", "file/x"),
        ("explain", "file/x/y"),
    ],
)
def test_a_place_that_takes_no_files_is_told_at_once(command, place, capsys, tmp_path):
    (tmp_path / "file").touch()
    output = tmp_path / place
    said = fails([command, "x.png", "--preset", "nowhere", "-o", output], capsys)
    assert f"--output: {str(output)!r} can't be written" in said
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
