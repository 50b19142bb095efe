"""Reports of data sets that lack something, of files, and of many classes."""

import numpy as np
import pytest

from keras_cr.data import read_cub, synthetic_birds, write_cub_layout
from keras_cr.evaluation import evaluate_features, extract
from keras_cr.evaluation.report import places, write_report
from keras_cr.evaluation.report.numbers import percent
from tests.case import tiny_encoder
from tests.evaluation.report_helpers import SECTIONS, SIZE, features, read

QUICK = ("retrieval", "knn", "localization")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"pooling": "average"}, "most similar other test images under average pooling"),
        ({"labels": None}, "Left out: the images have no labels"),
        ({"is_train": np.ones(37, bool)}, "training images, for there is no test split"),
        ({"is_train": np.arange(37) > 0}, "Left out: there are no two test images"),
        ({"labels": np.zeros(37, int)}, "fewer than two classes"),
        ({"labels": np.arange(37), "class_names": [str(i) for i in range(37)]}, "no class in com"),
        ({"masks": None}, "Not measured: the data set has neither masks nor boxes"),
        ({"masks": None, "boxes": np.tile([2, 3, 9, 8], (37, 1))}, "the worst other ones"),
        ({"masks": np.zeros((37, SIZE, SIZE), bool)}, "`foreground` is empty in all"),
    ],
)
def test_data_that_do_not_allow_everything(changes, told, tmp_path):
    own = evaluate_features(features(**changes), QUICK)
    path = write_report(tmp_path / "report.html", "Little", own)
    page = read(path)
    assert told.lower() in page.text.lower()
    assert [section["id"] for section in page.all("section")] == SECTIONS
    assert len(page.all("img")) >= 2
    missing = own.metrics["protocol"]["missing"]
    assert all(f"{reason.rstrip('.')}." in page.text for reason in missing.values())
    assert ".." not in page.text
    assert "nan" not in page.text.split()


def test_one_object(tmp_path, monkeypatch):
    masks = features().dataset.masks.copy()
    seen = np.flatnonzero(~features().dataset.is_train)[1]
    masks[np.arange(len(masks)) != seen] = False
    own = evaluate_features(features(masks=masks), "localization")
    assert own.metrics["localization"]["images"] == 1
    page = read(write_report(tmp_path / "report.html", "One", own))
    assert len(page.all("rect", "true")) == 1
    assert "The worst" not in page.text
    monkeypatch.setattr(places, "CANDIDATES", 1)
    page = read(write_report(tmp_path / "report.html", "One", own))
    assert "Left out: none of 1 test images shows an object." in page.text


def test_some_protocols_and_weak_maps(tmp_path):
    own = features()
    own.embeddings.rationale[:] = 0  # no detector fires
    path = tmp_path / "report.html"
    page = read(write_report(path, "x", evaluate_features(own, "localization"), max_examples=1))
    assert "Not measured: retrieval; it was not asked for" in page.text
    assert "By the nearest other test image" in page.text
    page = read(write_report(path, "x", evaluate_features(features(), "clustering")))
    assert "Not measured: it was not asked for" in page.text


def test_only_shown_images_are_read_and_many_classes_fit(tmp_path, monkeypatch):
    import keras_cr.data

    taken, read_batches = [], keras_cr.data.image_batches
    monkeypatch.setattr(
        keras_cr.data,
        "image_batches",
        lambda dataset, *args: taken.append(len(dataset)) or read_batches(dataset, *args),
    )
    own = evaluate_features(features(classes=200, train=1, test=4), QUICK)
    path = write_report(tmp_path / "report.html", "Many", own)
    assert 24 < sum(taken) < 150
    assert path.stat().st_size < 3e6
    assert len([cell for cell in read(path).all("td") if "style" in cell]) > 3 * 190


def test_real_encoder_and_files(tmp_path):
    birds = synthetic_birds(num_classes=3, train_per_class=2, test_per_class=3, image_size=32)
    root = write_cub_layout(birds, tmp_path / "birds")
    own = extract(tiny_encoder(), read_cub(root), image_size=32, batch_size=4)
    evaluation = evaluate_features(own, QUICK)
    page = read(write_report(tmp_path / "report.html", "Birds", evaluation, max_examples=4))
    assert len(page.all("div", "pair")) >= 4
    assert percent(evaluation.metrics["localization"]["box_iou"]) in page.text
