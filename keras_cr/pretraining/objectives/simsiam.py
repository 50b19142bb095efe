"""SimSiam: BYOL without the twin; a stopped gradient keeps it from collapse."""

from typing import Any

import keras
from keras import ops

from keras_cr._numbers import whole_number
from keras_cr._types import Batch, Config
from keras_cr.models import CommonRationaleEncoder
from keras_cr.pretraining.heads import cosine, head
from keras_cr.pretraining.outcome import Outcome, View
from keras_cr.pretraining.pretrainer import Pretrainer
from keras_cr.rationale import Rationale

DEFAULT_RATIONALE = Rationale()
LONGEST = 100.0  # beyond it a momentum of larger rates, and rounding, would be what is lengthened


@keras.saving.register_keras_serializable(package="keras_cr")
class SimSiam(Pretrainer):
    """Simple siamese networks, with the common rationale on or off.

    Chen and He, "Exploring Simple Siamese Representation Learning", CVPR 2021: minus the cosine of
    a view's prediction and the other view's projection, which no gradient reaches.

    Args:
        encoder: the `CommonRationaleEncoder` to train.
        rationale: how the branch is trained; `None` gives plain SimSiam.
        projection_dim: width of all three layers of the projection head.
        hidden_dim: width of the predictor's hidden layer.
        constant_predictor_rate: whether the predictor keeps the highest learning rate that there
            was while the others' falls (section 4.2): its steps are made that much longer, a
            hundred times at most, which is ours. False: it falls with them.
        **kwargs: as for `Pretrainer`.
    """

    def __init__(
        self,
        encoder: CommonRationaleEncoder,
        rationale: Rationale | None = DEFAULT_RATIONALE,
        projection_dim: int = 2048,
        hidden_dim: int = 512,
        constant_predictor_rate: bool = True,
        **kwargs: Any,
    ) -> None:
        self.projection_dim = whole_number("projection_dim", projection_dim)
        self.hidden_dim = whole_number("hidden_dim", hidden_dim)
        super().__init__(encoder, rationale, **kwargs)
        self.constant_predictor_rate = constant_predictor_rate
        self.highest_rate = self.add_weight(
            name="highest_rate",
            initializer="zeros",
            dtype="float32",
            trainable=False,
            autocast=False,
            aggregation="only_first_replica",
        )

    @classmethod
    def small_data(cls, num_images: int, batch_size: int, total_steps: int) -> dict[str, Any]:
        return {"projection_dim": 1024, "hidden_dim": 256}

    def make_heads(self, channels: int) -> dict[str, keras.layers.Layer]:
        project, predict = 3 * (self.projection_dim,), (self.hidden_dim, self.projection_dim)
        return {
            "project": head(channels, project, "all", self.seed),
            "predict": head(self.projection_dim, predict, "hidden", self.seed),
        }

    def objective(
        self, student: dict[str, View], teacher: dict[str, View], batch: Batch
    ) -> Outcome:
        first, second = student["query"], student["key"]
        agreements = [
            cosine(first.predicted, ops.stop_gradient(second.projected)),
            cosine(second.predicted, ops.stop_gradient(first.projected)),
        ]
        return Outcome(-ops.mean(sum(agreements)) / 2)

    @property
    def learning_rates(self) -> list[tuple]:
        found = super().learning_rates
        if self.constant_predictor_rate:
            rate = ops.cast(self.optimizer.learning_rate, "float32")
            longer = ops.minimum(ops.divide_no_nan(self.highest_rate, rate), LONGEST)
            found.append((self.heads["predict"], longer))
        return found

    def train_step(self, data: Any) -> dict[str, Any]:
        rate = ops.cast(self.optimizer.learning_rate, "float32")
        self.highest_rate.assign(ops.maximum(self.highest_rate, rate))
        return super().train_step(data)

    def get_config(self) -> Config:
        return super().get_config() | {
            "projection_dim": self.projection_dim,
            "hidden_dim": self.hidden_dim,
            "constant_predictor_rate": self.constant_predictor_rate,
        }
