"""From a loss to what the branch is asked for: loss -> GradCAM -> target, and the fit to it."""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_cr._replicas import unshared
from keras_cr._types import Seed, Tensor
from keras_cr.attribution import center_prior, grad_cam
from keras_cr.models import CommonRationaleEncoder
from keras_cr.rationale.choices import Rationale
from keras_cr.rationale.measures import correlation, relative_entropy
from keras_cr.rationale.neighbours import NeighbourBank
from keras_cr.rationale.positives import Neighbours

LOGGED = (  # what a fit says of itself
    "fit_loss",
    "target_entropy",
    "map_entropy",
    "cam_peak",
    "agreement",
    "center_agreement",
)


def explain(choices: Rationale, feature_map: Tensor, gradients: Tensor) -> tuple:
    """GradCAM of a loss, and the target it makes.

    Args:
        choices: which GradCAM and which target.
        feature_map: `(B, h, w, C)`.
        gradients: the loss' gradient by it, of its shape or one that broadcasts to it.

    Returns:
        `(cam, target)`, both `(B, h, w)`, 0 or more.
    """
    cam = grad_cam(feature_map, gradients, form=choices.cam, sign=choices.sign)
    return cam, choices.target_of(cam)


def embed_for_neighbours(
    choices: Rationale, encoder: keras.Model, feature_map: Tensor, weights: Tensor
) -> Tensor:
    """An image as its neighbours see it: what `NeighbourBank` stores and compares.

    Args:
        choices: whether backgrounds are compared.
        encoder: a `CommonRationaleEncoder`, which pools.
        feature_map: `(B, h, w, C)`.
        weights: `(B, h, w)`, 0..1, 1 where the object is.

    Returns:
        `(B, C)`, the feature pooled by the weights, of unit length; with backgrounds `(B, 2C)`:
        behind it, of unit length too, that of the cells along the map's border, pooled by what the
        weights leave of them.
    """
    embedding = encoder.pool(feature_map, weights)
    if not choices.positives.by_background:
        return embedding
    border = np.ones(feature_map.shape[1:3], "float32")
    border[1:-1, 1:-1] = 0
    left = (1 - weights + 1e-6) * border  # equal weights where the map is 1 all along the border
    return ops.concatenate([embedding, encoder.pool(feature_map, left)], axis=-1)


def explain_neighbours(
    choices: Rationale,
    bank: NeighbourBank,
    feature_map: Tensor,
    embedding: Tensor,
    index: Tensor | None = None,
) -> tuple:
    """The same for the loss that compares an image with its neighbours.

    The gradient is taken by the pooled feature, and so by every place, but for the place's weight.

    Args:
        choices: which GradCAM and which target.
        bank: where neighbours are looked for.
        feature_map: `(B, h, w, C)`.
        embedding: from `embed_for_neighbours`.
        index: which image each row is, integers `(B,)`, or None.

    Returns:
        `(cam, target)`, as `explain`.
    """
    return explain(choices, feature_map, bank.gradient(embedding, index)[:, None, None, :])


@dataclass
class Explained:
    """A feature map of which a target is known; `cam` and `target` are `(B, h, w)`."""

    feature_map: Any
    cam: Any
    target: Any


class Explainer:
    """What a training step asks of the rationale, whatever its objective.

    Args:
        encoder: whose branch is fitted.
        choices: how.
        seed: of the bank's first content.

    Attributes:
        bank: the `NeighbourBank`, or None where the explained loss is the objective's own.
    """

    def __init__(self, encoder: CommonRationaleEncoder, choices: Rationale, seed: Seed = 0) -> None:
        self.encoder, self.choices = encoder, choices
        self.bank: Any = None
        self.fit_loss = choices.fit_loss()
        if isinstance(choices.positives, Neighbours):
            size = choices.positives.bank_size
            self.bank = NeighbourBank.of(choices.positives, size, encoder.channels, seed)

    def own(self, maps: dict, gradients: dict) -> list[Explained]:
        """The objective's own loss, explained by the feature map of each of its views."""
        positives, found = self.choices.positives, []
        for name, gradient in gradients.items():
            constant = ops.stop_gradient(maps[name])
            explained = constant if positives.detach_target else maps[name]
            cam, target = explain(self.choices, explained, gradient)
            fitted = constant if positives.detach_features else maps[name]
            found.append(Explained(fitted, cam, target))
        return found

    def by_neighbours(self, batch: dict, maps: dict, view: str) -> tuple[Explained, Any]:
        """The comparison with neighbours, explained; nothing of it may be recorded by a tape.

        Args:
            batch: images by name, with `image`, the whole ones, where those are compared.
            maps: the views' feature maps.
            view: the view whose map is taken where views are compared.

        Returns:
            `(explained, embedding)`: what to `fit`, and what to `store` after the step.

        Raises:
            ValueError: the batch has no whole images.
        """
        choices, index = self.choices, batch.get("index")
        if not choices.whole_images:
            feature_map = maps[view]
        elif "image" in batch:
            feature_map = self._map(batch["image"])
        else:
            raise ValueError(
                "Rationale(Neighbours()) looks at whole images: batches need 'image' beside the "
                "views, as keras_cr.data.two_views makes them. "
                f"Received: {sorted(batch)}; or use Rationale.paper(), which needs the views alone."
            )
        embedding = self._embed(feature_map)
        cam, target = explain_neighbours(choices, self.bank, feature_map, embedding, index)
        if choices.positives.mirror:
            mirrored = self._map(ops.flip(batch["image"], axis=2))
            _, other = explain_neighbours(
                choices, self.bank, mirrored, self._embed(mirrored), index
            )
            target = (target + ops.flip(other, axis=2)) / 2
        return Explained(ops.stop_gradient(feature_map), cam, target), embedding

    def fit(self, explained: list[Explained]) -> dict:
        """The fit's loss and measures, `LOGGED`: means over the feature maps."""
        fits = [self._fit(each) for each in explained]
        return {name: sum(logs[name] for logs in fits) / len(fits) for name in LOGGED}

    def _map(self, images):
        return ops.cast(self.encoder.feature_map(images), "float32")

    def _embed(self, feature_map):
        """As inference does, with the branch's weights once the bank is warm."""
        weights = self.encoder.branch(feature_map)
        warm = self.bank.filled(self.choices.positives.warmup)
        weights = ops.where(warm, weights, ops.ones_like(weights))
        return embed_for_neighbours(self.choices, self.encoder, feature_map, weights)

    def _fit(self, explained: Explained) -> dict:
        cam, target = explained.cam, explained.target
        rationale = self.encoder.branch(
            explained.feature_map,
            training=True,
            normalization=self.choices.map_normalization,
        )
        prior = ops.convert_to_tensor(center_prior(*cam.shape[1:])[None], cam.dtype)
        return {
            "fit_loss": unshared(self.fit_loss(target, rationale)),
            "target_entropy": ops.mean(self.fit_loss.target_entropy(target)),
            "map_entropy": ops.mean(relative_entropy(rationale)),
            "cam_peak": ops.mean(ops.max(cam, axis=(1, 2))),
            "agreement": ops.mean(correlation(target, rationale)),
            "center_agreement": ops.mean(correlation(prior, rationale)),
        }
