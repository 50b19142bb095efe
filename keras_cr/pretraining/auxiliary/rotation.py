"""Rotation: by how many quarter turns has an image been turned?"""

from typing import Any

import keras
from keras import ops

from keras_cr._types import Batch
from keras_cr.pretraining.auxiliary.task import AuxiliaryTask
from keras_cr.pretraining.heads import classified, head
from keras_cr.pretraining.outcome import Outcome, View


@keras.saving.register_keras_serializable(package="keras_cr")
class Rotation(AuxiliaryTask):
    """Four-way classification of the query view turned by 0, 90, 180 and 270 degrees.

    Gidaris et al., "Unsupervised Representation Learning by Predicting Image Rotations", ICLR 2018:
    a batch holds all four turns of every image, which costs four passes. Beside a supervised loss
    of weight .9, Maaz et al., "Self-Supervised Learning for Fine-Grained Visual Categorization",
    2021, weigh it .1.

    Args:
        **kwargs: as for `AuxiliaryTask`.
    """

    logged = ("accuracy",)

    def build(self, channels: int) -> None:
        self.head = head(channels, (4,), seed=self.seed)

    def objective(self, pretrainer: Any, student: dict[str, View], batch: Batch) -> Outcome:
        views = batch["query"]
        if views.shape[1] != views.shape[2]:
            raise ValueError(
                "Rotation() turns views by quarters and needs square ones, as "
                f"keras_cr.data.two_views makes them. Received shape: {tuple(views.shape)}"
            )
        turned = ops.concatenate([ops.rot90(views, turns, axes=(1, 2)) for turns in range(4)])
        logits = self.head(ops.mean(pretrainer.look(turned), axis=(1, 2)))
        turns = ops.repeat(ops.arange(4), ops.shape(views)[0])
        loss, accuracy = classified(logits, turns)
        return Outcome(loss, {"accuracy": accuracy})
