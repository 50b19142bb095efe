"""Fitting a rationale branch to given maps, on feature maps that stay as they are."""

from collections.abc import Callable

import keras
import numpy as np
from keras import ops

from keras_cr._numbers import whole_number
from keras_cr.layers import RationaleBranch
from keras_cr.losses import RationaleFit
from keras_cr.models.feature_maps import unit_scale

EPOCHS = 16
LEARNING_RATE = 5e-3


class _Fitter(keras.Model):
    """Trains the detectors of a branch, and scale and offset of its normalisation if wanted.

    Its inputs are positions: feature maps and targets are picked where they lie, within the
    compiled step.
    """

    def __init__(
        self,
        branch: RationaleBranch,
        feature_maps,
        scale: float,
        targets,
        loss,
        train_affine: bool,
    ):
        super().__init__(name="fitter")
        self.branch = branch
        self.feature_maps = feature_maps
        self.scale = scale
        self.targets = targets
        self.fit_loss = loss
        self.train_affine = train_affine
        self.built = True

    def call(self, rows, training=False):
        picked = ops.cast(ops.take(self.feature_maps, rows, axis=0), "float32")
        picked = picked if self.scale == 1 else picked * self.scale
        return self.branch(picked, training=training)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return self.fit_loss(ops.take(self.targets, x, axis=0), y_pred)

    @property
    def trainable_variables(self):
        if self.train_affine:
            return self.branch.trainable_variables
        return self.branch.detectors.trainable_variables

    @property
    def trainable_weights(self):
        return self.trainable_variables


class _OnExecution(keras.callbacks.Callback):
    """Calls a function after each execution of steps, of which a fitter makes one an epoch."""

    def __init__(self, function: Callable[[], None]):
        super().__init__()
        self.function = function

    def on_train_batch_end(self, batch, logs=None):
        self.function()


def fit_branch(
    branch: RationaleBranch,
    feature_maps,
    targets,
    loss: keras.losses.Loss | None = None,
    epochs: int = EPOCHS,
    batch_size: int = 64,
    learning_rate: float = LEARNING_RATE,
    train_affine: bool = False,
    seed: int = 0,
    on_epoch: Callable[[], None] | None = None,
) -> float:
    """Trains a branch to predict `targets` from feature maps, with Adam and a cosine schedule.

    Args:
        branch: a built branch; trained in place, from the weights it has.
        feature_maps: (N, h, w, C), an array or a tensor of any float type. Maps far from 1, which
            half precision can't hold, are brought there for the training, and the detectors are
            scaled back, so that the result is as good whatever the unit of the features.
        targets: (N, h, w), an array or a tensor, 0 or more.
        loss: of targets and maps; None takes `RationaleFit()`.
        epochs: passes over the images.
        batch_size: images a step, at most N.
        learning_rate: at the start.
        train_affine: whether scale and offset of the branch's batch normalisation are trained.
        seed: of the order of the images.
        on_epoch: called after each of them.

    Returns:
        The mean loss of the last epoch's steps.

    Raises:
        ValueError: the shapes disagree, or `epochs` or `batch_size` is no positive integer.
    """
    epochs, batch_size = whole_number("epochs", epochs), whole_number("batch_size", batch_size)
    feature_maps = ops.convert_to_tensor(feature_maps)
    targets = ops.convert_to_tensor(targets, "float32")
    maps_shape, targets_shape = tuple(feature_maps.shape), tuple(targets.shape)
    if len(maps_shape) != 4 or maps_shape[:3] != targets_shape:
        raise ValueError(
            "`feature_maps` and `targets` must be (N, h, w, C) and (N, h, w); received "
            f"{maps_shape}, {targets_shape}."
        )
    number = len(targets)
    batch_size = min(batch_size, number)
    steps = number // batch_size
    rate = keras.optimizers.schedules.CosineDecay(learning_rate, epochs * steps)
    scale = unit_scale(feature_maps)
    fitter = _Fitter(branch, feature_maps, scale, targets, loss or RationaleFit(), train_affine)
    fitter.compile(keras.optimizers.Adam(rate), jit_compile=False, steps_per_execution=steps)
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(number)[: steps * batch_size] for _ in range(epochs)]
    told = [] if on_epoch is None else [_OnExecution(on_epoch)]
    for several in filter(None, (orders[:-1], orders[-1:])):  # the last for its loss
        order = np.concatenate(several)
        fitted = fitter.fit(order, batch_size=batch_size, shuffle=False, verbose=0, callbacks=told)
        history = fitted.history
    if scale != 1:
        branch.detectors.kernel.assign(branch.detectors.kernel * scale)
    return float(history["loss"][-1])
