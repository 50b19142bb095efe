"""Commands and recipes start TensorFlow without its chatter; a user's own process is left alone."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from keras_cr._environment import without_chatter

ROOT = Path(__file__).parents[1]


def run(*argv, **settings):
    """A program as a user starts it: none of the tests' own settings for TensorFlow."""
    ours = ("KERAS_BACKEND", "TF_CPP_MIN_LOG_LEVEL", "TF_ENABLE_ONEDNN_OPTS")
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    environment |= {"PYTHONPATH": str(ROOT), **settings}
    done = subprocess.run(
        [sys.executable, *map(str, argv)], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done


def test_a_command_says_nothing_of_tensorflow(tmp_path):
    from tests.data.helpers import pixels, save_image

    for number, image in enumerate(pixels(3, 64, 80)):
        save_image(tmp_path / "photos" / f"{number}.png", image)
    argv = ("explain", tmp_path / "photos", "--preset", "demo_squeezenet", "-o", tmp_path / "maps")
    done = run("-m", "keras_cr", *argv)
    progress = re.compile(r"[A-Z][\w ]+(: +\d+% \d+/\d+ \w+)? \[\d+:\d\d.*\]")
    assert [line for line in done.stderr.splitlines() if not progress.fullmatch(line)] == []
    assert (tmp_path / "maps").is_dir()


def test_a_recipe_starts_quietly_and_keeps_what_a_user_has_set():
    code = """
import keras_cr.experiment
import logging, os, sys
import tensorflow as tf
tf.zeros(1) + 1
logging.getLogger("tensorflow").warning("retracing")
print(os.environ["TF_CPP_MIN_LOG_LEVEL"], os.environ["KERAS_BACKEND"])
print("mine", file=sys.stderr)
"""
    done = run("-c", code)
    assert done.stdout == "3 tensorflow\n"
    assert done.stderr == "mine\n"
    code = """
import os
import keras_cr._environment
print(os.environ["TF_CPP_MIN_LOG_LEVEL"])
"""
    assert run("-c", code, TF_CPP_MIN_LOG_LEVEL="0").stdout == "0\n"


def test_a_users_own_process_is_left_alone():
    code = """
import os
before = dict(os.environ)
import keras_cr, logging
keras_cr.list_presets()
assert dict(os.environ) == before
assert logging.getLogger("tensorflow").level == logging.NOTSET
"""
    run("-c", code)


def test_only_chatter_is_left_out(capfd):
    with without_chatter():
        os.write(2, b"WARNING: All log messages before absl::InitializeLog() is called are ...\n")
        os.write(2, b"I0000 00:00:1795832451.528091    8015 port.cc:153] oneDNN custom ...\n")
        os.write(2, b"E0000 00:00:1795832458.409206    8015 cuda_platform.cc:52] failed call\n")
        os.write(2, b"F0000 00:00:1795832458.409206    8015 cpu_feature_guard.cc:9] no AVX\n")
        os.write(2, b"WARNING: of somebody else\nIn two lines\nwithout an end")
    os.write(2, b"\nafter\n")
    assert capfd.readouterr().err == (
        "F0000 00:00:1795832458.409206    8015 cpu_feature_guard.cc:9] no AVX\n"
        "WARNING: of somebody else\nIn two lines\nwithout an end\nafter\n"
    )


def test_what_was_said_before_an_error_is_kept(capfd):
    def fail():
        with without_chatter():
            os.write(2, b"a reason\n")
            raise ImportError("broken")

    with pytest.raises(ImportError, match="broken"):
        fail()
    assert capfd.readouterr().err == "a reason\n"
