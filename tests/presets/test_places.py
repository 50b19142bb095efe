"""Presets in places that are not ours alone: mount points, links, full disks, the store."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from keras_cr.models import CommonRationaleClassifier, CommonRationaleEncoder
from keras_cr.presets import (
    OccupiedFolderError,
    PresetError,
    list_presets,
    load_preset,
    save_preset,
    store_path,
)
from keras_cr.presets.manifest import FILES
from tests.case import tiny_encoder as rationale_encoder
from tests.presets.tiny import images, tiny_encoder


def assert_holds(folder, model):
    np.testing.assert_allclose(load_preset(folder)(images()), model(images()), rtol=1e-6)


@pytest.fixture
def mount(tmp_path):
    """Mounts an empty file system of so many bytes, or skips."""
    mounted = []

    def do(name, options):
        folder = tmp_path / name
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
            pytest.skip("this user can't mount file systems here")
        mounted.append(folder)
        return folder

    yield do
    for folder in mounted:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_mount_point(mount):
    folder = mount("disk", "size=16m")
    (folder / "lost+found").mkdir()
    for seed in (0, 1):
        model = tiny_encoder(seed=seed)
        save_preset(model, folder)
        assert_holds(folder, model)
    assert sorted(os.listdir(folder)) == sorted([*FILES, "lost+found"])


@pytest.mark.parametrize("first", [True, False])
def test_a_full_disk(mount, first):
    folder = mount("disk", "size=100k")
    old = tiny_encoder(seed=0)
    if not first:
        save_preset(old, folder / "preset")
    (folder / "other").write_bytes(b"0" * 4096 * (20 if first else 12))
    with pytest.raises(OSError, match="[Nn]o space left"):
        save_preset(
            tiny_encoder(seed=1), folder / "deep" / "preset" if first else folder / "preset"
        )
    if first:
        assert os.listdir(folder) == ["other"]
    else:
        assert sorted(os.listdir(folder / "preset")) == sorted(FILES)
        assert_holds(folder / "preset", old)


def test_a_read_only_file_system(mount):
    folder = mount("disk", "size=16m")
    model = tiny_encoder(seed=0)
    save_preset(model, folder / "preset")
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    for place in (folder, folder / "preset", folder / "new" / "preset"):
        with pytest.raises(OSError, match="can't be written to, save elsewhere") as caught:
            save_preset(tiny_encoder(seed=1), place if place != folder else folder / "new")
        assert ".keras-cr" not in str(caught.value)
    assert_holds(folder / "preset", model)


def test_a_folder_that_may_not_be_renamed(tmp_path, monkeypatch):
    """As a mount point or a folder in somebody else's: nothing but its files is touched."""
    folder = tmp_path / "preset"
    folder.mkdir()
    rename, mkdir = os.rename, os.mkdir

    def only_inside(source, target, *args, **kwargs):
        assert folder in target.parents
        return rename(source, target, *args, **kwargs)

    def inside(path, *args, **kwargs):
        if folder not in path.parents:
            raise PermissionError(13, "Permission denied", str(path))
        return mkdir(path, *args, **kwargs)

    monkeypatch.setattr(os, "rename", only_inside)
    monkeypatch.setattr(os, "mkdir", inside)
    for seed in (0, 1):
        model = tiny_encoder(seed=seed)
        save_preset(model, folder)
        assert_holds(folder, model)
    with pytest.raises(PermissionError, match="can't be written to, save elsewhere"):
        save_preset(model, tmp_path / "other")
    assert os.listdir(tmp_path) == ["preset"]


@pytest.mark.parametrize("here", [".", "", "../here"])
def test_the_current_folder(tmp_path, monkeypatch, here):
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    identity = os.stat(".").st_ino
    for seed in (0, 1):
        model = tiny_encoder(seed=seed)
        save_preset(model, here)
        assert os.stat(".").st_ino == os.stat(folder).st_ino == identity
        assert_holds(".", model)
    assert sorted(os.listdir(".")) == sorted(FILES)


def test_a_link_stays_one(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "dangling").symlink_to("later")
    for name, real in (("link", "real"), ("link", "real"), ("dangling", "later")):
        model = tiny_encoder()
        assert save_preset(model, tmp_path / name) == tmp_path / real
        assert (tmp_path / name).is_symlink()
        assert_holds(tmp_path / name, model)
    (tmp_path / "loop").symlink_to("loop")
    for do in (load_preset, lambda folder: save_preset(model, folder)):
        with pytest.raises((OSError, PresetError), match=r"loop|[Tt]oo many"):
            do(tmp_path / "loop")


@pytest.mark.parametrize("first", [True, False])
def test_what_systems_put_there_stays(tmp_path, first):
    folder = tmp_path / "preset"
    folder.mkdir()
    model = tiny_encoder(seed=1)
    if not first:
        save_preset(tiny_encoder(seed=0), folder)
    litter = [".DS_Store", "Thumbs.db", "desktop.ini", "._config.json", ".directory"]
    for name in litter:
        (folder / name).write_text(name)
    save_preset(model, folder)
    assert_holds(folder, model)
    assert [(folder / name).read_text() for name in litter] == litter
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(OccupiedFolderError, match=r"holds 'notes.txt'"):
        save_preset(model, folder)


def test_a_folder_where_a_file_should_be(tmp_path):
    folder = save_preset(tiny_encoder(), tmp_path / "preset")
    (folder / "config.json").unlink()
    (folder / "config.json").mkdir()
    with pytest.raises(OccupiedFolderError, match=r"holds 'config.json'"):
        save_preset(tiny_encoder(), folder)


def test_the_classes_tell_their_presets():
    encoder = rationale_encoder()
    encoder.save_to_preset(store_path("birds"))
    CommonRationaleClassifier(encoder, 3).save_to_preset(store_path("birds_classes"))
    known = [info.name for info in list_presets()]
    encoders, classifiers = (
        cls.presets for cls in (CommonRationaleEncoder, CommonRationaleClassifier)
    )
    assert list(classifiers) == known
    assert list(encoders) == [name for name in known if name != "birds_classes"]
    assert encoders["birds"].stored == store_path("birds")
    assert encoders["demo_squeezenet"].where == "package"
    assert not hasattr(encoder, "presets")  # Keras would look for weights in it


def test_nothing_that_lists_presets_imports_keras():
    code = """
import sys
from keras_cr.cli import main
for argv in (["list"], ["list", "--json"], ["info", "demo_squeezenet"], ["card", "--check"]):
    assert main(["presets", *argv]) == 0
import keras_cr
keras_cr.list_presets(), keras_cr.presets.cards(), keras_cr.presets.publish
print({"keras", "tensorflow", "numpy"} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "set()"


def test_every_name_of_the_package_is_there():
    import keras_cr

    for module in (keras_cr, keras_cr.presets):
        assert set(module.__all__) <= set(dir(module))
        for name in module.__all__:
            assert getattr(module, name) is not None
    assert callable(keras_cr.presets.publish)
    assert callable(keras_cr.presets.register)
    assert callable(keras_cr.presets.model_card)
    with pytest.raises(AttributeError, match="no attribute 'lode_preset'"):
        getattr(keras_cr.presets, "lode_preset")  # noqa: B009
