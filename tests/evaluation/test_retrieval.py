import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from keras_cr.evaluation import retrieval


def data(n=97, channels=6, classes=5, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, channels)).astype("float32"), rng.integers(classes, size=n)


def oracle(embeddings, labels, ks):
    """One query after the other, with scikit-learn's average precision."""
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    precisions, hits = [], {k: [] for k in ks}
    for i in range(len(unit)):
        others = np.delete(np.arange(len(unit)), i)
        relevant, scores = labels[others] == labels[i], unit[others] @ unit[i]
        if relevant.any():
            precisions.append(average_precision_score(relevant, scores))
            order = np.argsort(-scores, kind="stable")
            for k in ks:
                hits[k].append(relevant[order[:k]].any())
    ranks = {f"rank{k}": np.mean(hits[k]) for k in ks}
    return {**ranks, "map": np.mean(precisions), "queries": len(precisions)}


def test_by_hand():
    # from 0 degrees: 10 (other class), 30 (same): precision 1/2 at rank 2
    angles = np.deg2rad([0, 10, 30, 40])
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    metrics = retrieval(points, [0, 1, 0, 1], ks=(1, 2))
    # rankings: 0 -> 1, 2, 3; 1 -> 0, 2, 3; 2 -> 3, 1, 0; 3 -> 2, 1, 0
    assert (metrics["rank1"], metrics["rank2"]) == (0, 0.5)
    assert metrics["map"] == pytest.approx((1 / 2 + 1 / 3 + 1 / 3 + 1 / 2) / 4)
    assert metrics["queries"] == 4


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_scikit_learn(seed):
    embeddings, labels = data(seed=seed)
    expected = oracle(embeddings, labels, (1, 5, 20))
    assert retrieval(embeddings, labels, ks=(1, 5, 20)) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("chunk_size", [1, 7, 96, 97, 1000])
def test_chunks_change_nothing(chunk_size):
    embeddings, labels = data()
    whole = retrieval(embeddings, labels)
    assert list(whole) == ["rank1", "rank5", "map", "queries"]
    assert retrieval(embeddings, labels, chunk_size=chunk_size) == pytest.approx(whole, abs=1e-9)


def test_images_alone_in_their_class_are_found_against_but_do_not_ask():
    embeddings, labels = data()
    labels[[3, 50]] = 100, 101
    metrics = retrieval(embeddings, labels)
    assert metrics["queries"] == 95
    assert metrics == pytest.approx(oracle(embeddings, labels, (1, 5)), abs=1e-9)


def test_ties_are_ranked_by_index():
    metrics = retrieval(np.ones((4, 2), "float32"), ["a", "a", "b", "b"], ks=(1,))
    # rankings: 0 -> 1, 2, 3; 1 -> 0, ...; 2 -> 0, 1, 3; 3 -> 0, 1, 2
    assert metrics["rank1"] == 0.5
    assert metrics["map"] == pytest.approx((1 + 1 + 1 / 3 + 1 / 3) / 4)


def test_negative_zero_and_positive_similarities_are_in_order():
    points = np.array([[1, 0], [-1, 0], [0, -1], [0, 1], [2, 0]], "float32")
    # rankings: 0 -> 4, 2, 3, 1; 1 -> 2, 3, 0, 4; 2 -> 0, 1, 4, 3; 3 -> 0, 1, 4, 2; 4 -> 0, 2, 3, 1
    metrics = retrieval(points, [0, 0, 1, 1, 1], ks=(1, 2, 3, 4))
    assert [metrics[f"rank{k}"] for k in (1, 2, 3, 4)] == [0, 0.2, 0.8, 1]
    each = [1 / 4, 1 / 3, (1 / 3 + 2 / 4) / 2, (1 / 3 + 2 / 4) / 2, (1 / 2 + 2 / 3) / 2]
    assert metrics["map"] == pytest.approx(np.mean(each))


@pytest.mark.parametrize(
    ("embeddings", "labels", "options", "message"),
    [
        (np.ones((4, 2)), [0, 1, 0], {}, "`labels` must have one label a row"),
        (np.ones((4, 2)), [1, 1, 1, 1], {}, "at least two classes"),
        (np.ones((3, 2)), [0, 1, 2], {}, "at least two images"),
        (np.array([[1, 1], [np.nan, 1], [1, 2]]), [0, 1, 1], {}, "finite.*first is row 1"),
        (np.ones(4), [0, 1, 0, 1], {}, r"shape \(images, channels\)"),
        (np.ones((4, 2)), [0, 1, 0, 1], {"ks": (0,)}, "`ks`"),
        (np.ones((4, 2)), [0, 1, 0, 1], {"chunk_size": 0}, "`chunk_size`"),
    ],
)
def test_refusals(embeddings, labels, options, message):
    with pytest.raises(ValueError, match=message):
        retrieval(embeddings, labels, **options)
