"""The stratified draw behind few-label subsets."""

import numpy as np


def stratified_share(labels: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Draws a share of every class.

    Args:
        labels: (N,).
        share: In (0, 1]. Below 1, a class of n images gives 1 to n - 1 of them, or its only one.
        seed: Decides which.

    Returns:
        (N,) booleans, True for what is drawn.
    """
    if share == 1:
        return np.ones(len(labels), bool)
    rng = np.random.default_rng(seed)
    drawn = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        count = min(max(round(share * len(members)), 1), max(len(members) - 1, 1))
        drawn[rng.permutation(members)[:count]] = True
    return drawn
