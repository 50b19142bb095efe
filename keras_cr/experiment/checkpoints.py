"""A run's training states: the last two, each with what vouches for it."""

import dataclasses
import hashlib
import itertools
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras

from keras_cr._files import whole_file, writing_hdf5
from keras_cr._progress import announce
from keras_cr.presets.fingerprints import fingerprint

KEPT = 2
_NAME = re.compile(r"step-(\d+)\.keras")


class DamagedError(ValueError):
    """A training's state is not as it was written, or none is."""


@dataclasses.dataclass(frozen=True)
class Reached:
    """How far a training is.

    Attributes:
        step: steps that are done, of the whole training.
        epoch: whole epochs that are done.
        epoch_step: steps of the next one that are done.
        history: what `history.csv` holds: a row for each whole epoch.
        running: the state of the metrics of the epoch that is not whole yet, by name.
    """

    step: int
    epoch: int
    epoch_step: int
    history: list[dict[str, Any]]
    running: dict[str, list[float]]


def checkpoints_path(folder: Path) -> Path:
    """Where a run keeps its training states."""
    return folder / "checkpoints"


def write_checkpoint(folder: Path, model: keras.Model, reached: Reached) -> Path:
    """Keeps a training's state; of earlier ones the last is left, and none that was passed over.

    The state comes first and then a JSON file with its sha256, what was reached, and the sha256 of
    these two, so that a state that a kill left half written counts as none.

    Args:
        folder: the run's.
        model: the pretrainer.
        reached: how far it is.

    Returns:
        The state's file.

    Raises:
        OSError: it can't be written; those before it are left as they were.
    """
    place = checkpoints_path(folder)
    place.mkdir(parents=True, exist_ok=True)
    state = place / f"step-{reached.step:08d}.keras"
    part = state.with_suffix(".part.keras")
    try:
        with writing_hdf5("the training's state", state):
            model.save(part)
        record = {"file": fingerprint(part), "reached": dataclasses.asdict(reached)}
        os.replace(part, state)
    finally:
        part.unlink(missing_ok=True)
    with whole_file(state.with_suffix(".json")) as file:
        file.write_text(json.dumps(record | {"sha256": _seal(record)}) + "\n")
    states = list(_states(place))
    earlier = states[states.index(state) + 1 :]  # later ones are damaged, and were passed over
    left = [state, *itertools.islice(filter(_is_whole, earlier), KEPT - 1)]
    for other in states:
        if other not in left:
            other.with_suffix(".json").unlink(missing_ok=True)
            other.unlink()
    return state


def last_checkpoint(folder: Path) -> tuple[keras.Model, Reached] | None:
    """The pretrainer in the last state that is whole, and how far it is; None without any.

    Says in a line which states are damaged and passed over.

    Raises:
        DamagedError: there are states and none can go on.
    """
    damaged, before = [], checkpoints_path(folder) / "last.keras"
    if before.is_file():
        damaged.append(f"{before.name} (of an earlier version)")
    for state in _states(checkpoints_path(folder)):
        try:
            found = _load(state)
        except (OSError, ValueError, KeyError, TypeError) as error:
            told = " ".join(str(error).split()).rstrip(".")
            damaged.append(f"{state.name} ({told[:200]})")
            continue
        if damaged:
            announce(f"Damaged, and passed over: {', '.join(damaged)}. Going on at {state.name}.")
        return found
    if damaged:
        raise DamagedError(
            f"`resume`: no state in {checkpoints_path(folder)} can go on: {', '.join(damaged)}. "
            "Begin the run anew in another `output`. The encoder of a state that another version "
            "of keras_cr wrote loads all the same: load_weights(FILE, skip_mismatch=True) of a "
            "pretrainer like it."
        )
    return None


def last_state(folder: Path) -> Path | None:
    """The file of the newest state, whole or not."""
    return next(_states(checkpoints_path(folder)), None)


def _states(place: Path) -> Iterator[Path]:
    """Every state, the newest first."""
    found = {path: _NAME.fullmatch(path.name) for path in place.glob("step-*.keras")}
    numbers = {path: int(match[1]) for path, match in found.items() if match}
    return iter(sorted(numbers, key=numbers.get, reverse=True))  # type: ignore[arg-type]


def _is_whole(state: Path) -> bool:
    try:
        _record(state)
    except (OSError, DamagedError):
        return False
    return True


def _load(state: Path) -> tuple[keras.Model, Reached]:
    record = _record(state)
    return keras.saving.load_model(state), Reached(**record["reached"])


def _record(state: Path) -> dict[str, Any]:
    """What was written of a state.

    Raises:
        DamagedError: it, or the state, is not as it was written.
    """
    beside = state.with_suffix(".json")
    try:
        record = json.loads(beside.read_text())
        whole = record.pop("sha256") == _seal(record)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        whole = False
    if not whole:
        raise DamagedError(f"{beside.name} is another than when it was written")
    if fingerprint(state) != record["file"]:
        raise DamagedError("its sha256 is another than when it was written")
    return record


def _seal(record: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
