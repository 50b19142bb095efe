"""Fitting a rationale branch to given maps, on feature maps that stay as they are."""

import keras
import numpy as np

from keras_cr.layers import RationaleBranch
from keras_cr.losses import RationaleFit

EPOCHS = 16
LEARNING_RATE = 5e-3


class _Fitter(keras.Model):
    """Trains the detectors of a branch, and scale and offset of its normalisation if wanted."""

    def __init__(self, branch: RationaleBranch, train_affine: bool):
        super().__init__(name="fitter")
        self.branch = branch
        self.train_affine = train_affine
        self.built = True

    def call(self, feature_map, training=False):
        return self.branch(feature_map, training=training)

    @property
    def trainable_variables(self):
        if self.train_affine:
            return self.branch.trainable_variables
        return self.branch.detectors.trainable_variables

    @property
    def trainable_weights(self):
        return self.trainable_variables


def fit_branch(
    branch: RationaleBranch,
    feature_maps: np.ndarray,
    targets: np.ndarray,
    loss: keras.losses.Loss | None = None,
    epochs: int = EPOCHS,
    batch_size: int = 64,
    learning_rate: float = LEARNING_RATE,
    train_affine: bool = False,
    seed: int = 0,
) -> float:
    """Trains a branch to predict `targets` from feature maps, with Adam and a cosine schedule.

    Args:
        branch: a built branch; trained in place, from the weights it has.
        feature_maps: (N, h, w, C), any float type.
        targets: (N, h, w), 0 or more.
        loss: of targets and maps; None takes `RationaleFit()`.
        epochs: passes over the images.
        batch_size: images a step, at most N.
        learning_rate: at the start.
        train_affine: whether scale and offset of the branch's batch normalisation are trained.
        seed: of the order of the images.

    Returns:
        The loss of the last epoch.

    Raises:
        ValueError: the shapes disagree or `epochs` is not positive.
    """
    feature_maps, targets = np.asarray(feature_maps), np.asarray(targets, "float32")
    if feature_maps.ndim != 4 or feature_maps.shape[:3] != targets.shape or epochs < 1:
        raise ValueError(
            "`feature_maps` and `targets` must be (N, h, w, C) and (N, h, w), and `epochs` at "
            f"least 1; received {feature_maps.shape}, {targets.shape} and epochs={epochs}."
        )
    batch_size = min(batch_size, len(targets))
    steps = len(targets) // batch_size
    rate = keras.optimizers.schedules.CosineDecay(learning_rate, epochs * steps)
    fitter = _Fitter(branch, train_affine)
    fitter.compile(keras.optimizers.Adam(rate), loss or RationaleFit(), jit_compile=False)
    rng, losses = np.random.default_rng(seed), []
    for _ in range(epochs):
        order = rng.permutation(len(targets))[: steps * batch_size]
        losses = [
            float(fitter.train_on_batch(feature_maps[rows].astype("float32"), targets[rows]))
            for rows in np.split(order, steps)
        ]
        fitter.reset_metrics()
    return float(np.mean(losses))
