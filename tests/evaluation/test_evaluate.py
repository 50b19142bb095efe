"""Embedding, and everything together on a small fake encoder and data set."""

import csv
import dataclasses
import json
import sys

import keras
import numpy as np
import pytest

from keras_cr.data import FineGrainedDataset
from keras_cr.evaluation import (
    Embedder,
    Features,
    clustering,
    embed,
    evaluate,
    evaluate_features,
    extract,
    few_label,
    format_table,
    knn,
    linear_probe,
    read_per_image,
    records,
    retrieval,
    write_per_image,
    write_records,
)


class Colors(keras.Model):
    """Pools the pixels by how red they are: classes that differ in the rest are told apart."""

    pooling = "rationale"

    def __init__(self):
        super().__init__()
        self.traces = 0
        self.built = True

    def encode(self, images):
        self.traces += 1
        images = keras.ops.average_pool(images / 255.0, 4, 4)
        rationale = images[..., 0]
        weighted = keras.ops.mean(images * rationale[..., None], axis=(1, 2))
        average = keras.ops.mean(images, axis=(1, 2))
        return {
            "embedding": keras.ops.normalize(weighted),
            "average_embedding": keras.ops.normalize(average),
            "rationale": rationale,
            "feature_map": images,
        }


def dataset(n=40, size=16, **changes):
    """Red squares on a ground of any colour without red; classes differ in the squares' hue."""
    rng = np.random.default_rng(0)
    labels = np.arange(n) % 4
    images = np.tile(rng.integers(0, [20, 255, 255], (n, 1, 1, 3)), (1, size, size, 1))
    masks = np.zeros((n, size, size), "uint8")
    for image, mask, label in zip(images, masks, labels, strict=True):
        y, x = rng.integers(0, size // 2, 2)
        spot = (slice(y, y + size // 2), slice(x, x + size // 2))
        image[spot] = np.array([250, 60 * label, 180 - 60 * label])
        mask[spot] = 1
    fields = {
        "name": "squares",
        "images": images.astype("uint8"),
        "labels": labels,
        "class_names": list("abcd"),
        "is_train": np.arange(n) < n // 2,
        "masks": masks,
    }
    return FineGrainedDataset(**(fields | changes))


def test_embed_pads_the_last_batch_and_traces_once():
    encoder, images = Colors(), dataset().images
    embedder = Embedder(encoder)
    whole = embedder.embed(images[:32], batch_size=16)
    ragged = embedder.embed(images[i : i + 16] for i in range(0, 39, 16))
    assert encoder.traces == 1 or keras.backend.backend() != "tensorflow"
    assert (len(whole), len(ragged)) == (32, 40)
    assert whole.rationale.shape == (32, 4, 4)
    assert whole.embedding.dtype == "float32"
    np.testing.assert_allclose(whole.embedding, ragged.embedding[:32], atol=1e-6)
    expected = encoder.encode(keras.ops.convert_to_tensor(images.astype("float32")))
    np.testing.assert_allclose(ragged.average_embedding, expected["average_embedding"], atol=1e-5)


def test_embed_takes_tf_data_and_pairs():
    tf = pytest.importorskip("tensorflow")
    data = dataset()
    batches = tf.data.Dataset.from_tensor_slices((data.images, data.labels)).batch(32)
    from_pairs, from_array = embed(Colors(), batches), embed(Colors(), data.images)
    np.testing.assert_allclose(from_pairs.embedding, from_array.embedding, atol=1e-6)


def test_embed_refuses():
    with pytest.raises(ValueError, match="must have a method encode"):
        embed(keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]), np.ones((2, 4)))
    with pytest.raises(ValueError, match="received a batch of shape"):
        embed(Colors(), np.ones((2, 8, 8)))
    with pytest.raises(ValueError, match="at least one image"):
        embed(Colors(), [])
    with pytest.raises(ValueError, match="`batch_size`"):
        embed(Colors(), np.ones((2, 8, 8, 3)), batch_size=0)


SCORES = (
    "retrieval",
    "retrieval_train_to_test",
    "linear_probe",
    "knn",
    "few_label",
    "clustering",
)


@pytest.fixture(scope="module")
def evaluation():
    features = extract(Colors(), dataset(), image_size=16, batch_size=8)
    return evaluate_features(features, seed=3, checkpoint_rule="last epoch")


def test_evaluate_has_the_layout_of_metrics_json(evaluation):
    metrics = evaluate(
        Colors(), dataset(), image_size=16, batch_size=8, seed=3, checkpoint_rule="last epoch"
    )
    assert list(metrics) == [*SCORES, "average_pooling", "localization", "protocol"]
    assert tuple(metrics["average_pooling"]) == SCORES
    for scores in (metrics, metrics["average_pooling"]):
        assert {"rank1", "rank5", "map", "map_at_r", "r_precision"} <= scores["retrieval"].keys()
        assert scores["retrieval"].keys() == scores["retrieval_train_to_test"].keys()
        assert list(scores["linear_probe"]) == list(scores["knn"]) == ["top1"]
        assert list(scores["few_label"]) == ["10", "20", "50", "100"]
        assert list(scores["clustering"]) == ["nmi", "ari"]
    assert metrics["retrieval"]["map"] > metrics["average_pooling"]["retrieval"]["map"]
    assert metrics["localization"]["energy_ratio"] > 2
    assert metrics["localization"]["pointing_game"] == 1
    assert metrics["localization"]["box_iou"] > metrics["localization"]["uniform"]["box_iou"]
    protocol = metrics["protocol"]
    assert protocol["images"] == {"train": 20, "test": 20}
    assert protocol["missing"] == {}
    assert protocol["classes"] == {"train": 4, "test": 4}
    assert (protocol["checkpoint_rule"], protocol["pooling"]) == ("last epoch", "rationale")
    assert protocol["linear_probe"]["choices"]["average"]["converged"] is True
    assert protocol["retrieval"]["choices"]["rationale"] == {"queries": 20}
    assert protocol["localization"]["choices"]["rationale"]["images"] == 20
    assert protocol["versions"]["keras"] == keras.__version__
    assert json.loads(json.dumps(metrics)) == metrics
    assert evaluation.metrics == metrics, "the same numbers, however they are asked for"


def test_numbers_are_those_of_the_protocols_themselves(evaluation):
    """Each protocol asked alone, on features cut by hand."""
    features, metrics = evaluation.features, evaluation.metrics
    vectors = {"rationale": "embedding", "average": "average_embedding"}
    for pooling, scores in (("rationale", metrics), ("average", metrics["average_pooling"])):
        x, y = getattr(features.embeddings, vectors[pooling]), dataset().labels
        train, test = (x[:20], y[:20]), (x[20:], y[20:])
        found = retrieval(*test)
        assert found.pop("queries") == 20
        assert scores["retrieval"] == found
        found = retrieval(*test, *train)
        assert found.pop("queries") == 20
        assert scores["retrieval_train_to_test"] == found
        assert scores["knn"]["top1"] == knn(*train, *test)["top1"]
        probe = linear_probe(*train, *test, seed=3)
        assert scores["linear_probe"]["top1"] == probe["top1"]
        choices = metrics["protocol"]["linear_probe"]["choices"][pooling]
        assert choices == {name: probe[name] for name in choices}
        shares = few_label(*train, *test, seed=3)
        for share, values in scores["few_label"].items():
            assert values == {name: shares[share][name] for name in values}
        assert scores["clustering"]["nmi"] == clustering(*test, seed=3)["nmi"]


def test_each_image_is_embedded_once_for_all_protocols(monkeypatch):
    counted = []
    embed_batches = Embedder.embed

    def counting(self, images, batch_size=64, **options):
        result = embed_batches(self, images, batch_size, **options)
        counted.append(len(result))
        return result

    monkeypatch.setattr(Embedder, "embed", counting)
    evaluate(Colors(), dataset(), image_size=16)
    assert counted == [40]


def test_what_each_test_image_got_explains_the_numbers(evaluation):
    labels = evaluation.features.labels("test")
    for pooling, scores in (
        ("rationale", evaluation.metrics),
        ("average", evaluation.metrics["average_pooling"]),
    ):
        each = evaluation.per_image[pooling]
        found = each["retrieval"]
        assert np.mean(found["first_rank"] == 1) == scores["retrieval"]["rank1"]
        assert np.mean(labels[found["nearest"]] == labels) == scores["retrieval"]["rank1"]
        assert (found["nearest"] != np.arange(20)).all()
        assert found["average_precision"].mean() == pytest.approx(scores["retrieval"]["map"])
        for name in ("linear_probe", "knn"):
            assert np.mean(each[name]["predicted"] == labels) == scores[name]["top1"]


def test_only_what_is_asked_for_is_measured():
    metrics = evaluate(Colors(), dataset(), ("knn", "retrieval"), image_size=16)
    assert list(metrics) == ["retrieval", "knn", "average_pooling", "protocol"]
    assert "linear_probe" not in metrics["protocol"]
    with pytest.raises(ValueError, match="`protocols` may hold retrieval, .*received .'kn'"):
        evaluate(Colors(), dataset(), ("kn",), image_size=16)
    with pytest.raises(ValueError, match="`protocols` may hold"):
        evaluate(Colors(), dataset(), (), image_size=16)


def test_images_of_both_splits_are_told_of(recwarn):
    data = dataset()
    evaluate(Colors(), data, ("knn",), image_size=16)
    assert not recwarn
    images = data.images.copy()
    test, train = np.flatnonzero(~data.is_train), np.flatnonzero(data.is_train)
    images[test[:3]] = images[train[:3]]
    with pytest.warns(UserWarning, match=f"3 of the {len(test)} images that are not for training"):
        evaluate(Colors(), dataclasses.replace(data, images=images), ("knn",), image_size=16)


def test_an_encoder_that_averages_is_judged_once():
    encoder = Colors()
    encoder.pooling = "average"
    metrics = evaluate(encoder, dataset(), ("retrieval", "knn"), image_size=16)
    assert metrics["average_pooling"] == {name: metrics[name] for name in ("retrieval", "knn")}
    assert list(metrics["protocol"]["knn"]["choices"]) == ["average"]
    assert {row["pooling"] for row in records(metrics)} == {"average"}


def test_the_image_size_is_the_encoders_own_or_asked_for():
    encoder = Colors()
    with pytest.raises(ValueError, match="`image_size` must be given.*states none"):
        evaluate(encoder, dataset(), "knn")
    encoder.image_size = (16, 12)
    with pytest.raises(ValueError, match="16 x 12, which is not square"):
        evaluate(encoder, dataset(), "knn")
    encoder.image_size = (8, 8)
    assert evaluate(encoder, dataset(), "knn")["protocol"]["image_size"] == 8


def test_records_carry_all_that_makes_a_number_readable(evaluation, tmp_path):
    rows = records(evaluation.metrics)
    by_name = {(row["protocol"], row["metric"], row["pooling"]): row for row in rows}
    assert len(by_name) == len(rows) == 2 * (8 + 8 + 1 + 1 + 8 + 2) + 3 * 5 + 4
    row = by_name["few_label", "top1_std at 10%", "average"]
    assert row["value"] == evaluation.metrics["average_pooling"]["few_label"]["10"]["top1_std"]
    assert (row["split"], row["seed"]) == ("fitted on train, measured on test", 3)
    assert (row["dataset"], row["image_size"]) == ("squares", 16)
    assert row["checkpoint_rule"] == "last epoch"
    assert "draws" in row["description"]
    row = by_name["retrieval", "map_at_r", "rationale"]
    assert (row["split"], row["seed"]) == ("test", None)
    prior = by_name["localization", "energy_ratio", "center_prior"]
    assert prior["value"] == evaluation.metrics["localization"]["center_prior"]["energy_ratio"]
    path = write_records(evaluation.metrics, tmp_path / "new" / "metrics.csv")
    with path.open(newline="", encoding="utf-8") as file:
        read = list(csv.DictReader(file))
    assert [float(row["value"]) for row in read] == [row["value"] for row in rows]
    assert [file.name for file in path.parent.iterdir()] == ["metrics.csv"]


def test_rows_of_the_test_images_are_read_back(evaluation, tmp_path):
    path = write_per_image(evaluation, tmp_path / "new" / "per_image.csv")
    read = read_per_image(path)
    assert list(read) == ["rationale", "average"]
    for pooling, columns in read.items():
        assert columns["image"].tolist() == [str(row) for row in range(20, 40)]
        np.testing.assert_array_equal(columns["label"], evaluation.features.labels("test"))
        each = evaluation.per_image[pooling]
        found = columns["retrieval.average_precision"]
        np.testing.assert_array_equal(found, each["retrieval"]["average_precision"])
        np.testing.assert_array_equal(columns["knn.predicted"], each["knn"]["predicted"])


def test_the_release_protocol_is_measured_when_asked_for(monkeypatch):
    monkeypatch.setattr(sys.modules["keras_cr.evaluation.protocols"], "EPOCHS", 2)
    metrics = evaluate(Colors(), dataset(), "linear_probe_sgd", image_size=16, batch_size=8)
    for scores in (metrics, metrics["average_pooling"]):
        assert scores["linear_probe_sgd"]["top1"] >= 0.25  # of four classes
    assert metrics["protocol"]["linear_probe_sgd"]["choices"]["average"] == {"epochs": 2}
    assert "the last epoch" in metrics["protocol"]["linear_probe_sgd"]["description"]


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"labels": None}, dict.fromkeys(SCORES, "no labels")),
        ({"masks": None}, {"localization": "neither masks nor boxes"}),
        ({"masks": np.zeros((40, 16, 16), "uint8")}, {"localization": "empty in all 20"}),
        (
            {"is_train": np.ones(40, bool)},
            dict.fromkeys((*SCORES, "localization"), "no test split"),
        ),
        (
            {"is_train": np.zeros(40, bool)},
            dict.fromkeys(SCORES[1:5], "fewer than two classes"),
        ),
        (
            {"is_train": np.arange(40) % 4 < 2},
            dict.fromkeys(SCORES[1:5], "no class in common"),
        ),
        (
            {"labels": np.where(np.arange(40) < 20, np.arange(40) % 4, 0)},
            dict.fromkeys((SCORES[0], SCORES[1], SCORES[5]), "fewer than two classes"),
        ),
    ],
)
def test_what_is_missing_is_none_and_says_why(evaluation, changes, missing):
    features = dataclasses.replace(evaluation.features, dataset=dataset(**changes))
    metrics = evaluate_features(features).metrics
    for name in SCORES:
        assert (metrics[name] is None) == (name in missing)
        assert (metrics["average_pooling"][name] is None) == (name in missing)
    assert (metrics["localization"] is None) == ("localization" in missing)
    assert metrics["protocol"]["missing"].keys() == missing.keys()
    for name, reason in missing.items():
        assert reason in metrics["protocol"]["missing"][name]
        assert name not in metrics["protocol"]
    assert records(metrics) or len(missing) >= len(SCORES)


def test_features_of_any_origin_are_judged_but_have_no_encoder(evaluation):
    own = evaluation.features
    features = Features(own.dataset, own.embeddings, "control", image_size=16)
    metrics = evaluate_features(features, ("retrieval", "linear_probe_sgd")).metrics
    assert metrics["protocol"]["pooling"] == "control"
    assert metrics["retrieval"] == evaluation.metrics["retrieval"]
    assert "needs the encoder" in metrics["protocol"]["missing"]["linear_probe_sgd"]
    with pytest.raises(ValueError, match="a row for each of the 20 images.*received 40"):
        Features(dataset().split("test"), own.embeddings, "control", image_size=16)


def test_table():
    scores = {"retrieval": {"rank1": 0.5, "rank5": 1.0, "map": 0.123}, "knn": {"top1": 0.25}}
    metrics = {**scores, "linear_probe": None, "average_pooling": scores}
    lines = format_table({"initialisation": metrics, "b": metrics}).splitlines()
    assert [len(line) for line in lines] == [len(lines[0])] * 5
    assert lines[0].split() == ["|", "rationale", "pooling", "|", "average", "pooling"]
    assert lines[3].split() == (
        ["initialisation"] + 2 * ["|", "50.0", "100.0", "12.3", "-", "25.0"]
    )
    with pytest.raises(ValueError, match="at least one"):
        format_table({})
