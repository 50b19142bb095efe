"""VICReg: views agree, every entry varies over the batch, and different entries don't covary."""

from typing import Any

import keras
from keras import ops

from keras_cr._numbers import weight_number, whole_number
from keras_cr._replicas import gather
from keras_cr._types import Batch, Config
from keras_cr.models import CommonRationaleEncoder
from keras_cr.pretraining.heads import head
from keras_cr.pretraining.outcome import Outcome, View, added
from keras_cr.pretraining.pretrainer import Pretrainer
from keras_cr.rationale import Rationale

DEFAULT_RATIONALE = Rationale()


@keras.saving.register_keras_serializable(package="keras_cr")
class VICReg(Pretrainer):
    """Variance-invariance-covariance regularisation, with the common rationale on or off.

    Bardes et al., "VICReg", ICLR 2022, equations 1 to 6. Variance and covariance are the batch's,
    so no image has a loss of its own that `Rationale.paper()` could explain.

    Args:
        encoder: the `CommonRationaleEncoder` to train.
        rationale: how the branch is trained; `None` gives plain VICReg.
        projection_dim: width of all three layers of the head.
        invariance_weight: of the views' mean squared difference.
        variance_weight: of what entries lack to a standard deviation of 1.
        covariance_weight: of the squared covariances of different entries.
        **kwargs: as for `Pretrainer`.
    """

    explained = ()
    logged = ("invariance", "variance", "covariance")

    def __init__(
        self,
        encoder: CommonRationaleEncoder,
        rationale: Rationale | None = DEFAULT_RATIONALE,
        projection_dim: int = 8192,
        invariance_weight: float = 25.0,
        variance_weight: float = 25.0,
        covariance_weight: float = 1.0,
        **kwargs: Any,
    ) -> None:
        self.projection_dim = whole_number("projection_dim", projection_dim)
        super().__init__(encoder, rationale, **kwargs)
        self.invariance_weight = weight_number("invariance_weight", invariance_weight)
        self.variance_weight = weight_number("variance_weight", variance_weight)
        self.covariance_weight = weight_number("covariance_weight", covariance_weight)

    @classmethod
    def small_data(cls, num_images: int, batch_size: int, total_steps: int) -> dict[str, Any]:
        return {"projection_dim": 1024}

    def make_heads(self, channels: int) -> dict[str, keras.layers.Layer]:
        return {"project": head(channels, 3 * (self.projection_dim,), "hidden", self.seed)}

    def objective(
        self, student: dict[str, View], teacher: dict[str, View], batch: Batch
    ) -> Outcome:
        views = [gather(student[name].projected) for name in self.views]
        invariance = ops.mean(ops.square(views[0] - views[1]))
        variance = added(*map(_lack_of_variance, views)) / 2
        covariance = added(*map(_covariance, views))
        loss = added(
            self.invariance_weight * invariance,
            self.variance_weight * variance,
            self.covariance_weight * covariance,
        )
        logs = {"invariance": invariance, "variance": variance, "covariance": covariance}
        return Outcome(loss, logs)

    def get_config(self) -> Config:
        return super().get_config() | {
            "projection_dim": self.projection_dim,
            "invariance_weight": self.invariance_weight,
            "variance_weight": self.variance_weight,
            "covariance_weight": self.covariance_weight,
        }


def _lack_of_variance(features):
    rows = ops.cast(ops.shape(features)[0], "float32")
    centered = features - ops.mean(features, axis=0)
    variance = ops.sum(ops.square(centered), axis=0) / (rows - 1.0)
    return ops.mean(ops.relu(1.0 - ops.sqrt(variance + 1e-4)))


def _covariance(features):
    rows = ops.cast(ops.shape(features)[0], "float32")
    centered = features - ops.mean(features, axis=0)
    covariance = ops.matmul(ops.transpose(centered), centered) / (rows - 1.0)
    squares = ops.square(covariance)
    return (ops.sum(squares) - ops.sum(ops.diagonal(squares))) / features.shape[-1]
