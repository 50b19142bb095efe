"""Puzzling: where does each tile of a shuffled image belong?"""

from typing import Any

import keras
from keras import ops

from keras_cr._numbers import whole_number
from keras_cr._types import Batch, Config
from keras_cr.pretraining.auxiliary.task import AuxiliaryTask
from keras_cr.pretraining.auxiliary.tiles import grid_on, random_orders, rearranged, regions
from keras_cr.pretraining.heads import classified, head
from keras_cr.pretraining.outcome import Outcome, View


@keras.saving.register_keras_serializable(package="keras_cr")
class Puzzling(AuxiliaryTask):
    """The query view's tiles are shuffled; each tells the place that it came from.

    After Pourmirzaei et al., "Using Self-Supervised Auxiliary Tasks to Improve Fine-Grained Facial
    Representation", 2021: a head beside the supervised one, absent at inference. What follows is
    ours: the shuffled image goes through the backbone as a whole, in one pass; every order is as
    likely; and one linear layer classifies the mean feature of each tile's region among the places.

    Args:
        grid: tiles a side; fewer where the feature map has fewer places a side.
        **kwargs: as for `AuxiliaryTask`.

    Raises:
        ValueError: `grid` is below 2.
    """

    logged = ("accuracy",)

    def __init__(self, grid: int = 3, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.grid = whole_number("grid", grid, least=2)

    def build(self, channels: int) -> None:
        self.head = head(channels, (self.grid**2,), seed=self.seed)

    def objective(self, pretrainer: Any, student: dict[str, View], batch: Batch) -> Outcome:
        views = batch["query"]
        grid = grid_on(student["query"].map, self.grid)
        sources = random_orders(ops.shape(views)[0], grid**2, self.random)
        feature_map = pretrainer.look(rearranged(views, sources, grid))
        loss, accuracy = classified(self.head(regions(feature_map, grid)), sources)
        return Outcome(loss, {"accuracy": accuracy})

    def get_config(self) -> Config:
        return super().get_config() | {"grid": self.grid}
