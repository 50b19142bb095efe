"""SimCLR: each view finds its image's other view among all views of the batch."""

from typing import Any

import keras
from keras import ops

from keras_cr._numbers import positive_number, whole_number
from keras_cr._replicas import gather
from keras_cr._types import Batch, Config
from keras_cr.data.augmentation import Augmentation
from keras_cr.losses import info_nce, info_nce_logits
from keras_cr.models import CommonRationaleEncoder
from keras_cr.pretraining.heads import head, unit
from keras_cr.pretraining.outcome import Outcome, View
from keras_cr.pretraining.pretrainer import Pretrainer
from keras_cr.rationale import Rationale

DEFAULT_RATIONALE = Rationale()


@keras.saving.register_keras_serializable(package="keras_cr")
class SimCLR(Pretrainer):
    """Contrastive learning within a batch, with the common rationale on or off.

    Chen et al., "A Simple Framework for Contrastive Learning of Visual Representations", ICML 2020,
    equation 1 (NT-Xent); the head of three layers is that of its second version (NeurIPS 2020).

    Args:
        encoder: the `CommonRationaleEncoder` to train.
        rationale: how the branch is trained; `None` gives plain SimCLR.
        projection_dim: size of the projections that are compared.
        hidden_dim: width of the head's hidden layers; None: the feature map's channels.
        temperature: of the loss; higher for smaller batches.
        **kwargs: as for `Pretrainer`.
    """

    logged = ("contrastive_accuracy",)
    augmentation = staticmethod(Augmentation.simclr)

    def __init__(
        self,
        encoder: CommonRationaleEncoder,
        rationale: Rationale | None = DEFAULT_RATIONALE,
        projection_dim: int = 128,
        hidden_dim: int | None = None,
        temperature: float = 0.1,
        **kwargs: Any,
    ) -> None:
        self.projection_dim = whole_number("projection_dim", projection_dim)
        self.hidden_dim = None if hidden_dim is None else whole_number("hidden_dim", hidden_dim)
        super().__init__(encoder, rationale, **kwargs)
        self.temperature = positive_number("temperature", temperature)

    @classmethod
    def small_data(cls, num_images: int, batch_size: int, total_steps: int) -> dict[str, Any]:
        return {"temperature": 0.2}

    def make_heads(self, channels: int) -> dict[str, keras.layers.Layer]:
        hidden = self.hidden_dim or channels
        units = (hidden, hidden, self.projection_dim)
        return {"project": head(channels, units, "all", self.seed)}

    def objective(
        self, student: dict[str, View], teacher: dict[str, View], batch: Batch
    ) -> Outcome:
        views = unit(ops.concatenate([gather(student[name].projected) for name in self.views]))
        partners = ops.roll(views, ops.shape(views)[0] // 2, axis=0)
        positives = ops.sum(views * partners, axis=-1)
        rows = ops.arange(ops.shape(views)[0])
        images = rows % (ops.shape(views)[0] // 2)
        same = images[:, None] == images[None, :]  # itself, and the positive
        logits = info_nce_logits(
            positives, ops.matmul(views, ops.transpose(views)), self.temperature, exclude=same
        )
        found = ops.cast(ops.argmax(logits, axis=-1) == 0, "float32")
        return Outcome(ops.mean(info_nce(logits)), {"contrastive_accuracy": ops.mean(found)})

    def get_config(self) -> Config:
        return super().get_config() | {
            "projection_dim": self.projection_dim,
            "hidden_dim": self.hidden_dim,
            "temperature": self.temperature,
        }
