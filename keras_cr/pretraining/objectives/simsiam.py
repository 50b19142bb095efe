"""SimSiam: BYOL without the twin; a stopped gradient keeps it from collapse."""

import keras
from keras import ops

from keras_cr._numbers import whole_number
from keras_cr.models import CommonRationaleEncoder
from keras_cr.pretraining.heads import cosine, head
from keras_cr.pretraining.outcome import Outcome
from keras_cr.pretraining.pretrainer import Pretrainer
from keras_cr.rationale import Rationale

DEFAULT_RATIONALE = Rationale()


@keras.saving.register_keras_serializable(package="keras_cr")
class SimSiam(Pretrainer):
    """Simple siamese networks, with the common rationale on or off.

    Chen and He, "Exploring Simple Siamese Representation Learning", CVPR 2021: minus the cosine of
    a view's prediction and the other view's projection, which no gradient reaches. The paper keeps
    the predictor's learning rate constant; here it falls with the others'.

    Args:
        encoder: the `CommonRationaleEncoder` to train.
        rationale: how the branch is trained; `None` gives plain SimSiam.
        projection_dim: width of all three layers of the projection head.
        hidden_dim: width of the predictor's hidden layer.
        **kwargs: as for `Pretrainer`.
    """

    def __init__(
        self,
        encoder: CommonRationaleEncoder,
        rationale: Rationale | None = DEFAULT_RATIONALE,
        projection_dim: int = 2048,
        hidden_dim: int = 512,
        **kwargs,
    ):
        self.projection_dim = whole_number("projection_dim", projection_dim)
        self.hidden_dim = whole_number("hidden_dim", hidden_dim)
        super().__init__(encoder, rationale, **kwargs)

    @classmethod
    def small_data(cls, num_images, batch_size, total_steps):
        return {"projection_dim": 1024, "hidden_dim": 256}

    def make_heads(self, channels):
        project, predict = 3 * (self.projection_dim,), (self.hidden_dim, self.projection_dim)
        return {
            "project": head(channels, project, "all", self.seed),
            "predict": head(self.projection_dim, predict, "hidden", self.seed),
        }

    def objective(self, student, teacher, batch):
        first, second = student["query"], student["key"]
        agreements = [
            cosine(first.predicted, ops.stop_gradient(second.projected)),
            cosine(second.predicted, ops.stop_gradient(first.projected)),
        ]
        return Outcome(-ops.mean(sum(agreements)) / 2)

    def get_config(self):
        return super().get_config() | {
            "projection_dim": self.projection_dim,
            "hidden_dim": self.hidden_dim,
        }
