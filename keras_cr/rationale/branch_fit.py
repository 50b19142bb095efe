"""Fitting a rationale branch to given maps, on feature maps that stay as they are."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_cr._numbers import whole_number
from keras_cr._replicas import refuse_scope
from keras_cr._types import Tensor
from keras_cr.layers import RationaleBranch
from keras_cr.losses import RationaleFit
from keras_cr.models.feature_maps import unit_scale
from keras_cr.models.map_file import MapFile

EPOCHS, MAX_IMAGES = 16, 4096
LEARNING_RATE = 5e-3


class _Fitter(keras.Model):
    """Trains the detectors of a branch, and scale and offset of its normalisation if wanted.

    Its inputs are feature maps; or, where it is given all of them, positions: maps and targets are
    then picked where they lie, within the compiled step.
    """

    def __init__(
        self,
        branch: RationaleBranch,
        scale: float,
        loss,
        train_affine: bool,
        feature_maps=None,
    ):
        super().__init__(name="fitter")
        self.branch = branch
        self.scale = scale
        self.fit_loss = loss
        self.train_affine = train_affine
        self.feature_maps = feature_maps
        if feature_maps is not None:
            self.targets = self.add_weight(
                name="targets",
                shape=feature_maps.shape[:3],
                dtype="float32",
                initializer="zeros",
                trainable=False,
            )
        self.built = True

    def call(self, x, training=False):
        picked = x if self.feature_maps is None else ops.take(self.feature_maps, x, axis=0)
        picked = ops.cast(picked, "float32")
        picked = picked if self.scale == 1 else picked * self.scale
        return self.branch(picked, training=training)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return self.fit_loss(y if y is not None else ops.take(self.targets, x, axis=0), y_pred)

    @property
    def trainable_variables(self):
        if self.train_affine:
            return self.branch.trainable_variables
        return self.branch.detectors.trainable_variables

    @property
    def trainable_weights(self):
        return self.trainable_variables

    @property
    def non_trainable_variables(self):
        trained = {id(variable) for variable in self.trainable_variables}
        return [variable for variable in self.variables if id(variable) not in trained]


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
        feature_maps: (N, h, w, C), an array or a tensor of any float type, or a `MapFile`, which
            is read a batch at a time. Maps far from 1, which half precision can't hold, are
            brought there for the training, and the detectors are scaled back, so that the result
            is as good whatever the unit of the features.
        loss: of targets and maps; None takes `RationaleFit()`.
        epochs: passes over the images.
        batch_size: images a step, at most N.
        learning_rate: at the start.
        train_affine: whether scale and offset of the branch's batch normalisation are trained.

    Raises:
        ValueError: `feature_maps` have another shape, `epochs` or `batch_size` is no positive
            integer, or this is the scope of a strategy of several replicas.
    """

    def __init__(
        self,
        branch: RationaleBranch,
        feature_maps: Tensor,
        loss: keras.losses.Loss | None = None,
        epochs: int = EPOCHS,
        batch_size: int = 64,
        learning_rate: float = LEARNING_RATE,
        train_affine: bool = False,
    ) -> None:
        refuse_scope("A branch is fitted")
        self.epochs = whole_number("epochs", epochs)
        batch_size = whole_number("batch_size", batch_size)
        self.shape = tuple(feature_maps.shape)
        if len(self.shape) != 4:
            raise ValueError(f"`feature_maps` must be (N, h, w, C). Received shape: {self.shape}")
        in_step = keras.backend.backend() == "tensorflow" and not isinstance(feature_maps, MapFile)
        if in_step:
            feature_maps = ops.convert_to_tensor(feature_maps)
        self.branch, self.feature_maps = branch, feature_maps
        self.batch_size = min(batch_size, len(feature_maps))
        steps = len(feature_maps) // self.batch_size
        self.scale = unit_scale(feature_maps)
        rate = keras.optimizers.schedules.CosineDecay(learning_rate, self.epochs * steps)
        self.optimizer = keras.optimizers.Adam(rate)
        picked_from = feature_maps if in_step else None
        self._fitter = _Fitter(
            branch, self.scale, loss or RationaleFit(), train_affine, picked_from
        )
        self.optimizer.build(self._fitter.trainable_variables)  # else a step is traced twice
        self._fitter.compile(
            self.optimizer,
            jit_compile=keras.backend.backend() == "jax",
            steps_per_execution=steps if in_step else 1,
        )
        self._train = self._train_in_steps if in_step else self._train_on_batches

    def to(
        self, targets: Tensor, seed: int = 0, on_epoch: Callable[[], None] | None = None
    ) -> float:
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
        targets = ops.convert_to_numpy(targets).astype("float32", copy=False)
        if targets.shape != self.shape[:3]:
            raise ValueError(
                "`feature_maps` and `targets` must be (N, h, w, C) and (N, h, w); received "
                f"{self.shape}, {targets.shape}."
            )
        for variable in self.optimizer.variables:  # steps and moments of an earlier fit
            variable.assign(ops.zeros(variable.shape, variable.dtype))
        rng, batch_size = np.random.default_rng(seed), self.batch_size
        used = self.shape[0] // batch_size * batch_size
        orders = [rng.permutation(self.shape[0])[:used] for _ in range(self.epochs)]
        loss = self._train(orders, targets, on_epoch)
        if self.scale != 1:
            kernel = self.branch.detectors.kernel
            kernel.assign(kernel * self.scale)
        return loss

    def _train_in_steps(self, orders, targets, on_epoch) -> float:
        """Within Keras' compiled execution, an epoch each, which picks the maps."""
        self._fitter.targets.assign(targets)
        told = [] if on_epoch is None else [_OnExecution(on_epoch)]
        options = {"batch_size": self.batch_size, "shuffle": False, "verbose": 0}
        for several in filter(None, (orders[:-1], orders[-1:])):  # the last for its loss
            fit = self._fitter.fit(np.concatenate(several), **options, callbacks=told)
        return float(fit.history["loss"][-1])

    def _train_on_batches(self, orders, targets, on_epoch) -> float:
        """Step by step; the next batch of maps is read meanwhile."""
        steps = [
            rows for order in orders for rows in np.split(order, len(order) // self.batch_size)
        ]
        number, losses = len(steps) // self.epochs, []
        with ThreadPoolExecutor(1) as reader:
            reading = reader.submit(self.feature_maps.__getitem__, steps[0])
            for step, rows in enumerate(steps, 1):
                maps = reading.result()
                if step < len(steps):
                    reading = reader.submit(self.feature_maps.__getitem__, steps[step])
                losses.append(self._fitter.train_on_batch(maps, targets[rows]))
                if on_epoch is not None and step % number == 0:
                    on_epoch()
        return float(np.mean(losses[-number:]))


def fit_branch(
    branch: RationaleBranch,
    feature_maps: Tensor,
    targets: Tensor,
    loss: keras.losses.Loss | None = None,
    seed: int = 0,
    **options: Any,
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
    # not from its config: Keras imports TensorFlow, where it is installed, to write one
    twin = RationaleBranch(
        branch.num_detectors,
        branch.normalization,
        seed=seed,
        dtype=branch.dtype_policy,
        name=branch.name,
    )
    twin.build((None, None, None, branch.detectors.kernel.shape[-2]))
    return twin
