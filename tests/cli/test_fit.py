"""keras-cr fit: any backbone gets a rationale and becomes a preset, or nothing is written."""

import inspect
import json
import re
import warnings

import keras
import numpy as np
import pytest

import keras_cr
from keras_cr import CommonRationaleEncoder
from keras_cr.cli import fit, main
from keras_cr.data import synthetic_birds
from keras_cr.models.encoder import POOLINGS
from keras_cr.rationale import Rationale, fit_rationale
from tests.case import tiny_backbone, tiny_encoder
from tests.cli.test_main import fails
from tests.data.helpers import save_image

FEW = ("--rounds", 2, "--epochs", 2, "--batch-size", 8)
NUMBER = 24


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of 24 birds, 32 pixels wide."""
    folder = tmp_path_factory.mktemp("birds")
    for number, image in enumerate(synthetic_birds(2, NUMBER // 2, 0, image_size=32).images):
        save_image(folder / f"{number:02d}.png", image)
    return folder


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A backbone for images of 32 pixels."""
    path = tmp_path_factory.mktemp("backbone") / "tiny.keras"
    tiny_backbone(image_size=32).save(path)
    return path


def run(images, output, *more):
    return main([str(part) for part in ("fit", images, "-o", output, *FEW, *more)])


def test_poolings_are_the_librarys():
    assert set(fit.POOLINGS) == set(POOLINGS) - {"average"}


def test_what_the_embedding_is(folder, file, tmp_path):
    """By a vocabulary, unless a preset has more than an average, or another is told."""
    for name, start, expected in (
        ("new", ("--backbone", file), "rationale_vlad"),
        ("plain", ("--backbone", file, "--pooling", "rationale"), "rationale"),
        ("again", ("--preset", tmp_path / "plain"), "rationale_vlad"),
        ("both", ("--preset", tmp_path / "plain", "--pooling", "concat"), "concat"),
        ("stays", ("--preset", tmp_path / "both"), "concat"),
    ):
        assert run(folder, tmp_path / name, *start) == 0
        encoder = CommonRationaleEncoder.from_preset(str(tmp_path / name))
        assert encoder.pooling == expected, name
        assert (encoder.vocabulary is None) == (name in ("plain", "both", "stays")), name
        if encoder.pooling == "rationale_vlad":
            assert np.abs(encoder.vocabulary.words).max() > 0.01, "it has been fitted"


def test_a_backbone_becomes_a_preset(folder, file, tmp_path, capsys):
    output = tmp_path / "deep" / "my encoder"
    assert run(folder, output, "--backbone", file, "--seed", 3) == 0
    printed = capsys.readouterr()
    assert f"fitted to {NUMBER} images" in printed.out
    assert f"keras-cr explain {folder} --preset '{output}' -o '{output}_maps'" in printed.out
    assert printed.err.startswith("round 1 of 2: fit_loss ")
    assert "round 2 of 2: " in printed.err

    manifest = json.loads((output / "preset.json").read_text())
    assert manifest["name"] == "my encoder"
    source = manifest["source"]
    assert source["command"].startswith(f"keras-cr fit {folder} -o '{output}' --rounds 2")
    assert (source["seed"], source["images"], source["image_size"]) == (3, NUMBER, 32)
    assert (source["keras_cr"], source["keras"]) == (keras_cr.__version__, keras.__version__)
    assert len(manifest["extra"]["fit_rationale"]) == 2
    assert Rationale.from_config(manifest["extra"]["rationale"]).positives.k == 10

    encoder = CommonRationaleEncoder.from_preset(str(output))
    assert (encoder.num_detectors, encoder.pooling) == (1, "rationale_vlad")
    assert encoder.image_size == (32, 32)
    expected = CommonRationaleEncoder(keras.saving.load_model(file), 1, "rationale_vlad")
    images = synthetic_birds(2, NUMBER // 2, 0, image_size=32).images.astype("float32")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit_rationale(expected, images, rounds=2, epochs=2, batch_size=8, seed=3)
    for one, other in zip(encoder.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


def test_a_finer_map(folder, file, tmp_path, capsys):
    assert run(folder, tmp_path / "finer", "--backbone", file, "--output-stride", 4) == 0
    encoder = CommonRationaleEncoder.from_preset(tmp_path / "finer")
    assert encoder.encode(np.zeros((1, 32, 32, 3), "float32"))["feature_map"].shape[1:3] == (8, 8)
    capsys.readouterr()
    command = ["fit", folder, "-o", tmp_path / "no", "--preset", tmp_path / "finer"]
    said = fails([*command, "--output-stride", 16], capsys)
    assert "no more than the model's own, 4" in said
    assert not (tmp_path / "no").exists()


def test_a_preset_gets_another_branch_and_keeps_its_backbone(folder, tmp_path, capsys):
    before = tiny_encoder(num_detectors=2, pooling="average")
    preset = before.save_to_preset(tmp_path / "preset")
    argv = ["fit", folder, "-o", preset, "--preset", preset, "--image-size", 48, "--rounds", 1]
    assert f"{preset / 'config.json'}, " in (said := fails(argv, capsys))
    assert "add --overwrite" in said
    assert (
        main(
            [
                *map(str, argv),
                "--overwrite",
                "--epochs",
                "1",
                "--rationale-options",
                "k=3,prior=none",
            ]
        )
        == 0
    )
    after = CommonRationaleEncoder.from_preset(str(preset))
    assert (after.num_detectors, after.pooling, after.image_size) == (2, "rationale_vlad", (48, 48))
    for one, other in zip(before.backbone.get_weights(), after.backbone.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert np.abs(before.branch.get_weights()[0] - after.branch.get_weights()[0]).max() > 1e-3
    extra = json.loads((preset / "preset.json").read_text())["extra"]
    assert (extra["rationale"]["k"], extra["rationale"]["prior"]) == (3, "none")


def test_of_many_images_some_are_drawn(folder, file, tmp_path, monkeypatch, capsys):
    taken = []

    def watched(encoder, batches, *args, **options):
        taken.extend(batch for batch in batches)
        return [dict.fromkeys(fit.MEASURES, 0.0)]

    monkeypatch.setattr("keras_cr.rationale.fit_rationale", watched)
    assert run(folder, tmp_path / "out", "--backbone", file, "--max-images", 10) == 0
    assert "Fitting to 10 of 24 images (--max-images)." in capsys.readouterr().err
    birds = synthetic_birds(2, NUMBER // 2, 0, image_size=32).images
    taken = np.rint(np.concatenate(taken)).astype("uint8")
    rows = [int(np.flatnonzero((birds == image).all((1, 2, 3)))[0]) for image in taken]
    assert rows == sorted(set(rows))
    assert len(rows) == 10
    assert max(rows) >= 12  # not the first ones alone


def test_a_warning_is_one_line(folder, file, tmp_path, monkeypatch, capsys):
    def warns(*args, **options):
        warnings.warn("The maps shun the middle.", stacklevel=2)
        return []

    monkeypatch.setattr("keras_cr.rationale.fit_rationale", warns)
    assert run(folder, tmp_path / "out", "--backbone", file) == 0
    assert capsys.readouterr().err == "Warning: The maps shun the middle.\n"


def test_an_error_in_the_middle_leaves_no_half_preset(folder, file, tmp_path, monkeypatch, capsys):
    def full(*args, **options):
        raise OSError("No space left on device")

    monkeypatch.setattr("keras_cr.rationale.fit_rationale", lambda *args, **options: [])
    monkeypatch.setattr("keras.saving.save_weights", full)
    output = tmp_path / "out"
    argv = ["fit", folder, "-o", output, "--backbone", file, *FEW]
    assert main([str(part) for part in argv]) == 1
    assert "error: No space left on device" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_what_is_no_backbone(folder, broken, tmp_path, capsys):
    classifier = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Flatten()])
    classifier.save(tmp_path / "flat.keras")
    broken = broken.rename(tmp_path / "broken.keras")
    for name, said in (
        ("none.keras", "none.keras' is no file"),
        ("broken.keras", "broken.keras' can't be loaded: "),
        ("flat.keras", "--backbone must end in one 4-D feature map"),
    ):
        argv = ["fit", folder, "-o", tmp_path / "out", "--backbone", tmp_path / name]
        assert said in fails(argv, capsys)
    assert not (tmp_path / "out").exists()


def test_images_that_are_too_few_or_unreadable(folder, file, broken, tmp_path, capsys):
    argv = ["fit", folder / "00.png", broken, "-o", tmp_path / "out", "--backbone", file]
    assert str(broken) in fails(argv, capsys)
    assert main([*map(str, argv), "--skip-bad"]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"Left out 1 unreadable images:\n  {broken}\n")
    assert "Received: 1 images" in said
    options = ("--rationale-options", "k=12")
    argv = ["fit", folder, "-o", tmp_path / "out", "--backbone", file, *options]
    assert "k must be below half the number of training images, 24" in fails(argv, capsys)
    assert not (tmp_path / "out").exists()


def test_a_folder_of_something_else_is_left_alone(folder, file, tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("mine")
    argv = ["fit", folder, "-o", tmp_path, "--backbone", "no_such.keras", "--overwrite"]
    assert "'notes.txt', which is not part of a preset" in fails(argv, capsys)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ((), "one of the arguments --backbone --preset is required"),
        (("--backbone", "resnet18", "--preset", "p"), "not allowed with argument"),
        (("--backbone", "vgg"), "--backbone: must be resnet18, .*; received 'vgg'"),
        (("--backbone", "a.keras", "--init", "none"), "--init: is for a --backbone given by name"),
        (("--preset", "p", "--init", "none"), "--init: is for a --backbone given by name"),
        (("--preset", "p", "--rounds", "0"), "--rounds: must be a whole number of 1 or more"),
        (("--preset", "p", "--rationale-options", "k"), "--rationale-options: must be NAME=VALUE"),
        (
            ("--preset", "p", "--rationale-options", "k=3,cut=mask"),
            "--rationale-options: `cut` has no effect where only the branch is fitted.*cut='mask'",
        ),
        (
            ("--preset", "p", "--rationale-options", "positives=views"),
            "--rationale-options: .*must have Neighbours",
        ),
    ],
)
def test_usage_errors(more, message, tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["fit", "photos", "-o", str(tmp_path / "out"), *more])
    assert re.search(message, capsys.readouterr().err)


def test_defaults_are_the_librarys():
    defaults = {
        name: parameter.default
        for name, parameter in inspect.signature(fit_rationale).parameters.items()
    }
    assert defaults["rounds"] == fit.ROUNDS
    assert defaults["epochs"] == fit.EPOCHS
    assert defaults["max_images"] == fit.MAX_IMAGES


def test_a_rationale_that_says_nothing_is_told(folder, tmp_path, capsys):
    layers = [keras.Input((32, 32, 3)), tiny_backbone(), keras.layers.Rescaling(0.0)]
    keras.Sequential(layers).save(tmp_path / "empty.keras")
    argv = ["fit", folder, "-o", tmp_path / "out", "--backbone", tmp_path / "empty.keras", *FEW]
    assert main(list(map(str, argv))) == 0
    said = capsys.readouterr().err
    assert "agreement 0.000" in said
    assert "Warning: The fitted maps of 100 % of the images have no contrast" in said
    assert "random weights" in said


def test_weights_that_are_not_finite_are_refused(folder, tmp_path, capsys):
    backbone = tiny_backbone(image_size=32)
    backbone.weights[0].assign(np.full(backbone.weights[0].shape, np.nan))
    backbone.save(tmp_path / "nan.keras")
    argv = ["fit", folder, "-o", tmp_path / "out", "--backbone", tmp_path / "nan.keras", *FEW]
    assert "`encoder` must have finite weights; " in fails(argv, capsys)
    assert not (tmp_path / "out").exists()
