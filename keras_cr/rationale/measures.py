"""What a training step says of its embeddings and maps, in scalars."""

from keras import ops

from keras_cr._types import Tensor


def embedding_std(embedding: Tensor) -> Tensor:
    """Standard deviation over the batch, about 1 where directions are spread out; 0: collapse."""
    spread = ops.mean(ops.std(embedding, axis=0))
    return spread * ops.sqrt(ops.cast(embedding.shape[-1], spread.dtype))


def relative_entropy(maps: Tensor) -> Tensor:
    """Entropy of each map as a distribution over places, shape `(B,)`; 1: uniform, or no energy."""
    flat = ops.reshape(ops.stop_gradient(maps), (ops.shape(maps)[0], -1))
    energy = ops.sum(flat, axis=-1, keepdims=True)
    places = ops.cast(ops.shape(flat)[-1], flat.dtype)
    share = ops.where(energy > 0, flat / ops.maximum(energy, 1e-30), 1 / places)
    return -ops.sum(share * ops.log(ops.maximum(share, 1e-30)), axis=-1) / ops.log(places)


def correlation(cam: Tensor, rationale: Tensor) -> Tensor:
    """Pearson correlation over the places of each image, shape `(B,)`; 0 where one is constant."""

    def standardize(maps):
        flat = ops.reshape(ops.stop_gradient(maps), (ops.shape(maps)[0], -1))
        centered = flat - ops.mean(flat, axis=-1, keepdims=True)
        height = ops.max(ops.abs(centered), axis=-1, keepdims=True)
        scaled = centered / ops.maximum(height, 1e-30)  # squares of 1e-20 are lost in float32
        return ops.normalize(scaled, epsilon=1e-12)

    return ops.sum(standardize(cam) * standardize(rationale), axis=-1)
