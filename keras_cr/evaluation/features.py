"""What an encoder says of a data set, extracted once for every protocol."""

import dataclasses
import warnings
from typing import TYPE_CHECKING

import keras
import numpy as np

from keras_cr._numbers import square_side, whole_number
from keras_cr._progress import Verbose, tracked
from keras_cr.evaluation.embed import Embedder, Embeddings

if TYPE_CHECKING:
    from keras_cr.data import FineGrainedDataset

AVERAGE = "average"


@dataclasses.dataclass(frozen=True, eq=False)
class Pooled:
    """One more pooling of the same images.

    Attributes:
        embedding: (N, C), unit length.
        maps: (N, h, w), the weights behind it.
    """

    embedding: np.ndarray = dataclasses.field(repr=False)
    maps: np.ndarray = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True, eq=False)
class Features:
    """The embeddings and maps of a data set's images, row by row.

    Attributes:
        dataset: the images they are of, all N of them.
        embeddings: of these images, in their order.
        pooling: name of the pooling behind `embeddings.embedding`, such as `"rationale"`.
        image_size: side of the images in pixels.
        batch_size: images at a time, where more have to be embedded.
        embedder: embeds more images; None where the features come from elsewhere, and then what
            needs other views of the images is not measured.
        controls: poolings beside the encoder's own, by name; see `add_controls`.
    """

    dataset: "FineGrainedDataset"
    embeddings: Embeddings
    pooling: str
    image_size: int
    batch_size: int = 64
    embedder: Embedder | None = None
    controls: dict[str, Pooled] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        if len(self.embeddings) != len(self.dataset):
            raise ValueError(
                f"`embeddings` must have a row for each of the {len(self.dataset)} images of "
                f"`dataset`; received {len(self.embeddings)}."
            )

    def __repr__(self) -> str:
        under = ", ".join([*self.poolings, *self.controls])
        return f"Features({self.embeddings} of {self.dataset}, under {under})"

    @property
    def poolings(self) -> tuple[str, ...]:
        """The poolings that are judged: the encoder's own, and the plain average beside it."""
        return (self.pooling,) if self.pooling == AVERAGE else (self.pooling, AVERAGE)

    def rows(self, split: str) -> np.ndarray:
        """Positions of the images of `"train"` or `"test"`; none where there is no such split."""
        return np.flatnonzero(self.dataset.is_train == (split == "train"))

    def labels(self, split: str) -> np.ndarray:
        """Labels of a split's images, `(n,)`."""
        return self.dataset.labels[self.rows(split)]

    def x(self, split: str, pooling: str) -> np.ndarray:
        """Embeddings of a split's images under one of `poolings` or `controls`, `(n, C)`."""
        if pooling in self.controls:
            return self.controls[pooling].embedding[self.rows(split)]
        if pooling == self.pooling:
            return self.embeddings.embedding[self.rows(split)]
        return self.embeddings.average_embedding[self.rows(split)]

    def maps(self, split: str) -> np.ndarray:
        """Rationales of a split's images, `(n, h, w)`."""
        return self.embeddings.rationale[self.rows(split)]


def extract(
    encoder: keras.Model,
    dataset: "FineGrainedDataset",
    image_size: int | None = None,
    batch_size: int = 64,
    verbose: Verbose = "auto",
) -> Features:
    """Reads and embeds every image of a data set once.

    Args:
        encoder: a `CommonRationaleEncoder`.
        dataset: the images, of any split.
        image_size: side of the images, in pixels; None takes the encoder's own.
        batch_size: images at a time.
        verbose: 0 shows no progress, 1 and `"auto"` show it on stderr; 2 in few lines.

    Raises:
        ValueError: the encoder states no image size and none is given, or an image does not suit
            it.

    Warns where images of both splits are the same.

    Example:

    >>> features = extract(encoder, dataset, image_size=224)
    >>> retrieval(features.x("test", "average"), features.labels("test"))
    """
    from keras_cr.data import image_batches

    if image_size is None:
        image_size = encoder_image_size(encoder)
    image_size = square_side("image_size", image_size)
    batch_size = whole_number("batch_size", batch_size)
    embedder = Embedder(encoder)
    batches = image_batches(dataset, image_size, batch_size)
    batches = tracked(batches, "Embedding images", len(dataset), verbose=verbose)
    embeddings = embedder.embed(batches, verbose=0)
    _warn_of_shared(dataset)
    pooling = getattr(encoder, "pooling", "own")
    return Features(dataset, embeddings, pooling, image_size, batch_size, embedder)


def _warn_of_shared(dataset: "FineGrainedDataset") -> None:
    from keras_cr.data.digest import shared_images

    if len(shared := shared_images(dataset)):
        total = int((~dataset.is_train).sum())
        of_files = isinstance(dataset.images, list)
        name = dataset.images[shared[0]] if of_files else f"the one at {shared[0]}"
        warnings.warn(
            f"{len(shared)} of the {total} images that are not for training are training images "
            f"too, byte for byte, such as {name}. What is measured on them says nothing of new "
            "images; leave them out of one split.",
            stacklevel=3,
        )


def encoder_image_size(encoder: keras.Model) -> int:
    """The image size the encoder was made for.

    Raises:
        ValueError: it states none, or one that is not square.
    """
    size = getattr(encoder, "image_size", None)
    if size is None or size[0] != size[1]:
        stated = "none" if size is None else f"{size[0]} x {size[1]}, which is not square"
        raise ValueError(
            f"`image_size` must be given, in pixels: the encoder states {stated}. Use the size it "
            "was trained with."
        )
    return size[0]
