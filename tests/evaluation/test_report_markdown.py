import json

import numpy as np
import pytest

from keras_cr.evaluation import evaluate_features
from keras_cr.evaluation.report import write_markdown
from keras_cr.evaluation.report.numbers import FAMILIES, percent, points
from tests.evaluation.report_helpers import features

METRICS = {(m.protocol, m.keys[0]): m for family in FAMILIES.values() for m in family}


@pytest.fixture(scope="module")
def evaluation():
    return evaluate_features(features(), checkpoint_rule="last epoch")


@pytest.fixture(scope="module")
def initialization():
    return evaluate_features(features(noise=3.0)).metrics


def tables(text):
    """{first cell of a row: its other cells}, of all tables; each is as wide as its head."""
    rows, width = {}, 0
    for line in text.splitlines():
        if not line.startswith("| "):
            width = 0
            continue
        cells = line[2:-2].split(" | ")
        width = width or len(cells)
        assert len(cells) == width
        rows[cells[0]] = cells[1:]
    return rows


def test_numbers_and_differences(evaluation, initialization, tmp_path):
    source = {"command": "python train.py", "date": "2020-02-02", "onednn": "1"}
    path = write_markdown(tmp_path / "new" / "r.md", "Squares", evaluation, initialization, source)
    text = path.read_text(encoding="utf-8")
    assert [file.name for file in path.parent.iterdir()] == ["r.md"]
    after, before = evaluation.metrics, initialization
    arms = (before["average_pooling"], before, after["average_pooling"], after)
    rows = tables(text)
    assert rows["percent"] == [
        "initialization, average pooling",
        "initialization, rationale pooling",
        "after training, average pooling",
        "after training, rationale pooling",
        "against average pooling, points",
        "against the initialization's average pooling, points",
    ]
    for title, key in (
        ("retrieval, mAP@R", ("retrieval", "map_at_r")),
        ("retrieval of training images, rank-1", ("retrieval_train_to_test", "rank1")),
        ("linear probe", ("linear_probe", "top1")),
        ("k-NN", ("knn", "top1")),
        ("clustering, NMI", ("clustering", "nmi")),
    ):
        values = [METRICS[key].of(scores) for scores in arms]
        differences = [points(values[3], values[2]), points(values[3], values[0])]
        assert rows[title] == [percent(value) for value in values] + differences
    share = after["few_label"]["10"]
    told = f"{100 * share['top1']:.1f} ± {100 * share['top1_std']:.1f}"
    assert rows["few label, 10 % of labels"][3] == told
    places = after["localization"]
    assert rows["the encoder's map"][:2] == [
        percent(places["energy"]),
        f"{places['energy_ratio']:.2f}",
    ]
    assert rows["control: uniform map"][1] == "1.00"
    assert "linear probe (SGD)" not in rows
    assert text.startswith("## Squares\n\n17 test images of 5 classes in squares")
    assert "\n```\npython train.py\n```\n" in text
    assert "- **Date**: 2020-02-02\n- **oneDNN**: on\n- **Checkpoint**: last epoch\n" in text
    knn = after["protocol"]["knn"]
    assert f"- **k-NN**: {knn['description']} Split: {knn['split']}." in text
    assert f"average: k {knn['choices']['average']['k']};" in text
    assert "![" not in text


def test_metrics_json_gives_the_same(evaluation, initialization, tmp_path):
    whole = write_markdown(tmp_path / "a.md", "x", evaluation, initialization).read_text()
    stored = json.loads(json.dumps(evaluation.metrics | {"initialization": initialization}))
    assert write_markdown(tmp_path / "b.md", "x", stored).read_text() == whole


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"labels": None}, "the images have no labels"),
        ({"is_train": np.ones(37, bool)}, "there is no test split"),
        ({"masks": None}, "the data set has neither masks nor boxes"),
    ],
)
def test_what_is_missing_and_why(changes, reason, tmp_path):
    metrics = evaluate_features(features(**changes), ("retrieval", "localization")).metrics
    text = write_markdown(tmp_path / "r.md", "x", metrics).read_text()
    for name, told in metrics["protocol"]["missing"].items():
        assert told == reason
        assert f"- **not measured: {name}**: {reason}" in text
    assert ("control: centre prior" in tables(text)) == (metrics["localization"] is not None)
    assert ("retrieval, rank-1" in tables(text)) == (metrics["retrieval"] is not None)


def test_average_pooling_alone(tmp_path):
    metrics = evaluate_features(features(pooling="average"), "knn").metrics
    rows = tables(write_markdown(tmp_path / "r.md", "x", metrics).read_text())
    assert rows["percent"] == ["average pooling"]
    assert rows["k-NN"] == [percent(metrics["knn"]["top1"])]
    rows = tables(write_markdown(tmp_path / "r.md", "x", metrics, metrics).read_text())
    assert rows["percent"][-1] == "against the initialization, points"
    assert rows["k-NN"][-1] == "±0.0"


def test_markup_in_names_is_shown_and_not_obeyed(tmp_path):
    own = features(name="a|b <img> _c_ [d](e) snake_case")
    text = write_markdown(
        tmp_path / "r.md",
        "# <b>\n*t*",
        evaluate_features(own, "knn"),
        source={"command": "echo ```` && exit", "x|y": "`&lt;`"},
    ).read_text()
    assert text.startswith("## \\# \\<b\\> \\*t\\*\n")
    assert "a\\|b \\<img\\> \\_c\\_ \\[d\\](e) snake_case" in text
    assert "\n`````\necho ```` && exit\n`````\n" in text
    assert "- **X\\|y**: \\`\\&lt;\\`\n" in text
    tables(text)


def test_refusals(tmp_path):
    for wrong, told in (({"knn": {}}, r"keys \['knn'\]"), (3, "a int")):
        with pytest.raises(ValueError, match=rf"`evaluation` must be what evaluate.*{told}"):
            write_markdown(tmp_path / "r.md", "x", wrong)
    assert list(tmp_path.iterdir()) == []
