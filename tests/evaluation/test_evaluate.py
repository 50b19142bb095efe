"""Embedding, and everything together on a small fake encoder and data set."""

import json

import keras
import numpy as np
import pytest

from keras_cr.data import FineGrainedDataset
from keras_cr.evaluation import embed, evaluate, format_table
from keras_cr.evaluation.embed import Embedder


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


def test_evaluate_has_the_layout_of_metrics_json():
    metrics = evaluate(Colors(), dataset(), image_size=16, batch_size=8, checkpoint_rule="last")
    scores = ["retrieval", "linear_probe", "knn"]
    assert list(metrics) == [*scores, "average_pooling", "localization", "protocol"]
    assert list(metrics["average_pooling"]) == scores
    for scores in (metrics, metrics["average_pooling"]):
        assert list(scores["retrieval"]) == ["rank1", "rank5", "map"]
        assert list(scores["linear_probe"]) == list(scores["knn"]) == ["top1"]
    assert metrics["retrieval"]["map"] > metrics["average_pooling"]["retrieval"]["map"]
    assert metrics["localization"]["energy_ratio"] > 2
    assert metrics["localization"]["pointing_game"] == 1
    protocol = metrics["protocol"]
    assert protocol["images"] == {"train": 20, "test": 20}
    assert protocol["missing"] == {}
    assert protocol["classes"] == {"train": 4, "test": 4}
    assert (protocol["checkpoint_rule"], protocol["pooling"]) == ("last", "rationale")
    assert protocol["details"]["average"]["linear_probe"]["converged"] is True
    assert protocol["details"]["embedding"]["retrieval"] == {"queries": 20}
    assert protocol["versions"]["keras"] == keras.__version__
    assert json.loads(json.dumps(metrics)) == metrics
    again = evaluate(Colors(), dataset(), image_size=16, batch_size=8, checkpoint_rule="last")
    assert again == metrics


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"labels": None}, {"retrieval": "no labels", "linear_probe": "no labels", "knn": ""}),
        ({"masks": None}, {"localization": "neither masks nor boxes"}),
        ({"masks": np.zeros((40, 16, 16), "uint8")}, {"localization": "empty in all 20"}),
        (
            {"is_train": np.ones(40, bool)},
            dict.fromkeys(("retrieval", "linear_probe", "knn", "localization"), "no test split"),
        ),
        (
            {"is_train": np.zeros(40, bool)},
            {"linear_probe": "fewer than two classes", "knn": "fewer than two classes"},
        ),
        (
            {"is_train": np.arange(40) % 4 < 2},
            {"linear_probe": "no class in common", "knn": "no class in common"},
        ),
        (
            {"labels": np.where(np.arange(40) < 20, np.arange(40) % 4, 0)},
            {"retrieval": "fewer than two classes"},
        ),
    ],
)
def test_what_is_missing_is_none_and_says_why(changes, missing):
    metrics = evaluate(Colors(), dataset(**changes), image_size=16)
    for name in ("retrieval", "linear_probe", "knn"):
        assert (metrics[name] is None) == (name in missing)
        assert (metrics["average_pooling"][name] is None) == (name in missing)
    assert (metrics["localization"] is None) == ("localization" in missing)
    assert metrics["protocol"]["missing"].keys() == missing.keys()
    for name, reason in missing.items():
        assert reason in metrics["protocol"]["missing"][name]
        assert name not in metrics["protocol"]


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
