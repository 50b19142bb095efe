"""Patch-wise self-distillation: DINO over whole views and over the places they share."""

import dataclasses
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from keras_cr._types import Batch, Tensor
from keras_cr.pretraining.heads import on_rows, places
from keras_cr.pretraining.matching import matched_places, view_box
from keras_cr.pretraining.objectives.dino import DINO
from keras_cr.pretraining.outcome import Outcome, View


@keras.saving.register_keras_serializable(package="keras_cr")
class PatchWise(DINO):
    """DINO whose loss is the mean over a view and its places, with the common rationale on or off.

    Javidani et al., "Patch-Wise Self-Supervised Visual Representation Learning", arXiv 2310.18651:
    one head for whole views and places; a place of one crop learns the prototypes of the place of
    the other crop that shows the same part of the image, where there is one. Arguments are those of
    `DINO`. It logs `matched_places` too, the share of the key's places that have one in the query.

    Ours: a place is matched by its middle, where the paper rounds the overlap to whole patches and
    thins out the finer side; the places share a centre, where its code has one for each position;
    the head normalises whole views and places apart, for the places would outweigh them. The
    paper's augmentation of single patches is left out.
    """

    boxes = True
    compared = ("projected", "dense")
    logged = (*DINO.logged, "matched_places")

    def see(self, feature_map: Tensor, heads: dict[str, Any]) -> View:
        dense = on_rows(heads["project"], places(feature_map))
        return dataclasses.replace(super().see(feature_map, heads), dense=dense)

    def objective(
        self, student: dict[str, View], teacher: dict[str, View], batch: Batch
    ) -> Outcome:
        outcome = super().objective(student, teacher, batch)
        _, inside = self.matches(student["key"], "key", teacher["query"], "query", batch)
        outcome.logs["matched_places"] = ops.mean(inside)
        return outcome

    def compare(self, view: View, name: str, target: View, seen: str, batch: Batch) -> Tensor:
        whole = super().compare(view, name, target, seen, batch)
        index, inside = self.matches(view, name, target, seen, batch)
        index = ops.reshape(index, (ops.shape(target.dense)[0], -1))  # small crops: an image's
        wanted = tf.gather(target.dense, index, batch_dims=1)
        wanted = ops.reshape(wanted, ops.shape(view.dense))
        each = inside * self.distillations["dense"](wanted, view.dense)
        return (whole + ops.sum(each, axis=1)) / (1.0 + ops.sum(inside, axis=1))

    def matches(
        self, view: View, name: str, target: View, seen: str, batch: Batch
    ) -> tuple[Tensor, Tensor]:
        """For each place of a view the one of `seen`, and whether there is one, 1 or 0."""
        box, other = view_box(batch, name), self.of_each(view_box(batch, seen), name)
        index, inside = matched_places(box, view.map.shape[1:3], other, target.map.shape[1:3])
        return index, ops.cast(inside, "float32")
