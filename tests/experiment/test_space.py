"""Disks that are full or take no files are met before a run does any work."""

import collections
import shutil

import pytest

from keras_cr.data import read_cub
from keras_cr.experiment import Run, space
from keras_cr.experiment.checkpoints import checkpoints_path
from tests.case import tiny_backbone, tiny_encoder
from tests.experiment.helpers import settings

Usage = collections.namedtuple("Usage", "total used free")


def test_a_disk_that_is_too_full_is_told_before_training(birds, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(2**40, 2**40, 3_000_000))
    told = "`output`: the run needs some 1. MB .*out' is, 3 MB are free. Make room, or name"
    with pytest.raises(OSError, match=told):
        Run.prepare(settings(birds, tmp_path / "out"), read_cub, tiny_backbone)
    assert not (tmp_path / "out").exists()


def test_a_place_that_takes_no_files_is_told_before_images_are_read(birds, tmp_path):
    def read(data_dir):
        raise AssertionError("read")

    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="`output`: .*out' can't be written, .*file' takes no files"):
        Run.prepare(settings(birds, tmp_path / "file" / "out"), read, tiny_backbone)


def test_what_a_run_needs(birds, tmp_path, monkeypatch):
    """Three states of two networks and a momentum each, the bank, maps, and two presets."""
    free = {}
    monkeypatch.setattr(space, "_BESIDE", 0)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(0, 0, free["bytes"]))
    encoder, train, output = tiny_encoder(), read_cub(birds).split("train"), tmp_path / "out"
    networks = 4 * 3 * encoder.count_params()
    bank = 4 * 21 * 2 * 8  # what 24 images need, object and background
    expected = 3 * (networks + bank) + 3 * 2 * 24 * 48 * 48 + 2 * 4 * encoder.count_params()
    given = settings(birds, output)

    def check():
        space.check_space(given, encoder, train, output, tmp_path / "store")

    free["bytes"] = expected
    check()
    free["bytes"] -= 1
    with pytest.raises(OSError, match="Make room"):
        check()
    checkpoints_path(output).mkdir(parents=True)
    (checkpoints_path(output) / "step-00000003.keras").write_bytes(b"1")
    check()
