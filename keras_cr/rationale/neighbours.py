"""GradCAM of a loss whose positive is an image's nearest other images.

Two views of one image share its background, and the gradient of a loss that compares them marks
scenery. Neighbours are other photographs: their backgrounds differ and average out, and what is
left is what images have in common. The less alike in the background they are, the truer that is.
"""

from typing import Any

import keras
from keras import ops

from keras_cr._numbers import plain_seed, whole_number
from keras_cr._replicas import total
from keras_cr._types import Config, Seed, Shape, Tensor
from keras_cr.attribution.gradient import value_and_gradient
from keras_cr.layers import FeatureQueue
from keras_cr.losses import info_nce, info_nce_logits
from keras_cr.rationale.positives import Neighbours


@keras.saving.register_keras_serializable(package="keras_cr")
class NeighbourBank(keras.layers.Layer):
    """Embeddings of earlier images, and in which direction an image resembles its neighbours.

    Args:
        size: embeddings that are kept, the latest.
        k: nearest other images that make up the positive.
        temperature: of the InfoNCE loss.
        contrast: `"infonce"`, or `"similarity"`: minus the similarity to the positive alone.
        background, background_negatives: as of `Neighbours`. Where either is above 0, an embedding
            is that of the object and, behind it, that of the background.
        seed: seed of the first, random content, which is never looked at.
        **kwargs: as for `keras.layers.Layer`.

    Raises:
        ValueError: `k` is not positive, `size` does not hold as many negatives beside the
            positives, or `contrast` is another word.
    """

    def __init__(
        self,
        size: int,
        k: int,
        temperature: float = 0.2,
        contrast: str = "infonce",
        background: float = 0.0,
        background_negatives: float = 0.0,
        seed: Seed = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        size = whole_number("size", size)
        if not 1 <= k < size / 2:
            raise ValueError(
                "`k` must be positive and below half the number of embeddings in the bank. "
                f"Received: k={k!r}, size={size!r}"
            )
        if contrast not in ("infonce", "similarity"):
            raise ValueError(
                f"`contrast` must be 'infonce' or 'similarity'. Received: contrast={contrast!r}"
            )
        self.size, self.k = size, whole_number("k", k)
        self.temperature, self.seed = temperature, plain_seed(seed)
        self.contrast = contrast
        self.background, self.background_negatives = background, background_negatives
        self.queue = FeatureQueue(size, seed=seed, dtype="float32", name="queue")

    @classmethod
    def of(cls, positives: Neighbours, size: int, channels: int, seed: Seed = 0) -> "NeighbourBank":
        """A built bank of so many embeddings, which compares as `positives` says.

        Args:
            positives: how.
            size: embeddings that are kept.
            channels: of an embedding of the object.
            seed: of the first content.
        """
        bank = cls(
            size,
            positives.k,
            positives.contrast_temperature,
            positives.contrast,
            positives.background,
            positives.background_negatives,
            seed=seed,
            dtype="float32",
            name="neighbours",
        )
        bank.build((None, 2 * channels if positives.by_background else channels))
        return bank

    def build(self, input_shape: Shape) -> None:
        self.queue.build(input_shape)
        self.stored = self.add_weight(
            name="stored",
            shape=(),
            initializer="zeros",
            dtype="int32",
            trainable=False,
            aggregation="only_first_replica",
        )

    def filled(self, times: float) -> Tensor:
        """Whether that many times its size has been stored: a boolean scalar."""
        return self.stored >= int(times * self.size)

    @property
    def ready(self) -> Tensor:
        """Whether there are positives and as many negatives at least: a boolean scalar."""
        return self.stored > 2 * self.k  # one of them may be the image's own

    def gradient(self, embedding: Tensor, index: Tensor | None = None) -> Tensor:
        """The gradient of each image's loss by its object's embedding.

        The positive is the mean of the `k` nearest stored embeddings of other images (Dwibedi et
        al., "With a Little Help from My Friends", ICCV 2021, take the nearest one); the negatives
        are all but these. The loss looks at directions only: the gradient has no part along the
        embedding.

        Args:
            embedding: `(B, C)`, float32, of unit length; where backgrounds are compared `(B, 2C)`,
                the object's and the background's, each of unit length.
            index: which image each row is, integers `(B,)`; without it an image can't be told from
                its own old embedding.

        Returns:
            Shape `(B, C)`; zeros while the bank is not `ready`.
        """
        bank = ops.convert_to_tensor(self.queue.features)
        empty = ops.arange(self.size, dtype="int32")[None] >= self.stored
        left_out = ops.broadcast_to(empty, (ops.shape(embedding)[0], self.size))
        if index is not None:
            left_out = ops.logical_or(left_out, self.queue.same_image(index))
        alike = 0.0
        if self.background or self.background_negatives:
            embedding, background = ops.split(embedding, 2, axis=-1)
            bank, backgrounds = ops.split(bank, 2, axis=-1)
            similarity = ops.matmul(embedding, ops.transpose(bank))
            alike = ops.relu(_from_mean(background, backgrounds, empty))
            alike = _explained(similarity, alike, left_out)
        else:
            similarity = self.queue(embedding)
        nearness = ops.where(left_out, -1e9, similarity - self.background * alike)
        nearest, places = ops.top_k(nearness, self.k)
        positive = _unit(ops.mean(ops.take(bank, places, axis=0), axis=1))
        left_out = ops.logical_or(left_out, nearness >= nearest[:, -1:])

        def loss(embedding):
            unit = _unit(embedding)
            to_positive = ops.sum(unit * positive, axis=-1)
            if self.contrast == "similarity":
                return -ops.sum(to_positive)
            to_negatives = ops.matmul(unit, ops.transpose(bank))
            logits = info_nce_logits(
                to_positive,
                to_negatives + self.background_negatives * alike,
                self.temperature,
                exclude=left_out,
            )
            return ops.sum(info_nce(logits))

        return value_and_gradient(loss, embedding)[1] * ops.cast(self.ready, "float32")

    def enqueue(self, embedding: Tensor, index: Tensor | None = None) -> None:
        """Stores a batch of embeddings, at most `size`, in place of the oldest."""
        self.queue.enqueue(embedding, index)
        stored = self.stored + ops.shape(embedding)[0]
        self.stored.assign(ops.minimum(stored, 2**30))  # no overflow, however long the training

    def get_config(self) -> Config:
        names = ("size", "k", "temperature", "contrast", "seed")
        names += ("background", "background_negatives")
        return super().get_config() | {name: getattr(self, name) for name in names}


def _unit(vectors):
    return ops.normalize(vectors, axis=-1, epsilon=1e-12)


def _from_mean(vectors, stored, empty):
    """Inner products of the directions in which vectors lie, as seen from the stored ones' mean.

    Args:
        vectors: `(B, C)`.
        stored: `(size, C)`.
        empty: which of them are none yet, booleans `(1, size)`.

    Returns:
        `(B, size)`.
    """
    counted = ops.cast(ops.logical_not(empty), stored.dtype)
    mean = ops.matmul(counted, stored) / ops.maximum(ops.sum(counted), 1.0)
    return ops.matmul(_unit(vectors - mean), ops.transpose(_unit(stored - mean)))


def _explained(similarity, backgrounds, left_out):
    """What of the similarity of objects follows from that of their backgrounds.

    Args:
        similarity, backgrounds: `(B, size)`.
        left_out: pairs that don't count, booleans of that shape.

    Returns:
        `backgrounds` times the slope of the least-squares line through the pairs, which is no less
        than 0.
    """
    counted = ops.cast(ops.logical_not(left_out), similarity.dtype)
    number = ops.maximum(total(ops.sum(counted)), 1.0)
    across, along = (
        counted * (values - total(ops.sum(counted * values)) / number)
        for values in (backgrounds, similarity)
    )
    spread = total(ops.sum(ops.square(across)))
    slope = total(ops.sum(across * along)) / ops.maximum(spread, 1e-12)
    return ops.relu(slope) * backgrounds
