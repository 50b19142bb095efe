import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from keras_cr.evaluation import nearest


def data(n=40, m=25, channels=5, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, channels)), rng.standard_normal((m, channels))


@pytest.mark.parametrize("chunk_size", [None, 1, 7])
def test_agrees_with_scikit_learn(chunk_size):
    gallery, queries = data()
    oracle = NearestNeighbors(n_neighbors=6, metric="cosine").fit(gallery)
    found = nearest(queries, gallery, k=6, chunk_size=chunk_size)
    np.testing.assert_array_equal(found, oracle.kneighbors(queries, return_distance=False))
    alone = nearest(gallery, k=6, chunk_size=chunk_size)  # scikit-learn leaves itself out as well
    np.testing.assert_array_equal(alone, oracle.kneighbors(return_distance=False))


def test_all_others_and_ties_by_index():
    assert nearest(np.ones((4, 2)), k=3).tolist() == [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]]
    assert nearest(np.ones((1, 2)), np.ones((3, 2)), k=3).tolist() == [[0, 1, 2]]


def test_refusals():
    gallery, queries = data()
    with pytest.raises(ValueError, match="can be found, 39; received 40"):
        nearest(gallery, k=40)
    with pytest.raises(ValueError, match="can be found, 40; received 0"):
        nearest(queries, gallery, k=0)
    with pytest.raises(ValueError, match="`queries` and `gallery` must have the same width"):
        nearest(queries, gallery[:, :2])
