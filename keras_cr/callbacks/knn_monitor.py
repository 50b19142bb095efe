"""How well labelled images find their class, while the encoder is trained without labels."""

import os
import warnings
from typing import TYPE_CHECKING, Literal

import keras
import numpy as np

from keras_cr._numbers import square_side
from keras_cr.callbacks._monitor import Monitor, check_positive, find_encoder
from keras_cr.evaluation import Embedder
from keras_cr.evaluation.knn import choose_k

if TYPE_CHECKING:
    from keras_cr.data import FineGrainedDataset

_POOLINGS = {"": "embedding", "_average": "average_embedding"}


class KNNMonitor(Monitor):
    """Logs leave-one-out k-NN accuracy of labelled images every so many epochs.

    Each image is classified by the vote of the `k` others nearest by cosine similarity, as in
    `keras_cr.evaluation.knn`. Two fractions join the epoch's logs: `knn_train_top1`, under the
    encoder's own pooling, and `knn_train_top1_average`, under plain average pooling. They are NaN
    in the epochs between, and where an embedding is not finite. Callbacks that read them, such as
    `keras.callbacks.CSVLogger`, come after this one in `callbacks`.

    Args:
        dataset: images with labels, of two classes or more.
        image_size: side of the images in pixels; None takes the encoder's `image_size`.
        split: `"train"`; or `"test"`, which warns and is logged as `knn_test_top1`. Whoever looks
            at it during training chooses by it, and then has no test result any more.
        every: epochs from one measurement to the next; the last epoch is always measured.
        k: neighbours that vote.
        max_images: of a larger split this many are drawn, once, from every class in proportion.
        batch_size: images embedded at a time.
        seed: of the draw.
        tensorboard: TensorBoard's log folder, for `knn/train_top1` and `knn/train_top1_average`
            of the measured epochs, counted from 0 as in Keras' logs; or None.

    Raises:
        ValueError: the images have no labels, are of one class or one of each class, `split` is
            empty or another word, a number is not a positive integer, or `k` is not below the
            number of images; and, when `fit` begins, the model has no encoder or `image_size` is
            given by neither.
        ImportError: `tensorboard` is given and TensorBoard is missing.

    Example:

    >>> pretrainer.fit(views, epochs=100, callbacks=[KNNMonitor(dataset, 224, every=10)])
    """

    def __init__(
        self,
        dataset: "FineGrainedDataset",
        image_size: int | None = None,
        split: Literal["train", "test"] = "train",
        every: int = 1,
        k: int = 1,
        max_images: int = 2000,
        batch_size: int = 64,
        seed: int = 0,
        tensorboard: str | os.PathLike | None = None,
    ) -> None:
        super().__init__(every, tensorboard)
        check_positive(k=k, max_images=max_images, batch_size=batch_size)
        if image_size is not None:
            image_size = square_side("image_size", image_size)
        if dataset.labels is None:
            raise ValueError(
                f"`dataset` must have labels for a k-NN monitor; {dataset.name!r} has none. Read "
                "it with its classes, or leave the monitor out."
            )
        if split not in ("train", "test"):
            raise ValueError(f"`split` must be 'train' or 'test'. Received: split={split!r}")
        dataset = dataset.split(split)
        rows = stratified_subset(dataset.labels, max_images, seed)  # type: ignore[arg-type]
        self.dataset = dataset.take(rows)
        _, counts = np.unique(self.dataset.labels, return_counts=True)  # type: ignore[call-overload]
        if len(counts) < 2 or counts.max() < 2:
            raise ValueError(
                "`dataset` must hold two classes and two images of one of them, or nothing can be "
                f"found; the {len(rows)} {split} images of {dataset.name!r} that are used hold "
                f"{len(counts)} classes, {counts.max()} images in the largest."
            )
        if k >= len(rows):
            raise ValueError(
                f"`k` must be below the number of images, {len(rows)}. Received: k={k}"
            )
        if split == "test":
            warnings.warn(
                "KNNMonitor looks at the test images during training. Once that number decides "
                "anything (when to stop, which settings to keep), it is no test result any more.",
                stacklevel=2,
            )
        self.image_size, self.split, self.k = image_size, split, k
        self.batch_size = batch_size

    def set_model(self, model: keras.Model) -> None:
        super().set_model(model)
        encoder = find_encoder(model)
        own = getattr(encoder, "image_size", None)
        sides = {self.image_size} if self.image_size else set(own or ())
        if len(sides) != 1:
            raise ValueError(
                "`image_size` must be given, in pixels, where the encoder names no square one. "
                f"Received: image_size=None and an encoder with image_size={own}"
            )
        self._side = sides.pop()
        self._embedder = Embedder(encoder)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        names = {f"{self.split}_top1{suffix}": field for suffix, field in _POOLINGS.items()}
        scores = dict.fromkeys(names, float("nan"))
        if self.due(epoch):
            scores = self._measure(names)
            self.writer.scalars({f"knn/{name}": v for name, v in scores.items()}, epoch)
        if logs is not None:
            logs.update({f"knn_{name}": value for name, value in scores.items()})

    def _measure(self, names: dict[str, str]) -> dict[str, float]:
        from keras_cr.data import image_batches

        batches = image_batches(self.dataset, self._side, self.batch_size)
        embeddings = self._embedder.embed(batches, verbose=0)
        scores = {}
        for name, field in names.items():
            features = getattr(embeddings, field)
            scores[name] = float("nan")  # a training that diverged is not ended by its monitor
            if np.isfinite(features).all():
                _, scores[name] = choose_k(features, self.dataset.labels, grid=(self.k,))  # type: ignore[arg-type]
        return scores


def stratified_subset(labels: np.ndarray, size: int, seed: int) -> np.ndarray:
    """Draws at most `size` images, from every class in proportion: sorted positions.

    Images come in pairs of one class, so that leave-one-out has something to find where there are
    more classes than half of `size`.
    """
    if len(labels) <= size:
        return np.arange(len(labels))
    rng = np.random.default_rng(seed)
    order = np.empty(len(labels))
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        pair = np.arange(len(members)) // 2
        order[members] = (pair + rng.random()) / len(members)  # evenly through 0..1/2
    return np.sort(np.argsort(order, kind="stable")[:size])
