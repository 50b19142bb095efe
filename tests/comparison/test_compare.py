"""Arms over seeds, stopped in the middle and gone on with."""

import csv
import json
import pathlib
import shutil
import statistics
import subprocess
import sys
import weakref
from types import SimpleNamespace

import numpy as np
import pytest

from keras_cr.comparison.arms import ARMS, Arm
from keras_cr.comparison.compare import Comparison, compare, main
from keras_cr.comparison.files import markdown
from keras_cr.comparison.summary import Result, check_paired, summarize
from keras_cr.data import synthetic_birds
from keras_cr.experiment import Run, Settings, callbacks
from keras_cr.experiment.checkpoints import DamagedError
from keras_cr.experiment.flags import told_in_flags
from keras_cr.pretraining.divergence import DivergedError
from tests.case import tiny_backbone

RECIPE = pathlib.Path(__file__).parents[2] / "recipes" / "compare.py"
SETTINGS = {
    "dataset": "birds",
    "epochs": 1,
    "batch_size": 8,
    "image_size": 32,
    "protocols": ("retrieval", "linear_probe", "knn", "localization"),
    "controls": ("center_prior", "mask"),
}
TWO = (ARMS["initialization"], ARMS["plain"])
KEYS = [(arm.name, seed) for seed in (0, 1) for arm in TWO]
AVERAGING = [key for key in KEYS if key[0] == "plain"]


class Killed(BaseException):
    pass


def no_reading(data_dir):
    raise AssertionError("there is nothing to run")


def prepare(output, read=no_reading, arms=TWO, seeds=(0, 1), **changes):
    settings = Settings(**(SETTINGS | changes))
    options = {"arms": arms, "seeds": seeds, "output": output}
    return Comparison.prepare(settings, read, build_backbone=tiny_backbone, **options)


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """Two arms and two seeds; killed after the only epoch of the second run, then started again."""
    output = tmp_path_factory.mktemp("compared") / "out"
    birds = synthetic_birds(3, train_per_class=8, test_per_class=4, image_size=48, seed=1)
    reads, started, trained = [], [], []

    def read(data_dir):
        reads.append(data_dir)
        return birds

    def execute(self, execute=Run.execute):
        started.append((self.output.parent.name, self.settings.seed))
        trained.append(weakref.ref(self.encoder))
        return execute(self)

    def save_and_die(self, epoch, logs=None, save=callbacks.Checkpoint.on_epoch_end):
        save(self, epoch, logs)
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "execute", execute)
        patch.setattr(sys.modules[Run.__module__], "write_pictures", lambda *_: None)  # slow
        with pytest.MonkeyPatch.context() as killing:
            killing.setattr(callbacks.Checkpoint, "on_epoch_end", save_and_die)
            stopped = prepare(output, read)
            with pytest.raises(Killed):
                stopped.execute()
        partial = (output / "comparison.md").read_text()
        found = prepare(output, read).execute()
    return SimpleNamespace(
        output=output,
        found=found,
        partial=partial,
        started=started,
        reads=reads,
        read=read,
        trained=trained,
    )


def test_no_run_stays_in_memory(compared):
    assert [encoder() for encoder in compared.trained[2:]] == 3 * [None]  # those that ended


def metrics_of(compared, arm, seed):
    return json.loads((compared.output / arm / f"seed-{seed}" / "metrics.json").read_text())


def row_of(compared, arm, pooling):
    rows = compared.found["rows"]
    return next(row for row in rows if (row["arm"], row["pooling"]) == (arm, pooling))


def test_a_stopped_comparison_runs_only_what_is_missing(compared):
    assert compared.started == [KEYS[0], KEYS[1], KEYS[1], KEYS[2], KEYS[3]]
    assert compared.reads == [None, None], "once for each start"
    history = (compared.output / "plain" / "seed-0" / "history.csv").read_text().splitlines()
    assert len(history) == 2, "a header and the one epoch, not trained again"
    missing = "plain seed 0, initialization seed 1, plain seed 1"
    assert f"**Not finished.** Missing runs: {missing}." in compared.partial
    finished = (compared.output / "comparison.md").read_text()
    assert compared.found["missing"] == []
    assert "Not finished" not in finished


def test_a_finished_comparison_only_writes_its_tables_again(compared, capsys):
    before = {path.name: path.read_bytes() for path in compared.output.iterdir() if path.is_file()}
    assert set(before) == {"comparison.md", "comparison.csv", "comparison.json"}
    shutil.copytree(compared.output, again := compared.output.with_name("again"))
    assert prepare(again).execute() == compared.found
    assert before == {path.name: path.read_bytes() for path in again.iterdir() if path.is_file()}
    assert json.loads(before["comparison.json"]) == compared.found
    assert "Run 4 of 4: plain, seed 1: done before" in capsys.readouterr().out


def test_what_was_not_named_is_told(compared, tmp_path, capsys):
    shutil.copytree(compared.output, output := tmp_path / "out")
    found = prepare(output, arms=TWO[1:], seeds=(1,)).execute()
    assert {row["arm"] for row in found["rows"]} == {"plain"}
    told = "Not in it, as they were not named: initialization seed 0, initialization seed 1,"
    assert told in capsys.readouterr().out


def test_scores_are_those_of_the_runs(compared):
    assert [(row["arm"], row["pooling"]) for row in compared.found["rows"]] == [
        ("initialization", "rationale"),
        ("initialization", "average"),
        ("initialization", "center_prior"),
        ("initialization", "mask"),
        ("plain", "average"),
    ]
    columns = {
        "rank-1": ("retrieval", "rank1"),
        "mAP": ("retrieval", "map"),
        "mAP@R": ("retrieval", "map_at_r"),
        "R-precision": ("retrieval", "r_precision"),
        "linear": ("linear_probe", "top1"),
        "k-NN": ("knn", "top1"),
    }
    for row in compared.found["rows"]:
        metrics = [metrics_of(compared, row["arm"], seed) for seed in (0, 1)]
        if row["pooling"] == metrics[0]["protocol"]["pooling"]:
            groups = metrics
        elif row["pooling"] == "average":
            groups = [each["average_pooling"] for each in metrics]
        else:
            groups = [each["controls"][row["pooling"]] for each in metrics]
        for title, (protocol, metric) in columns.items():
            values = [group[protocol][metric] for group in groups]
            score = row["scores"][title]
            assert (score["values"], score["n"]) == (values, 2)
            assert score["mean"] == pytest.approx(statistics.mean(values))
            assert score["std"] == pytest.approx(statistics.stdev(values))
    ratios = [
        metrics_of(compared, "initialization", seed)["localization"]["energy_ratio"]
        for seed in (0, 1)
    ]
    assert row_of(compared, "initialization", "rationale")["scores"]["energy ratio"][
        "mean"
    ] == pytest.approx(statistics.mean(ratios))
    for arm in ("initialization", "plain"):
        assert "energy ratio" not in row_of(compared, arm, "average")["scores"]


def test_the_tables_show_them(compared):
    text = (compared.output / "comparison.md").read_text()
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("| Plain objective")
    ]
    score = row_of(compared, "plain", "average")["scores"]["rank-1"]
    shown = f"{100 * score['mean']:.1f} ± {100 * score['std']:.1f}"
    assert cells[0][:4] == ["Plain objective", "average", "2", shown]
    assert cells[1][:3] == ["Plain objective", "average", "baseline"]
    assert "Seeds: 0, 1. Weights: the last epoch" in text
    assert "24 training and 12 test images of 3 classes, 32 px" in text
    assert "2 seeds are few" in text
    assert "signific" not in text
    assert "resnet50" not in text, "the backbone is the caller's own"
    with (compared.output / "comparison.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(compared.found["values"])
    values = {tuple(row.values())[:5]: float(row["value"]) for row in rows if row["value"]}
    expected = metrics_of(compared, "initialization", 1)["average_pooling"]["retrieval"]["map"]
    assert values["initialization", "average", "retrieval", "map", "1"] == expected


def test_differences_are_paired_by_seed_and_image(compared):
    columns = {
        "rank-1": ("retrieval", "rank1"),
        "mAP": ("retrieval", "map"),
        "linear": ("linear_probe", "top1"),
        "k-NN": ("knn", "top1"),
    }
    differences = row_of(compared, "initialization", "rationale")["differences"]
    assert list(differences) == list(columns)
    for title, (protocol, metric) in columns.items():
        expected = [
            metrics_of(compared, "initialization", seed)[protocol][metric]
            - metrics_of(compared, "plain", seed)["average_pooling"][protocol][metric]
            for seed in (0, 1)
        ]
        found = differences[title]
        assert found["values"] == pytest.approx(expected)
        assert found["mean"] == pytest.approx(statistics.mean(expected))
        assert found["std"] == pytest.approx(statistics.stdev(expected))
        assert (found["seeds"], found["images"]) == ([0, 1], 12)
        low, high = found["interval"]
        assert low <= found["mean"] <= high
        assert found["excludes_zero"] == (low > 0 or high < 0)
    assert row_of(compared, "plain", "average")["differences"] == "baseline"


def test_the_own_pooling_is_paired_with_its_controls(compared):
    """Of one encoder: the branch and nothing else differs."""
    row = row_of(compared, "initialization", "center_prior")
    assert row["kind"] == "control"
    assert row_of(compared, "initialization", "mask")["kind"] == "bound"
    assert row_of(compared, "initialization", "rationale")["lead"] == {}
    metrics = [metrics_of(compared, "initialization", seed) for seed in (0, 1)]
    for title, (protocol, metric) in {
        "mAP": ("retrieval", "map"),
        "linear": ("linear_probe", "top1"),
    }.items():
        other = [each["controls"]["center_prior"][protocol][metric] for each in metrics]
        own = [each[protocol][metric] for each in metrics]
        expected = [a - b for a, b in zip(own, other, strict=True)]
        assert row["lead"][title]["values"] == pytest.approx(expected)
    text = (compared.output / "comparison.md").read_text()
    assert "## Before other poolings of the same encoder" in text
    assert "| centre prior" in text


def test_own_poolings_are_paired_where_the_baseline_has_one(compared):
    """`plain` averages, and the initialization pools by its map: what one gets from either."""
    assert all(row["own"] == {} for row in compared.found["rows"]), "the baseline averages"
    baseline = Comparison.prepare(
        Settings(**SETTINGS),
        no_reading,
        arms=TWO,
        seeds=(0, 1),
        output=compared.output,
        baseline="initialization",
    )
    titles = {arm.name: arm.title for arm in TWO}
    found = summarize(baseline.results, titles, (0, 1), "initialization")
    told = {(row["arm"], row["pooling"]): row["own"] for row in found["rows"] if row["own"]}
    assert list(told) == [("plain", "average")]
    expected = [
        metrics_of(compared, "plain", seed)["retrieval"]["map"]
        - metrics_of(compared, "initialization", seed)["retrieval"]["map"]
        for seed in (0, 1)
    ]
    assert told["plain", "average"]["mAP"]["values"] == pytest.approx(expected)
    shown = markdown({"command": "", "settings": {}, "arms": compared.found["arms"], **found})
    assert "own pooling before Initialization under its own" in shown


def test_a_baseline_that_is_no_arm_is_told_by_its_flag():
    assert told_in_flags("`baseline` must be one of ['plain']").startswith("--baseline must be")


def test_controls_that_are_missing_are_evaluated_again(compared):
    prepared = prepare(compared.output, compared.read, controls=("center_prior", "mean_map"))
    assert list(prepared.results) == AVERAGING, "which have no map to compare"
    fewer = prepare(compared.output, controls=None)
    assert (list(fewer.results), fewer.first) == (KEYS, None)


def test_another_pooling_evaluates_again(compared):
    prepared = prepare(compared.output, compared.read, pooling="concat")
    assert list(prepared.results) == AVERAGING, "which have no map to pool by"
    assert prepared.first.encoder.pooling == "concat"


def test_a_pooling_is_not_called_as_a_control_is(compared):
    keys = [("initialization", 0), ("initialization", 1)]
    results = results_of(compared, keys)
    for result in results.values():
        result.metrics["protocol"]["pooling"] = "concat"
        result.per_image["concat"] = result.per_image["rationale"]
    found = summarize(results, {"initialization": "Start"}, [0, 1], None)
    kinds = {row["pooling"]: row["kind"] for row in found["rows"]}
    assert kinds["concat"] is None
    assert kinds["center_prior"] == "control"


def results_of(compared, keys=KEYS):
    folders = {(arm, seed): compared.output / arm / f"seed-{seed}" for arm, seed in keys}
    return {key: Result.read(folder) for key, folder in folders.items()}


def test_one_seed_has_no_spread(compared):
    titles = {arm.name: arm.title for arm in TWO}
    found = summarize(results_of(compared, KEYS[:2]), titles, (0,), "plain")
    assert {score["std"] for row in found["rows"] for score in row["scores"].values()} == {None}
    arms = compared.found["arms"]
    text = markdown({"arms": arms, "settings": {}, "command": "python", **found})
    assert " ± - |" in text
    assert " ± 0.0" not in text
    assert "One seed says nothing about the chance of training" in text


def test_images_without_a_score_are_left_out_in_pairs(compared):
    results = results_of(compared)
    for result in results.values():
        for table in result.per_image.values():
            table["retrieval.first_rank"][:2] = 0
            table["retrieval.average_precision"][:2] = np.nan
    for arm, rank in (("initialization", 1.0), ("plain", 2.0)):
        for seed in (0, 1):
            for table in results[arm, seed].per_image.values():
                table["retrieval.first_rank"][2:] = rank
    found = summarize(results, {arm.name: arm.title for arm in TWO}, (0, 1), "plain")
    differences = found["rows"][0]["differences"]
    assert differences["rank-1"]["interval"] == [1.0, 1.0]
    assert differences["rank-1"]["excludes_zero"]
    assert [differences[name]["images"] for name in ("rank-1", "mAP", "k-NN")] == [10, 10, 12]


def test_a_number_that_a_run_lacks_is_not_averaged_silently(compared):
    results = results_of(compared)
    results["plain", 1].metrics["knn"] = None
    results["plain", 1].per_image["average"].pop("knn.predicted")
    found = summarize(results, {arm.name: arm.title for arm in TWO}, (0, 1), "plain")
    score = found["rows"][-1]["scores"]["k-NN"]
    assert (score["n"], score["values"][1]) == (1, None)
    text = markdown({"arms": compared.found["arms"], "settings": {}, "command": "", **found})
    assert f"{100 * score['mean']:.1f} ± - (n = 1)" in text
    assert "k-NN" not in found["rows"][0]["differences"]


def test_what_belongs_to_another_comparison_is_refused_before_anything_runs(compared, tmp_path):
    for changes, told in (
        ({"batch_size": 4}, "initialization/seed-0.*other settings: batch_size was 8, is 4"),
        ({"epochs": 2}, "plain/seed-0.*other settings: epochs was 1, is 2"),
    ):
        with pytest.raises(ValueError, match=f"`output`: .*{told}.*another `output`"):
            prepare(compared.output, seeds=(2, 0), **changes)
    assert not (compared.output / "plain" / "seed-2").exists()
    shutil.copytree(compared.output, other := tmp_path / "other")
    (other / "plain" / "seed-1" / "config.json").unlink()
    with pytest.raises(ValueError, match="plain/seed-1 is not empty and holds no run"):
        prepare(other)


@pytest.mark.parametrize("column", ["image", "label"])
def test_other_test_images_are_refused(compared, tmp_path, column):
    shutil.copytree(compared.output, other := tmp_path / "other")
    path = other / "plain" / "seed-1" / "per_image.csv"
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    rows[3][column] = "1000"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    with pytest.raises(ValueError, match=f"plain/seed-1.*other test images.*`{column}`"):
        prepare(other)


def test_images_that_were_moved_are_the_same(tmp_path):
    def at(folder, names=("a/1.jpg", "b/2.jpg")):
        images = np.array([str(folder / name) for name in names])
        return Result({}, {"average": {"image": images, "label": np.arange(2.0)}}, folder)

    first, moved = at(pathlib.Path("CUB")), at(tmp_path / "moved" / "CUB")
    check_paired([first, moved])
    with pytest.raises(ValueError, match="other test images.*column `image`"):
        check_paired([first, moved, at(tmp_path / "CUB", ("a/1.jpg", "b/3.jpg"))])


def test_other_images_of_the_same_names_are_refused(compared, tmp_path):
    shutil.copytree(compared.output, other := tmp_path / "other")
    path = other / "plain" / "seed-1" / "config.json"
    config = json.loads(path.read_text())
    config["data"]["sha256"] = "0" * 64
    path.write_text(json.dumps(config))
    with pytest.raises(ValueError, match="plain/seed-1 are of other images, labels or splits"):
        prepare(other)


@pytest.mark.parametrize("error", [DivergedError("The loss is not finite."), DamagedError("No.")])
def test_a_run_that_can_not_go_on_ends_it_in_one_line(error, tmp_path, monkeypatch):
    def fail(run):
        raise error

    monkeypatch.setattr(Run, "execute", fail)
    birds = synthetic_birds(3, train_per_class=8, test_per_class=4, image_size=48, seed=1)
    recipes = {"birds": {"read": lambda _: birds, "build_backbone": tiny_backbone, **SETTINGS}}
    with pytest.raises(SystemExit, match=f"error: {error}"):
        main("Compares.", recipes, ["--arms", "plain", "--output", str(tmp_path / "out")])


def test_another_protocol_evaluates_again(compared):
    prepared = prepare(compared.output, compared.read, protocols=("retrieval", "clustering"))
    assert prepared.results == {}
    assert prepared.first.settings.resume
    fewer = prepare(compared.output, protocols=("retrieval",))
    assert (list(fewer.results), fewer.first) == (KEYS, None)


def test_mistakes_in_arms_and_seeds(tmp_path):
    with pytest.raises(ValueError, match="`arms` must name one or more arms.*'plain', 'plain'"):
        prepare(tmp_path, arms=(ARMS["plain"], ARMS["plain"]))
    for seeds in ((), (0, 0), (-1,)):
        with pytest.raises(ValueError, match=r"`seeds` must be .* from 0, each once. Received"):
            prepare(tmp_path, seeds=seeds)
    with pytest.raises(ValueError, match="`baseline` must be one of .*Received: 'rationale'"):
        compare(Settings(), no_reading, arms=TWO, baseline="rationale", output=tmp_path)
    with pytest.raises(ValueError, match="`name` may hold lower-case.*'Two Words'"):
        Arm("Two Words", "Two words", {})
    for name in ("seed", "rationales"):
        with pytest.raises(ValueError, match=f"`changes` of 'odd'.*weight_decay.*Received: {name}"):
            Arm("odd", "Odd", {name: 1})
    assert list(tmp_path.iterdir()) == []


def test_arms_with_the_same_numbers_are_told(compared):
    read = results_of(compared)
    results = read | {("twin", 0): read["plain", 0]}
    titles = {name: name for name in ("initialization", "plain", "twin")}
    summary = summarize(results, titles, (0, 1), "plain")
    assert summary["alike"] == [("plain", "twin")]
    told = {"command": "", "settings": {}, "arms": [{"name": "plain", "title": "", "changes": {}}]}
    assert "**`plain` and `twin` have the same numbers**" in markdown(summary | told)


def program(compared, *flags):
    recipes = {
        "cub": {"read": no_reading},
        "birds": {"read": no_reading, "build_backbone": tiny_backbone, **SETTINGS},
    }
    given = ["--dataset", "birds", "--output", str(compared.output), *flags]
    return main("What it compares.", recipes, given)


def test_flags(compared, capsys):
    flags = ("--arms", "initialization", "plain", "--seeds", "0", "1")
    assert program(compared, *flags) == compared.found
    one = program(compared, *flags[:-1])
    assert one["seeds"] == [0]
    other = program(compared, *flags, "--baseline", "initialization")
    assert [row["arm"] for row in other["rows"] if row["differences"] == "baseline"] == [
        "initialization"
    ]
    program(compared, *flags)
    capsys.readouterr()
    for flag, told in (
        (("--seed", "3"), "--seed: a comparison has several: --seeds"),
        (("--resume",), "--resume: a comparison always goes on"),
        (("--rationale", "on"), "--rationale: the arms differ in it: --arms"),
        (("--arms", "plainest"), "invalid choice: 'plainest'"),
        (("--epochs", "-1"), "--epochs must be 0 or more. Received: -1"),
        (("--help",), "What it compares."),
    ):
        with pytest.raises(SystemExit):
            program(compared, *flag)
        told_by = capsys.readouterr()
        assert told in told_by.out + told_by.err
    with pytest.raises(SystemExit, match="error: --output: .*epochs was 1, is 3"):
        program(compared, *flags, "--epochs", "3")


@pytest.mark.slow
def test_the_recipe_needs_no_data(tmp_path):
    command = [sys.executable, str(RECIPE), "--dataset", "demo", "--arms", "initialization"]
    command += ["--seeds", "0", "--protocols", "retrieval", "--output", str(tmp_path / "out")]
    command += ["--image-size", "64", "--controls", "none"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    text = (tmp_path / "out" / "comparison.md").read_text()
    assert "160 test images of 8 classes" in text
    assert "epochs 40" in text
    assert "- Initialization (`initialization`): epochs 0" in text
