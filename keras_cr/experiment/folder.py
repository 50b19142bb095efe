"""A run's folder: where it is, whose it is, and what it was made by."""

import datetime
import json
import os
import secrets
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import filelock
import keras

from keras_cr._files import half_written
from keras_cr._progress import announce
from keras_cr._text import printable
from keras_cr.data import FineGrainedDataset
from keras_cr.data.digest import digest
from keras_cr.experiment.checkpoints import checkpoints_path
from keras_cr.experiment.outputs import write_json
from keras_cr.experiment.settings import Settings
from keras_cr.experiment.surroundings import surroundings
from keras_cr.presets.atomic import sweep
from keras_cr.version import __version__

LOCK = ".lock"


def output_path(settings: Settings, name: str) -> Path:
    """`settings.output`, or a new folder under `runs/` that has the preset's name."""
    if settings.output is not None:
        return Path(settings.output)
    output, number = Path("runs") / name, 1
    while output.exists():
        number += 1
        output = Path("runs") / f"{name}-{number}"
    return output


def changed_settings(config: dict, settings: Settings) -> str:
    """Which settings of the run of a config.json are others now, for a message; else empty.

    A setting that a run's version did not know yet was what is now its default; one that is no
    setting any more, such as `temperature`, can't be the same.
    """
    earlier = Settings().of_the_run() | config["settings"]
    wanted = settings.of_the_run()
    gone = [f"{name} was {earlier[name]!r}, is no setting" for name in earlier.keys() - wanted]
    changed = [n for n in wanted if wanted[n] != earlier[n]]
    return ", ".join([f"{n} was {earlier[n]!r}, is {wanted[n]!r}" for n in changed] + sorted(gone))


def read_config(output: Path, settings: Settings) -> dict | None:
    """What the run in a folder wrote of itself, where these settings go on with one.

    Raises:
        ValueError: they are to go on, and the folder holds files but no run that could.
    """
    return read_folder(output, "resume") if settings.resume else None


def read_folder(output: Path, argument: str) -> dict | None:
    """What the run in a folder wrote of itself; None where there is nothing in it.

    Raises:
        ValueError: it holds files but no run, or one whose config.json is damaged; the message
            names `argument`.
    """
    config = output / "config.json"
    if not config.is_file():
        if files_in(output):
            raise ValueError(
                f"`{argument}`: {output} holds no run: there is no config.json in it. Name the "
                "folder of a run, or an empty one to begin anew."
            )
        return None
    try:
        found = json.loads(config.read_text())
        found["settings"].items()
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(
            f"`{argument}`: {config} is damaged, and says no longer what run it was. Put "
            "back a copy, or begin anew in another `output`."
        ) from error
    return found


def files_in(output: Path) -> list[Path]:
    """What a folder holds, but for what a run that was killed at its very beginning leaves."""
    found = set(output.iterdir()) if output.is_dir() else set()
    return sorted(found - {output / LOCK, *half_written(output)})


def clear_leftovers(folder: Path) -> None:
    """Removes what a run that was killed has left half written, in its folder and those within.

    The run holds the folder's lock, so nobody else writes there. A folder within it that has a lock
    of its own is another run's and stays as it is.
    """
    for name, within, files in os.walk(folder):
        place = Path(name)
        if place != folder and LOCK in files:
            within.clear()
            continue
        sweep(place, stale_seconds=0)
        for path in half_written(place):
            path.unlink(missing_ok=True)
    for path in checkpoints_path(folder).glob("*.part.keras"):
        path.unlink(missing_ok=True)


def run_mark(output: Path, settings: Settings) -> str | None:
    """What tells a run from every other: the one in its folder, or a new one.

    Returns:
        Random digits; None for a run that goes on and was begun by a version without them.
    """
    config = read_config(output, settings)
    return secrets.token_hex(8) if config is None else config.get("run")


def open_output(
    output: Path,
    settings: Settings,
    run: str | None,
    dataset: FineGrainedDataset,
    decided: Mapping[str, Any],
) -> filelock.FileLock:
    """Makes the run's folder and writes down what it depends on; refuses another run's.

    Args:
        output: the folder.
        settings: of the run.
        run: its mark, see `run_mark`.
        dataset: its images.
        decided: what the settings leave open, as it is.

    Returns:
        The folder's lock, held: until it is released, or this process ends however it may.

    Raises:
        ValueError: the folder holds another run or other files, or another process runs in it.
    """
    others = settings.others()
    if settings.data_dir is not None:
        others["data_dir"] = os.path.abspath(settings.data_dir)
    if (config := read_config(output, settings)) is not None:
        if changed := changed_settings(config, settings):
            raise ValueError(
                f"`resume`: {output} holds a run with other settings: {changed}. Use the same "
                "ones, or another `output`."
            )
        if told := other_data(config.get("data"), dataset):
            raise ValueError(
                f"`resume`: {output} holds a run on other images, labels or splits: {told}. Give "
                "it the same `data_dir`, or begin anew in another `output`."
            )
        lock = _locked(output)
        clear_leftovers(output)
        config["other_settings"] = others
        if "decided" in config:  # the rest is as it was begun, whatever this version would decide
            config["decided"] |= {"pooling": decided["pooling"]}
        write_json(output / "config.json", config)
        return lock
    if output.exists() and (not output.is_dir() or files_in(output)):
        raise ValueError(
            f"`output`: {output} is not empty. Go on with the run in it, resume=True, or name "
            "another folder."
        )
    if settings.resume:
        announce(f"Nothing to go on with in {str(output)!r}: a new run begins there.")
    output.mkdir(parents=True, exist_ok=True)
    lock = _locked(output)
    clear_leftovers(output)
    content = {"settings": settings.of_the_run(), "decided": decided, "other_settings": others}
    content |= {**source_of(settings), "run": run, "data": _data_of(dataset)}  # type: ignore[dict-item]
    write_json(output / "config.json", content | {"surroundings": surroundings()})
    return lock


def _locked(output: Path) -> filelock.FileLock:
    lock = filelock.FileLock(output / LOCK)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout as error:
        raise ValueError(
            f"`output`: another process runs in {output}. Wait for its end, or name another folder."
        ) from error
    return lock


def _data_of(dataset: FineGrainedDataset) -> dict:
    train = int(dataset.is_train.sum())
    return {"train": train, "others": len(dataset) - train, "sha256": digest(dataset)}


def other_data(before: dict | None, dataset: FineGrainedDataset) -> str | None:
    """In which images, labels or splits a data set differs from the one a run began with.

    Args:
        before: what config.json says; None, of a run of an earlier version, is taken for the same.
        dataset: the data set now; one in a folder that was moved is the same.
    """
    now = _data_of(dataset)
    if before is None or before == now:
        return None
    counts = [
        f"{each['train']} training images and {each['others']} others" for each in (before, now)
    ]
    return f"{counts[0]} then, {counts[1]} now" if counts[0] != counts[1] else "as many as now"


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
