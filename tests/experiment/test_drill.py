"""The preemption drill, in a process that TensorFlow has not started in."""

import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="forks, and counts threads first")
def test_a_run_that_is_killed_in_every_phase_is_the_run_that_nothing_stopped(tmp_path):
    command = [sys.executable, "-m", "tests.experiment.drill", tmp_path / "drill"]
    command += ["--moments", os.environ.get("KERAS_CR_DRILL", "10")]
    alone = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), "1")
    alone["JE_ARROW_MALLOC_CONF"] = "background_thread:false"  # of pyarrow, which pandas brings
    environment = {**os.environ, **alone, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert "no difference" in done.stdout
