"""Two processes on the loopback interface, joined by jax.distributed, compute what one does."""

import importlib.util
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.interoperability.jax_machines import MACHINES

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="needs JAX")
def test_two_machines_compute_what_one_does(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    program = [sys.executable, "-m", "tests.interoperability.jax_machines"]
    environment = os.environ | {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    environment |= {"PYTHONPATH": str(ROOT)}
    machines = [
        subprocess.Popen(
            [*program, str(rank), port, tmp_path],
            env=environment,
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(MACHINES)
    ]
    errors = [machine.communicate(timeout=300)[1] for machine in machines]
    assert [machine.returncode for machine in machines] == [0] * MACHINES, errors
    alone, *together = (dict(np.load(tmp_path / f"{n}.npz")) for n in ("alone", *range(MACHINES)))
    for rank, found in enumerate(together):
        for name, values in alone.items():
            own = values if name == "numbers" else values[rank::MACHINES]
            np.testing.assert_allclose(found[name], own, atol=1e-4, err_msg=name)
