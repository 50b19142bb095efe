"""A save is all or nothing: whatever fails, whoever is killed, however many write at once."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_cr.presets import PresetError, UnknownPresetError, atomic, load_preset, save_preset
from tests.presets.tiny import images, tiny_encoder

ROOT = Path(__file__).parents[2]
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="os.fork starts the processes")


def outputs(model):
    return keras.ops.convert_to_numpy(model(images()))


def assert_holds(folder, model):
    np.testing.assert_allclose(outputs(load_preset(folder)), outputs(model), rtol=1e-6)


def start(*codes):
    """Runs each code in a process of its own; the process returned prints their exit codes.

    Keras is imported once, before the fork.
    """
    launcher = """
        import os, signal, sys
        from pathlib import Path
        import keras
        from keras_cr.presets import save_preset
        from tests.presets.tiny import tiny_encoder
        children = []
        for code in sys.argv[1:]:
            if (child := os.fork()) == 0:
                exec(code)
                os._exit(0)
            children.append(child)
        print([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children])
    """
    command = [sys.executable, "-c", *map(textwrap.dedent, (launcher, *codes))]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("where", ["keras.saving.save_weights", "json.dumps", "os.fsync"])
def test_a_failure_in_the_middle_leaves_the_old_preset(tmp_path, monkeypatch, where):
    old = tiny_encoder(seed=0)
    folder = save_preset(old, tmp_path / "preset")

    def fail(*args, **kwargs):
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(where, fail)
        with pytest.raises(OSError, match="disk full"):
            save_preset(tiny_encoder(seed=1), folder)
    assert os.listdir(tmp_path) == ["preset"]
    assert_holds(folder, old)


def test_a_failure_between_the_renames_restores_the_old_preset(tmp_path, monkeypatch):
    old = tiny_encoder(seed=0)
    folder = save_preset(old, tmp_path / "preset")
    rename, calls = os.rename, []

    def fail_second(source, target):
        calls.append(source)
        if len(calls) == 2:
            raise PermissionError("in use")
        rename(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", fail_second)
        with pytest.raises(PermissionError, match="in use"):
            save_preset(tiny_encoder(seed=1), folder)
    assert os.listdir(tmp_path) == ["preset"]
    assert_holds(folder, old)


@needs_fork
def test_killed_in_the_middle(tmp_path):
    """In one process while it writes, in the other between the two renames."""
    old, new = tiny_encoder(seed=0), tiny_encoder(seed=2)
    folders = [save_preset(old, tmp_path / name / "preset") for name in ("writing", "renaming")]
    while_writing = f"""
        def save_weights(model, path, **kwargs):
            Path(path).write_bytes(b"half")
            os.kill(os.getpid(), signal.SIGKILL)
        keras.saving.save_weights = save_weights
        save_preset(tiny_encoder(seed=1), {str(folders[0])!r})
    """
    while_renaming = f"""
        rename = os.rename
        def rename_and_die(source, target):
            rename(source, target)
            os.kill(os.getpid(), signal.SIGKILL)
        os.rename = rename_and_die
        save_preset(tiny_encoder(seed=1), {str(folders[1])!r})
    """
    output, _ = start(while_writing, while_renaming).communicate(timeout=120)
    assert output.strip() == "[-9, -9]"
    assert [folder.exists() for folder in folders] == [True, False]
    for folder in folders:
        assert_holds(folder, old)  # loading brings back what was set aside
        assert_holds(save_preset(new, folder), new)


def test_what_was_set_aside_is_restored_and_old_litter_removed(tmp_path, monkeypatch):
    model = tiny_encoder()
    folder = save_preset(model, tmp_path / "preset")
    folder.rename(atomic._sibling(folder, "old"))
    monkeypatch.setattr(atomic.time, "time_ns", lambda: 0)
    atomic._sibling(folder, "new").mkdir()
    monkeypatch.undo()
    other = tmp_path / ".preset.new-mine"
    other.mkdir()
    assert_holds(folder, model)
    save_preset(model, folder)
    assert sorted(os.listdir(tmp_path)) == [".preset.new-mine", "preset"]


@needs_fork
def test_two_writers_and_a_reader(tmp_path):
    folder = tmp_path / "preset"
    code = f"for seed in range(10): save_preset(tiny_encoder(seed=seed), {str(folder)!r})"
    writers = start(code, code)
    seen = False
    while writers.poll() is None:
        try:
            load_preset(folder)
            seen = True
        except UnknownPresetError:
            assert not seen  # once there, it never disappears
        except PresetError as error:  # nor does it look broken, however fast it changes
            assert "replaced over and over" in str(error)  # noqa: PT017
            seen = True
    assert writers.stdout.read().strip() == "[0, 0]"
    assert seen
    assert os.listdir(tmp_path) == ["preset"]
    assert_holds(folder, tiny_encoder(seed=9))
