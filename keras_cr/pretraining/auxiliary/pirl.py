"""PIRL: what an image's tiles make together must be what the image itself makes."""

from typing import Any

import keras
from keras import ops

from keras_cr._numbers import positive_number, whole_number
from keras_cr._replicas import gather
from keras_cr._types import Batch, Config, Tensor
from keras_cr.layers import FeatureQueue
from keras_cr.losses import info_nce, info_nce_logits
from keras_cr.pretraining.auxiliary.task import AuxiliaryTask
from keras_cr.pretraining.auxiliary.tiles import cut, random_orders, reordered
from keras_cr.pretraining.batches import image_numbers
from keras_cr.pretraining.heads import head, unit
from keras_cr.pretraining.outcome import Outcome, View, added

_TILES = 4  # Maaz et al.'s 2 x 2, in place of PIRL's nine


@keras.saving.register_keras_serializable(package="keras_cr")
class PIRL(AuxiliaryTask):
    """Pretext-invariant representation learning from 2 x 2 tiles in random order.

    Misra and van der Maaten, "Self-Supervised Learning of Pretext-Invariant Representations", CVPR
    2020: the tiles' projections, concatenated in a random order and projected once more, must find
    their own image's representation among other images'. Beside a supervised loss, both of weight
    .5, Maaz et al., "Self-Supervised Learning for Fine-Grained Visual Categorization", 2021.

    The image is the query view and the tiles are the key view's. Ours: the loss is InfoNCE, and a
    queue of earlier images' representations stands for the paper's memory of every image; so what
    an image has to find is what its tiles make, in place of its own old representation. Tiles that
    are too small for the backbone are enlarged to the view's size.

    Args:
        projection_dim: size of the representations.
        queue_size: earlier representations that are negatives; those of the same image are left
            out where batches hold `index`.
        temperature: of the loss.
        tiles_weight: lambda in the paper: the share of the loss in which the tiles look for the
            image; in the rest the image looks for its tiles.
        **kwargs: as for `AuxiliaryTask`.

    Raises:
        ValueError: an argument is out of its range.
    """

    logged = ("accuracy",)

    def __init__(
        self,
        projection_dim: int = 128,
        queue_size: int = 1024,
        temperature: float = 0.07,
        tiles_weight: float = 0.5,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.projection_dim = whole_number("projection_dim", projection_dim)
        self.queue_size = whole_number("queue_size", queue_size)
        self.temperature = positive_number("temperature", temperature)
        if not 0 <= tiles_weight <= 1:
            raise ValueError(f"`tiles_weight` must lie in 0..1. Received: {tiles_weight!r}")
        self.tiles_weight = tiles_weight

    def build(self, channels: int) -> None:
        size, seeds = self.projection_dim, self.seeds(3)
        self.image_head = head(channels, (size,), seed=seeds[0])
        self.tile_head = head(channels, (size,), seed=seeds[1])
        self.joint_head = head(_TILES * size, (size,), seed=seeds[2])
        self.queue = FeatureQueue(self.queue_size, seed=self.seed, dtype="float32")
        self.queue.build((None, size))

    def objective(self, pretrainer: Any, student: dict[str, View], batch: Batch) -> Outcome:
        image = unit(self.image_head(student["query"].pooled))
        tiles = unit(self.represent(pretrainer, batch["key"]))
        exclude = self.queue.same_image(batch["index"]) if "index" in batch else None

        def logits(looking, found):
            positives = ops.sum(looking * ops.stop_gradient(found), axis=-1)
            return info_nce_logits(positives, self.queue(looking), self.temperature, exclude)

        of_tiles, of_image = logits(tiles, image), logits(image, tiles)
        loss = added(
            self.tiles_weight * ops.mean(info_nce(of_tiles)),
            (1.0 - self.tiles_weight) * ops.mean(info_nce(of_image)),
        )
        found = ops.cast(ops.argmax(of_tiles, axis=-1) == 0, "float32")
        self.queue.enqueue(gather(ops.stop_gradient(image)), image_numbers(batch))
        return Outcome(loss, {"accuracy": ops.mean(found)})

    def represent(self, pretrainer: Any, views: Tensor) -> Tensor:
        """What the tiles of views `(B, H, W, 3)` make together, in random order: `(B, D)`."""
        tiles = cut(views, 2)
        tiles = ops.reshape(tiles, (-1, *tiles.shape[2:]))
        if pretrainer.encoder.map_size.of(*tiles.shape[1:3]) in (None, (1, 1)):
            tiles = ops.image.resize(tiles, views.shape[1:3], data_format="channels_last")
        projected = self.tile_head(ops.mean(pretrainer.look(tiles), axis=(1, 2)))
        projected = ops.reshape(projected, (-1, _TILES, self.projection_dim))
        orders = random_orders(ops.shape(views)[0], _TILES, self.random)
        shuffled = reordered(projected, orders)
        return self.joint_head(ops.reshape(shuffled, (-1, _TILES * self.projection_dim)))

    def get_config(self) -> Config:
        return super().get_config() | {
            "projection_dim": self.projection_dim,
            "queue_size": self.queue_size,
            "temperature": self.temperature,
            "tiles_weight": self.tiles_weight,
        }
