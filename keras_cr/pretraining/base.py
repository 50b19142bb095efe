"""The training step that every objective shares.

One backbone forward and one backbone backward a view, whatever the rationale costs:

    feature map -> objective's loss L          (recorded by an inner tape)
                -> dL/d(map) -> GradCAM        (down to the map and no further)
    feature map -> branch -> map A
    total = L + weight * fit(GradCAM, A)       (one backward pass through the backbone)

With `Rationale(positives="neighbours")` the GradCAM is that of another loss, on the feature map of
the whole image, which costs one forward pass more.
"""

import functools
from dataclasses import dataclass, field
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from keras_cr._numbers import plain_seed
from keras_cr.attribution import center_prior, grad_cam
from keras_cr.models import CommonRationaleEncoder
from keras_cr.models.inputs import Seen
from keras_cr.models.learning_rates import learning_rate_multipliers
from keras_cr.models.watch import Watch, raising
from keras_cr.pretraining.batches import image_numbers, seen_views, unpack_views
from keras_cr.pretraining.measures import correlation, embedding_std, relative_entropy
from keras_cr.pretraining.momentum import gather
from keras_cr.pretraining.neighbours import NeighbourBank, compare_with_neighbours
from keras_cr.pretraining.rationale import Rationale


@dataclass
class Outcome:
    """What an objective gives back: a scalar loss, and scalars to log by name."""

    loss: Any
    logs: dict = field(default_factory=dict)


class RationalePretrainer(keras.Model):
    """Trains an encoder by a self-supervised objective and fits its rationale branch to it.

    An objective is a subclass with three methods: `prepare` (no gradient: momentum keys, say),
    `objective` (from feature maps to a loss) and `finish` (after the step: the queue, say); a
    fourth, `pooled_objective`, is there for `Rationale(pooled_weight=...)`.
    Networks that follow the encoder hold variables that are not trainable.

    Args:
        encoder: the `CommonRationaleEncoder` to train.
        rationale: how the branch is trained; `None` leaves the branch alone and gives the plain
            objective.
        backbone_lr_multiplier: the backbone learns at this multiple of the optimizer's learning
            rate; below 1 for a pretrained backbone under fresh heads.
        seed: seed of the heads' initial weights.
        **kwargs: as for `keras.Model`.

    `fit` takes batches that are a dict with `query` and `key` (two views, `(B, H, W, 3)`, RGB
    0..255), optionally `index` (integers `(B,)`, which image each row is), and `image` (the whole
    images, of the views' shape), which `Rationale(positives="neighbours")` needs unless it compares
    views; or a tuple of these in that order. `keras_cr.data.two_views` makes such batches.

    Every step logs `loss`, `ssl_loss`, the objective's own scalars, `embedding_std` (standard
    deviation of the average-pooled, unit-length embedding over the batch, times the root of its
    size; near 0: collapse) and, with a rationale, `fit_loss`, `target_entropy` (relative to a
    uniform target; 1: it says nothing), `map_entropy` (the same of the branch's map, divided by its
    sum; 1: flat, or empty), `cam_peak` (mean height of the raw GradCAM), `agreement` (correlation
    of target and map over the places of an image) and `center_agreement` (of a Gaussian around the
    middle and map; below 0: the map may have turned to the background), and perhaps `pooled_loss`.

    Raises:
        ValueError: an argument is of another type, or `rationale` has a `pooled_weight` and the
            objective no `pooled_objective`.
    """

    explained_views: tuple[str, ...] = ("query",)
    objective_logs: tuple[str, ...] = ()

    def __init__(
        self,
        encoder: CommonRationaleEncoder,
        rationale: Rationale | None,
        backbone_lr_multiplier: float = 1.0,
        seed: int | None = 0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if not isinstance(encoder, CommonRationaleEncoder):
            raise ValueError(
                f"`encoder` must be a CommonRationaleEncoder. Received: {type(encoder).__name__}"
            )
        if rationale is not None and not isinstance(rationale, Rationale):
            raise ValueError(f"`rationale` must be a Rationale or None. Received: {rationale!r}")
        self.encoder = encoder
        self.rationale = rationale
        self.backbone_lr_multiplier = backbone_lr_multiplier
        self.seed = plain_seed(seed)
        names = ["loss", "ssl_loss", *self.objective_logs, "embedding_std"]
        if rationale is not None:
            self.fit_loss = rationale.fit_loss()
            names += ["fit_loss", "target_entropy", "map_entropy", "cam_peak"]
            names += ["agreement", "center_agreement"]
            if rationale.pooled_weight:
                names.append("pooled_loss")
                if type(self).pooled_objective is RationalePretrainer.pooled_objective:
                    raise ValueError(
                        f"{type(self).__name__} has no loss on rationale-pooled features: leave "
                        f"`pooled_weight` at 0. Received: {rationale.pooled_weight}"
                    )
            if rationale.positives == "neighbours":
                self.neighbours = NeighbourBank(
                    rationale.bank_size,
                    rationale.k,
                    rationale.contrast_temperature,
                    rationale.contrast,
                    seed=seed,
                    dtype="float32",
                    name="neighbours",
                )
                self.neighbours.build((None, encoder.channels))
        self._trackers = {name: keras.metrics.Mean(name=name) for name in names}

    def prepare(self, views: dict) -> dict:
        """Computes what the objective compares with, without gradient.

        Returns a dict; its entry `maps` may hold feature maps by view, for `extra_passes`.
        """
        raise NotImplementedError

    def objective(self, maps: dict, context: dict) -> Outcome:
        """The self-supervised loss of the explained views' float32 feature maps."""
        raise NotImplementedError

    def pooled_objective(self, maps: dict, context: dict):
        """The same loss of features that are pooled by the branch's maps, as constants."""
        raise NotImplementedError

    def finish(self, views: dict, context: dict) -> None:
        """Runs after the optimizer's step."""

    @property
    def metrics(self):
        return list(self._trackers.values())

    @property
    def trainable_variables(self):
        """What the optimizer trains: without the branch, or parts of it, where it is not fitted."""
        branch = self.encoder.branch
        if self.rationale is None:
            left_out = branch.trainable_variables
        elif not self.rationale.train_affine:
            left_out = branch.batch_norm.trainable_variables
        else:
            left_out = []
        left_out = {id(variable) for variable in left_out}
        return [v for v in super().trainable_variables if id(v) not in left_out]

    @property
    def trainable_weights(self):
        return self.trainable_variables

    def call(self, images, training=False):
        return self.encoder(images, training=training)

    def compute_output_shape(self, input_shape):
        return self.encoder.compute_output_shape(input_shape)

    @functools.wraps(keras.Model.fit)
    def fit(self, x=None, *args, **kwargs):
        def check(*views, seen):
            for images in views:
                self.encoder.check_images(images, seen=seen)

        watch = Watch(seen_views, check, first_only=True)
        with raising([watch]):
            if not isinstance(x, dict | tuple | list):  # views come as a stream
                x = watch.data(x, Seen("x", self.encoder.takes_rgb))
            return super().fit(x, *args, **kwargs)

    def train_step(self, data):
        views = unpack_views(data)
        context = self.prepare(views)
        with tf.GradientTape() as tape:
            loss, logs = self.compute_losses(views, context, tape)
            scaled_loss = self.optimizer.scale_loss(loss)
        variables = self.trainable_variables
        multipliers = [(self.encoder.backbone, self.backbone_lr_multiplier)]
        if self.rationale is not None:
            multipliers.append((self.encoder.branch, self.rationale.lr_multiplier))
        gradients = tape.gradient(scaled_loss, variables)
        with learning_rate_multipliers(multipliers):
            self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
        self.finish(views, context)
        if "embedding" in context:
            self.neighbours.enqueue(gather(context["embedding"]), image_numbers(views))
        for name, value in logs.items():
            self._trackers[name].update_state(value)
        return self.get_metrics_result()

    def compute_losses(self, views: dict, context: dict, tape: tf.GradientTape) -> tuple:
        """The total loss, recorded by `tape`, and the scalars to log."""
        maps = {
            name: ops.cast(self.encoder.feature_map(views[name], training=True), "float32")
            for name in self.explained_views
        }
        with tf.GradientTape(watch_accessed_variables=False) as inner:
            if self.rationale is not None and self.rationale.positives == "views":
                inner.watch(maps)
            outcome = self.objective(maps, context)
        logs = {"loss": outcome.loss, "ssl_loss": outcome.loss, **outcome.logs}
        logs["embedding_std"] = embedding_std(self.encoder.pool(maps[self.explained_views[0]]))
        if self.rationale is None:
            return outcome.loss, logs
        pooled = None
        if self.rationale.pooled_weight:  # by the maps that pooled the keys, before the fit
            pooled = self.pooled_objective(maps, context)
        with tape.stop_recording():
            if self.rationale.positives == "views":
                explained = maps
                gradients = inner.gradient(outcome.loss, maps)
            else:
                explained, gradients = self._compare_with_neighbours(views, maps, context)
        for name in self.rationale.extra_passes:
            self.encoder.branch((maps | context.get("maps", {}))[name], training=True)
        mirrored = context.get("mirrored_target")
        fits = [self._fit(explained[name], gradients[name], mirrored) for name in gradients]
        fit = {name: sum(logs[name] for logs in fits) / len(fits) for name in fits[0]}
        losses = [outcome.loss, self.rationale.weight * fit["fit_loss"]]
        if pooled is not None:
            fit["pooled_loss"] = pooled
            losses.append(self.rationale.pooled_weight * pooled)
        # A sum and not `+`: TensorFlow regroups chains of additions, differently from trace to
        # trace, and two runs with one seed would log losses that differ in the last digit.
        total = ops.sum(ops.stack(losses))
        return total, logs | fit | {"loss": total}

    def _compare_with_neighbours(self, views: dict, maps: dict, context: dict) -> tuple[dict, dict]:
        """The feature maps that are compared, by name, and the gradients of their loss."""
        choices, index = self.rationale, views.get("index")
        name = "image" if choices.whole_images else self.explained_views[0]
        if name not in views:
            raise ValueError(
                "Rationale(positives='neighbours') looks at whole images: batches need 'image' "
                "beside the two views, as keras_cr.data.two_views makes them. "
                f"Received: {sorted(views)}; or use Rationale.paper(), which needs the views alone."
            )

        def compare(feature_map):
            return compare_with_neighbours(
                self.encoder, self.neighbours, feature_map, index, choices.warmup
            )

        def whole(images):
            return ops.cast(self.encoder.feature_map(images), "float32")

        feature_map = whole(views["image"]) if choices.whole_images else maps[name]
        context["embedding"], gradients = compare(feature_map)
        if choices.mirror:
            mirrored = whole(ops.flip(views["image"], axis=2))
            cam = grad_cam(mirrored, compare(mirrored)[1], choices.cam, choices.sign)
            context["mirrored_target"] = ops.flip(choices.target_of(cam), axis=2)
        return {name: feature_map}, {name: gradients}

    def _fit(self, feature_map, gradients, mirrored=None) -> dict:
        """Fits the branch's map to the GradCAM of one view, averaged with a `mirrored` target."""
        choices = self.rationale
        constant = ops.stop_gradient(feature_map)
        cam = grad_cam(
            constant if choices.detach_target else feature_map,
            gradients,
            form=choices.cam,
            sign=choices.sign,
        )
        rationale = self.encoder.branch(
            constant if choices.detach_features else feature_map,
            training=True,
            normalization=choices.map_normalization,
        )
        target = choices.target_of(cam)
        if mirrored is not None:
            target = (target + mirrored) / 2
        prior = ops.convert_to_tensor(center_prior(*cam.shape[1:])[None], cam.dtype)
        return {
            "fit_loss": self.fit_loss(target, rationale),
            "target_entropy": ops.mean(self.fit_loss.target_entropy(target)),
            "map_entropy": ops.mean(relative_entropy(rationale)),
            "cam_peak": ops.mean(ops.max(cam, axis=(1, 2))),
            "agreement": ops.mean(correlation(target, rationale)),
            "center_agreement": ops.mean(correlation(prior, rationale)),
        }

    def test_step(self, data):
        raise RuntimeError(
            "A pretrainer has no validation step: judge its encoder with "
            "keras_cr.evaluation.evaluate(encoder, dataset, image_size=...)."
        )

    def get_config(self):
        return super().get_config() | {
            "encoder": keras.saving.serialize_keras_object(self.encoder),
            "rationale": None if self.rationale is None else self.rationale.get_config(),
            "backbone_lr_multiplier": self.backbone_lr_multiplier,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        config["encoder"] = keras.saving.deserialize_keras_object(config["encoder"])
        if config["rationale"] is not None:
            config["rationale"] = Rationale(**config["rationale"])
        return cls(**config)
