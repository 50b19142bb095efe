"""What takes long says how far it is, on stderr alone, and says nothing where that is asked."""

import re

import numpy as np
import pytest

from keras_cr import _progress
from keras_cr.data import check_images, image_batches
from keras_cr.evaluation import add_controls, embed, evaluate, evaluate_features, extract
from keras_cr.evaluation.report import write_report
from keras_cr.pretraining import fit_rationale
from tests.case import tiny_encoder
from tests.data.helpers import dataset, pixels, save_image

PROTOCOLS = ("retrieval", "knn")


@pytest.fixture
def told(monkeypatch, capsys):
    """The titles of the lines that a call leaves, each with the last thing that it says."""
    monkeypatch.setattr(_progress, "_SHORT", -1.0)  # a log, as if everything took long
    monkeypatch.setattr(_progress, "_APART", -1.0)

    def of(function, *args, **options):
        function(*args, **options)
        printed = capsys.readouterr()
        assert printed.out == ""
        lines = [line for line in printed.err.splitlines() if re.search(r"\[\d+:\d\d", line)]
        return {line.split(":")[0]: line for line in lines}

    return of


@pytest.fixture(scope="module")
def data():
    return dataset(30)


def test_each_phase_of_an_evaluation(told, data, tmp_path):
    encoder = tiny_encoder()
    options = {"protocols": PROTOCOLS, "image_size": 32}
    lines = told(evaluate, encoder, data, **options)
    assert list(lines) == ["Embedding images", "Evaluating"]
    assert "100% 30/30 images" in lines["Embedding images"]
    assert "100% 2/2 protocols" in lines["Evaluating"]
    assert told(evaluate, encoder, data, **options, verbose=0) == {}

    features = extract(encoder, data, 32, verbose=0)
    controls = ("activation_norm", "center_branch")
    lines = told(add_controls, features, controls)
    assert "100% 2/2 controls" in lines["Preparing controls"]
    assert "100% 30/30 images" in lines["Pooling by controls"]
    assert told(add_controls, features, controls, verbose=0) == {}
    evaluation = evaluate_features(features, PROTOCOLS, verbose=0)
    lines = told(write_report, tmp_path / "report.html", "Title", evaluation)
    assert "100% 7/7 sections" in lines["Writing the report"]
    assert told(write_report, tmp_path / "r.html", "Title", evaluation, verbose=0) == {}


def test_embedding_counts_images_or_batches(told, data):
    encoder, images = tiny_encoder(), data.images.astype("float32")
    assert "100% 30/30 images" in told(embed, encoder, images)["Embedding images"]
    batches = image_batches(data, 32, 8)
    assert "100% 4/4 batches" in told(embed, encoder, batches)["Embedding images"]
    generator = (batch for batch in batches)
    assert ": 4 batches" in told(embed, encoder, generator)["Embedding images"]
    assert told(embed, encoder, images, verbose=0) == {}


def test_fitting_a_rationale(told, data):
    options = {"rounds": 2, "epochs": 3, "batch_size": 8}
    lines = told(fit_rationale, tiny_encoder(), image_batches(data, 32, 8), **options)
    assert "100% 4/4 batches" in lines["Computing feature maps"]
    last = lines["Fitting the rationale"]
    # two rounds, and two fits to refined maps, each of half the epochs
    assert "100% 10/10 epochs" in last
    assert re.search(r"round 2: agreement -?\d\.\d\d$", last)
    images = data.images.astype("float32")
    assert told(fit_rationale, tiny_encoder(), images, **options, verbose=0) == {}
    with pytest.raises(ValueError, match="`verbose` must be 'auto', 0, 1 or 2"):
        fit_rationale(tiny_encoder(), images, **options, verbose="loud")


def test_checking_files(told, tmp_path):
    for row, image in enumerate(pixels(3)):
        save_image(tmp_path / f"{row}.png", image)
    files = dataset(3, images=[str(tmp_path / f"{row}.png") for row in range(3)])
    assert "100% 3/3 images" in told(check_images, files)["Checking images"]
    assert told(check_images, files, verbose=0) == {}
    assert np.array_equal(check_images(files, verbose=0)[0].labels, files.labels)
