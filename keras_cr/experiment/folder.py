"""A run's folder: where it is, whose it is, and what it was made by."""

import datetime
import json
import os
import secrets
import shlex
import sys
from pathlib import Path

import keras

from keras_cr._text import printable
from keras_cr.experiment.outputs import write_json
from keras_cr.experiment.settings import Settings
from keras_cr.version import __version__


def output_path(settings: Settings, name: str) -> Path:
    """`settings.output`, or a new folder under `runs/` that has the preset's name."""
    if settings.output is not None:
        return Path(settings.output)
    output, number = Path("runs") / name, 1
    while output.exists():
        number += 1
        output = Path("runs") / f"{name}-{number}"
    return output


def changed_settings(config: Path, settings: Settings) -> str:
    """Which settings of the run that wrote `config` are others now, for a message; else empty.

    A setting that a run's version did not know yet was what is now its default; one that is no
    setting any more, such as `temperature`, can't be the same.
    """
    earlier = Settings().of_the_run() | json.loads(config.read_text())["settings"]
    wanted = settings.of_the_run()
    gone = [f"{name} was {earlier[name]!r}, is no setting" for name in earlier.keys() - wanted]
    changed = [n for n in wanted if wanted[n] != earlier[n]]
    return ", ".join([f"{n} was {earlier[n]!r}, is {wanted[n]!r}" for n in changed] + sorted(gone))


def run_mark(output: Path, settings: Settings) -> str | None:
    """What tells a run from every other: the one in its folder, or a new one.

    Returns:
        Random digits; None for a run that goes on and was begun by a version without them.
    """
    config = output / "config.json"
    if config.is_file() and settings.resume:
        return json.loads(config.read_text()).get("run")
    return secrets.token_hex(8)


def open_output(output: Path, settings: Settings, run: str | None) -> None:
    """Makes the run's folder and writes its settings down; refuses what belongs to another run."""
    config = output / "config.json"
    if config.is_file() and settings.resume:
        if changed := changed_settings(config, settings):
            raise ValueError(
                f"`resume`: {output} holds a run with other settings: {changed}. Use the same "
                "ones, or another `output`."
            )
        return
    if output.exists() and any(output.iterdir()):
        raise ValueError(
            f"`output`: {output} is not empty. Go on with the run in it, resume=True, or name "
            "another folder."
        )
    output.mkdir(parents=True, exist_ok=True)
    write_json(config, {"settings": settings.of_the_run(), **source_of(settings), "run": run})


def source_of(settings: Settings) -> dict:
    """Where a run's results come from: command, date, seed and versions."""
    return {
        "command": printable(shlex.join(["python", *sys.argv])),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "seed": settings.seed,
        "keras_cr": __version__,
        "keras": keras.__version__,
        "onednn": os.environ.get("TF_ENABLE_ONEDNN_OPTS"),
    }
