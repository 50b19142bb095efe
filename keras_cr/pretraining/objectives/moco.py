"""MoCo v2: momentum contrast with a queue, a two-layer head and a momentum encoder."""

import math
from typing import Any

import keras
from keras import ops

from keras_cr._numbers import positive_number, whole_number
from keras_cr._replicas import gather
from keras_cr._types import Batch, Config, Tensor
from keras_cr.layers import FeatureQueue
from keras_cr.losses import info_nce, info_nce_logits
from keras_cr.models import CommonRationaleEncoder
from keras_cr.pretraining.batches import image_numbers
from keras_cr.pretraining.heads import head, unit
from keras_cr.pretraining.outcome import Outcome, View
from keras_cr.pretraining.pretrainer import Pretrainer
from keras_cr.rationale import Rationale

DEFAULT_RATIONALE = Rationale()


@keras.saving.register_keras_serializable(package="keras_cr")
class MoCo(Pretrainer):
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
        **kwargs: as for `Pretrainer`; `seed` is that of the queue's first content too.

    Example:

    >>> pretrainer = MoCo(CommonRationaleEncoder("resnet50"), queue_size=4096)
    >>> pretrainer.compile(keras.optimizers.SGD(0.03, momentum=0.9))
    >>> pretrainer.fit(two_views(dataset, image_size=224, batch_size=64))
    """

    views = ("query",)
    taught = ("key",)
    logged: tuple[str, ...] = ("contrastive_accuracy",)

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
        **kwargs: Any,
    ) -> None:
        self.projection_dim = whole_number("projection_dim", projection_dim)
        self.hidden_dim = None if hidden_dim is None else whole_number("hidden_dim", hidden_dim)
        super().__init__(encoder, rationale, momentum, **kwargs)
        self.queue_size = whole_number("queue_size", queue_size)
        self.temperature = positive_number("temperature", temperature)
        self.mask_same_image = mask_same_image
        self.queue = FeatureQueue(queue_size, seed=self.seed, dtype="float32")
        self.queue.build((None, projection_dim))

    @classmethod
    def small_data(cls, num_images: int, batch_size: int, total_steps: int) -> dict[str, Any]:
        """A queue of the largest power of two that the images fill, and a faster twin."""
        queue_size = max(batch_size, min(2 ** int(math.log2(max(num_images, 1))), 65536))
        return {"momentum": 0.99, "temperature": 0.2, "queue_size": queue_size}

    def make_heads(self, channels: int) -> dict[str, keras.layers.Layer]:
        units = (self.hidden_dim or channels, self.projection_dim)
        return {"project": head(channels, units, seed=self.seed)}

    def objective(
        self, student: dict[str, View], teacher: dict[str, View], batch: Batch
    ) -> Outcome:
        queries, keys = unit(student["query"].projected), unit(teacher["key"].projected)
        positives, exclude = ops.sum(queries * keys, axis=-1), self.excluded(batch)
        logits = info_nce_logits(positives, self.queue(queries), self.temperature, exclude=exclude)
        found = ops.cast(ops.argmax(logits, axis=-1) == 0, "float32")
        return Outcome(ops.mean(info_nce(logits)), {"contrastive_accuracy": ops.mean(found)})

    def excluded(self, batch: dict) -> Tensor:
        """Which old keys are no negatives of which image: `(B, queue_size)`, or None."""
        if self.mask_same_image and "index" in batch:
            return self.queue.same_image(batch["index"])
        return None

    def after_step(self, teacher: dict[str, View], batch: Batch) -> None:
        keys = unit(teacher["key"].projected)
        self.queue.enqueue(gather(keys), image_numbers(batch))

    def get_config(self) -> Config:
        return super().get_config() | {
            "projection_dim": self.projection_dim,
            "hidden_dim": self.hidden_dim,
            "queue_size": self.queue_size,
            "temperature": self.temperature,
            "mask_same_image": self.mask_same_image,
        }
