import csv
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

from keras_cr import CommonRationaleClassifier, CommonRationaleEncoder
from keras_cr.data import image_batches, read_cub, synthetic_birds, write_cub_layout
from keras_cr.experiment import Run, Settings
from keras_cr.experiment.build import build_rationale
from keras_cr.experiment.checkpoints import last_checkpoint
from keras_cr.experiment.program import main
from keras_cr.presets import store_path
from keras_cr.pretraining import fit_rationale
from tests.case import tiny_backbone
from tests.experiment.helpers import QUICK, leave_out_pictures, settings, start

RECIPES = pathlib.Path(__file__).parents[2] / "recipes"
WHOLE = QUICK | {"rationale_options": {"foregrounds": "off", "images": "whole"}}


def test_a_run_writes_everything_and_can_be_loaded_by_name(birds, tmp_path, capsys):
    output = tmp_path / "out"
    metrics = start(birds, output, preset_name="tiny_birds", refit="off")
    for name in ("config.json", "history.csv", "rationales.png", "report.html", "preset"):
        assert (output / name).exists(), name
    assert metrics == json.loads((output / "metrics.json").read_text())
    for scores in (metrics, metrics["average_pooling"], metrics["initialization"]):
        assert set(scores["retrieval"]) >= {"rank1", "rank5", "map"}
        assert 0 <= scores["linear_probe"]["top1"] <= 1
        assert 0 <= scores["knn"]["top1"] <= 1
    assert metrics["protocol"]["checkpoint_rule"] == "the last epoch, fixed before training"
    history = list(csv.DictReader((output / "history.csv").open()))
    assert [row["epoch"] for row in history] == ["0", "1"]
    assert {"loss", "ssl_loss", "fit_loss", "contrastive_accuracy", "agreement"} <= set(history[0])
    printed = capsys.readouterr().out
    assert "rationale_vlad pooling" in printed
    assert "average pooling" in printed

    encoder = CommonRationaleEncoder.from_preset("tiny_birds")
    trained = last_checkpoint(output)[0].encoder
    images = np.random.default_rng(0).uniform(0, 255, (3, 32, 32, 3)).astype("float32")
    seen, of_state = encoder.encode(images), trained.encode(images)
    for name in ("average_embedding", "rationale"):  # the vocabulary is fitted after the training
        np.testing.assert_allclose(seen[name], of_state[name], atol=1e-5)
    assert encoder.vocabulary.fitted
    classifier = CommonRationaleClassifier.from_preset("tiny_birds", num_classes=3)
    classifier.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    classifier.fit(images, np.arange(3), verbose=0)


@pytest.fixture(scope="module")
def trained(drawn, tmp_path_factory):
    """The folder of a run of two epochs, whose branch looks at whole images; to be read alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_CR_HOME", str(tmp_path_factory.mktemp("home")))
        leave_out_pictures(patch)
        output = tmp_path_factory.mktemp("trained") / "out"
        start(drawn, output, **WHOLE)
    return output


@pytest.mark.usefixtures("without_pictures")
def test_a_run_that_goes_on_may_have_another_pooling(drawn, trained, tmp_path):
    output = shutil.copytree(trained, tmp_path / "out")
    before = json.loads((output / "metrics.json").read_text())
    after = start(drawn, output, **WHOLE, resume=True, pooling="concat")
    for scores in (before, before["initialization"]):
        assert scores["protocol"]["pooling"] == "rationale_vlad"
    for scores in (after, after["initialization"]):
        assert scores["protocol"]["pooling"] == "concat"
    stored = CommonRationaleEncoder.from_preset(output / "preset")
    assert stored.pooling == "concat"


@pytest.mark.usefixtures("without_pictures")
def test_two_runs_with_one_seed_have_the_same_history(drawn, trained, tmp_path):
    start(drawn, tmp_path / "again", **WHOLE)
    histories = [(each / "history.csv").read_text() for each in (trained, tmp_path / "again")]
    assert histories[0] == histories[1]
    start(drawn, tmp_path / "other", **WHOLE | {"seed": 1, "epochs": 1})
    other = (tmp_path / "other" / "history.csv").read_text().splitlines()
    assert other[:1] == histories[0].splitlines()[:1]
    assert other[1] != histories[0].splitlines()[1]


@pytest.mark.parametrize(
    ("rationale", "objective", "precision"),
    [
        ("off", "moco", "mixed_bfloat16"),
        ("reference", "byol", "float32"),
    ],
)
@pytest.mark.usefixtures("without_pictures")
def test_other_arms(drawn, tmp_path, rationale, objective, precision):
    changes = {"rationale": rationale, "objective": objective, "precision": precision}
    metrics = start(
        drawn, tmp_path / "out", epochs=1, **QUICK | changes | {"rationale_options": None}
    )
    assert metrics["retrieval"]["rank1"] >= 0
    encoder = CommonRationaleEncoder.from_preset(str(tmp_path / "out" / "preset"))
    assert encoder.dtype_policy.name == "float32"
    assert encoder.num_detectors == (32 if rationale == "reference" else 1)
    trained = last_checkpoint(tmp_path / "out")[0].encoder
    assert {layer.dtype_policy.name for layer in trained.backbone.layers} == {precision}


@pytest.mark.usefixtures("without_pictures")
def test_initial_weights_from_a_file_and_from_a_preset(drawn, tmp_path):
    backbone = tiny_backbone()
    backbone.save(tmp_path / "tiny.keras")
    unfitted = QUICK | {"epochs": 0, "rationale": "off", "rationale_options": None}
    start(drawn, tmp_path / "file", init=str(tmp_path / "tiny.keras"), **unfitted)
    encoder = CommonRationaleEncoder.from_preset("birds_tiny")
    images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype("float32")
    np.testing.assert_allclose(encoder.backbone(images), backbone(images), rtol=1e-5, atol=1e-5)
    start(drawn, tmp_path / "preset", init="birds_tiny", preset_name="again", **unfitted)
    again = CommonRationaleEncoder.from_preset("again")
    told = json.loads((tmp_path / "preset" / "preset" / "preset.json").read_text())
    assert told["source"]["config"]["backbone"] == backbone.name, "not the flag's default"
    np.testing.assert_allclose(again(images), encoder(images), atol=1e-6)


@pytest.mark.usefixtures("without_pictures")
def test_no_epochs_fit_the_branch_to_a_frozen_backbone(drawn, tmp_path):
    backbone = tiny_backbone()
    backbone.save(tmp_path / "tiny.keras")
    options = {"epochs": 0, "init": str(tmp_path / "tiny.keras"), "image_size": 48}
    metrics = start(drawn, tmp_path / "out", protocols=("retrieval", "localization"), **options)
    encoder = CommonRationaleEncoder.from_preset("birds_tiny")
    for old, new in zip(backbone.get_weights(), encoder.backbone.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    before = metrics["initialization"]
    assert metrics["average_pooling"]["retrieval"] == before["average_pooling"]["retrieval"]
    assert metrics["localization"]["energy"] != before["localization"]["energy"]
    assert not (tmp_path / "out" / "history.csv").exists()


@pytest.mark.usefixtures("without_pictures")
def test_the_branch_is_fitted_once_more_after_training(drawn, trained, tmp_path):
    """To the backbone as it is then, as `fit_rationale` would; nothing else changes."""
    start(drawn, tmp_path / "on", **WHOLE | {"refit": "on"})
    found = {
        name: CommonRationaleEncoder.from_preset(str(output / "preset"))
        for name, output in (("on", tmp_path / "on"), ("off", trained))
    }
    pairs = zip(*(each.backbone.get_weights() for each in found.values()), strict=True)
    assert all(np.array_equal(*pair) for pair in pairs)
    branches = [each.branch.get_weights() for each in found.values()]
    assert not np.allclose(branches[0][0], branches[1][0], atol=1e-3)

    train = drawn.split("train")
    rationale = build_rationale(settings(drawn, tmp_path), len(train))
    fit_rationale(found["off"], image_batches(train, 32, 8), rationale, seed=0)
    for ours, expected in zip(branches[0], found["off"].branch.get_weights(), strict=True):
        np.testing.assert_allclose(ours, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"refit": "off"}, False),
        ({"rationale": "off"}, False),
        ({"rationale": "paper"}, False),
        ({"rationale_options": {"images": "views"}}, True),
        ({"rationale_options": {"positives": "views"}}, False),
        ({"rationale_options": {"k": 3}}, True),
    ],
)
def test_what_is_fitted_once_more(changes, expected):
    assert Settings(**changes).refits == expected


def test_labels_and_a_test_split_are_not_needed(tmp_path):
    birds = synthetic_birds(2, train_per_class=8, test_per_class=1, image_size=48)
    unlabelled = type(birds)("birds", birds.images, None, [], np.ones(len(birds), bool))
    metrics = start(
        unlabelled,
        tmp_path / "out",
        epochs=1,
        refit="off",
        rationale_options={"foregrounds": "off"},
    )
    assert metrics["retrieval"] is None
    assert "no test split" in metrics["protocol"]["missing"]["retrieval"]
    assert (tmp_path / "out" / "report.html").is_file()


@pytest.mark.usefixtures("without_pictures")
def test_labels_and_auxiliary_tasks_are_learnt(drawn, tmp_path):
    changes = {"objective": "supervised", "auxiliary": {"dcl": 1.0}, "rationale": "paper"}
    start(drawn, tmp_path / "out", epochs=1, **QUICK, **changes)
    (row,) = csv.DictReader((tmp_path / "out" / "history.csv").open())
    assert {"accuracy", "dcl_loss", "dcl_adversarial", "dcl_location", "cam_peak"} <= set(row)
    pretrainer, _ = last_checkpoint(tmp_path / "out")
    assert pretrainer.num_classes == 3
    assert pretrainer.auxiliary[0].weight == 1.0


def test_what_an_objective_lacks_is_told_before_training(tmp_path):
    birds = synthetic_birds(2, train_per_class=8, test_per_class=1, image_size=48)
    unlabelled = type(birds)("birds", birds.images, None, [], np.ones(len(birds), bool))

    def prepare(**changes):
        return Run.prepare(
            settings("", tmp_path / "out", **changes), lambda _: unlabelled, tiny_backbone
        )

    with pytest.raises(ValueError, match="'birds' has no labels, so 'supervised' can't be learnt"):
        prepare(objective="supervised")
    with pytest.raises(ValueError, match="the loss of VICReg is.*leave it at Rationale"):
        prepare(objective="vicreg", rationale="paper")
    assert not (tmp_path / "out").exists()


def test_what_a_user_can_get_wrong_is_told_before_training(birds, tmp_path):
    def prepare(**changes):
        return Run.prepare(settings(birds, tmp_path / "out", **changes), read_cub, tiny_backbone)

    with pytest.raises(ValueError, match="`batch_size`.*24.*Received: 25"):
        prepare(batch_size=25)
    with pytest.raises(ValueError, match="`preset_name` must be lower-case.*'Two Words'"):
        prepare(preset_name="Two Words")
    with pytest.raises(ValueError, match="`swap_probability` has no effect where only the branch"):
        prepare(epochs=0, rationale_options={"swap_probability": 0.5, "k": 3})
    for objective, options, view in (
        ("moco", None, "small"),
        ("supervised", None, "key"),
        ("dino", {"small_crops": 0}, "small"),
    ):
        changes = {"objective": objective, "objective_options": options}
        with pytest.raises(ValueError, match=f"`swapped` must name views that {objective} sees"):
            prepare(rationale_options={"swapped": (view,)}, **changes)
    with pytest.raises(ValueError, match="nowhere"):
        prepare(init="nowhere")
    with pytest.raises(OSError, match="somewhere"):
        prepare(data_dir=str(tmp_path / "somewhere"))
    assert not (tmp_path / "out").exists(), "nothing half-written stays behind"
    prepare()
    with pytest.raises(ValueError, match="not empty.*resume=True"):
        prepare()
    with pytest.raises(ValueError, match="other settings: epochs was 2"):
        prepare(epochs=3, resume=True)


@pytest.mark.usefixtures("without_pictures")
def test_controls_that_can_not_be_are_told_with_their_reason(drawn, tmp_path):
    bare = type(drawn)("bare", drawn.images, drawn.labels, drawn.class_names, drawn.is_train)
    options = {"epochs": 0, "protocols": ("retrieval",), "image_size": 48}
    options |= {"rationale_options": None, "controls": ("center_prior", "mask")}
    protocol = start(bare, tmp_path / "on", **options)["protocol"]
    assert protocol["controls"] == ["center_prior"]
    assert protocol["missing"] == {"control mask": "the data set has neither masks nor boxes"}
    protocol = start(bare, tmp_path / "average", pooling="average", **options)["protocol"]
    assert protocol["controls"] == []
    assert "an average has no rationale" in protocol["missing"]["controls"]


@pytest.mark.usefixtures("without_pictures")
def test_an_unreadable_image_stops_the_run_or_is_skipped(tmp_path):
    birds = synthetic_birds(2, train_per_class=9, test_per_class=2, image_size=48)
    folder = write_cub_layout(birds, tmp_path / "data")
    broken = next(folder.glob("images/*/*"))
    broken.write_bytes(broken.read_bytes()[:100])
    with pytest.raises(ValueError, match=f"{broken.name}.*skip_bad=True"):
        start(folder, tmp_path / "out")
    unfitted = QUICK | {"epochs": 0, "rationale": "off", "rationale_options": None}
    metrics = start(folder, tmp_path / "out", skip_bad=True, **unfitted)
    assert metrics["protocol"]["skipped_images"] == 1


def recipe(name, *arguments):
    command = [sys.executable, str(RECIPES / name), *map(str, arguments)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    return subprocess.run(command, env=environment, capture_output=True, text=True)


@pytest.mark.slow
def test_the_recipe_stores_what_from_preset_loads(birds, tmp_path):
    output = tmp_path / "out"
    done = recipe(
        *(
            "train_cub.py",
            "--data-dir",
            birds,
            "--backbone",
            "squeezenet",
            "--epochs",
            1,
            "--image-size",
            64,
        ),
        *("--batch-size", 8, "--protocols", "retrieval", "--refit", "off", "--output", output),
        *("--rationale-options", "foregrounds=off"),
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert not re.search(r"absl|oneDNN|cuda|tensorflow", done.stderr, re.IGNORECASE)
    assert (store_path("cub_squeezenet") / "preset.json").is_file()
    encoder = CommonRationaleEncoder.from_preset("cub_squeezenet")
    trained = last_checkpoint(output)[0].encoder
    images = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)).astype("float32")
    ours, expected = encoder.encode(images), trained.encode(images)
    for part in ("feature_map", "rationale", "average_embedding"):
        np.testing.assert_allclose(ours[part], expected[part], atol=1e-5)
    source = json.loads((output / "preset" / "preset.json").read_text())["source"]
    assert "train_cub.py" in source["command"]


@pytest.mark.slow
def test_the_demo_needs_nothing_and_prints_what_changed(tmp_path):
    shown = ("--protocols", "retrieval,localization", "--refit", "off")
    shown += ("--rationale-options", "foregrounds=off", "--image-size", 64)
    done = recipe("train_demo.py", "--epochs", 1, *shown, "--output", tmp_path / "out")
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Before and after training on these birds" in done.stdout
    assert (tmp_path / "out" / "rationales.png").is_file()
    assert CommonRationaleEncoder.from_preset("demo_birds").num_detectors == 1


@pytest.mark.parametrize(
    ("raised", "status", "told"),
    [
        (
            KeyboardInterrupt(),
            130,
            "Stopped. Go on with the same command and --resume --output ",
        ),
        (
            OSError(28, "No space left on device"),
            "birds.py: error: .*No space left .* go on with the same command and --resume --output",
            "",
        ),
    ],
)
def test_a_run_that_is_cut_off_ends_in_one_line(
    birds, tmp_path, monkeypatch, capsys, raised, status, told
):
    def execute(self):
        raise raised

    monkeypatch.setattr(Run, "execute", execute)
    monkeypatch.setattr(sys, "argv", ["birds.py"])
    given = vars(settings(birds, tmp_path / "out"))
    with pytest.raises(SystemExit, match=str(status)):
        main("Trains.", read_cub, tiny_backbone, **given)
    printed = capsys.readouterr().err
    assert printed.strip() == (told and f"{told}{tmp_path / 'out'}.")


def test_ctrl_c_before_there_is_a_run(birds, tmp_path, monkeypatch, capsys):
    def read(data_dir):
        raise KeyboardInterrupt

    monkeypatch.setattr(sys, "argv", ["birds.py"])
    with pytest.raises(SystemExit, match="130"):
        main("Trains.", read, tiny_backbone)
    assert capsys.readouterr().err.strip() == "Stopped."
