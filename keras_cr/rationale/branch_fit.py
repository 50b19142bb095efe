"""Fitting a rationale branch to given maps, on feature maps that stay as they are."""

from collections.abc import Callable

import keras
import numpy as np
from keras import ops

from keras_cr._numbers import whole_number
from keras_cr.layers import RationaleBranch
from keras_cr.losses import RationaleFit
from keras_cr.models.feature_maps import unit_scale

EPOCHS, MAX_IMAGES = 16, 4096
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
        loss,
        train_affine: bool,
    ):
        super().__init__(name="fitter")
        self.branch = branch
        self.feature_maps = feature_maps
        self.scale = scale
        self.targets = self.add_weight(
            name="targets",
            shape=feature_maps.shape[:3],
            dtype="float32",
            initializer="zeros",
            trainable=False,
        )
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


class BranchFit:
    """Fits a branch to maps, with Adam and a cosine schedule; compiled once for any number of fits.

    Args:
        branch: a built branch; trained in place.
        feature_maps: (N, h, w, C), an array or a tensor of any float type. Maps far from 1, which
            half precision can't hold, are brought there for the training, and the detectors are
            scaled back, so that the result is as good whatever the unit of the features.
        loss: of targets and maps; None takes `RationaleFit()`.
        epochs: passes over the images.
        batch_size: images a step, at most N.
        learning_rate: at the start.
        train_affine: whether scale and offset of the branch's batch normalisation are trained.

    Raises:
        ValueError: `feature_maps` have another shape, or `epochs` or `batch_size` is no positive
            integer.
    """

    def __init__(
        self,
        branch: RationaleBranch,
        feature_maps,
        loss: keras.losses.Loss | None = None,
        epochs: int = EPOCHS,
        batch_size: int = 64,
        learning_rate: float = LEARNING_RATE,
        train_affine: bool = False,
    ):
        self.epochs = whole_number("epochs", epochs)
        batch_size = whole_number("batch_size", batch_size)
        feature_maps = ops.convert_to_tensor(feature_maps)
        self.shape = tuple(feature_maps.shape)
        if len(self.shape) != 4:
            raise ValueError(f"`feature_maps` must be (N, h, w, C). Received shape: {self.shape}")
        self.branch, self.batch_size = branch, min(batch_size, len(feature_maps))
        steps = len(feature_maps) // self.batch_size
        self.scale = unit_scale(feature_maps)
        rate = keras.optimizers.schedules.CosineDecay(learning_rate, self.epochs * steps)
        self.optimizer = keras.optimizers.Adam(rate)
        self._fitter = _Fitter(
            branch, feature_maps, self.scale, loss or RationaleFit(), train_affine
        )
        self._fitter.compile(self.optimizer, jit_compile=False, steps_per_execution=steps)

    def to(self, targets, seed: int = 0, on_epoch: Callable[[], None] | None = None) -> float:
        """Trains the branch, from the weights it has, to predict `targets`.

        Args:
            targets: (N, h, w), an array or a tensor, 0 or more.
            seed: of the order of the images.
            on_epoch: called after each epoch.

        Returns:
            The mean loss of the last epoch's steps.

        Raises:
            ValueError: `targets` have another shape.
        """
        targets = ops.convert_to_tensor(targets, "float32")
        if tuple(targets.shape) != self.shape[:3]:
            raise ValueError(
                "`feature_maps` and `targets` must be (N, h, w, C) and (N, h, w); received "
                f"{self.shape}, {tuple(targets.shape)}."
            )
        self._fitter.targets.assign(targets)
        for variable in self.optimizer.variables:  # steps and moments of an earlier fit
            variable.assign(ops.zeros_like(variable))
        rng, batch_size = np.random.default_rng(seed), self.batch_size
        used = self.shape[0] // batch_size * batch_size
        orders = [rng.permutation(self.shape[0])[:used] for _ in range(self.epochs)]
        told = [] if on_epoch is None else [_OnExecution(on_epoch)]
        options = {"batch_size": batch_size, "shuffle": False, "verbose": 0, "callbacks": told}
        for several in filter(None, (orders[:-1], orders[-1:])):  # the last for its loss
            history = self._fitter.fit(np.concatenate(several), **options).history
        if self.scale != 1:
            kernel = self.branch.detectors.kernel
            kernel.assign(kernel * self.scale)
        return float(history["loss"][-1])


def fit_branch(
    branch: RationaleBranch,
    feature_maps,
    targets,
    loss: keras.losses.Loss | None = None,
    seed: int = 0,
    **options,
) -> float:
    """Trains a branch to predict `targets` from feature maps, once; see `BranchFit`.

    Args:
        branch: a built branch; trained in place, from the weights it has.
        feature_maps: (N, h, w, C).
        targets: (N, h, w), 0 or more.
        loss: of targets and maps; None takes `RationaleFit()`.
        seed: of the order of the images.
        **options: as for `BranchFit`.

    Returns:
        The mean loss of the last epoch's steps.

    Raises:
        ValueError: the shapes disagree, or an option can't be.
    """
    return BranchFit(branch, feature_maps, loss, **options).to(targets, seed)


def fresh_branch(branch: RationaleBranch, seed: int) -> RationaleBranch:
    """A built branch of another's shape, with the first weights that a seed gives."""
    twin = RationaleBranch.from_config(branch.get_config() | {"seed": seed})
    twin.build((None, None, None, branch.detectors.kernel.shape[-2]))
    return twin
