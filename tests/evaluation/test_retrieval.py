import sys

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from keras_cr.evaluation import retrieval, retrieval_per_query


def data(n=97, channels=6, classes=5, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, channels)).astype("float32"), rng.integers(classes, size=n)


def oracle(embeddings, labels, ks, gallery=None, gallery_labels=None):
    """One query after the other, with scikit-learn's average precision."""
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    names = ["map", "map_at_r", "r_precision", *(f"rank{k}" for k in ks)]
    values = {name: [] for name in names}
    for i in range(len(unit)):
        if gallery is None:
            others = np.delete(np.arange(len(unit)), i)
            relevant, scores = labels[others] == labels[i], unit[others] @ unit[i]
        else:
            lengths = np.linalg.norm(gallery, axis=1)
            relevant, scores = gallery_labels == labels[i], gallery @ unit[i] / lengths
        if not relevant.any():
            continue
        ranked = relevant[np.argsort(-scores, kind="stable")]
        r = ranked.sum()
        values["map"].append(average_precision_score(relevant, scores))
        values["r_precision"].append(ranked[:r].mean())
        precisions = [ranked[: j + 1].mean() for j in range(r) if ranked[j]]
        values["map_at_r"].append(sum(precisions) / r)
        for k in ks:
            values[f"rank{k}"].append(ranked[:k].any())
    means = {name: np.mean(found) for name, found in values.items()}
    return {**means, "queries": len(values["map"])}


def test_by_hand():
    # from 0 degrees: 10 (other class), 30 (same): precision 1/2 at rank 2
    angles = np.deg2rad([0, 10, 30, 40])
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    metrics = retrieval(points, [0, 1, 0, 1], ks=(1, 2))
    # rankings: 0 -> 1, 2, 3; 1 -> 0, 2, 3; 2 -> 3, 1, 0; 3 -> 2, 1, 0
    assert (metrics["rank1"], metrics["rank2"]) == (0, 0.5)
    assert metrics["map"] == pytest.approx((1 / 2 + 1 / 3 + 1 / 3 + 1 / 2) / 4)
    assert (metrics["r_precision"], metrics["map_at_r"]) == (0, 0)  # one to find, never first
    assert metrics["queries"] == 4


def test_r_precision_and_map_at_r_by_hand():
    # from 0 degrees, three to find: same, other, same, same -> P(1) = 1, P(3) = 2/3, P(4) = 3/4
    angles = np.deg2rad([0, 10, 20, 30, 40])
    gallery = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    each = retrieval_per_query(gallery[:2], ["a", "b"], gallery[1:], ["a", "b", "a", "a"])
    assert each["relevant"].tolist() == [3, 1]
    assert each["r_precision"][0] == pytest.approx(2 / 3)
    assert each["map_at_r"][0] == pytest.approx((1 + 2 / 3) / 3)
    assert each["map"][0] == pytest.approx((1 + 2 / 3 + 3 / 4) / 3)


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_scikit_learn(seed):
    embeddings, labels = data(seed=seed)
    expected = oracle(embeddings, labels, (1, 5, 20))
    assert retrieval(embeddings, labels, ks=(1, 5, 20)) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_a_gallery_of_its_own_agrees_with_scikit_learn(seed):
    embeddings, labels = data(seed=seed)
    gallery, gallery_labels = data(n=61, seed=seed + 10)
    gallery_labels[gallery_labels == 2] = 3  # queries of class 2 have nothing to find
    expected = oracle(embeddings, labels, (1, 5), gallery, gallery_labels)
    found = retrieval(embeddings, labels, gallery, gallery_labels, ks=(1, 5), chunk_size=10)
    assert found == pytest.approx(expected, abs=1e-9)
    assert found["queries"] == (labels != 2).sum() < len(labels)


def test_queries_with_nothing_to_find_are_nan_and_not_averaged():
    embeddings, labels = data()
    labels[[3, 50]] = 100, 101
    each = retrieval_per_query(embeddings, labels)
    assert np.flatnonzero(each["relevant"] == 0).tolist() == [3, 50]
    assert np.flatnonzero(np.isnan(each["map"])).tolist() == [3, 50]
    assert (each["first_rank"][[3, 50]] == 0).all()
    metrics = retrieval(embeddings, labels)
    for name in ("map", "map_at_r", "r_precision"):
        assert metrics[name] == pytest.approx(np.nanmean(each[name]))


@pytest.mark.parametrize("chunk_size", [1, 7, 96, 97, 1000])
def test_chunks_change_nothing(chunk_size):
    embeddings, labels = data()
    whole = retrieval(embeddings, labels)
    ranks = [f"rank{k}" for k in (1, 2, 4, 5, 8)]
    assert list(whole) == [*ranks, "r_precision", "map", "map_at_r", "queries"]
    assert retrieval(embeddings, labels, chunk_size=chunk_size) == pytest.approx(whole, abs=1e-9)


def test_images_alone_in_their_class_are_found_against_but_do_not_ask():
    embeddings, labels = data()
    labels[[3, 50]] = 100, 101
    metrics = retrieval(embeddings, labels)
    assert metrics["queries"] == 95
    assert metrics == pytest.approx(oracle(embeddings, labels, (1, 2, 4, 5, 8)), abs=1e-9)


def test_ties_are_ranked_by_index():
    metrics = retrieval(np.ones((4, 2), "float32"), ["a", "a", "b", "b"], ks=(1,))
    # rankings: 0 -> 1, 2, 3; 1 -> 0, ...; 2 -> 0, 1, 3; 3 -> 0, 1, 2
    assert metrics["rank1"] == 0.5
    assert metrics["map"] == pytest.approx((1 + 1 + 1 / 3 + 1 / 3) / 4)


@pytest.mark.parametrize("few", [0, 32])
def test_few_and_many_ties_are_ranked_alike(few, monkeypatch):
    module = sys.modules["keras_cr.evaluation.retrieval"]  # the package's is the function
    monkeypatch.setattr(module, "_FEW", few)
    directions, labels = data(200, channels=4, classes=4)
    signs = np.sign(directions)  # whose similarities are quarters, to the last digit
    found, similarity = retrieval_per_query(signs, labels), signs @ signs.T / 4
    for row in range(0, 200, 7):
        others = np.delete(np.arange(200), row)
        order = others[np.lexsort((others, -similarity[row, others]))]
        hits = np.flatnonzero(labels[order] == labels[row])
        expected = np.mean((np.arange(len(hits)) + 1) / (hits + 1))
        assert found["map"][row] == pytest.approx(expected, abs=1e-6)


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
        (np.ones((3, 2)), [0, 1, 2], {}, "one image of each class"),
        (np.eye(2), [0, 1], {"gallery": np.eye(2)}, "give both or neither"),
        (
            np.eye(2),
            [0, 1],
            {"gallery": np.eye(2), "gallery_labels": [2, 3]},
            "no image of a class",
        ),
        (np.eye(2), [0, 1], {"gallery": np.eye(3), "gallery_labels": [0, 1, 2]}, "same width"),
        (np.array([[1, 1], [np.nan, 1], [1, 2]]), [0, 1, 1], {}, "finite.*first is row 1"),
        (np.ones(4), [0, 1, 0, 1], {}, r"shape \(images, channels\)"),
        (np.ones((4, 2)), [0, 1, 0, 1], {"ks": (0,)}, "`ks`"),
        (np.ones((4, 2)), [0, 1, 0, 1], {"chunk_size": 0}, "`chunk_size`"),
    ],
)
def test_refusals(embeddings, labels, options, message):
    with pytest.raises(ValueError, match=message):
        retrieval(embeddings, labels, **options)
