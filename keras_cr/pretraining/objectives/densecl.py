"""DenseCL: MoCo over whole views, and over places that the backbone's features match."""

import dataclasses
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from keras_cr._replicas import gather
from keras_cr._types import Batch, Config, Tensor
from keras_cr.layers import FeatureQueue
from keras_cr.losses import info_nce, info_nce_logits
from keras_cr.models import CommonRationaleEncoder
from keras_cr.pretraining.batches import image_numbers
from keras_cr.pretraining.heads import on_rows, places, unit
from keras_cr.pretraining.objectives.moco import MoCo
from keras_cr.pretraining.outcome import Outcome, View, added
from keras_cr.rationale import Rationale

DEFAULT_RATIONALE = Rationale()


@keras.saving.register_keras_serializable(package="keras_cr")
class DenseCL(MoCo):
    """Dense contrastive learning, with the common rationale on or off.

    Wang et al., "Dense Contrastive Learning for Self-Supervised Visual Pre-Training", CVPR 2021,
    equations 1 to 5. Beside MoCo's loss, each place of the query finds the key's place that is most
    similar in the backbone's features, among the average dense keys of earlier images; a head of
    its own makes the dense features. It logs `dense_accuracy` too.

    Args:
        encoder: the `CommonRationaleEncoder` to train.
        rationale: how the branch is trained; `None` gives plain DenseCL.
        dense_weight: lambda in the paper: share of the dense loss; the global one has the rest.
        **kwargs: as for `MoCo`; both losses have a queue of `queue_size`.

    Raises:
        ValueError: `dense_weight` does not lie in 0..1, or as `MoCo`.
    """

    logged = (*MoCo.logged, "dense_accuracy")

    def __init__(
        self,
        encoder: CommonRationaleEncoder,
        rationale: Rationale | None = DEFAULT_RATIONALE,
        dense_weight: float = 0.5,
        **kwargs: Any,
    ) -> None:
        if not 0 <= dense_weight <= 1:
            raise ValueError(f"`dense_weight` must lie in 0..1. Received: {dense_weight!r}")
        super().__init__(encoder, rationale, **kwargs)
        self.dense_weight = dense_weight
        self.dense_queue = FeatureQueue(self.queue_size, seed=self.seed, dtype="float32")
        self.dense_queue.build((None, self.projection_dim))

    def make_heads(self, channels: int) -> dict[str, keras.layers.Layer]:
        return super().make_heads(channels) | {"dense": super().make_heads(channels)["project"]}

    def see(self, feature_map: Tensor, heads: dict[str, Any]) -> View:
        dense = on_rows(heads["dense"], places(feature_map))
        return dataclasses.replace(super().see(feature_map, heads), dense=dense)

    def objective(
        self, student: dict[str, View], teacher: dict[str, View], batch: Batch
    ) -> Outcome:
        outcome = super().objective(student, teacher, batch)
        query, key = student["query"], teacher["key"]
        features, key_features = unit(places(query.map)), unit(places(key.map))
        alike = ops.matmul(features, ops.transpose(key_features, (0, 2, 1)))
        match = ops.argmax(alike, axis=-1)
        queries, keys = unit(query.dense), tf.gather(unit(key.dense), match, batch_dims=1)
        positives = ops.reshape(ops.sum(queries * keys, axis=-1), (-1,))
        queries = ops.reshape(queries, (-1, self.projection_dim))
        exclude = self.excluded(batch)
        if exclude is not None:
            exclude = ops.repeat(exclude, match.shape[1], axis=0)
        logits = info_nce_logits(
            positives, self.dense_queue(queries), self.temperature, exclude=exclude
        )
        found = ops.cast(ops.argmax(logits, axis=-1) == 0, "float32")
        dense = self.dense_weight * ops.mean(info_nce(logits))
        outcome.loss = added((1.0 - self.dense_weight) * outcome.loss, dense)
        outcome.logs["dense_accuracy"] = ops.mean(found)
        return outcome

    def after_step(self, teacher: dict[str, View], batch: Batch) -> None:
        super().after_step(teacher, batch)
        keys = unit(ops.mean(teacher["key"].dense, axis=1))
        self.dense_queue.enqueue(gather(keys), image_numbers(batch))

    def get_config(self) -> Config:
        return super().get_config() | {"dense_weight": self.dense_weight}
