import dataclasses
import json

import pytest

from keras_cr.experiment import Settings, parse_settings
from keras_cr.experiment.folder import changed_settings


def test_flags_change_a_recipes_defaults():
    argv = ["--epochs", "2", "--rationale", "reference", "--image-size", "64", "--skip-bad"]
    argv += ["--max-pixels", "1000"]
    settings = parse_settings("doc", argv, dataset="cub", epochs=100, batch_size=16)
    assert settings == Settings(
        dataset="cub",
        epochs=2,
        batch_size=16,
        rationale="reference",
        image_size=64,
        skip_bad=True,
        max_pixels=1000,
    )


def test_a_recipes_finer_map_can_be_left_out():
    assert parse_settings("doc", [], output_stride=8).output_stride == 8
    assert parse_settings("doc", ["--output-stride", "16"], output_stride=8).output_stride == 16
    assert parse_settings("doc", ["--output-stride", "none"], output_stride=8).output_stride is None


def test_schedules_are_part_of_the_run():
    argv = ["--optimizer", "lars", "--warmup-epochs", "10", "--weight-decay", "0.04"]
    settings = parse_settings("doc", [*argv, "--final-weight-decay", "0.4"])
    part = settings.of_the_run()
    assert (part["optimizer"], part["warmup_epochs"]) == ("lars", 10)
    assert (part["weight_decay"], part["final_weight_decay"]) == (0.04, 0.4)
    assert Settings(epochs=0, warmup_epochs=10).warmup_epochs == 10, "arms train nothing"
    with pytest.raises(ValueError, match="`optimizer` must be one of sgd, adamw, lars.*'adam'"):
        Settings(optimizer="adam")


def test_a_run_that_did_not_know_a_setting_goes_on(tmp_path):
    settings = Settings(output=str(tmp_path), resume=True, epochs=3)
    earlier = settings.of_the_run()
    del earlier["warmup_epochs"], earlier["final_weight_decay"]
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"settings": earlier}))
    assert changed_settings(json.loads(config.read_text()), settings) == ""
    warm = dataclasses.replace(settings, warmup_epochs=1, epochs=4)
    assert (
        changed_settings(json.loads(config.read_text()), warm)
        == "epochs was 3, is 4, warmup_epochs was 0, is 1"
    )
    config.write_text(json.dumps({"settings": earlier | {"temperature": 0.1}}))
    assert (
        changed_settings(json.loads(config.read_text()), settings)
        == "temperature was 0.1, is no setting"
    )


def test_options_of_the_rationale_are_part_of_the_run():
    argv = ["--rationale-options", "weight=5, extra_passes=query,temperature=0.2"]
    settings = parse_settings("doc", [*argv, "--rationale", "paper"], validation_fraction=0.4)
    options = {"weight": 5.0, "extra_passes": ["query"], "temperature": 0.2}
    assert settings.rationale_options == options
    written = json.loads(json.dumps(settings.of_the_run()))
    assert written == settings.of_the_run()
    assert (written["rationale_options"], written["validation_fraction"]) == (options, 0.4)
    assert Settings(rationale_options={}) == Settings()
    assert Settings().rationale_options is Settings().validation_fraction is None


def test_tasks_and_their_weights_are_part_of_the_run():
    argv = ["--objective", "supervised", "--auxiliary", "rotation=0.1, dcl=1"]
    settings = parse_settings("doc", [*argv, "--objective-options", "objective_weight=0.9"])
    assert settings.auxiliary == {"rotation": 0.1, "dcl": 1.0}
    assert settings.objective_options == {"objective_weight": 0.9}
    assert json.loads(json.dumps(settings.of_the_run()))["auxiliary"] == settings.auxiliary
    assert Settings(auxiliary={}) == Settings()
    assert Settings().auxiliary is None


@pytest.mark.parametrize(
    ("objective", "options", "typed"),
    [
        ("moco", "queue_size=64,temperature=1", {"queue_size": 64, "temperature": 1.0}),
        ("densecl", "queue_size=64,dense_weight=1", {"queue_size": 64, "dense_weight": 1.0}),
        ("patch_wise", "prototypes=9,momentum=0.9", {"prototypes": 9, "momentum": 0.9}),
    ],
)
def test_options_of_an_objective_are_those_of_its_class_and_of_what_it_refines(
    objective, options, typed
):
    argv = ["--objective", objective, "--objective-options", options]
    assert parse_settings("doc", argv).objective_options == typed


@pytest.mark.parametrize("name", ["optimizer", "strategy", "rationale", "refit", "precision"])
@pytest.mark.parametrize("value", ["Off", False])
def test_words_are_looked_at_without_flags_too(name, value):
    with pytest.raises(ValueError, match=f"`{name}` must be one of .* Received: {value!r}"):
        Settings(**{name: value})


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--epochs", "-1"], "--epochs must be 0 or more. Received: -1"),
        (["--seed", "-1"], "--seed must be 0 or more. Received: -1"),
        (["--seed", "4294967296"], "--seed must be 4294967295 or less. Received: 4294967296"),
        (["--output-stride", "5"], "--output-stride: must be 4, 8, 16, or none: as it is"),
        (["--max-pixels", "0"], "--max-pixels must be 1 or more. Received: 0"),
        (["--batch-size", "1"], "--batch-size must be 2 or more"),
        (["--learning-rate", "0"], "--learning-rate must be positive"),
        (["--optimizer", "adam"], "invalid choice: 'adam'"),
        (["--warmup-epochs", "-1"], "--warmup-epochs must be 0 or more. Received: -1"),
        (["--epochs", "3", "--warmup-epochs", "3"], "--warmup-epochs must be below --epochs, 3"),
        (["--final-weight-decay", "0.4"], "needs --optimizer adamw or --optimizer lars. Received"),
        (
            ["--optimizer", "lars", "--final-weight-decay", "-1"],
            "--final-weight-decay must be 0 or more, and --weight-decay, from which it is reached",
        ),
        (
            ["--optimizer", "adamw", "--final-weight-decay", "0.4", "--weight-decay", "0"],
            "Received: --final-weight-decay 0.4, --weight-decay 0",
        ),
        (["--resume"], "--resume needs --output"),
        (["--backbone", "vgg"], "invalid choice: 'vgg'"),
        (
            ["--strategy", "multiworker"],
            "--strategy can't be 'multiworker': Keras 3 does not",
        ),
        (["--rationale", "yes"], "invalid choice: 'yes'"),
        (["--init", "nowhere.keras"], "no such file: nowhere.keras"),
        (["--epoch", "3"], "unrecognized arguments"),
        (["--validation-fraction", "1"], "--validation-fraction must lie between 0 and 1"),
        (["--auxiliary", "rotation"], "argument --auxiliary: must be NAME=VALUE"),
        (["--auxiliary", "rotate=1"], "--auxiliary: rotate: no choice of auxiliary tasks. There"),
        (["--auxiliary", "dcl=much"], "--auxiliary: `dcl` must be a number. Received: dcl='much'"),
        (["--auxiliary", "dcl=0"], "--auxiliary: `dcl` must be a positive number"),
        (["--objective", "pretext"], "--auxiliary must name the tasks that --objective pretext"),
        (
            ["--objective", "supervised", "--objective-options", "num_classes=3"],
            "--objective-options: num_classes: no choice of the objective supervised",
        ),
        (["--rationale-options", "k"], "argument --rationale-options: must be NAME=VALUE"),
        (["--rationale-options", "kk=3"], "--rationale-options: kk: no choice of a rationale"),
        (
            ["--objective-options", "dense_weight=1"],
            "dense_weight: no choice of the objective moco",
        ),
        (["--objective", "simclr", "--objective-options", "momentum=1"], "momentum: no choice"),
        (["--rationale-options", "k=x"], "--rationale-options: `k` must be a whole number"),
        (["--rationale-options", "k=-1"], "--rationale-options: `k` must be a positive integer"),
        (["--rationale", "off", "--rationale-options", "k=5"], "no effect with --rationale off"),
    ],
)
def test_mistakes_are_told_in_a_line(argv, message, capsys):
    with pytest.raises(SystemExit):
        parse_settings("doc", argv)
    assert message in capsys.readouterr().err


def test_help_names_every_flag_and_default(capsys):
    with pytest.raises(SystemExit):
        parse_settings("What the recipe does.", ["--help"], epochs=7)
    shown = capsys.readouterr().out
    assert "What the recipe does." in shown
    assert "(default: 7)" in shown
    for flag in ("--data-dir", "--output", "--init", "--objective", "--precision", "--resume"):
        assert flag in shown
