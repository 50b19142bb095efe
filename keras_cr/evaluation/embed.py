"""Embeddings of many images, as NumPy arrays."""

import dataclasses
from collections.abc import Iterable

import keras
import numpy as np

from keras_cr._progress import Verbose, reading
from keras_cr._types import Images
from keras_cr.models.on_replicas import EncoderModel
from keras_cr.models.streams import checked_batches

_OUTPUTS = ("embedding", "average_embedding", "rationale")


@dataclasses.dataclass(frozen=True)
class Embeddings:
    """What an encoder says of N images, float32.

    Attributes:
        embedding: (N, C), L2-normalised, under the encoder's own pooling.
        average_embedding: (N, C), L2-normalised, under plain average pooling.
        rationale: (N, h, w), in 0..1.
    """

    embedding: np.ndarray
    average_embedding: np.ndarray
    rationale: np.ndarray

    def __len__(self) -> int:
        return len(self.embedding)

    def __repr__(self) -> str:
        (number, channels), (height, width) = self.embedding.shape, self.rationale.shape[1:]
        return f"Embeddings({number:,} of {channels:,} numbers, maps {height} x {width})"


class Embedder(EncoderModel):
    """Runs `encoder.encode` compiled: traced once, for every batch and data set it is given.

    Args:
        encoder: a `CommonRationaleEncoder`, or any Keras model with `encode(images)` -> dict of
            `embedding` (B, C), `average_embedding` (B, C) and `rationale` (B, h, w).

    Raises:
        ValueError: if `encoder` has no `encode`.

    Example:

    >>> embedder = Embedder(encoder)
    >>> train, test = embedder.embed(train_batches), embedder.embed(test_batches)
    """

    def __init__(self, encoder: keras.Model) -> None:
        if not callable(getattr(encoder, "encode", None)):
            raise ValueError(
                "`encoder` must have a method encode(images), as a CommonRationaleEncoder; "
                f"received a {type(encoder).__name__}. Wrap a backbone: "
                "CommonRationaleEncoder(backbone)."
            )
        super().__init__(encoder)
        self.built = encoder.built

    def call(self, images: Images, training: bool = False) -> dict:
        outputs = self.encoder.encode(images)
        return {name: keras.ops.cast(outputs[name], "float32") for name in _OUTPUTS}

    def embed(
        self, images: np.ndarray | Iterable, batch_size: int = 64, verbose: Verbose = "auto"
    ) -> Embeddings:
        """Embeds images, in order.

        Args:
            images: (N, H, W, 3), RGB 0..255, a list of images, or an iterable of batches
                (B, H, W, 3), such as a tf.data.Dataset; of a batch that is a tuple the first
                element is taken, of one that is a dict `"image"` or `"images"`. All batches are
                padded to the largest so far, so a short last one is not traced anew.
            batch_size: images at a time, where `images` is an array or a list.
            verbose: 0 shows no progress, 1 and `"auto"` show it on stderr; 2 in few lines.

        Raises:
            ValueError: if there is no image, the batches never end, or what they hold is no images
                of one size in RGB 0..255, or too small for the encoder.
        """
        batches = checked_batches(images, batch_size, rgb=getattr(self.encoder, "takes_rgb", True))
        parts, size = [], 0
        for batch in reading(images, batches, "Embedding images", verbose):
            if hasattr(self.encoder, "map_size"):
                self.encoder.map_size.check(*batch.shape[1:3])
            batch = batch.astype("float32", copy=False)
            count = len(batch)
            size = max(size, count)
            padded = np.concatenate([batch, np.repeat(batch[-1:], size - count, axis=0)])
            outputs = self.predict_on_batch(padded)
            parts.append([outputs[name][:count] for name in _OUTPUTS])
        return Embeddings(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def embed(
    encoder: keras.Model,
    images: np.ndarray | Iterable,
    batch_size: int = 64,
    verbose: Verbose = "auto",
) -> Embeddings:
    """Embeds images with an encoder; several calls can share an `Embedder`.

    Args:
        encoder: a `CommonRationaleEncoder`.
        images: RGB 0..255, `(N, H, W, 3)`, or an iterable of batches; as for `Embedder.embed`.
        batch_size: images at a time, where `images` is no iterable of batches.
        verbose: 0 shows no progress, 1 and `"auto"` show it on stderr; 2 in few lines.

    Raises:
        ValueError: as `Embedder.embed`.
    """
    return Embedder(encoder).embed(images, batch_size, verbose)
