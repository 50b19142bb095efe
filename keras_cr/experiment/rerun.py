"""A run once more, in another folder, and what came out otherwise."""

import dataclasses
import json
import math
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from keras_cr._progress import announce
from keras_cr.callbacks._history import read_history
from keras_cr.experiment.folder import LOCK, files_in, other_data, read_folder
from keras_cr.experiment.program import taking_over
from keras_cr.experiment.run import ReadDataset, Run
from keras_cr.experiment.settings import Settings
from keras_cr.experiment.stopping import signals
from keras_cr.experiment.surroundings import changed_surroundings
from keras_cr.presets.fingerprints import fingerprint
from keras_cr.pretraining.divergence import DivergedError


class _Made(BaseException):
    """Ends a recipe whose run has been made again, before what it does with the result."""


@dataclasses.dataclass(frozen=True)
class Number:
    """A number of two runs, None where one of them has none.

    Attributes:
        name: `loss of epoch 3`, or its place in metrics.json, `retrieval.map`.
        then: in the first run.
        now: in the second.
    """

    name: str
    then: float | None
    now: float | None

    @property
    def difference(self) -> float:
        """How far apart they are; infinite where one is missing or not finite."""
        if self.then == self.now or (_is_nan(self.then) and _is_nan(self.now)):
            return 0.0
        if None in (self.then, self.now) or not math.isfinite(self.then - self.now):
            return math.inf
        return abs(self.then - self.now)


def rerun(
    folder: str | Path,
    read: ReadDataset,
    output: str | Path | None = None,
    data_dir: str | Path | None = None,
    **options: Any,
) -> list[Number]:
    """Makes a run again, as its folder says, and sets its numbers beside the first one's.

    The local store gets no preset of it. What is another version, or another machine, is told
    before it begins.

    Args:
        folder: of a run that is whole.
        read: as for `Run.prepare`; the same as then.
        output: the new folder; None takes FOLDER-rerun, with a number where that is taken.
        data_dir: where the data set is now; None: where it was.
        **options: `build_backbone` and `augmentation`, as for `Run.prepare`, as they were then.

    Returns:
        Every number of `history.csv` and `metrics.json`, those that differ most first.

    Raises:
        ValueError: the folder holds no whole run, or one that this version can't make; `output`
            is not empty; the images, labels or splits are others; or as `Run.prepare`.
        DivergedError: the training diverged.
    """
    folder = Path(folder)
    config = _config(folder)
    output = Path(output) if output else _free(folder)
    if output.is_dir() and files_in(output):
        raise ValueError(f"`output`: {output} is not empty; name a new folder, or an empty one.")
    made = not output.exists()
    with signals(at_once=True):
        prepared = Run.prepare(_settings(config, output, data_dir), read, store=False, **options)
        if told := other_data(config.get("data"), prepared.dataset):
            prepared.lock.release()
            _clear(output, made)
            raise ValueError(
                f"`folder`: {folder} holds a run on other images, labels or splits: {told}. Bring "
                "back those that it was made of."
            )
        now = json.loads((output / "config.json").read_text())["surroundings"]
        if changed := changed_surroundings(config["surroundings"], now):
            announce(f"Not as it was then: {', '.join(changed)}.")
        prepared.execute()
    return numbers_of(folder, output)


def rerun_recipe(
    folder: str | Path,
    start: Callable[[str], Any],
    output: str | Path | None = None,
    recipe: str | Path | None = None,
    data_dir: str | Path | None = None,
) -> list[Number]:
    """`rerun` with what the run's recipe reads and builds.

    Args:
        folder: of a run that is whole.
        start: runs a program, given its file, in this process.
        output, data_dir: as for `rerun`.
        recipe: the program that calls `keras_cr.experiment.main`; None takes the one that made the
            run, if it lies below the current directory, outside of `folder`, and is as it was.

    Raises:
        ValueError: no recipe is given and that of the run isn't taken, or it starts no run; or as
            `rerun`.
    """
    file = str(recipe or _recipe(Path(folder)))
    found = []

    def again(read, **options):
        found.append(rerun(folder, read, output, data_dir, **options))
        raise _Made

    try:
        with taking_over(again):
            start(file)
    except _Made:
        pass
    except DivergedError as error:
        raise ValueError(str(error)) from error
    if not found:
        raise ValueError(f"`recipe`: {file} starts no run; name the program that made {folder}.")
    return found[0]


def numbers_of(folder: Path, other: Path) -> list[Number]:
    """The numbers of two whole runs side by side, those that differ most first."""
    then, now = _numbers(folder), _numbers(other)
    numbers = [Number(name, then.get(name), now.get(name)) for name in dict.fromkeys([*then, *now])]
    return sorted(numbers, key=lambda number: -number.difference)


def _numbers(folder: Path) -> dict[str, float]:
    found = {}
    for row in read_history(folder / "history.csv"):
        epoch = int(row.pop("epoch")) + 1
        found |= {f"{name} of epoch {epoch}": float(value) for name, value in row.items() if value}
    return found | dict(_leaves(json.loads((folder / "metrics.json").read_text())))


def _leaves(values: Mapping, place: str = "") -> Iterator[tuple[str, float]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{place}{name}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield f"{place}{name}", value


def _config(folder: Path) -> dict[str, Any]:
    """What a whole run has written of itself.

    Raises:
        ValueError: it isn't one, or is of a version that did not write all that is needed.
    """
    config = read_folder(folder, "folder")
    if config is None or not (folder / "metrics.json").is_file():
        raise ValueError(f"`folder`: {folder} holds no run that is whole; name the folder of one.")
    if not {"surroundings", "other_settings", "data"} <= config.keys():
        raise ValueError(
            f"`folder`: {folder} is of a version of keras_cr that did not write down all that it "
            "takes to make the run again."
        )
    return config


def _settings(config: dict[str, Any], output: Path, data_dir: str | Path | None) -> Settings:
    values = config["settings"] | config["other_settings"]
    values |= {"data_dir": str(data_dir)} if data_dir else {}
    values = {n: tuple(v) if isinstance(v, list) else v for n, v in values.items()}
    unknown = values.keys() - {field.name for field in dataclasses.fields(Settings)}
    if unknown:
        version = config["surroundings"]["versions"].get("keras_cr")
        raise ValueError(
            f"`folder`: its run has settings that this version doesn't know, "
            f"{', '.join(sorted(unknown))}; make it again with keras_cr {version}."
        )
    return Settings(**values, output=str(output))  # type: ignore[arg-type]


def _recipe(folder: Path) -> str:
    """The file of the program that made a run, where it may be run without being asked for.

    A folder may come from somebody else, and so may what it names.
    """
    made = _config(folder)["surroundings"]["recipe"]
    if made is None:
        raise ValueError(
            f"`folder`: no recipe has made {folder}, but a program of your own: call "
            "keras_cr.experiment.rerun(folder, read) in it, or give `recipe`."
        )
    file, way_out = Path(made["file"]), f"Give it, recipe={made['file']}, if it is to be run."
    if not file.is_file():
        raise ValueError(f"`recipe`: {file}, which made {folder}, is gone. Give another place.")
    real = file.resolve()
    if not real.is_relative_to(Path.cwd()) or real.is_relative_to(folder.resolve()):
        raise ValueError(
            f"`recipe`: {file} made {folder}, and does not lie below the current directory, or "
            f"lies in the run's own. {way_out}"
        )
    if fingerprint(real) != {name: made[name] for name in ("sha256", "size")}:
        raise ValueError(f"`recipe`: {file} is not as it was when it made {folder}. {way_out}")
    return str(real)


def _clear(output: Path, made: bool) -> None:
    """Takes a run that has not begun out of its folder, and the folder if it was made for it."""
    if made:
        shutil.rmtree(output)
    else:
        for name in ("config.json", LOCK):
            (output / name).unlink(missing_ok=True)


def _free(folder: Path) -> Path:
    place, number = folder.with_name(f"{folder.name}-rerun"), 1
    while place.exists():
        number += 1
        place = folder.with_name(f"{folder.name}-rerun-{number}")
    return place


def _is_nan(value: float | None) -> bool:
    return value is not None and math.isnan(value)
