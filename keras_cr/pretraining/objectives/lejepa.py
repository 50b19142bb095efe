"""LeJEPA: views predict the mean of the large ones, and embeddings are spread as a Gaussian."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from keras_cr._numbers import whole_number
from keras_cr._replicas import gather
from keras_cr._types import Batch, Config, Tensor
from keras_cr.data.augmentation import Augmentation
from keras_cr.models import CommonRationaleEncoder
from keras_cr.pretraining.heads import head
from keras_cr.pretraining.outcome import Outcome, View, added
from keras_cr.pretraining.pretrainer import Pretrainer
from keras_cr.rationale import Rationale

DEFAULT_RATIONALE = Rationale()
_TIMES = np.linspace(0, 3, 17, dtype="float32")  # where the release compares the two functions


@keras.saving.register_keras_serializable(package="keras_cr")
class LeJEPA(Pretrainer):
    """Lean joint-embedding prediction, with the common rationale on or off.

    Balestriero and LeCun, "LeJEPA", arXiv 2511.08544, 2025, in its authors' release: each view's
    projection is drawn to the mean of the large views', and SIGReg draws every view's projections,
    over the batch, to a standard Gaussian; nothing else keeps them from collapse. The Gaussian is
    the batch's, so no image has a loss of its own that `Rationale.paper()` could explain.

    Args:
        encoder: the `CommonRationaleEncoder` to train.
        rationale: how the branch is trained; `None` gives plain LeJEPA.
        projection_dim: size of the projections.
        hidden_dim: width of the head's two hidden layers.
        gaussian_weight: lambda in the paper: of SIGReg; the prediction has the rest of 1.
        directions: number of random directions, drawn anew at each step, along which SIGReg looks.
        small_crops: number of small crops of each image; 0 trains on the two views alone.
        **kwargs: as for `Pretrainer`.

    Raises:
        ValueError: `gaussian_weight` does not lie in 0..1, or as `Pretrainer`.
    """

    explained = ()
    logged = ("prediction", "gaussianity")
    augmentation = staticmethod(Augmentation.lejepa)

    def __init__(
        self,
        encoder: CommonRationaleEncoder,
        rationale: Rationale | None = DEFAULT_RATIONALE,
        projection_dim: int = 128,
        hidden_dim: int = 2048,
        gaussian_weight: float = 0.05,
        directions: int = 1024,
        small_crops: int = 6,
        **kwargs: Any,
    ) -> None:
        self.projection_dim = whole_number("projection_dim", projection_dim)
        self.hidden_dim = whole_number("hidden_dim", hidden_dim)
        self.directions = whole_number("directions", directions)
        self.small_crops = whole_number("small_crops", small_crops, least=0)
        if not 0 <= gaussian_weight <= 1:
            raise ValueError(f"`gaussian_weight` must lie in 0..1. Received: {gaussian_weight!r}")
        super().__init__(encoder, rationale, **kwargs)
        self.gaussian_weight = gaussian_weight

    @classmethod
    def small_data(cls, num_images: int, batch_size: int, total_steps: int) -> dict[str, Any]:
        """The release's for Imagenette, but for fewer and smaller views."""
        return {"projection_dim": 16, "gaussian_weight": 0.02, "small_crops": 2}

    def make_heads(self, channels: int) -> dict[str, keras.layers.Layer]:
        units = (self.hidden_dim, self.hidden_dim, self.projection_dim)
        return {"project": head(channels, units, "hidden", self.seed)}

    def objective(
        self, student: dict[str, View], teacher: dict[str, View], batch: Batch
    ) -> Outcome:
        large = ops.stack([gather(student[name].projected) for name in ("query", "key")])
        views = large
        if self.small_crops:
            crops = (-1, self.small_crops, self.projection_dim)
            small = ops.reshape(gather(student["small"].projected), crops)
            views = ops.concatenate([large, ops.transpose(small, (1, 0, 2))])
        prediction = ops.mean(ops.square(views - ops.mean(large, axis=0)))
        gaussianity = ops.mean(epps_pulley(ops.matmul(views, self.draw_directions())))
        loss = added((1.0 - self.gaussian_weight) * prediction, self.gaussian_weight * gaussianity)
        return Outcome(loss, {"prediction": prediction, "gaussianity": gaussianity})

    def draw_directions(self) -> Tensor:
        """Random unit vectors `(projection_dim, directions)`, those of the seed and the step."""
        seed = [self.seed or 0, ops.cast(self.optimizer.iterations, "int32")]
        vectors = tf.random.stateless_normal((self.projection_dim, self.directions), seed)
        return ops.normalize(vectors, axis=0)

    def get_config(self) -> Config:
        return super().get_config() | {
            "projection_dim": self.projection_dim,
            "hidden_dim": self.hidden_dim,
            "gaussian_weight": self.gaussian_weight,
            "directions": self.directions,
            "small_crops": self.small_crops,
        }


def epps_pulley(samples: Tensor) -> Tensor:
    """How far samples are from a standard Gaussian: `(..., N, M)`, N of them, gives `(..., M)`.

    N times the integral of `|empirical - Gaussian characteristic function|^2`, weighted by the
    Gaussian's, from -3 to 3 by the trapezoidal rule; the integrand is even.
    """
    gaussian = np.exp(-np.square(_TIMES) / 2)
    weights = 2 * _TIMES[1] * gaussian
    weights[[0, -1]] /= 2
    angles = ops.expand_dims(samples, -1) * _TIMES
    real, imaginary = (ops.mean(part(angles), axis=-3) for part in (ops.cos, ops.sin))
    apart = ops.square(real - gaussian) + ops.square(imaginary)
    return ops.sum(apart * weights, axis=-1) * ops.cast(ops.shape(samples)[-2], "float32")
