"""Supervised: the cross-entropy of an image's label."""

from typing import Any

import keras

from keras_cr._numbers import whole_number
from keras_cr._types import Batch, Config
from keras_cr.data.augmentation import Augmentation
from keras_cr.models import CommonRationaleEncoder
from keras_cr.pretraining.heads import classified, head
from keras_cr.pretraining.outcome import Outcome, View
from keras_cr.pretraining.pretrainer import Pretrainer
from keras_cr.rationale import Rationale

DEFAULT_RATIONALE = Rationale()


@keras.saving.register_keras_serializable(package="keras_cr")
class Supervised(Pretrainer):
    """Classification of the query view, with the common rationale on or off.

    Fine-tuning on the labels that self-supervision does without, where the rationale is an
    attention: `Rationale.paper()` explains the cross-entropy. Auxiliary tasks such as `DCL` stand
    beside it. What is kept is the encoder; the classifier is a linear layer on the average of the
    feature map.

    Args:
        encoder: the `CommonRationaleEncoder` to train.
        rationale: how the branch is trained; `None` gives plain classification.
        num_classes: number of classes; batches hold `label`, integers below it.
        label_smoothing: share of each label that is spread over all classes.
        **kwargs: as for `Pretrainer`.

    Raises:
        ValueError: `num_classes` is below 2, or `label_smoothing` is not in 0..1.
    """

    views = ("query",)
    labels = True
    logged = ("accuracy",)
    augmentation = staticmethod(Augmentation.crop_and_flip)

    def __init__(
        self,
        encoder: CommonRationaleEncoder,
        rationale: Rationale | None = DEFAULT_RATIONALE,
        *,
        num_classes: int,
        label_smoothing: float = 0.0,
        **kwargs: Any,
    ) -> None:
        self.num_classes = whole_number("num_classes", num_classes, least=2)
        if not 0 <= label_smoothing < 1:
            raise ValueError(
                "`label_smoothing` must be 0 or more and below 1. "
                f"Received: label_smoothing={label_smoothing!r}"
            )
        super().__init__(encoder, rationale, **kwargs)
        self.label_smoothing = label_smoothing

    def make_heads(self, channels: int) -> dict[str, keras.layers.Layer]:
        return {"project": head(channels, (self.num_classes,), seed=self.seed)}

    def objective(
        self, student: dict[str, View], teacher: dict[str, View], batch: Batch
    ) -> Outcome:
        logits = student["query"].projected
        loss, accuracy = classified(logits, batch["label"], self.label_smoothing)
        return Outcome(loss, {"accuracy": accuracy})

    def get_config(self) -> Config:
        return super().get_config() | {
            "num_classes": self.num_classes,
            "label_smoothing": self.label_smoothing,
        }
