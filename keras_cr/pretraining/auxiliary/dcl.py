"""Destruction and construction learning: an image's regions are confused, and put right."""

from typing import Any

import keras
from keras import ops

from keras_cr._numbers import positive_number, whole_number
from keras_cr._replicas import uniform
from keras_cr._types import Batch, Config, Tensor
from keras_cr.pretraining.auxiliary.task import AuxiliaryTask
from keras_cr.pretraining.auxiliary.tiles import grid_on, rearranged, regions, reordered
from keras_cr.pretraining.heads import classified, head
from keras_cr.pretraining.outcome import Outcome, View, added


@keras.saving.register_keras_serializable(package="keras_cr")
class DCL(AuxiliaryTask):
    """Destruction and construction learning on the query view.

    Chen et al., "Destruction and Construction Learning for Fine-Grained Image Recognition", CVPR
    2019: the image's regions are moved to places nearby; the destructed image is classified as the
    whole one is, a head tells which of both an image is ("adversarial" there; no gradient is
    reversed), and another the place in the whole image that each region came from. All three weigh
    the same, as in Maaz et al., "Self-Supervised Learning for Fine-Grained Visual Categorization",
    2021.

    The classification is the objective's own loss of the destructed image, where the objective has
    labels; beside others, and with `Pretext`, the other two losses are learnt alone.

    Whole and destructed images go through the backbone as one batch, as there: in two, batch
    normalisation would hide what tells them apart. That costs two passes.

    Ours: regions move along the rows first and along the columns then, so that none is lost; places
    are told in -1..1 across the image, by a tanh, and the L1 distance is the mean over the regions,
    where the paper sums over them; the sum would outweigh all else.

    Args:
        grid: regions a side; fewer where the feature map has fewer places a side.
        reach: the range of the confusion in regions, k in the paper: a region moves along either
            side by less than twice that.
        location_weight: gamma in the paper, of the location loss beside the others (0.01 for cars).
        **kwargs: as for `AuxiliaryTask`.

    Raises:
        ValueError: `grid` is below 2, `reach` below 1, or `location_weight` is not positive.
    """

    logged = ("adversarial", "location")

    def __init__(
        self, grid: int = 7, reach: int = 2, location_weight: float = 1.0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.grid = whole_number("grid", grid, least=2)
        self.reach = whole_number("reach", reach)
        self.location_weight = positive_number("location_weight", location_weight)

    def build(self, channels: int) -> None:
        self.adversary, self.locator = (head(channels, (2,), seed=seed) for seed in self.seeds(2))

    def objective(self, pretrainer: Any, student: dict[str, View], batch: Batch) -> Outcome:
        views, number = batch["query"], ops.shape(batch["query"])[0]
        grid = grid_on(student["query"].map, self.grid)
        moved = self.confused(number, grid)
        feature_map = pretrainer.look(ops.concatenate([views, rearranged(views, moved, grid)]))
        in_place = ops.broadcast_to(ops.arange(grid**2), ops.shape(moved))
        wanted = places(ops.concatenate([in_place, moved]), grid)
        told = ops.tanh(self.locator(regions(feature_map, grid)))
        kinds = ops.repeat(ops.arange(2), number)
        # the paper sums over an image and what is made of it: twice the mean
        adversarial = 2.0 * classified(self.adversary(ops.mean(feature_map, axis=(1, 2))), kinds)[0]
        location = 2.0 * ops.mean(ops.sum(ops.abs(told - wanted), axis=-1))
        losses = [adversarial, self.location_weight * location]
        if pretrainer.labels:
            destructed = pretrainer.see(feature_map[number:], pretrainer.heads)
            losses.append(pretrainer.objective({"query": destructed}, {}, batch).loss)
        return Outcome(added(*losses), {"adversarial": adversarial, "location": location})

    def confused(self, number: int, grid: int) -> Tensor:
        """Which region is at each place, integers `(number, grid * grid)`, each at one.

        Section 3.1 of the paper: along a side, the regions are sorted by their number plus a
        uniform draw in `-reach..reach`.
        """
        sources = ops.broadcast_to(ops.arange(grid**2), (number, grid**2))
        for _ in range(2):  # within the rows, and, turned over, within the columns
            draws = uniform((number, grid, grid), -self.reach, self.reach, seed=self.random)
            order = ops.argsort(ops.arange(grid, dtype="float32") + draws, axis=-1)
            lines = reordered(ops.reshape(sources, (-1, grid)), ops.reshape(order, (-1, grid)))
            turned = ops.transpose(ops.reshape(lines, (-1, grid, grid)), (0, 2, 1))
            sources = ops.reshape(turned, (-1, grid**2))
        return sources

    def get_config(self) -> Config:
        return super().get_config() | {
            "grid": self.grid,
            "reach": self.reach,
            "location_weight": self.location_weight,
        }


def places(regions: Tensor, grid: int) -> Tensor:
    """Row and column of the middle of regions, in -1..1 across the image: `(..., 2)`."""
    found = ops.stack([regions // grid, regions % grid], axis=-1)
    return (2.0 * ops.cast(found, "float32") + 1.0) / grid - 1.0
