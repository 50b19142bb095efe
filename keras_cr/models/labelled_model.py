"""What a model of labelled images adds: the check of its labels, wherever they come from."""

import inspect
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np

from keras_cr._types import ArrayLike, Images, wraps
from keras_cr.models.encoder import CommonRationaleEncoder
from keras_cr.models.image_model import ImageModel
from keras_cr.models.inputs import Seen
from keras_cr.models.labels import (
    checked_class_weight,
    checked_labels,
    checked_sample_weight,
)
from keras_cr.models.streams import checked_batches, refuse_endless
from keras_cr.models.watch import comes_whole

_FIT, _EVALUATE = map(inspect.signature, (keras.Model.fit, keras.Model.evaluate))


class LabelledImageModel(ImageModel):
    """An `ImageModel` with `num_classes` classes, whose labels are checked as its images are.

    In `fit`, `evaluate`, `train_on_batch` and `test_on_batch`: arrays at once, streams batch by
    batch; that there are any, that they are integers in `[0, num_classes)` or rows of shares, and
    that the loss takes such. Sample weights beside them must be finite.
    """

    num_classes: int

    @wraps(keras.Model.fit)
    def fit(self, *args: Any, **kwargs: Any) -> Any:
        given = _FIT.bind(self, *args, **kwargs)
        values = given.arguments
        checked_class_weight(values.get("class_weight"), self.num_classes)
        if comes_whole(values.get("x")):
            values["y"] = self._labels(values.get("y"), "y")
        if (held_out := values.get("validation_data")) is not None:
            values["validation_data"] = self._held_out(held_out)
        if (weights := values.get("sample_weight")) is not None:
            checked_sample_weight(weights, "sample_weight")
            values["sample_weight"] = np.asarray(weights) if isinstance(weights, list) else weights
        return super().fit(*given.args[1:], **given.kwargs)

    @wraps(keras.Model.evaluate)
    def evaluate(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        if comes_whole(x):
            y = self._labels(y, "y")
        given = _EVALUATE.bind(self, x, y, *args, **kwargs).arguments
        checked_sample_weight(given.get("sample_weight"), "sample_weight")
        return super().evaluate(x, y, *args, **kwargs)

    @wraps(keras.Model.train_on_batch)
    def train_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, *args: Any, **kwargs: Any
    ) -> Any:
        checked_sample_weight(sample_weight, "sample_weight")
        labels = self._labels(y, "y")
        return super().train_on_batch(x, labels, sample_weight, *args, **kwargs)

    @wraps(keras.Model.test_on_batch)
    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, *args: Any, **kwargs: Any
    ) -> Any:
        checked_sample_weight(sample_weight, "sample_weight")
        labels = self._labels(y, "y")
        return super().test_on_batch(x, labels, sample_weight, *args, **kwargs)

    def learnt_parts(self, batch: Any, argument: str) -> list:
        pair = isinstance(batch, tuple | list) and len(batch) > 1
        if not pair and self._has_loss():
            raise ValueError(
                f"`{argument}` must hold labels too: batches (images, labels), as "
                'dataset.map(lambda batch: (batch["image"], batch["label"])) makes them of dicts. '
                f"Received: a batch that is a {type(batch).__name__}"
            )
        images = super().learnt_parts(batch, argument)
        if not pair or batch[1] is None:
            return images
        return [*images, *(part for part in batch[1:3] if part is not None)]

    def check_parts(self, images: Images, *others: Any, seen: Seen) -> Any:
        for each in others[:1]:
            self._labels(each, f"{seen.argument}: labels")
        for each in others[1:]:
            checked_sample_weight(each, f"{seen.argument}: sample weights")
        return super().check_parts(images, seen=seen)

    def _labels(self, labels, argument: str):
        """The labels as Keras is to get them: as they came, or as an array in place of a list."""
        if labels is None:
            if not self._has_loss():
                return None
            raise ValueError(f"`{argument}` must be the labels of the images. Received: None")
        checked = checked_labels(labels, self.num_classes, argument, getattr(self, "loss", None))
        return checked if isinstance(labels, list | tuple) else labels

    def _held_out(self, data):
        """`validation_data` with its labels checked, where it is arrays."""
        pair = isinstance(data, tuple | list)
        if not comes_whole(data[0] if pair and data else data):
            return data
        if not pair or len(data) < 2:
            raise ValueError("`validation_data` must be (images, labels). Received: images alone")
        for weights in data[2:]:
            checked_sample_weight(weights, "validation_data[2]")
        return (data[0], self._labels(data[1], "validation_data[1]"), *data[2:])

    def _has_loss(self) -> bool:
        return bool(getattr(self, "compiled", False)) and getattr(self, "loss", None) is not None


def labelled_embeddings(
    encoder: CommonRationaleEncoder,
    images: Images,
    labels: ArrayLike | None,
    num_classes: int,
    batch_size: int,
) -> tuple:
    """Embeddings of all images, and their labels.

    Args:
        encoder: what embeds.
        images: arrays, with `labels`; or, with `labels=None`, batches `(images, labels)`.
        labels: of arrays.
        num_classes: what labels range over.
        batch_size: images at a time, where they come as an array.

    Raises:
        ValueError: there are no labels, or the images, the labels or the embeddings can't be.
    """
    if labels is not None:
        batches = checked_batches(images, batch_size, rgb=encoder.takes_rgb)
        return _embedded(encoder, batches), labels
    if not isinstance(images, Iterable) or hasattr(images, "shape"):
        raise ValueError("`labels` must be given for an array of images. Received: None")
    refuse_endless(images)
    found = []

    def images_alone():
        for batch in images:
            if not isinstance(batch, tuple | list) or len(batch) != 2:
                parts = f" of {len(batch)} parts" if isinstance(batch, tuple | list) else ""
                raise ValueError(
                    "`labels` must be given, or `images` hold batches (images, labels) and nothing "
                    "else: sample weights are for `fit`. Received: a "
                    f"{type(batch).__name__}{parts}"
                )
            found.append(checked_labels(batch[1], num_classes, "images: labels"))
            yield batch[0]

    embeddings = _embedded(encoder, checked_batches(images_alone(), rgb=encoder.takes_rgb))
    if len({each.shape[1:] for each in found}) > 1:
        raise ValueError("`images` must bring labels of one form: integers, or one-hot rows.")
    return embeddings, np.concatenate(found)


def _embedded(encoder: CommonRationaleEncoder, batches: Iterable) -> np.ndarray:
    embeddings = np.concatenate([encoder.predict_on_batch(batch) for batch in batches])
    if not np.isfinite(embeddings).all():
        raise ValueError(
            "`images` must have finite embeddings; received NaN or infinity from an encoder whose "
            "weights are broken, or whose numbers leave the range of its dtype."
        )
    return embeddings
