"""Arms over seeds: training with one thing changed, often enough to see what chance does."""

import dataclasses
import functools
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

from keras_cr._graphs import graphs_freed
from keras_cr.comparison.arms import ARMS, Arm
from keras_cr.comparison.checks import check_arms
from keras_cr.comparison.files import scores_table, write_comparison
from keras_cr.comparison.flags import SEEDS, parse_comparison
from keras_cr.comparison.summary import Result, check_paired, summarize
from keras_cr.data import Augmentation
from keras_cr.evaluation.protocols import check_protocols
from keras_cr.experiment.checkpoints import DamagedError
from keras_cr.experiment.ending import in_one_line
from keras_cr.experiment.folder import changed_settings, files_in, read_config
from keras_cr.experiment.run import ReadDataset, Run
from keras_cr.experiment.settings import Settings
from keras_cr.presets import HubError
from keras_cr.pretraining.divergence import DivergedError


@dataclasses.dataclass
class Comparison:
    """A comparison that can start: everything a user could have got wrong has been checked.

    Made by `Comparison.prepare`, carried out by `comparison.execute()`.
    """

    shared: dict
    arms: tuple[Arm, ...]
    seeds: tuple[int, ...]
    baseline: str
    output: Path
    runs: dict[tuple[str, int], Settings]
    results: dict[tuple[str, int], Result]
    start: Callable[[Settings], Run]
    first: Run | None

    @classmethod
    def prepare(
        cls,
        settings: Settings,
        read: ReadDataset,
        arms: Sequence[Arm] = tuple(ARMS.values()),
        seeds: Sequence[int] = SEEDS,
        output: str | Path | None = None,
        baseline: str | None = None,
        build_backbone: Callable[[], keras.Model] | None = None,
        augmentation: Augmentation | None = None,
    ) -> "Comparison":
        """Looks at what earlier runs left in `output` and gets the first missing run ready.

        Args:
            settings: what all arms share; its `seed`, `output` and `resume` are not used.
            read: takes `settings.data_dir` and returns the data set; called at most once.
            arms: what is compared, in the order of the table.
            seeds: one run of every arm for each.
            output: the folder; None is `settings.output` or else `runs/compare_DATASET`.
            baseline: name of the arm whose average pooling the others are compared with; None is
                `plain`, or the first arm where there is no such arm.
            build_backbone: as for `Run.prepare`.
            augmentation: as for `Run.prepare`.

        Raises:
            ValueError: `arms` or `seeds` are empty, repeated or negative; two arms are the same
                run; `baseline` is no arm; `output` holds runs with other settings; or as
                `Run.prepare`, of any arm.
            OSError, ImportError: as `Run.prepare`.
        """
        arms, seeds = tuple(arms), tuple(seeds)
        names = [arm.name for arm in arms]
        if not arms or len(set(names)) < len(names):
            raise ValueError(f"`arms` must name one or more arms, each once. Received: {names}")
        if not seeds or len(set(seeds)) < len(seeds) or min(seeds) < 0:
            raise ValueError(
                f"`seeds` must be one or more numbers from 0, each once. Received: {list(seeds)}"
            )
        if baseline is None:
            baseline = "plain" if "plain" in names else names[0]
        if baseline not in names:
            raise ValueError(f"`baseline` must be one of {names}. Received: {baseline!r}")
        output = Path(output or settings.output or Path("runs") / f"compare_{settings.dataset}")
        runs = {
            (arm.name, seed): _settings_of(arm, seed, settings, output)
            for seed in seeds
            for arm in arms
        }
        start = functools.partial(
            Run.prepare,
            read=functools.cache(read),
            build_backbone=build_backbone,
            augmentation=augmentation,
            store=False,
        )
        results = {key: found for key, each in runs.items() if (found := _finished(each))}
        check_paired(results.values())
        missing = {key: each for key, each in runs.items() if key not in results}
        first = start(next(iter(missing.values()))) if missing else None
        if first is not None:  # for its errors, before the first one runs
            one_each: dict[str, Settings] = {}
            for (arm, _), each in missing.items():
                one_each.setdefault(arm, each)
            check_arms(one_each, first.dataset, build_backbone)
        shared = _shared(settings, build_backbone)
        return cls(shared, arms, seeds, baseline, output, runs, results, start, first)

    def execute(self) -> dict:
        """Carries out the runs that are missing and writes the tables after each.

        A run is in `output`/ARM/seed-N/. `output` itself gets `comparison.md`, `comparison.csv` (a
        row an arm, pooling (in `localization` the map), protocol, metric and seed) and
        `comparison.json`.

        Returns:
            What comparison.json holds.
        """
        found = None
        for number, ((arm, seed), settings) in enumerate(self.runs.items(), 1):
            told = f"Run {number} of {len(self.runs)}: {arm}, seed {seed}"
            if (arm, seed) in self.results:
                print(f"{told}: done before")
                continue
            print(f"\n{told}", flush=True)
            with graphs_freed():  # the encoder's, before the next one is built
                run, self.first = self.first or self.start(settings), None
                run.execute()
                self.results[arm, seed] = Result.read(run.output)
                del run
            found = self._write()
            print(f"\n{scores_table(found)}", flush=True)
        found = found or self._write()
        print(f"Wrote {self.output / 'comparison.md'}")
        if others := self._others():
            print(f"Not in it, as they were not named: {', '.join(others)}.")
        return found

    def _others(self) -> list[str]:
        """Runs in the folder that are done and no part of this comparison."""
        named = {Path(settings.output or "") for settings in self.runs.values()}
        done = {path.parent for path in self.output.glob("*/seed-*/metrics.json")}
        return sorted(f"{run.parent.name} seed {run.name[5:]}" for run in done - named)

    def _write(self) -> dict:
        titles = {arm.name: arm.title for arm in self.arms}
        comparison = {
            "command": shlex.join(["python", *sys.argv]),
            "settings": self.shared,
            "arms": [dataclasses.asdict(arm) for arm in self.arms],
            **summarize(self.results, titles, self.seeds, self.baseline),
        }
        write_comparison(self.output, comparison)
        return comparison


def compare(settings: Settings, read: ReadDataset, **options: Any) -> dict:
    """Trains every arm with every seed and compares them; what is done already is not run again.

    A comparison that was stopped goes on, at its last whole epoch, when it is started with the
    same arguments.

    Args:
        settings: what all arms share.
        read: takes `settings.data_dir` and returns the data set.
        **options: as for `Comparison.prepare`: `arms`, `seeds`, `output`, ...

    Returns:
        What comparison.json holds.

    Raises:
        ValueError, OSError, ImportError: as `Comparison.prepare`.

    Example:

    >>> arms = (ARMS["plain"], ARMS["rationale"])
    >>> found = compare(Settings(dataset="cub", epochs=20), read_cub, arms=arms, seeds=(0, 1))
    """
    return Comparison.prepare(settings, read, **options).execute()


def main(description: str, recipes: Mapping[str, dict], argv: list[str] | None = None) -> dict:
    """The program of `recipes/compare.py`: flags, runs, and mistakes told in one line.

    Args:
        description: its docstring, shown by `--help`.
        recipes: {name for `--dataset`: the keywords of that recipe's `experiment.main`}; the
            first is the default.
        argv: the arguments; None takes the command line's.
    """
    settings, options = parse_comparison(description, recipes, argv)
    with in_one_line(ValueError, OSError, ImportError):
        prepared = Comparison.prepare(settings, **options)
    way_on = f"`output` {shlex.quote(str(prepared.output))}"
    with in_one_line(HubError, OSError, DivergedError, DamagedError, way_on=way_on):
        return prepared.execute()


def _settings_of(arm: Arm, seed: int, settings: Settings, output: Path) -> Settings:
    """The settings of one run, which goes on with what its folder holds.

    Raises:
        ValueError: the folder holds a run with other settings, or something that is no run.
    """
    folder = output / arm.name / f"seed-{seed}"
    begun = (folder / "config.json").is_file()
    own = {"seed": seed, "output": str(folder), "resume": begun}
    settings = dataclasses.replace(settings, **arm.changes, **own)  # type: ignore[arg-type]
    if (config := read_config(folder, settings)) is not None:
        if changed := changed_settings(config, settings):
            raise ValueError(
                f"`output`: {folder} holds a run with other settings: {changed}. Use the same "
                "ones, or another `output`."
            )
    elif folder.exists() and files_in(folder):
        raise ValueError(
            f"`output`: {folder} is not empty and holds no run. Move it away, or name another "
            "folder."
        )
    return settings


def _shared(settings: Settings, build_backbone: Callable[[], keras.Model] | None) -> dict:
    """The settings worth telling about all runs together."""
    shared = settings.of_the_run()
    del shared["seed"], shared["preset_name"]
    if settings.init != "imagenet" and (settings.init != "none" or build_backbone is not None):
        del shared["backbone"]  # the backbone comes from elsewhere
    return {name: value for name, value in shared.items() if value is not None}


def _finished(settings: Settings) -> Result | None:
    """What a run left, if it is whole and was evaluated as is wanted now.

    By every protocol, beside every control, and under the pooling, where the settings tell it: an
    encoder that `init` names may have its own.
    """
    folder = Path(settings.output)  # type: ignore[arg-type]
    if not (folder / "metrics.json").is_file():
        return None
    result = Result.read(folder)
    stated = result.metrics["protocol"]
    known = {*stated, *stated["missing"]}
    measured = known.issuperset(check_protocols(settings.protocols))
    compared = {*stated.get("controls", ())}
    compared |= {name.removeprefix("control ") for name in stated["missing"]}
    controls = "controls" in stated["missing"] or compared.issuperset(settings.controls or ())
    pooled = settings.told_pooling in (None, result.pooling)
    return result if measured and controls and pooled else None
