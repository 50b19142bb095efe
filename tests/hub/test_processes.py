"""Processes that publish and load at once, and one that is killed while it downloads."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from huggingface_hub import HfApi

from keras_cr.presets import HubOfflineError, load_preset, publish, save_preset
from tests.presets.tiny import images, tiny_encoder

ROOT = pathlib.Path(__file__).parents[2]
PUBLISH = """
import pathlib, sys, time
from keras_cr.presets import PublishConflictError, publish
from huggingface_hub import HfApi
import tests.presets.tiny
folder, mark = sys.argv[1:]
commit = HfApi.create_commit
def wait_and_commit(self, *args, **kwargs):
    pathlib.Path(mark, pathlib.Path(folder).name).touch()
    while len(list(pathlib.Path(mark).iterdir())) < 2:
        time.sleep(0.01)
    return commit(self, *args, **kwargs)
HfApi.create_commit = wait_and_commit
try:
    publish(folder, "hf://org/birds", tag="v1", token="hf_writer")
except PublishConflictError as error:
    sys.exit(3)
"""
LOAD = """
import sys
from keras_cr.presets import load_preset
import tests.presets.tiny
import numpy as np
model = load_preset("hf://org/birds@v1")
np.save(sys.argv[1], np.asarray(model(tests.presets.tiny.images())))
"""


@pytest.fixture
def start(hub, tmp_path):
    """Starts a program in a process of its own that knows the test's Hub alone."""
    environment = os.environ | {
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(tmp_path / "home"),
        "HF_HUB_CACHE": str(tmp_path / "client" / "hub"),
        "HF_HUB_DISABLE_XET": "1",
        "PYTHONPATH": str(ROOT),
    }
    running = []

    def run(program, *arguments):
        command = [sys.executable, "-c", program, *map(str, arguments)]
        running.append(subprocess.Popen(command, env=environment, stderr=subprocess.PIPE))
        return running[-1]

    yield run
    for process in running:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_two_publish_at_once(hub, start, tmp_path):
    HfApi(token="hf_writer").create_repo("org/birds")
    models = [tiny_encoder(seed=seed) for seed in (0, 1)]
    (tmp_path / "mark").mkdir()
    processes = [
        start(PUBLISH, save_preset(model, tmp_path / str(number)), tmp_path / "mark")
        for number, model in enumerate(models)
    ]
    errors = [process.communicate(timeout=120)[1] for process in processes]
    codes = [process.returncode for process in processes]
    assert sorted(codes) == [0, 3], errors
    winner = models[codes.index(0)]
    np.testing.assert_array_equal(load_preset("hf://org/birds@v1")(images()), winner(images()))
    assert len(HfApi().list_repo_commits("org/birds")) == 2


@pytest.mark.slow
def test_two_load_at_once_and_one_is_killed(hub, start, tmp_path):
    model = tiny_encoder()
    publish(model, "hf://org/birds", tag="v1", token="hf_writer")
    hub.log.clear()
    hub.fault("GET", "/_cdn/", delay=60)
    killed = start(LOAD, tmp_path / "killed.npy")
    deadline = time.monotonic() + 120
    while not any("/_cdn/" in request["path"] for request in hub.log):
        assert time.monotonic() < deadline, "it never came to the weights"
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    with pytest.raises(HubOfflineError, match="not in the cache"):
        load_preset("hf://org/birds@v1", local_files_only=True)

    both = [start(LOAD, tmp_path / f"{number}.npy") for number in (0, 1)]
    errors = [process.communicate(timeout=120)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], errors
    for number in (0, 1):
        np.testing.assert_array_equal(np.load(tmp_path / f"{number}.npy"), model(images()))
