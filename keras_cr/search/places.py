"""Where two images are alike: the share of each place in the similarity of their embeddings."""

import keras
import numpy as np

from keras_cr._types import Images
from keras_cr.evaluation.embed import Embedder


def similarity_maps(
    encoder: keras.Model, query: np.ndarray, images: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Splits the cosine similarity of a query with each image over the places of both.

    An embedding is `sum_p w(p) phi(p)`, scaled to unit length, so its product with another one is
    a sum over places: `w(p) phi(p) . other / |sum_p w(p) phi(p)|`. A channel's maximum belongs to
    the place that has it; of `"rationale_vlad"` each place has its share of every root. Nothing is
    approximated: a map's sum is the similarity, apart from what a class token adds, which has no
    place.

    See `Places`, which several calls can share.

    Args:
        encoder: a `CommonRationaleEncoder`.
        query: (H, W, 3), RGB 0..255.
        images: (N, H, W, 3), RGB 0..255.

    Returns:
        (N, h, w) shares of the query's places in its similarity with each image, (N, h, w) shares
        of the images' places in the same, and (N,) cosine similarities; float32. Shares below zero
        make two images less alike.

    Example:

    >>> of_query, of_images, similarity = similarity_maps(encoder, images[0], images[1:])
    """
    return Places(encoder).similarity(query, images)


def shown(maps: np.ndarray) -> np.ndarray:
    """Shares as pictures show them: those above zero, each map's largest 1, (N, h, w)."""
    positive = np.maximum(maps, 0)
    return positive / np.maximum(positive.max(axis=(1, 2), keepdims=True), 1e-12)


class Places(Embedder):
    """Splits cosine similarities over places; traced once, for every query it is given.

    Args:
        encoder: a `CommonRationaleEncoder`.
    """

    def similarity(
        self, query: np.ndarray, images: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """As `similarity_maps`."""
        seen = self.predict_on_batch(np.concatenate([query[None], images]))
        embedding, parts = seen["embedding"], seen["parts"]
        of_query = np.einsum("hwc,nc->nhw", parts[0], embedding[1:])
        of_images = np.einsum("nhwc,c->nhw", parts[1:], embedding[0])
        return of_query, of_images, embedding[1:] @ embedding[0]

    def call(self, images: Images, training: bool = False) -> dict:
        ops, encoder = keras.ops, self.encoder
        seen = encoder.encode(images)
        features = ops.cast(seen["feature_map"], "float32")
        rationale = ops.cast(seen["rationale"], "float32")
        parts = _parts(encoder, features, rationale)
        embedding = ops.cast(seen["embedding"], "float32")
        if token := embedding.shape[-1] - parts.shape[-1]:  # behind the rest, and without a place
            parts = ops.pad(parts / 2**0.5, ((0, 0), (0, 0), (0, 0), (0, token)))
        return {"embedding": embedding, "parts": parts}


def _parts(encoder, features, rationale):
    """What each place contributes to the embedding, but for a class token's part."""
    ops = keras.ops
    if encoder.pooling == "rationale_vlad":
        return encoder.vocabulary.parts(features, rationale)
    equal = ops.ones_like(rationale)[..., None]
    largest = ops.cast(features == ops.max(features, axis=(1, 2), keepdims=True), "float32")
    pooled = {
        "rationale": [rationale[..., None]],
        "average": [equal],
        "concat": [rationale[..., None], equal],
        "rationale_max": [rationale[..., None], largest],
    }[encoder.pooling]
    parts = [_unit_parts(features, weights) for weights in pooled]
    return ops.concatenate(parts, axis=-1) / len(parts) ** 0.5


def _unit_parts(features, weights):
    """`w(p) phi(p)`, scaled so that their sum has unit length; of weights a place, or a channel."""
    ops = keras.ops
    total = ops.sum(weights, axis=(1, 2), keepdims=True)
    weights = ops.where(total > 0, weights, ops.ones_like(weights))
    parts = weights / ops.sum(weights, axis=(1, 2), keepdims=True) * features
    length = ops.sqrt(ops.sum(ops.square(ops.sum(parts, axis=(1, 2), keepdims=True)), axis=-1))
    return parts / ops.maximum(length, 1e-12)[..., None]
