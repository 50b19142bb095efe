"""The page of a published preset: what it says, and what a machine reads in it."""

import pytest
from huggingface_hub import ModelCard

from keras_cr.presets import card, model_card
from keras_cr.presets.model_card import headline

MANIFEST = {
    "class": "keras_cr>CommonRationaleEncoder",
    "name": "birds",
    "keras_cr": "0.1.0",
    "source": {"command": "python recipes/train_cub.py", "seed": 3, "date": "2026-01-02"},
    "metrics": {
        "retrieval": {"rank1": 0.75, "map": 0.5, "rank5": 0.9},
        "linear_probe": None,
        "average_pooling": {"retrieval": {"rank1": 0.5, "map": 0.25}},
        "localization": {"energy_ratio": 2.0},
        "protocol": {"dataset": "birds", "seed": 3, "versions": {"keras": "3"}},
    },
    "licence": "Apache-2.0",
}


def test_a_page_without_a_card():
    page = ModelCard(model_card(MANIFEST, None, "org/birds", "v1"))
    assert (page.data.license, page.data.library_name) == ("apache-2.0", "keras")
    results = {result.metric_name: result.metric_value for result in page.data.eval_results}
    assert results["retrieval, rank-1"] == 0.75
    assert "linear probe" not in results
    assert 'CommonRationaleEncoder.from_preset("hf://org/birds@v1")' in page.text
    assert "| retrieval, rank-1 | 75.0 % | 50.0 % |" in page.text
    assert "| energy on the foreground / its area | 2.00 | - |" in page.text
    assert "- seed: 3" in page.text
    assert "- limits: not stated" in page.text


def test_a_page_from_a_card():
    entry = card("demo_squeezenet")
    text = model_card(MANIFEST | {"name": entry.name}, entry, None)
    page = ModelCard(text)
    assert 'from_preset("demo_squeezenet")' in text
    values = [result.metric_value for result in page.data.eval_results]
    assert entry.metrics["retrieval"]["rank1"] in values
    assert 0.75 not in values, "the card's numbers go before the manifest's"
    assert " ".join(entry.limits.split()) in text


def test_nothing_is_claimed_that_was_not_measured():
    unmeasured = MANIFEST | {"metrics": {"retrieval": {"rank1": 1.0}}}  # no protocol
    page = ModelCard(model_card(unmeasured, None, "org/birds"))
    assert page.data.eval_results is None
    assert "Not measured." in page.text
    assert "Not measured." in model_card(MANIFEST, card("cub_resnet50"), "org/birds")
    assert headline({}) == {}


@pytest.mark.parametrize("name", ["a: b\n---\n# x", "| <script>alert(1)</script>", "'\"{}[]"])
def test_names_cannot_break_the_page(name):
    manifest = MANIFEST | {"name": name, "licence": name}
    page = ModelCard(model_card(manifest, None, "org/birds"))
    assert page.data.license == "other"
    assert "<script" not in page.text
    assert page.text.count("\n# ") == 1


def test_a_classifiers_page():
    manifest = MANIFEST | {"class": "keras_cr>CommonRationaleClassifier"}
    text = model_card(manifest, None, "org/birds")
    assert "probabilities = classifier(images)" in text


@pytest.mark.parametrize(
    "metrics",
    [
        {"retrieval": [0.5], "knn": {"top1": [1]}},
        {"retrieval": {"rank1": {"rank1": 1.0}}, "average_pooling": [1]},
        {"retrieval": {"rank1": True}, "average_pooling": {"knn": 1.0}},
    ],
)
def test_metrics_of_another_layout_are_left_out(metrics):
    manifest = MANIFEST | {"metrics": metrics | {"protocol": {"dataset": "x"}}, "source": {}}
    assert "Not measured." in model_card(manifest, None, "org/birds")
