"""MoCo v2: momentum contrast with a queue, a two-layer head and a momentum encoder."""

import keras
import tensorflow as tf
from keras import ops

from keras_cr._numbers import whole_number
from keras_cr.layers import FeatureQueue, ProjectionHead, RationalePooling
from keras_cr.losses import info_nce, info_nce_logits
from keras_cr.models import CommonRationaleEncoder
from keras_cr.pretraining.base import Outcome, RationalePretrainer
from keras_cr.pretraining.batches import image_numbers
from keras_cr.pretraining.momentum import follow, gather, momentum_copy
from keras_cr.pretraining.rationale import Rationale

DEFAULT_RATIONALE = Rationale()


@keras.saving.register_keras_serializable(package="keras_cr")
class MoCo(RationalePretrainer):
    """Momentum contrast, with the common rationale on or off.

    Chen et al., "Improved Baselines with Momentum Contrastive Learning", 2020. The query's
    projection must find its image's key, made by a slowly following copy of the network, among the
    keys of earlier batches. Head and loss run in float32 under every dtype policy.

    Args:
        encoder: the `CommonRationaleEncoder` to train.
        rationale: how the branch is trained; `None` gives plain MoCo, the branch left alone.
        projection_dim: size of the projections that are compared.
        hidden_dim: width of the head's hidden layer; None: the feature map's channels.
        queue_size: number of old keys that serve as negatives. With a queue longer than the data
            set, old keys of the same image come back as negatives: pass `index` with the views
            and leave `mask_same_image` on.
        momentum: share of its own weights that the momentum network keeps at each step.
        temperature: of the InfoNCE loss.
        mask_same_image: whether old keys of a query's own image are left out of its negatives;
            takes effect where the views carry `index`.
        backbone_lr_multiplier: as for `RationalePretrainer`.
        seed: seed of the head and of the queue's first content.
        **kwargs: as for `keras.Model`.

    Example:

    >>> pretrainer = MoCo(CommonRationaleEncoder("resnet50"), queue_size=4096)
    >>> pretrainer.compile(keras.optimizers.SGD(0.03, momentum=0.9))
    >>> pretrainer.fit(two_views(dataset, image_size=224, batch_size=64))
    """

    objective_logs = ("contrastive_accuracy",)

    def __init__(
        self,
        encoder: CommonRationaleEncoder,
        rationale: Rationale | None = DEFAULT_RATIONALE,
        projection_dim: int = 128,
        hidden_dim: int | None = None,
        queue_size: int = 65536,
        momentum: float = 0.999,
        temperature: float = 0.2,
        mask_same_image: bool = True,
        backbone_lr_multiplier: float = 1.0,
        seed: int | None = 0,
        **kwargs,
    ):
        super().__init__(
            encoder,
            rationale=rationale,
            backbone_lr_multiplier=backbone_lr_multiplier,
            seed=seed,
            **kwargs,
        )
        if not 0 <= momentum <= 1:
            raise ValueError(f"`momentum` must lie in 0..1. Received: momentum={momentum!r}")
        self.projection_dim = whole_number("projection_dim", projection_dim)
        self.hidden_dim = None if hidden_dim is None else whole_number("hidden_dim", hidden_dim)
        self.queue_size = whole_number("queue_size", queue_size)
        self.momentum = momentum
        self.temperature = temperature
        self.mask_same_image = mask_same_image
        self.average = RationalePooling(normalize=False, dtype="float32", name="average")
        self.head = ProjectionHead(
            (hidden_dim or encoder.channels, projection_dim), seed=seed, dtype="float32"
        )
        self.head.build((None, encoder.channels))
        self.momentum_backbone = momentum_copy(encoder.backbone)
        self.momentum_head = momentum_copy(self.head)
        self.queue = FeatureQueue(queue_size, seed=seed, dtype="float32")
        self.queue.build((None, projection_dim))
        self.pooled_queue = None
        if rationale is not None and rationale.pooled_weight:
            self.pooled_queue = FeatureQueue(
                queue_size, seed=seed, dtype="float32", name="pooled_queue"
            )
            self.pooled_queue.build((None, projection_dim))
        self.built = True

    def project(self, feature_map, head, rationale=None):
        """Pooling, head, unit length: `(B, projection_dim)`, float32."""
        return ops.normalize(head(self.average(feature_map, rationale)), axis=-1, epsilon=1e-12)

    def prepare(self, views):
        follow(self.momentum_backbone, self.encoder.backbone, self.momentum)
        follow(self.momentum_head, self.head, self.momentum)
        images = ops.cast(views["key"], self.encoder.compute_dtype)
        feature_map = ops.cast(self.momentum_backbone(images, training=True), "float32")
        keys = tf.stop_gradient(self.project(feature_map, self.momentum_head))
        exclude = None
        if self.mask_same_image and "index" in views:
            exclude = self.queue.same_image(views["index"])
        context = {"keys": keys, "exclude": exclude}
        if self.pooled_queue is not None:
            pooled = self.project(feature_map, self.momentum_head, self.encoder.branch(feature_map))
            context["pooled_keys"] = tf.stop_gradient(pooled)
        return context | {"maps": {"key": tf.stop_gradient(feature_map)}}

    def _logits(self, queries, keys, queue, context):
        return info_nce_logits(
            ops.sum(queries * keys, axis=-1),
            queue(queries),
            self.temperature,
            exclude=context["exclude"],
        )

    def objective(self, maps, context):
        queries = self.project(maps["query"], self.head)
        logits = self._logits(queries, context["keys"], self.queue, context)
        found = ops.cast(ops.argmax(logits, axis=-1) == 0, "float32")
        return Outcome(ops.mean(info_nce(logits)), {"contrastive_accuracy": ops.mean(found)})

    def pooled_objective(self, maps, context):
        rationale = ops.stop_gradient(self.encoder.branch(maps["query"]))
        queries = self.project(maps["query"], self.head, rationale)
        # both queues hold keys of the same images, so the same ones are excluded
        logits = self._logits(queries, context["pooled_keys"], self.pooled_queue, context)
        return ops.mean(info_nce(logits))

    def finish(self, views, context):
        self.queue.enqueue(gather(context["keys"]), image_numbers(views))
        if self.pooled_queue is not None:
            self.pooled_queue.enqueue(gather(context["pooled_keys"]), image_numbers(views))

    def get_config(self):
        return super().get_config() | {
            "projection_dim": self.projection_dim,
            "hidden_dim": self.hidden_dim,
            "queue_size": self.queue_size,
            "momentum": self.momentum,
            "temperature": self.temperature,
            "mask_same_image": self.mask_same_image,
        }
