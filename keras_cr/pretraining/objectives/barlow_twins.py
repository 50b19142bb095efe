"""Barlow Twins: two views' features agree entry by entry, and different entries don't."""

from typing import Any

import keras
from keras import ops

from keras_cr._numbers import weight_number, whole_number
from keras_cr._replicas import gather
from keras_cr._types import Batch, Config
from keras_cr.models import CommonRationaleEncoder
from keras_cr.pretraining.heads import head
from keras_cr.pretraining.outcome import Outcome, View
from keras_cr.pretraining.pretrainer import Pretrainer
from keras_cr.rationale import Rationale

DEFAULT_RATIONALE = Rationale()


@keras.saving.register_keras_serializable(package="keras_cr")
class BarlowTwins(Pretrainer):
    """Redundancy reduction, with the common rationale on or off.

    Zbontar et al., "Barlow Twins", ICML 2021, equation 1: the cross-correlation of two views'
    projections, standardised over the batch, is drawn to the identity. The loss is the batch's, so
    no image has one that `Rationale.paper()` could explain.

    Args:
        encoder: the `CommonRationaleEncoder` to train.
        rationale: how the branch is trained; `None` gives plain Barlow Twins.
        projection_dim: width of all three layers of the head.
        off_diagonal_weight: lambda in the paper: of what different entries have in common.
        **kwargs: as for `Pretrainer`.
    """

    explained = ()

    def __init__(
        self,
        encoder: CommonRationaleEncoder,
        rationale: Rationale | None = DEFAULT_RATIONALE,
        projection_dim: int = 8192,
        off_diagonal_weight: float = 0.0051,
        **kwargs: Any,
    ) -> None:
        self.projection_dim = whole_number("projection_dim", projection_dim)
        super().__init__(encoder, rationale, **kwargs)
        self.off_diagonal_weight = weight_number("off_diagonal_weight", off_diagonal_weight)

    @classmethod
    def small_data(cls, num_images: int, batch_size: int, total_steps: int) -> dict[str, Any]:
        return {"projection_dim": 1024}

    def make_heads(self, channels: int) -> dict[str, keras.layers.Layer]:
        return {"project": head(channels, 3 * (self.projection_dim,), "hidden", self.seed)}

    def objective(
        self, student: dict[str, View], teacher: dict[str, View], batch: Batch
    ) -> Outcome:
        first, second = (_standardized(gather(student[name].projected)) for name in self.views)
        correlation = ops.matmul(ops.transpose(first), second)
        correlation /= ops.cast(ops.shape(first)[0], "float32")
        squares, diagonal = ops.square(correlation), ops.diagonal(correlation)
        apart = ops.sum(squares) - ops.sum(ops.diagonal(squares))
        agreement = ops.sum(ops.square(1.0 - diagonal))
        return Outcome(agreement + self.off_diagonal_weight * apart)

    def get_config(self) -> Config:
        return super().get_config() | {
            "projection_dim": self.projection_dim,
            "off_diagonal_weight": self.off_diagonal_weight,
        }


def _standardized(features):
    centered = features - ops.mean(features, axis=0)
    return centered / ops.sqrt(ops.mean(ops.square(centered), axis=0) + 1e-5)
