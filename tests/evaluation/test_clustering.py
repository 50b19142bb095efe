import itertools

import numpy as np
import pytest

from keras_cr.evaluation import clustering


def blobs(noise, n=60, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    return np.eye(classes)[labels] + noise * rng.standard_normal((n, classes)), labels


def test_separate_classes_are_found_whatever_their_names():
    embeddings, labels = blobs(0.05)
    names = np.array(["wren", "robin", "finch"])[labels]
    assert clustering(embeddings, names) == {"nmi": 1.0, "ari": 1.0, "clusters": 3}


def test_by_hand():
    """Two directions, a class split between them: a table of 2 and 1, 0 and 1."""
    embeddings = [[1.0, 0.0], [1.0, 0.01], [0.0, 1.0], [0.01, 1.0]]
    result = clustering(embeddings, [0, 0, 0, 1])
    shares = np.array([[0.5, 0.25], [0.0, 0.25]])  # class by cluster
    rows, columns = shares.sum(axis=1), shares.sum(axis=0)
    entropies = [-np.sum(p * np.log(p)) for p in (rows, columns)]
    mutual = sum(
        p * np.log(p / (rows[i] * columns[j])) for (i, j), p in np.ndenumerate(shares) if p
    )
    assert result["nmi"] == pytest.approx(mutual / np.mean(entropies))
    pairs = list(itertools.combinations(range(4), 2))
    same_class = sum(3 not in pair for pair in pairs)  # 3 pairs
    same_cluster, both = 2, 1
    expected = same_class * same_cluster / len(pairs)
    ari = (both - expected) / ((same_class + same_cluster) / 2 - expected)
    assert result["ari"] == pytest.approx(ari)


def test_length_does_not_matter_and_seeds_repeat():
    embeddings, labels = blobs(0.6)
    lengths = np.random.default_rng(1).uniform(0.5, 2, (60, 1))
    first = clustering(embeddings, labels, seed=3)
    assert first == clustering(lengths * embeddings, labels, seed=3)
    assert 0 < first["ari"] < 1


def test_refusals():
    with pytest.raises(ValueError, match="at least two classes"):
        clustering(np.eye(3), [1, 1, 1])
    with pytest.raises(ValueError, match="`labels` must have one label a row"):
        clustering(np.eye(3), [1, 0])
