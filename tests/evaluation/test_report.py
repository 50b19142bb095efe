import base64
import csv
import io
import json

import keras
import numpy as np
import pytest

from keras_cr._metrics import HEADLINES
from keras_cr.evaluation import (
    PROTOCOLS,
    Evaluation,
    box_iou,
    evaluate_features,
    foreground_boxes,
    map_boxes,
    nearest,
    records,
)
from keras_cr.evaluation.report import write_report
from keras_cr.evaluation.report.classes import class_scores, confused_pairs
from keras_cr.evaluation.report.numbers import margin, percent, points
from keras_cr.evaluation.report.subject import SIDE, Subject
from tests.evaluation.report_helpers import SECTIONS, SIZE, features, read

METRICS = {(metric.protocol, metric.keys[0]): metric for metric in HEADLINES}


@pytest.fixture(scope="module")
def evaluation():
    return evaluate_features(features(), checkpoint_rule="last epoch")


@pytest.fixture(scope="module")
def initialization():
    return evaluate_features(features(noise=3.0), checkpoint_rule="none").metrics


@pytest.fixture(scope="module")
def page(evaluation, initialization, tmp_path_factory):
    path = write_report(
        tmp_path_factory.mktemp("new") / "folder" / "report.html",
        "Squares & <others>",
        evaluation,
        initialization,
        {"epoch": [0, 1], "loss": [2.0, 1.0]},
        {"command": "python train.py --name '<b>'", "date": "2020-02-02", "note": "untrained"},
        max_examples=8,
    )
    assert [file.name for file in path.parent.iterdir()] == ["report.html"]
    return read(path)


def test_page_shows_numbers_before_and_after(page, evaluation, initialization):
    assert [section["id"] for section in page.all("section")] == SECTIONS
    assert {a["href"] for a in page.all("a")} >= {f"#{name}" for name in SECTIONS}
    assert "Squares & <others>" in page.text
    before, after = initialization, evaluation.metrics
    for weights, metrics in (("initialization", before), ("after training", after)):
        for pooling, scores in (("rationale", metrics), ("average", metrics["average_pooling"])):
            for protocol in ("retrieval", "retrieval_train_to_test", "clustering"):
                row = " ".join(percent(value) for value in scores[protocol].values())
                assert f"{weights}, {pooling} {row} " in page.text
    own, plain = after["retrieval"]["rank1"], after["average_pooling"]["retrieval"]["rank1"]
    first = before["average_pooling"]["retrieval"]["rank1"]
    assert f"{points(own, plain)} points against average pooling" in page.text
    assert f"{points(own, first)} points against the initialization's average" in page.text
    for title in ("initialization, average", "after training, rationale", "control: centre prior"):
        assert title in page.text
    share = after["few_label"]["20"]
    assert f"{100 * share['top1']:.1f} ± {100 * share['top1_std']:.1f}" in page.text
    assert f"{after['localization']['energy_ratio']:.2f}" in page.text


def test_page_says_how_and_from_what(page, evaluation):
    for told in (
        "20 train (5 classes), 17 test (5 classes)",
        "python train.py --name '<b>'",
        "2020-02-02",
        "last epoch",
        "keras " + keras.__version__,
        "Not measured: linear probe (SGD); it was not asked for",
    ):
        assert told in page.text
    for name, protocol in PROTOCOLS.items():
        if name != "linear_probe_sgd":
            assert f"{protocol.description} Split: {protocol.split}; " in page.text
    assert f"k {evaluation.metrics['protocol']['knn']['choices']['average']['k']};" in page.text


def test_page_asks_for_nothing(page):
    from PIL import Image

    for address in page.addresses():
        assert address.startswith(("data:", "#")), address
    (policy,) = [a["content"] for a in page.all("meta") if "http-equiv" in a]
    assert policy.startswith("default-src 'none'; img-src data:;")
    style, script = page.sources["style"], page.sources["script"]
    assert "url(" not in style + script
    assert "@import" not in style
    pictures = page.all("img")
    for picture in pictures:
        assert picture["alt"]
        kind, content = picture["src"].removeprefix("data:image/").split(";base64,")
        with Image.open(io.BytesIO(base64.b64decode(content))) as image:
            assert image.format.lower() == kind
            assert kind == "png" or max(image.size) <= SIDE
    assert sum("png" in picture["src"][:20] for picture in pictures) == 1  # the curves


def test_numbers_can_be_taken_away(page, evaluation):
    (link,) = page.all("a")[-1:]
    assert link["download"] == "metrics.csv"
    text = base64.b64decode(link["href"].split("base64,")[1]).decode()
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    expected = records(evaluation.metrics)
    assert [float(row["value"]) for row in rows] == [row["value"] for row in expected]
    assert [row["protocol"] for row in rows] == [row["protocol"] for row in expected]
    assert json.dumps(evaluation.metrics["protocol"]["knn"])[1:20] in page.text


def test_markup_in_names_is_shown_and_not_obeyed(tmp_path):
    evil = "\"><script>alert('&amp;')</script>"
    own = features(name=evil, class_names=[f"{evil}{i}" for i in range(5)])
    source = {evil: evil, "command": evil}
    path = tmp_path / "report.html"
    read_back = read(write_report(path, evil, evaluate_features(own, "knn"), source=source))
    assert len(read_back.all("script")) == 1
    assert read_back.text.count(evil) > 20
    assert any(evil in picture["alt"] for picture in read_back.all("img"))


def test_gallery_marks_right_and_wrong(page, evaluation):
    own = evaluation.features
    labels, found = own.labels("test"), nearest(own.x("test", "rationale"), k=5)
    asked = np.bincount(labels)[labels] > 1
    failed = np.flatnonzero((labels[found[:, 0]] != labels) & asked)
    even = np.linspace(0, len(labels) - 1, 2).astype(int)
    more = np.setdiff1d(failed, even)
    shown = [*even, *more[np.linspace(0, len(more) - 1, min(2, len(more))).astype(int)]]
    assert len(more) >= 2
    right = int((labels[found[shown]] == labels[shown][:, None]).sum())
    for kind, sign, count in (("right", "✓", right), ("wrong", "✗", 20 - right)):
        assert len(page.all("figure", kind)) == count
        marks = page.all("span", kind)
        assert len(marks) == count + 1  # and the legend's
        assert {(mark["role"], mark["aria-label"]) for mark in marks} == {("img", kind)}
        assert page.text.count(sign) == count + 1
    assert f"{len(failed)} of {asked.sum()} queries" in page.text


def test_boxes_are_those_that_were_judged(page, evaluation):
    own, test = evaluation.features, evaluation.features.rows("test")
    true = foreground_boxes(own.dataset.masks[test])
    choices = evaluation.metrics["protocol"]["localization"]["choices"]["rationale"]
    found = map_boxes(own.maps("test"), SIZE, choices["box_thresholds"]["rationale"])
    overlap = box_iou(found, true)
    np.testing.assert_allclose(overlap.mean(), evaluation.metrics["localization"]["box_iou"])
    some = [0, len(test) - 1]
    worst = [i for i in np.argsort(overlap, kind="stable") if i not in some][:2]
    for kind, boxes in (("true", true), ("found", found)):
        drawn = [
            [float(r[k]) for k in ("x", "y", "width", "height")] for r in page.all("rect", kind)
        ]
        np.testing.assert_allclose(drawn, boxes[[*some, *worst]])
    for position in (*some, *worst):
        assert f"IoU {percent(overlap[position])} %" in page.text
    assert "The worst other ones of the 17 test images" in page.text


def test_class_scores_and_confusions():
    own = features(classes=3, train=0, test=4)  # labels 0 0 0 0, 1 1 1 1, 2
    answers = {
        "knn": {"predicted": np.array([0, 1, 1, 2, 1, 1, 1, 0, 0])},
        "retrieval": {
            "first_rank": np.array([1, 1, 2, 3, 1, 1, 1, 1, 0]),
            "average_precision": np.array([1, 1, 0.5, 0.5, 1, 1, 1, 1, np.nan]),
        },
    }
    subject = Subject(Evaluation({}, {"rationale": answers}, own))
    names, sizes, scores = class_scores(subject)
    assert (names.tolist(), sizes.tolist()) == ([0, 1, 2], [4, 4, 1])
    np.testing.assert_array_equal(scores["k-NN"], [0.25, 0.75, 0])
    np.testing.assert_array_equal(scores["rank-1"], [0.5, 1, np.nan])
    np.testing.assert_array_equal(scores["mAP"], [0.75, 1, np.nan])
    by, pairs = confused_pairs(subject)
    assert by == "k-NN"
    assert [(a, b, rows.tolist()) for a, b, rows in pairs] == [
        (0, 1, [1, 2]),
        (0, 2, [3]),
        (1, 0, [7]),
        (2, 0, [8]),
    ]
    answers["linear_probe"] = {"predicted": own.labels("test")}
    assert confused_pairs(subject) == ("linear probe", [])
    subject = Subject(Evaluation({}, {}, own))
    predicted = own.labels("test")[nearest(own.x("test", "rationale"), k=1)[:, 0]]
    by, pairs = confused_pairs(subject)
    assert by == "nearest other test image"
    assert sum(len(rows) for _, _, rows in pairs) == np.sum(predicted != own.labels("test"))


def test_class_table(page, evaluation):
    subject = Subject(evaluation)
    names, _, scores = class_scores(subject)
    assert [b["aria-sort"] for b in page.all("th") if "aria-sort" in b] == ["none"] * 6
    cells = [float(cell["data-value"]) for cell in page.all("td") if "style" in cell]
    expected = np.stack(list(scores.values()), axis=1).ravel()
    np.testing.assert_allclose(cells, expected[np.isfinite(expected)], atol=1e-6)
    assert np.isnan(expected).sum() == 2  # nothing to find for the last class
    assert subject.class_name(names[0]) == "000.Class 0"


def test_large_images_become_thumbnails(tmp_path):
    from keras_cr.evaluation.report.subject import thumbnail

    noise = np.random.default_rng(0).integers(0, 255, (400, 400, 3)).astype("uint8")
    assert len(thumbnail(noise)) < 40_000
    assert thumbnail(noise).startswith("data:image/jpeg;base64,")


def test_earlier_report_survives_a_failure(evaluation, tmp_path):
    path = tmp_path / "report.html"
    path.write_text("earlier")
    with pytest.raises(FileNotFoundError):
        write_report(path, "x", evaluation, history=tmp_path / "history.csv")
    assert path.read_text() == "earlier"
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]


def test_refusals(evaluation, tmp_path):
    with pytest.raises(ValueError, match=r"`evaluation` must be an Evaluation.*received a dict"):
        write_report(tmp_path / "x.html", "x", evaluation.metrics)
    with pytest.raises(ValueError, match="`max_examples` must be a positive integer; received 0"):
        write_report(tmp_path / "x.html", "x", evaluation, max_examples=0)
    with pytest.raises(ValueError, match="`history` must hold at least one metric"):
        write_report(tmp_path / "x.html", "x", evaluation, history={"epoch": [0]})
    assert list(tmp_path.iterdir()) == []


def test_numbers():
    assert [percent(x) for x in (None, 0, 0.12345, 1)] == ["–", "0.0", "12.3", "100.0"]
    # the difference of what is shown, 12.3 and 10.1, and not 2.3 of the numbers themselves
    assert points(0.12349, 0.1005) == "+2.2"
    assert points(0.1, 0.25) == "−15.0"
    assert points(0.50001, 0.5) == "±0.0"
    assert points(None, 0.5) == points(0.5, None) == "–"
    np.testing.assert_allclose(margin(100), 0.098)
    assert METRICS["knn", "top1"].of({"knn": None}) is None
    assert METRICS["knn", "top1"].of({"knn": {"top1": float("nan")}}) is None
    assert METRICS["few_label", "10"].of({"few_label": {"10": {"top1": 0.5}}}) == 0.5
