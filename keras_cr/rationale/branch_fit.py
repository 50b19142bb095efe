"""Fitting a rationale branch to given maps, on feature maps that stay as they are."""

import math
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
from keras_cr.models.feature_maps import MAX_MEMORY, unit_scale
from keras_cr.models.map_file import MapFile

EPOCHS, MAX_IMAGES = 16, 4096
LEARNING_RATE = 5e-3


class _Fitter(keras.Model):
    """Trains the detectors of a branch, and scale and offset of its normalisation if wanted.

    Its inputs are feature maps; or, where it is given all of them, positions: maps and targets are
    then picked where they lie, within the compiled step.

    Args:
        neighbouring: whether positions follow one another, so that nothing need be copied.
    """

    def __init__(
        self,
        branch: RationaleBranch,
        scale: float,
        loss,
        train_affine: bool,
        feature_maps=None,
        neighbouring: bool = False,
    ):
        super().__init__(name="fitter")
        self.branch = branch
        self.scale = scale
        self.fit_loss = loss
        self.train_affine = train_affine
        self.feature_maps = feature_maps
        self.neighbouring = neighbouring
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
        picked = ops.cast(x if self.feature_maps is None else self._picked(x), "float32")
        picked = picked if self.scale == 1 else picked * self.scale
        responses = _responses(self.branch, picked)
        return self.branch.combine(self.branch.batch_norm(responses, training=training))

    def _picked(self, places):
        if not self.neighbouring:
            return ops.take(self.feature_maps, places, axis=0)
        shape = (places.shape[0], *self.feature_maps.shape[1:])
        return ops.slice(self.feature_maps, (places[0], 0, 0, 0), shape)

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


def _responses(branch: RationaleBranch, feature_map: Tensor) -> Tensor:
    """What the branch's detectors give, as the matrix product that a 1x1 convolution is.

    TensorFlow's convolution with a filter or few takes twice as long on a CPU.
    """
    kernel = ops.convert_to_tensor(branch.detectors.kernel)[0, 0]
    feature_map, kernel = (ops.cast(x, branch.compute_dtype) for x in (feature_map, kernel))
    return ops.tensordot(feature_map, kernel, axes=1)


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
        max_memory: GB of a copy in float32, mixed and so quicker to train on, that TensorFlow may
            hold beside `feature_maps`. The result is the same without one.

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
        max_memory: float = MAX_MEMORY,
    ) -> None:
        refuse_scope("A branch is fitted")
        self.epochs = whole_number("epochs", epochs)
        batch_size = whole_number("batch_size", batch_size)
        self.shape = tuple(feature_maps.shape)
        if len(self.shape) != 4:
            raise ValueError(f"`feature_maps` must be (N, h, w, C). Received shape: {self.shape}")
        self.branch, self.feature_maps = branch, feature_maps
        self.batch_size = min(batch_size, len(feature_maps))
        self.learning_rate = learning_rate
        # images of one class lie side by side in data sets
        self.mixed = np.random.default_rng(0).permutation(len(feature_maps))
        maps, held, copied = feature_maps, {}, False
        if keras.backend.backend() == "tensorflow" and not isinstance(feature_maps, MapFile):
            maps = ops.convert_to_tensor(feature_maps)
            copied = 4 * math.prod(self.shape) <= max_memory * 1e9
            if copied:
                maps = ops.cast(ops.take(maps, self.mixed, axis=0), "float32")
            held = {"feature_maps": maps, "neighbouring": copied}
        self.scale, self._scaled = unit_scale(maps), False
        self._places = np.arange(len(feature_maps)) if copied else self.mixed
        self._fitter = _Fitter(branch, self.scale, loss or RationaleFit(), train_affine, **held)
        self.optimizer = keras.optimizers.Adam(learning_rate)
        self.optimizer.build(self._fitter.trainable_variables)  # else a step is traced twice
        self._fitter.compile(self.optimizer, jit_compile=keras.backend.backend() == "jax")
        self._train = self._train_on_batches
        if held:
            self._train, self._epoch = self._train_by_epochs, _compiled_epoch(self._fitter)

    def to(
        self, targets: Tensor, seed: int = 0, on_epoch: Callable[[], None] | None = None
    ) -> float:
        """Trains the branch, from the weights it has, to predict `targets`.

        Before another fit they must be those that the last one left.

        A batch is of images that follow one another, in an order that is mixed once: where in it
        the batches of an epoch begin, and which of them comes first, is drawn for each epoch.

        Args:
            targets: (N, h, w), an array or a tensor, 0 or more.
            seed: of what is drawn.
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
        rng, epochs, batch_size = np.random.default_rng(seed), self.epochs, self.batch_size
        steps, left = divmod(self.shape[0], batch_size)
        firsts = [
            rng.integers(left + 1) + batch_size * rng.permutation(steps) for _ in range(epochs)
        ]
        orders = self._places[np.array(firsts)[..., None] + np.arange(batch_size)]
        through = np.arange(epochs * steps).reshape(epochs, steps) / (epochs * steps)
        rates = (self.learning_rate * (1 + np.cos(np.pi * through)) / 2).astype("float32")
        kernel = self.branch.detectors.kernel
        if self._scaled:  # by an earlier fit, from which this one goes on
            kernel.assign(kernel / self.scale)
        loss = self._train(orders, rates, targets, on_epoch or (lambda: None))
        if self.scale != 1:
            kernel.assign(kernel * self.scale)
            self._scaled = True
        return loss

    def _train_by_epochs(self, orders, rates, targets, on_epoch) -> float:
        """An epoch is one compiled loop, which picks the maps of its steps where they lie."""
        self._fitter.targets.assign(targets[self.mixed] if self._fitter.neighbouring else targets)
        for order, rate in zip(orders, rates, strict=True):
            self._fitter.reset_metrics()
            loss = self._epoch(ops.convert_to_tensor(order), ops.convert_to_tensor(rate))
            on_epoch()
        return float(loss)

    def _train_on_batches(self, orders, rates, targets, on_epoch) -> float:
        """Step by step; the next batch of maps is read meanwhile."""
        steps, number, losses = list(np.concatenate(orders)), len(orders[0]), []
        with ThreadPoolExecutor(1) as reader:
            reading = reader.submit(self.feature_maps.__getitem__, steps[0])
            for step, (rows, rate) in enumerate(zip(steps, rates.flat, strict=True), 1):
                maps = reading.result()
                if step < len(steps):
                    reading = reader.submit(self.feature_maps.__getitem__, steps[step])
                self.optimizer.learning_rate = float(rate)
                losses.append(self._fitter.train_on_batch(maps, targets[rows]))
                if step % number == 0:
                    on_epoch()
        return float(np.mean(losses[-number:]))


def _compiled_epoch(fitter: _Fitter) -> Callable:
    """The fitter's steps on positions `(steps, B)`, each at its rate; returns their mean loss.

    Keras' own execution of several steps traces a step twice and asks a data set for each batch.
    """
    import tensorflow as tf

    @tf.function(autograph=False)
    def epoch(order, rates):
        def step(number, loss):
            fitter.optimizer.learning_rate.assign(rates[number])
            return number + 1, fitter.train_step((order[number],))["loss"]

        return tf.while_loop(lambda number, _: number < rates.shape[0], step, (0, 0.0))[1]

    return epoch


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


def fresh_branch(
    branch: RationaleBranch, seed: int, num_detectors: int | None = None
) -> RationaleBranch:
    """A built branch of another's shape, with the first weights that a seed gives.

    Args:
        branch: the other.
        seed: of the detectors.
        num_detectors: where there are to be more or fewer of them.
    """
    # not from its config: Keras imports TensorFlow, where it is installed, to write one
    twin = RationaleBranch(
        num_detectors or branch.num_detectors,
        branch.normalization,
        seed=seed,
        dtype=branch.dtype_policy,
        name=branch.name,
    )
    twin.build((None, None, None, branch.detectors.kernel.shape[-2]))
    return twin
