"""BYOL: predicting what a momentum twin makes of the other view, without negatives."""

from typing import Any

import keras
from keras import ops

from keras_cr._numbers import whole_number
from keras_cr._types import Batch, Config
from keras_cr.data.augmentation import Augmentation
from keras_cr.models import CommonRationaleEncoder
from keras_cr.pretraining.heads import cosine, head
from keras_cr.pretraining.outcome import Outcome, View
from keras_cr.pretraining.pretrainer import Pretrainer
from keras_cr.rationale import Rationale

DEFAULT_RATIONALE = Rationale()


@keras.saving.register_keras_serializable(package="keras_cr")
class BYOL(Pretrainer):
    """Bootstrap your own latent, with the common rationale on or off.

    Grill et al., "Bootstrap Your Own Latent", NeurIPS 2020: the loss of a view is `2 - 2 cos` of
    its prediction and the twin's projection of the other view. The paper adds both views' up, here
    it is their mean. The rationale's release, whose second path this is, has half of that, minus
    the mean cosine, and a momentum that stays: `Rationale.reference("byol")`.

    Args:
        encoder: the `CommonRationaleEncoder` to train.
        rationale: how the branch is trained; `None` gives plain BYOL.
        projection_dim: size of projections and predictions.
        hidden_dim: width of the hidden layer of both heads.
        momentum: share of its own weights that the twin keeps at each step; to 1 along a cosine
            with `total_steps`, as in the paper.
        **kwargs: as for `Pretrainer`.
    """

    taught = ("query", "key")
    augmentation = staticmethod(Augmentation.byol)

    def __init__(
        self,
        encoder: CommonRationaleEncoder,
        rationale: Rationale | None = DEFAULT_RATIONALE,
        projection_dim: int = 256,
        hidden_dim: int = 4096,
        momentum: float = 0.996,
        **kwargs: Any,
    ) -> None:
        self.projection_dim = whole_number("projection_dim", projection_dim)
        self.hidden_dim = whole_number("hidden_dim", hidden_dim)
        super().__init__(encoder, rationale, momentum, **kwargs)

    @classmethod
    def small_data(cls, num_images: int, batch_size: int, total_steps: int) -> dict[str, Any]:
        return {"momentum": 0.99, "hidden_dim": 1024, "total_steps": max(total_steps, 1)}

    def make_heads(self, channels: int) -> dict[str, keras.layers.Layer]:
        units = (self.hidden_dim, self.projection_dim)
        return {
            "project": head(channels, units, "hidden", self.seed),
            "predict": head(self.projection_dim, units, "hidden", self.seed),
        }

    def objective(
        self, student: dict[str, View], teacher: dict[str, View], batch: Batch
    ) -> Outcome:
        agreements = [
            cosine(student["query"].predicted, teacher["key"].projected),
            cosine(student["key"].predicted, teacher["query"].projected),
        ]
        return Outcome(ops.mean(2.0 - sum(agreements)))

    def get_config(self) -> Config:
        return super().get_config() | {
            "projection_dim": self.projection_dim,
            "hidden_dim": self.hidden_dim,
        }
