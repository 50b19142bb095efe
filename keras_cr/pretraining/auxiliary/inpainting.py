"""In-painting: what was in the tiles that have been erased?"""

from typing import Any

import keras
from keras import ops

from keras_cr._numbers import whole_number
from keras_cr._replicas import total
from keras_cr._types import Batch, Config, Tensor
from keras_cr.pretraining.auxiliary.task import AuxiliaryTask
from keras_cr.pretraining.auxiliary.tiles import averaged, checked_side, random_orders
from keras_cr.pretraining.heads import head
from keras_cr.pretraining.outcome import Outcome, View

_DETAIL = 4  # pixels painted for each place of the feature map, along either side


@keras.saving.register_keras_serializable(package="keras_cr")
class Inpainting(AuxiliaryTask):
    """Some tiles of the query view are painted over with its mean colour, and restored.

    After Pourmirzaei et al., "Using Self-Supervised Auxiliary Tasks to Improve Fine-Grained Facial
    Representation", 2021: a decoder beside the supervised head, absent at inference. What follows
    is ours: random tiles of a grid are erased; the decoder is a perceptron of two layers that
    paints 4 x 4 pixels for each place of the feature map; the loss is the mean squared error, in
    half the range of 0..255, of the erased pixels' differences from the mean colour, the view
    being shrunk to the painting's size. The paper adds a perceptual loss, which needs another
    trained network; here is none.

    Logs `explained`, the share of the erased pixels' variance around the mean colour that the
    painting accounts for; 0: no more than the mean colour.

    Args:
        grid: tiles a side.
        erased: share of the tiles that is erased, at least one and not all.
        hidden_dim: width of the decoder's hidden layer.
        **kwargs: as for `AuxiliaryTask`.

    Raises:
        ValueError: `grid` is below 2, `hidden_dim` is not positive, or `erased` is not in 0..1.
    """

    logged = ("explained",)

    def __init__(
        self, grid: int = 4, erased: float = 0.25, hidden_dim: int = 512, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.grid = whole_number("grid", grid, least=2)
        self.hidden_dim = whole_number("hidden_dim", hidden_dim)
        if not 0 < erased < 1:
            raise ValueError(f"`erased` must lie between 0 and 1. Received: erased={erased!r}")
        self.erased = erased

    def build(self, channels: int) -> None:
        units = (self.hidden_dim, 3 * _DETAIL**2)
        self.decoder = head(channels, units, seed=self.seed)

    def objective(self, pretrainer: Any, student: dict[str, View], batch: Batch) -> Outcome:
        views = batch["query"]
        mean = ops.mean(views, axis=(1, 2), keepdims=True)
        mask = self.draw(views)
        feature_map = pretrainer.look(ops.where(mask, mean, views))
        painted = self.paint(feature_map)
        wanted = averaged((views - mean) / 127.5, *painted.shape[1:3])
        share = averaged(ops.cast(mask, "float32"), *painted.shape[1:3])
        error, most = (_mean(ops.square(x), share) for x in (painted - wanted, wanted))
        return Outcome(error, {"explained": 1.0 - error / ops.maximum(most, 1e-6)})

    def draw(self, views: Tensor) -> Tensor:
        """Which pixels are erased: booleans `(B, H, W, 1)`."""
        tiles = self.grid**2
        number = min(max(round(self.erased * tiles), 1), tiles - 1)
        ranks = random_orders(ops.shape(views)[0], tiles, self.random)
        erased = ops.reshape(ranks < number, (-1, self.grid, self.grid, 1))
        for axis in (1, 2):
            side = checked_side(views, axis, self.grid)
            erased = ops.take(erased, ops.arange(side) * self.grid // side, axis=axis)
        return erased

    def paint(self, feature_map: Tensor) -> Tensor:
        """Differences from the mean colour, `(B, 4 h, 4 w, 3)`, of feature maps `(B, h, w, C)`."""
        _, height, width, channels = feature_map.shape
        places = self.decoder(ops.reshape(feature_map, (-1, height * width, channels)))
        places = ops.reshape(places, (-1, height, width, _DETAIL, _DETAIL, 3))
        places = ops.transpose(places, (0, 1, 3, 2, 4, 5))
        return ops.reshape(places, (-1, _DETAIL * height, _DETAIL * width, 3))

    def get_config(self) -> Config:
        return super().get_config() | {
            "grid": self.grid,
            "erased": self.erased,
            "hidden_dim": self.hidden_dim,
        }


def _mean(values, share):
    """The mean of `(B, H, W, C)` where a place counts by its share `(B, H, W, 1)`."""
    found = ops.sum(ops.mean(values, axis=-1, keepdims=True) * share)
    return total(found) / total(ops.sum(share))
