"""The preemption drill: a run that is killed at random moments is the run that nothing stopped.

    python -m tests.experiment.drill PLACE --moments 20 --seed 0

makes a run in PLACE/whole and another in PLACE/killed, which SIGKILL ends at so many moments of
all its phases, one after the other, and which goes on each time. Then it compares: states and
presets to the last bit, history and metrics word for word. Each attempt is a process of its own,
forked from this one, which has imported all and started nothing: TensorFlow has no thread yet.
"""

import argparse
import functools
import os
import pathlib
import random
import resource
import signal
import sys
import threading
import time
import zipfile

import h5py
import matplotlib.pyplot  # noqa: F401 - once, and not in every attempt
import numpy as np
import sklearn.linear_model  # noqa: F401 - the same

from keras_cr import experiment
from keras_cr.data import read_cub, synthetic_birds, write_cub_layout
from keras_cr.experiment import Run, training
from keras_cr.models import CommonRationaleEncoder
from keras_cr.rationale import fit_rationale
from tests.case import tiny_backbone

PHASES = ("read", "evaluate before", "train", "refit", "evaluate after", "preset", "report")
SHARES = (2, 2, 7, 2, 2, 2, 3)  # of the moments beyond one in each
SETTINGS = {
    "dataset": "birds",
    "epochs": 2,
    "batch_size": 8,
    "image_size": 32,
    "protocols": ("retrieval",),
    "rationale_options": {"foregrounds": "off"},
    "save_every": "1",
}


class Phases:
    """Tells, of a run in this process, which phase it is in; and kills it in one of them.

    Args:
        report: gets a line a phase that begins.
        phase: in which to be killed, or None.
        delay: seconds after it began.
    """

    def __init__(self, report, phase=None, delay=0.0):
        self.report, self.phase, self.delay = report, phase, delay

    def begin(self, name):
        os.write(self.report, f"{name}\t{time.monotonic()}\n".encode())
        if name == self.phase:
            self.phase = None
            threading.Timer(self.delay, os.kill, (os.getpid(), signal.SIGKILL)).start()

    def watch(self, owner, attribute, name):
        """Has a function tell that its phase begins."""
        function = getattr(owner, attribute)

        @functools.wraps(function)
        def told(*args, **kwargs):
            self.begin(name(kwargs) if callable(name) else name)
            return function(*args, **kwargs)

        setattr(owner, attribute, told)

    def watch_all(self):
        self.watch(training, "pretrain", "train")
        self.watch(training, "_fit_branch", "refit")
        after = {False: "evaluate before", True: "evaluate after"}
        self.watch(Run, "_evaluate", lambda given: after[given["with_controls"]])
        self.watch(CommonRationaleEncoder, "save_to_preset", "preset")
        self.watch(sys.modules[Run.__module__], "write_pictures", "report")


def attempt(place, name, resume, phase=None, delay=0.0):
    """A run, or what is left of it, in a process of its own.

    Returns:
        How it ended, as `os.waitpid` says it, and the phases that began, with their times.
    """
    reading, report = os.pipe()
    if (child := os.fork()) == 0:
        os.close(reading)
        log = os.open(place / f"{name}.log", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        _run(place, name, resume, Phases(report, phase, delay))
    os.close(report)
    with os.fdopen(reading) as file:
        told = [line.rstrip("\n").split("\t") for line in file]
    status = os.waitpid(child, 0)[1]
    return status, [(phase, float(begun)) for phase, begun in told]


def _run(place, name, resume, phases):
    """Runs, and ends this process: with 0, or by a kill that has not come yet."""
    status = 1
    try:
        os.environ["KERAS_CR_HOME"] = str(place / f"{name}-home")
        training.fit_rationale = functools.partial(fit_rationale, rounds=1, epochs=2)
        killed = phases.phase
        phases.watch_all()

        def read(data_dir):
            phases.begin("read")
            return read_cub(data_dir)

        settings = experiment.Settings(
            **SETTINGS, data_dir=str(place / "data"), output=str(place / name), resume=resume
        )
        experiment.run(settings, read, build_backbone=tiny_backbone)
        phases.begin("end")
        if killed:
            os.kill(os.getpid(), signal.SIGKILL)
        status = 0
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def moments(number, lengths, seed):
    """Phases and seconds within them, in the order of the phases; one or more in each."""
    draw = random.Random(seed)
    drawn = [*PHASES, *draw.choices(PHASES, SHARES, k=max(number - len(PHASES), 0))]
    for phase in PHASES:
        delays = [draw.uniform(0, lengths[phase]) for _ in range(drawn.count(phase))]
        yield from ((phase, delay) for delay in sorted(delays))


def arrays(file):
    """What a file of weights holds, by name."""
    found = {}

    def keep(name, item):
        if isinstance(item, h5py.Dataset):
            found[name] = item[()]

    with h5py.File(file) as weights:
        weights.visititems(keep)
    return found


def differences(whole, killed):
    """What of a run's results is not the same."""
    for name in ("history.csv", "health.csv", "metrics.json", "metrics.csv", "per_image.csv"):
        if (whole / name).read_bytes() != (killed / name).read_bytes():
            yield name
    files = [
        {str(path.relative_to(each)) for path in each.rglob("*") if path.is_file()}
        for each in (whole, killed)
    ]
    yield from sorted(files[0] ^ files[1])
    for name in sorted(files[0] & files[1]):
        found = []
        for each in (whole, killed):
            if name.endswith(".keras"):
                with zipfile.ZipFile(each / name) as state:
                    found.append(arrays(state.open("model.weights.h5")))
            elif name.endswith(".h5"):
                found.append(arrays(each / name))
        if found:
            one, other = found
            assert one.keys() == other.keys(), name
            wrong = [key for key in one if not np.array_equal(one[key], other[key])]
            yield from (f"{name}: {key}" for key in wrong)


def used():
    """The CPU time of all attempts, in seconds."""
    found = resource.getrusage(resource.RUSAGE_CHILDREN)
    return found.ru_utime + found.ru_stime


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("place", type=pathlib.Path, help="an empty folder")
    parser.add_argument("--moments", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    args.place.mkdir(parents=True, exist_ok=True)
    birds = synthetic_birds(3, train_per_class=8, test_per_class=4, image_size=48, seed=1)
    write_cub_layout(birds, args.place / "data")
    threads = pathlib.Path("/proc/self/task")
    assert len(list(threads.iterdir())) == 1, "a process with threads can't be forked safely"

    status, told = attempt(args.place, "whole", resume=False)
    assert status == 0, (args.place / "whole.log").read_text()
    ends = [begun for _, begun in told[1:]]
    lengths = {}
    for (phase, begun), ended in zip(told, ends, strict=False):
        lengths[phase] = lengths.get(phase, 0.0) + ended - begun
    seconds = {phase: round(lengths[phase], 2) for phase in PHASES}
    print(f"Seconds of each phase: {seconds}; {used():.0f} s of CPU time", flush=True)
    ended = []
    for phase, delay in moments(args.moments, lengths, args.seed):
        status, told = attempt(args.place, "killed", True, phase, delay)
        assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL, (
            args.place / "killed.log"
        ).read_text()
        ended.append(told[-1][0])
        print(f"{phase} + {delay:.2f} s: killed in {ended[-1]!r}; {used():.0f} s", flush=True)
    status, _ = attempt(args.place, "killed", resume=True)
    assert status == 0, (args.place / "killed.log").read_text()
    assert len(set(ended) - {"end"}) >= len(PHASES) // 2, ended
    wrong = list(differences(args.place / "whole", args.place / "killed"))
    assert not wrong, wrong
    print(f"{len(ended)} kills, no difference; {used():.0f} s of CPU time")


if __name__ == "__main__":
    main()
