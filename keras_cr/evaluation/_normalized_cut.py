"""Which places of a feature map hang together: a control that knows of no other image's object."""

import numpy as np
from keras import ops

from keras_cr._resize import resize

_MOST = 400  # places of a graph, whose eigenvectors take the cube of their number
_APART = 1e-5  # weight of an edge between places that are not alike
_STEEPNESS, _SHARE = 2.0, 0.5  # of the weights, in standard deviations of the eigenvector


def normalized_cut(maps: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Weights of the side of a normalised cut that the border is not on.

    Shi and Malik, "Normalized Cuts and Image Segmentation", IEEE TPAMI 2000, of the places of a
    feature map, as TokenCut (Wang et al., CVPR 2022) takes it: an edge is 1 where two places'
    features are alike, and the second eigenvector says on which side of the cut a place is. Here
    features are taken from `mean`, alike are those of positive inner product, and the side that
    has less of the map's border is the object's.

    Args:
        maps: `(B, h, w, C)`; of more than 400 places they are made smaller.
        mean: `(C,)`, the mean feature of training images.

    Returns:
        `(B, h, w)` float32, 0..1: `sigmoid(2 (v - 0.5))` of the eigenvector `v`, standardised.
    """
    size = maps.shape[1:3]
    smaller = min(1.0, (_MOST / (size[0] * size[1])) ** 0.5)
    if smaller < 1:
        side = [max(int(length * smaller), 1) for length in size]
        maps = ops.convert_to_numpy(resize(maps, side, antialias=True))
    count, height, width, channels = maps.shape
    features = (maps - mean).reshape(count, height * width, channels).astype("float64")
    features /= np.maximum(np.linalg.norm(features, axis=-1, keepdims=True), 1e-12)
    edges = np.where(features @ features.transpose(0, 2, 1) > 0, 1.0, _APART)
    root = edges.sum(axis=-1) ** -0.5
    vectors = np.linalg.eigh(root[:, :, None] * edges * root[:, None, :])[1]
    found = vectors[..., -2] * root if height * width > 1 else np.zeros_like(root)
    found = found - found.mean(axis=1, keepdims=True)
    found /= np.maximum(found.std(axis=1, keepdims=True), 1e-12)
    border = np.ones((height, width), bool)
    border[1:-1, 1:-1] = False
    outside = (found[:, border.ravel()] > 0).mean(axis=1, keepdims=True) > 0.5
    found = np.where(outside, -found, found).reshape(count, height, width)
    weights = 1 / (1 + np.exp(_STEEPNESS * (_SHARE - found)))
    if smaller < 1:
        weights = ops.convert_to_numpy(resize(weights[..., None], size))[..., 0]
    return weights.astype("float32")
