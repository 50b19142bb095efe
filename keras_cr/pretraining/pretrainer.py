"""The training step that every objective shares.

One backbone forward and one backbone backward a view, whatever the rationale costs:

    feature map -> objective's loss L          (recorded by an inner tape)
                -> dL/d(map) -> GradCAM        (down to the map and no further)
    feature map -> branch -> map A
    total = L + weight * fit(GradCAM, A)       (one backward pass through the backbone)

With `Rationale(Neighbours())` the GradCAM is that of another loss, on the feature map of the whole
image, which costs one forward pass more.
"""

import math
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from keras_cr._replicas import check_even, gather, share, synchronized, whole_gradients
from keras_cr._types import Images, Tensor
from keras_cr.data.augmentation import Augmentation
from keras_cr.layers import RationalePooling
from keras_cr.layers.batch_normalization import running_statistics
from keras_cr.models import CommonRationaleEncoder
from keras_cr.models.learning_rates import learning_rate_multipliers
from keras_cr.pretraining.auxiliary.losses import auxiliary_losses
from keras_cr.pretraining.auxiliary.task import AuxiliaryTask
from keras_cr.pretraining.batches import image_numbers, training_batch
from keras_cr.pretraining.divergence import skippable
from keras_cr.pretraining.model import PretrainingModel
from keras_cr.pretraining.outcome import Outcome, View, added
from keras_cr.pretraining.twin import Twin, rising
from keras_cr.rationale import Rationale
from keras_cr.rationale.explain import LOGGED, Explainer
from keras_cr.rationale.measures import embedding_std


class Pretrainer(PretrainingModel):
    """Trains an encoder by a self-supervised objective and fits its rationale branch beside it.

    An objective is a subclass (docs/objectives.md): it names the views it trains on and those that
    a momentum twin sees, makes its heads, and gives a loss; `after_step` is there for queues and
    centres. What is not an argument of this class is an argument of its own.

    Args:
        encoder: the `CommonRationaleEncoder` to train.
        rationale: how the branch is trained; `None` leaves the branch alone and gives the plain
            objective.
        momentum: share of its own weights that the momentum twin keeps at each step; no effect
            where the objective has none.
        total_steps: steps of the whole training, over which that share rises to 1 along a cosine;
            None: it stays.
        backbone_lr_multiplier: the backbone learns at this multiple of the optimizer's learning
            rate; below 1 for a pretrained backbone under fresh heads.
        auxiliary: tasks beside the objective, of `keras_cr.pretraining.auxiliary`; the pretrainer
            makes its own copies.
        objective_weight: factor of the objective's loss beside theirs.
        seed: seed of the heads' initial weights.
        **kwargs: as for `keras.Model`.

    `fit` takes batches that are a dict with the views by name (`query` and `key`, two views of
    every image, `(B, H, W, 3)`, RGB 0..255), optionally `index` (integers `(B,)`, which image each
    row is), `label`, `small` (small crops, `(B, n, h, w, 3)`), `query_box`, `query_flip` and the
    like (where each view lies in its image) and `image` (the whole images, of the views' shape),
    which `Rationale(Neighbours())` needs unless it compares views; or a tuple of query, key, index
    and image in that order. `keras_cr.data.two_views` makes such batches.

    Every step logs `loss`, `ssl_loss` (the objective's), its own scalars, those of the auxiliary
    tasks, `embedding_std` (standard deviation of the average-pooled, unit-length embedding over the
    batch, times the root of its size; near 0: collapse) and, with a rationale, `fit_loss`,
    `target_entropy` (relative to a uniform target; 1: it says nothing), `map_entropy` (the same of
    the branch's map, divided by its sum; 1: flat, or empty), `cam_peak` (mean height of the raw
    GradCAM), `agreement` (correlation of target and map over the places of an image) and
    `center_agreement` (of a Gaussian around the middle and map; below 0: the map may have turned to
    the background).

    Built in the scope of a `tf.distribute.MirroredStrategy`, with its encoder, it trains on all of
    its devices what it would on one with the whole batch (docs/devices.md).

    Raises:
        ValueError: an argument is of another type or can't be, `rationale` explains the
            objective's own loss and it has none for each image, or `encoder` was not built on as
            many devices.
    """

    views: tuple[str, ...] = ("query", "key")  # trained on; and "small", if there are small crops
    taught: tuple[str, ...] = ()  # seen by the momentum twin; () builds none
    explained: tuple[str, ...] = ("query",)  # what Rationale.paper() explains; (): no loss an image
    logged: tuple[str, ...] = ()  # names of the objective's own scalars
    labels: bool = False  # whether batches must hold `label`
    boxes: bool = False  # whether batches must hold where in the image each view lies
    small_crops: int = 0  # of every image, in batches
    augmentation: Any = staticmethod(Augmentation.moco_v2)

    def __init__(
        self,
        encoder: CommonRationaleEncoder,
        rationale: Rationale | None = None,
        momentum: float = 0.999,
        total_steps: int | None = None,
        backbone_lr_multiplier: float = 1.0,
        auxiliary: Sequence[AuxiliaryTask] = (),
        objective_weight: float = 1.0,
        seed: int | None = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            encoder,
            rationale,
            momentum,
            total_steps,
            backbone_lr_multiplier,
            auxiliary,
            objective_weight,
            seed,
            **kwargs,
        )
        if self.small_crops:
            self.views = (*self.views, "small")
        self.average = RationalePooling(normalize=False, dtype="float32", name="average")
        self.heads = self.make_heads(encoder.channels)
        self.twin = Twin(encoder.backbone, self.heads, name="twin") if self.taught else None
        names = ["loss", "ssl_loss", *self.logged, "embedding_std"]
        for task in self.auxiliary:
            task.build(encoder.channels)
            names += [f"{task.name}_{name}" for name in ("loss", *task.logged)]
        if rationale is not None:
            self.explainer = Explainer(encoder, rationale, self.seed)
            self.neighbours = self.explainer.bank  # here, so that Keras saves it
            names += LOGGED
        self._trackers = {name: keras.metrics.Mean(name=name) for name in names}
        self.built = True

    @classmethod
    def small_data(cls, num_images: int, batch_size: int, total_steps: int) -> dict[str, Any]:
        """Arguments for some 10,000 images in batches of 64 to 256, where the paper's differ."""
        return {}

    def make_heads(self, channels: int) -> dict[str, keras.layers.Layer]:
        """The built heads by name: `project` follows the pooling, `predict` that."""
        return {}

    def objective(self, student: dict[str, View], teacher: dict[str, View], batch: dict) -> Outcome:
        """The self-supervised loss.

        Args:
            student: what the trained network makes of each of `views`; of `small`, all crops of
                the first image come first, then all of the second.
            teacher: what the twin makes of each of `taught`; no gradient goes there.
            batch: everything the batch holds.
        """
        raise NotImplementedError

    def after_step(self, teacher: dict[str, View], batch: dict) -> None:
        """Runs after the optimizer's step."""

    def look(self, images: Images) -> Tensor:
        """The trained backbone's feature map of images, or of small crops, in training mode."""
        if len(images.shape) == 5:
            images = ops.reshape(images, (-1, *images.shape[2:]))
        return ops.cast(self.encoder.feature_map(images, training=True), "float32")

    def see(self, feature_map: Tensor, heads: dict) -> View:
        """What heads make of a feature map, which is averaged for them."""
        pooled = self.average(feature_map)
        projected = heads["project"](pooled, training=True) if "project" in heads else pooled
        predicted = heads["predict"](projected, training=True) if "predict" in heads else projected
        return View(feature_map, pooled, projected, predicted)

    def teach(self, batch: dict) -> dict[str, View]:
        """Moves the twin after the trained network, and shows it its views; outside of any tape."""
        if self.twin is None:
            return {}
        momentum = self.momentum
        if self.total_steps is not None:
            momentum = rising(momentum, self.total_steps, self.optimizer.iterations)
        self.twin.follow(self.encoder.backbone, self.heads, momentum)
        seen = {}
        for name in self.taught:
            images = ops.cast(batch[name], self.encoder.compute_dtype)
            feature_map = ops.cast(self.twin(images), "float32")
            seen[name] = self.see(feature_map, self.twin.heads)
        return seen

    @skippable
    def train_step(self, data: Any) -> dict[str, Any]:
        batch = training_batch(data, self)
        check_even(ops.shape(batch["query"])[0])
        with synchronized(self):
            return self._train_step(batch)

    def _train_step(self, batch: dict) -> dict:
        teacher = self.teach(batch)
        with tf.GradientTape() as tape:
            loss, logs, embedding = self.compute_losses(batch, teacher, tape)
            scaled_loss = self.optimizer.scale_loss(share(loss))
        variables = self.trainable_variables
        gradients = tape.gradient(scaled_loss, variables, _one_after(scaled_loss, logs, embedding))
        gradients = whole_gradients(gradients, self.optimizer)
        logs["loss"] = self._where_finite(loss, gradients)
        with learning_rate_multipliers(self.learning_rates):
            self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
        self.after_step(teacher, batch)
        if embedding is not None:
            self.neighbours.enqueue(gather(embedding), image_numbers(batch))
        for name, value in logs.items():
            self._trackers[name].update_state(value)
        return self.get_metrics_result()

    def _where_finite(self, loss, gradients):
        """The loss, as NaN where statistics of batches are not finite, or a gradient.

        Normalised by a batch's own statistics, features of any size give a finite loss, and an
        encoder that gives nothing by the running ones. A scaled loss accounts for gradients itself.
        """
        finite = [ops.all(ops.isfinite(each)) for each in running_statistics(self)]
        if not isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer):
            known = [ops.cast(each, "float32") for each in gradients if each is not None]
            finite.append(tf.math.is_finite(tf.linalg.global_norm(known)))
        return ops.where(ops.all(ops.stack(finite)), loss, math.nan) if finite else loss

    def compute_losses(self, batch: dict, teacher: dict, tape: tf.GradientTape) -> tuple:
        """The step's forward half.

        Returns:
            `(total, logs, embedding)`: the total loss, recorded by `tape`; the scalars to log; and
            what the neighbours' bank gets after the step, or None.
        """
        maps = {name: self.look(batch[name]) for name in self.views}
        own = self.rationale is not None and self.rationale.explains_objective
        explained = {name: maps[name] for name in self.explained} if own else {}
        with tf.GradientTape(watch_accessed_variables=False) as inner:
            inner.watch(explained)
            student = {name: self.see(maps[name], self.heads) for name in self.views}
            outcome = self.objective(student, teacher, batch)
            own_loss = share(outcome.loss)
        logs = {"ssl_loss": outcome.loss, **outcome.logs}
        logs["embedding_std"] = embedding_std(gather(self.encoder.pool(maps[self.views[0]])))
        losses = [self.objective_weight * outcome.loss]
        if self.auxiliary:
            more, told = auxiliary_losses(self, student, batch)
            losses += more
            logs |= told
        embedding = None
        if self.rationale is not None:
            with tape.stop_recording():
                if own:
                    gradients = inner.gradient(own_loss, explained)
                else:
                    found, embedding = self.explainer.by_neighbours(batch, maps, self.views[0])
            if own:
                found = self.explainer.own(maps, gradients)
                seen = {name: view.map for name, view in teacher.items()} | maps
                for name in self.rationale.positives.extra_passes:
                    self.encoder.branch(seen[name], training=True)
            else:
                found = [found]
            fit = self.explainer.fit(found)
            losses.append(self.rationale.weight * fit["fit_loss"])
            logs |= fit
        total = added(*losses)
        return total, {"loss": total} | logs, embedding


def _one_after(loss, logs, embedding):
    """The loss' gradient by itself, which is there when the forward pass is over, all of it.

    The pass over whole images adds nothing to the backbone's gradients, and must read its weights
    before they change. The graph says so until TensorFlow optimizes it (2.21): the order seems to
    follow from an `IdentityN` of all gradients and is dropped, and then the `IdentityN` is taken
    apart. Without this a step on a busy machine saw some of its own new weights now and then.
    """
    with tf.control_dependencies([*logs.values(), *([] if embedding is None else [embedding])]):
        return tf.ones_like(loss)
