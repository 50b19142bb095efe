"""A branch that learns its own maps, refined by the colours of each image."""

from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops

from keras_cr._resize import resize
from keras_cr.layers import RationaleBranch
from keras_cr.losses import RationaleFit
from keras_cr.rationale.branch_fit import EPOCHS, BranchFit
from keras_cr.rationale.colours import refine_by_colours
from keras_cr.rationale.frozen_maps import of_all

PASSES = 2
_SQUARED = RationaleFit(over="places")  # of refined maps, which say what is the object's


def self_train(
    branch: RationaleBranch,
    maps: Any,
    weights: np.ndarray,
    thumbnails: list[np.ndarray],
    epochs: int = -(-EPOCHS // PASSES),
    batch_size: int = 64,
    seed: int = 0,
    on_epoch: Callable[[], None] | None = None,
    **options: Any,
) -> np.ndarray:
    """Fits a branch to maps refined by colours, and once more to its own maps, refined as well.

    What colours tell of one image, features can know of all; the second time its maps, which hold
    more of the object, tell more of its colours.

    Args:
        branch: a built branch, fresh; trained in place.
        maps: feature maps `(N, h, w, C)`, an array, a tensor or a `MapFile`.
        weights: `(N, h, w)`, the maps that are refined at first.
        thumbnails: the images in small, in batches, see `thumbnails_of`.
        epochs: of each of the `PASSES`.
        batch_size: images a step.
        seed: of the order of the images.
        on_epoch: called after each epoch.
        **options: as for `BranchFit`.

    Returns:
        `(N, h, w)`, the branch's maps.
    """
    fit = BranchFit(branch, maps, _SQUARED, epochs, batch_size, **options)
    for number in range(PASSES):
        fit.to(_refined(weights, thumbnails), seed + number, on_epoch)
        weights = of_all(branch, maps)
    return weights


def _refined(weights: np.ndarray, thumbnails: list[np.ndarray]) -> np.ndarray:
    """The maps refined by the images' colours, at their own size."""
    parts, start = [], 0
    for some in thumbnails:
        found = refine_by_colours(weights[start : start + len(some)], some)
        small = resize(found[..., None], weights.shape[1:], antialias=True)[..., 0]
        parts.append(ops.convert_to_numpy(small))
        start += len(some)
    return np.concatenate(parts)
