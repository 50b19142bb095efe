"""Two and four devices train what one does; see `on_replicas`, which does it."""

import json
import pathlib
import re
import subprocess
import sys

import pytest

from keras_cr.pretraining import OBJECTIVES

ROOT = pathlib.Path(__file__).parents[2]
CASES = (
    *sorted(OBJECTIVES),
    "moco on four",
    "moco in a graph",
    "moco skips",
    "vicreg on four",
    "a centre",
    "a run",
    "a classifier",
)


@pytest.fixture(scope="module")
def distances():
    command = [sys.executable, "-m", "tests.pretraining.on_replicas"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-3000:]
    found = {}
    for line in done.stdout.splitlines():
        found |= json.loads(line)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_a_step_on_several_devices_is_that_of_one(distances, case):
    wrong = {name: distance for name, distance in distances[case].items() if not distance <= 1}
    assert not wrong


@pytest.mark.slow
@pytest.mark.parametrize(
    ("call", "told"),
    {
        "MoCo": "`encoder` must be built in the scope.*MoCo is.*on 1 devices, in a scope of 2",
        "a classifier": "`encoder` must be built in the scope.*Classifier is.*on 1 devices",
        "fit": "A batch must divide by the 2 replicas.*drop_remainder",
        "fit_rationale": "A rationale is fitted on one device.*scope of a strategy of 2",
        "pretrain": "`batch_size` must divide by the 2 replicas.*Received: 7",
        "train_on_batch": "A batch must divide by the 2 replicas. Received: 7 rows",
    }.items(),
)
def test_what_can_not_be_the_same_is_refused(distances, call, told):
    assert re.search(told, distances["refused"][call], re.DOTALL)
