"""What the controls are made of: an encoder's feature maps, its rationales, the foreground."""

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

from keras_cr._types import Tensor
from keras_cr.evaluation.features import Features
from keras_cr.evaluation.localization import foreground_cells
from keras_cr.layers import RationaleBranch, VLADPooling
from keras_cr.models.feature_maps import FeatureMaps, HeldMaps, in_chunks
from keras_cr.rationale.branch_fit import fresh_branch
from keras_cr.rationale.colours import thumbnails_of
from keras_cr.rationale.vocabulary import fit_words

Weights = Callable[[np.ndarray, np.ndarray], np.ndarray]


class Source:
    """What controls are made of; each part is computed when a control first asks for it.

    Args:
        features: from `extract`.
        seed: of fresh branches and of what is drawn.
        max_images: training images, evenly spread, whose feature maps are kept.

    Raises:
        ValueError: the features did not come from an encoder.
    """

    def __init__(self, features: Features, seed: int, max_images: int) -> None:
        if features.embedder is None:
            raise ValueError(
                "`features` must come from `extract`: controls pool the encoder's feature maps, "
                "and features alone don't hold them."
            )
        self.features, self.seed = features, seed
        self.rationale = features.embeddings.rationale
        self.encoder = features.embedder.encoder
        train = features.rows("train")
        number = min(len(train), max_images)
        self.train = train[np.linspace(0, len(train) - 1, number).astype(int)] if number else train
        self._maps = FeatureMaps(self.encoder)
        self._kept: dict[str, Any] = {}

    def batches(self, rows: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(rows, feature maps float32) of these images, a batch at a time."""
        for some, images in self._images(rows):
            yield some, np.asarray(self._maps.predict_on_batch(images), "float32")

    def _images(self, rows: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        from keras_cr.data import image_batches

        features, start = self.features, 0
        dataset = features.dataset.take(rows)
        batches = image_batches(dataset, features.image_size, features.batch_size)
        for images in batches.as_numpy_iterator():
            yield rows[start : start + len(images)], images
            start += len(images)

    @property
    def train_maps(self) -> Tensor:
        """Feature maps of the training images a branch is fitted to, see `HeldMaps.all`."""
        return self._of_train()["maps"]

    @property
    def train_thumbnails(self) -> list[np.ndarray]:
        """The same images in small, in batches."""
        return self._of_train()["thumbnails"]

    def _of_train(self) -> dict[str, Any]:
        if "maps" not in self._kept:
            held, thumbnails = HeldMaps(), []
            for _, images in self._images(self.train):
                held.add(self._maps.predict_on_batch(images))
                thumbnails.append(thumbnails_of(images))
            if not len(held):
                raise ValueError("There is no training image to fit a branch to.")
            self._kept |= {"maps": held.all(), "thumbnails": thumbnails}
        return self._kept

    @property
    def cells(self) -> np.ndarray:
        """The foreground's share of every place, `(N, h, w)`; all of an image without any."""
        if "cells" not in self._kept:
            features = self.features
            cells = foreground_cells(
                features.dataset, features.image_size, features.batch_size, self.rationale.shape[1:]
            )
            cells[~cells.any(axis=(1, 2))] = 1
            self._kept["cells"] = cells
        return self._kept["cells"]

    def pooling(self, beside: str, weigh: Weights) -> Callable[..., np.ndarray]:
        """How a control pools: rows, feature maps, weights -> `(B, C)`, of unit length.

        Args:
            beside: as of a `Control`.
            weigh: its weights, under which a vocabulary is fitted, if there are training images.
        """
        encoder = self.encoder
        if beside != "own" or encoder.pooling == "average":
            return lambda rows, maps, weights: self._averaged(rows, maps, weights, beside)
        embed = encoder.embed
        if encoder.pooling == "rationale_vlad" and len(self.train) > 1:
            embed = VLADPooling.from_config(encoder.vocabulary.get_config())
            embed.build((None, *self.train_maps.shape[1:]))
            weights = [
                weigh(self.train[rows], np.asarray(self.train_maps[rows], "float32"))
                for rows in in_chunks(self.train_maps)
            ]
            fit_words(embed, self.train_maps, np.concatenate(weights), self.seed)
        return lambda rows, maps, weights: keras.ops.convert_to_numpy(embed(maps, weights))

    def _averaged(self, rows, maps, weights, beside: str) -> np.ndarray:
        pooled = keras.ops.convert_to_numpy(self.encoder.pool(maps, weights))
        if beside != "average":
            return pooled
        return np.concatenate([pooled, self.average(rows)], axis=-1) / np.sqrt(2)

    def joined(self, pooled: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """What is pooled of these images, with the class token where the encoder's joins it.

        Args:
            pooled: `(B, C)` of unit length.
            rows: positions of the images.
        """
        if not getattr(self.encoder, "concat_class_token", False):
            return pooled
        size = self.encoder.backbone.class_token_size
        token = self.features.embeddings.embedding[rows, -size:]
        return np.concatenate([pooled / np.sqrt(2), token], axis=-1)

    def average(self, rows: np.ndarray) -> np.ndarray:
        """The plain average of these images' maps, `(B, C)`, of unit length."""
        average = self.features.embeddings.average_embedding[rows, : self.encoder.channels]
        return average / np.maximum(np.linalg.norm(average, axis=-1, keepdims=True), 1e-12)

    def branch(self, num_detectors: int | None = None) -> RationaleBranch:
        """A fresh branch of the encoder's shape, but for the number of its detectors if given."""
        return fresh_branch(self.encoder.branch, self.seed, num_detectors)
