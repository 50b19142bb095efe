"""A save is all or nothing: whatever fails, whoever is killed, however many write at once."""

import ast
import os
import shutil
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_cr.presets import (
    ForeignPresetError,
    PresetError,
    UnknownPresetError,
    load_preset,
    save_preset,
    verify_preset,
)
from keras_cr.presets.manifest import FILES
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


@pytest.mark.parametrize("refused", ["rename", "replace"])
def test_a_failure_while_the_files_move_leaves_the_old_preset(tmp_path, monkeypatch, refused):
    old = tiny_encoder(seed=0)
    folder = save_preset(old, tmp_path / "preset")
    call = getattr(os, refused)

    def fail_once(source, target):
        monkeypatch.setattr(os, refused, call)
        raise PermissionError("in use")

    monkeypatch.setattr(os, refused, fail_once)
    with pytest.raises(PermissionError, match="in use"):
        save_preset(tiny_encoder(seed=1), folder)
    assert sorted(os.listdir(folder)) == sorted(FILES)
    assert os.listdir(tmp_path) == ["preset"]
    assert_holds(folder, old)


def test_a_failure_after_some_files_have_moved_is_made_good_by_the_next_look(tmp_path, monkeypatch):
    folder = save_preset(tiny_encoder(seed=0), tmp_path / "preset")
    new, call = tiny_encoder(seed=1), os.replace

    def fail_on_the_last(source, target):
        if target.name == "preset.json":
            raise PermissionError("in use")
        call(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail_on_the_last)
        with pytest.raises(PermissionError, match="in use"):
            save_preset(new, folder)
        with pytest.raises(PresetError, match="a save was cut off"):  # never a mix of both
            load_preset(folder)
    assert_holds(folder, new)
    assert sorted(os.listdir(folder)) == sorted(FILES)


@needs_fork
@pytest.mark.parametrize("before", ["an empty folder", "a preset"])
def test_killed_at_any_moment(tmp_path, before):
    """Before and after every step on the disk: what was there, or what is new, and no mix."""
    old = save_preset(tiny_encoder(seed=0), tmp_path / "old")
    die = """
        import shutil
        left = [{steps}]
        def dying(step):
            def count():
                left[0] -= 1
                left[0] or os.kill(os.getpid(), signal.SIGKILL)
            def run(*args, **kwargs):
                count()
                result = step(*args, **kwargs)
                count()
                return result
            return run
        for module, name in ((os, "mkdir"), (keras.saving, "save_weights"), (os, "rename"),
                             (os, "replace"), (os, "rmdir"), (shutil, "rmtree")):
            setattr(module, name, dying(getattr(module, name)))
        save_preset(tiny_encoder(seed=1), {folder!r})
    """
    folders = [tmp_path / str(steps) / "preset" for steps in range(1, 20)]
    for folder in folders:
        if before == "a preset":
            shutil.copytree(old, folder)
        else:
            folder.mkdir(parents=True)
    codes = [die.format(steps=n, folder=str(folder)) for n, folder in enumerate(folders, 1)]
    output, _ = start(*codes).communicate(timeout=300)
    ends = ast.literal_eval(output)
    assert ends[-1] == 0, "more steps than the test foresees"
    assert ends.count(-9) >= 14
    weights = {(folder / "model.weights.h5").read_bytes(): "new" for folder in folders[-1:]}
    weights |= {(old / "model.weights.h5").read_bytes(): "old"}
    seen = []
    for folder in folders:
        try:
            verify_preset(folder)
        except ForeignPresetError:  # it holds no preset.json
            seen.append("none")
        else:
            seen.append(weights[(folder / "model.weights.h5").read_bytes()])
    first = "old" if before == "a preset" else "none"
    turn = seen.index("new")
    assert seen == [first] * turn + ["new"] * (len(seen) - turn)
    for folder in folders[:: len(folders) // 3]:
        assert_holds(save_preset(load_preset(old), folder), load_preset(old))
        hidden = [name for name in os.listdir(folder) if name not in FILES]
        assert all(".new-" in name for name in hidden), "removed after a day"


def test_old_litter_is_removed_and_new_is_somebody_elses(tmp_path):
    model = tiny_encoder()
    folder = save_preset(model, tmp_path / "preset")
    names = [f".keras-cr.new-{born:016x}-{'0' * 8}" for born in (0, time.time_ns())]
    for place in (tmp_path, folder):
        for name in names:
            (place / name).mkdir()
    save_preset(model, folder)
    save_preset(model, tmp_path / "other")
    assert sorted(os.listdir(tmp_path)) == [names[1], "other", "preset"]
    assert sorted(os.listdir(folder)) == sorted([*FILES, names[1]])


def test_a_link_of_the_same_name_takes_nothing_from_elsewhere(tmp_path):
    model = tiny_encoder(seed=0)
    folder = save_preset(model, tmp_path / "preset")
    other = save_preset(tiny_encoder(seed=1), tmp_path / "other")
    (folder / ".keras-cr.moving").symlink_to(other)
    assert_holds(folder, model)
    assert sorted(os.listdir(other)) == sorted(FILES)


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
