"""keras-cr evaluate: the numbers are evaluate's; what is missing is told; files are whole."""

import csv
import json

import pytest

from keras_cr import CommonRationaleEncoder, evaluation
from keras_cr.cli import main
from keras_cr.data import read_cub, read_image_folder
from keras_cr.evaluation import evaluate, format_table, records
from tests.cli.test_main import fails

FILES = {"metrics.json", "metrics.csv", "per_image.csv", "report.html", "report.md"}


def arguments(preset, data_dir, dataset, *more):
    parts = ["evaluate", "--preset", preset, "--data-dir", data_dir, "--dataset", dataset, *more]
    return [str(part) for part in parts]


def expected(preset, dataset, **options):
    encoder = CommonRationaleEncoder.from_preset(preset)
    metrics = evaluate(encoder, dataset, **options)
    metrics["protocol"]["skipped_images"] = 0
    return json.loads(json.dumps(metrics))


def test_table_and_files(preset, birds, tmp_path, capsys):
    output = tmp_path / "out"
    more = ("--protocols", "knn,retrieval,clustering", "--seed", 3, "-o", output)
    assert main(arguments(preset, birds, "cub", *more)) == 0
    metrics = expected(
        preset,
        read_cub(birds),
        protocols=("retrieval", "knn", "clustering"),
        seed=3,
        checkpoint_rule=f"as stored in the preset {preset}",
    )
    assert {path.name for path in output.iterdir()} == FILES
    assert json.loads((output / "metrics.json").read_text()) == metrics
    with (output / "metrics.csv").open(newline="") as file:
        values = [float(row["value"]) for row in csv.DictReader(file)]
    assert values == [row["value"] for row in records(metrics)]
    with (output / "per_image.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 2 * 9  # a row a test image and pooling
    page, text = ((output / f"report.{suffix}").read_text() for suffix in ("html", "md"))
    for report in (page, text):
        assert f"{preset} on cub_200_2011" in report
        assert "keras-cr evaluate --preset" in report
    printed = capsys.readouterr()
    assert printed.out == (
        f"{format_table({preset: metrics})}\nAlso measured (see -o, --json): clustering.\n"
        f"Wrote {output}.\n"
    )
    assert "Reading 21 images" in printed.err


def test_json_prints_the_metrics_and_nothing_else(preset, birds, capsys):
    more = ("--protocols", "retrieval", "--json", "--checkpoint-rule", "epoch 7")
    assert main(arguments(preset, birds / "images", "folder", *more)) == 0
    dataset = read_image_folder(birds / "images", test_fraction=0.2)
    options = {"protocols": "retrieval", "checkpoint_rule": "epoch 7"}
    assert json.loads(capsys.readouterr().out) == expected(preset, dataset, **options)


def test_what_cannot_be_measured_is_told(preset, birds, capsys):
    more = ("--protocols", "retrieval,localization")
    assert main(arguments(preset, birds / "images", "folder", *more)) == 0
    told = "Not measured: localization, the data set has neither masks nor boxes."
    assert capsys.readouterr().out.endswith(f"{told}\n")


def test_unreadable_images(preset, birds, tmp_path, capsys):
    for name in "ab":
        (tmp_path / name).mkdir()
        for i, path in enumerate(sorted((birds / "images").rglob("*.jpg"))[:5]):
            (tmp_path / name / f"{i}.jpg").write_bytes(path.read_bytes())
    (tmp_path / "a" / "0.jpg").write_bytes(b"no image")
    argv = arguments(preset, tmp_path, "folder", "--protocols", "knn", "--json")
    assert "1 of 10 images" in fails(argv, capsys)
    assert main([*argv, "--skip-bad"]) == 0
    protocol = json.loads(capsys.readouterr().out)["protocol"]
    assert protocol["skipped_images"] == 1
    assert sum(protocol["images"].values()) == 9


def test_mistakes(preset, birds, tmp_path, capsys):
    assert "is not a folder" in fails(arguments(preset, tmp_path / "no", "folder"), capsys)
    assert "holds no images.txt" in fails(arguments(preset, tmp_path, "cub"), capsys)
    with pytest.raises(SystemExit, match="2"):
        main(arguments(preset, birds, "cub", "--protocols", "knn,magic"))
    assert "argument --protocols: may hold retrieval" in capsys.readouterr().err
    (tmp_path / "report.md").write_text("earlier")
    said = fails(arguments("no_such_preset", birds, "cub", "-o", tmp_path), capsys)
    assert f"{tmp_path / 'report.md'} would be replaced; add --overwrite" in said


def test_an_error_in_the_middle_leaves_nothing(preset, birds, tmp_path, monkeypatch, capsys):
    def failing(*args, **kwargs):
        raise OSError("disk full")

    monkeypatch.setattr(evaluation.report, "write_markdown", failing)
    argv = arguments(preset, birds, "cub", "--protocols", "knn", "-o", tmp_path / "out")
    assert main(argv) == 1
    assert capsys.readouterr().err.endswith("keras-cr evaluate: error: disk full\n")
    assert not (tmp_path / "out").exists()
