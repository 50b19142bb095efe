"""What a run's numbers depend on beside its settings: programs, versions, the machine."""

import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import tensorflow as tf

from keras_cr._versions import installed_versions
from keras_cr.presets.fingerprints import fingerprint

_PACKAGES = ("keras", "tensorflow", "tensorflow-cpu", "numpy", "jax", "torch")
_PACKAGE = Path(__file__).parents[1]


def surroundings() -> dict[str, Any]:
    """What a run is made with.

    Returns:
        `versions` by name, `commit` of the checkout that the package is in (with `-dirty` where it
        was changed since; None outside of one), `machine` and `recipe`: the program's file and
        what vouches for it, or None.
    """
    return {
        "versions": installed_versions(*_PACKAGES),
        "commit": _commit(),
        "machine": _machine(),
        "recipe": _recipe(),
    }


def changed_surroundings(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What of versions, commit and machine is not as it was, a sentence's part each."""
    flat = [
        each["versions"] | each["machine"] | {"commit": each["commit"]} for each in (before, now)
    ]
    names = dict.fromkeys([*flat[0], *flat[1]])
    pairs = {name: tuple(each.get(name) for each in flat) for name in names}
    return [f"{n} was {old!r}, is {new!r}" for n, (old, new) in pairs.items() if old != new]


def _commit() -> str | None:
    git = ["git", "-C", str(_PACKAGE)]
    described = ["describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        for command in (["ls-files", "--error-unmatch", "version.py"], described):
            done = subprocess.run(
                [*git, *command], capture_output=True, text=True, timeout=10, check=True
            )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _machine() -> dict[str, Any]:
    details = map(tf.config.experimental.get_device_details, tf.config.list_physical_devices("GPU"))
    return {
        "system": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "gpus": [each.get("device_name", "GPU") for each in details],
        "onednn": os.environ.get("TF_ENABLE_ONEDNN_OPTS"),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor() or platform.machine())


def _recipe() -> dict[str, Any] | None:
    path = Path(sys.argv[0])
    if path.suffix != ".py" or not path.is_file():
        return None
    return {"file": str(path.resolve()), **fingerprint(path)}
