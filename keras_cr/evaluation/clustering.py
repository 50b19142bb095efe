"""Clustering: how well groups found without labels agree with the classes."""

import numpy as np

from keras_cr._optional import scikit_learn
from keras_cr._types import ArrayLike
from keras_cr.evaluation._checks import check_features, check_labels, normalize

RESTARTS = 4


def clustering(embeddings: ArrayLike, labels: ArrayLike, seed: int = 0) -> dict[str, float | int]:
    """NMI and adjusted Rand index of k-means with as many clusters as there are classes.

    scikit-learn's KMeans on L2-normalised embeddings, the best of four starts by its own objective;
    the labels give the number of clusters and nothing else.

    Args:
        embeddings: (N, C).
        labels: (N,), integers or strings.
        seed: of k-means' starts.

    Returns:
        A dict: `nmi`, normalised mutual information (arithmetic mean of the entropies), and `ari`,
        the adjusted Rand index (0: chance, 1: the classes themselves); `clusters`.

    Raises:
        ImportError: if scikit-learn is missing.
        ValueError: if the shapes disagree, a value is not finite or there is only one class.
    """
    embeddings = check_features(embeddings, "embeddings")
    labels = check_labels(labels, embeddings, "labels", "embeddings")
    with scikit_learn("Clustering"):
        from sklearn.cluster import KMeans
        from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    clusters = len(np.unique(labels))
    model = KMeans(clusters, n_init=RESTARTS, random_state=seed)
    found = model.fit_predict(normalize(embeddings))
    return {
        "nmi": float(normalized_mutual_info_score(labels, found)),
        "ari": float(adjusted_rand_score(labels, found)),
        "clusters": clusters,
    }
