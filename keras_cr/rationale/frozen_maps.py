"""Feature maps of a frozen encoder, computed once and kept, and what is computed of all of them."""

from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops

from keras_cr._progress import Verbose, reading
from keras_cr.models import CommonRationaleEncoder
from keras_cr.models.feature_maps import FeatureMaps, HeldMaps, in_chunks
from keras_cr.models.streams import checked_batches
from keras_cr.rationale.colours import thumbnails_of


def frozen_maps(
    encoder: CommonRationaleEncoder,
    images: Any,
    batch_size: int,
    max_images: int,
    held: list[HeldMaps],
    verbose: Verbose,
    thumbnails: list[np.ndarray] | None = None,
) -> list:
    """(N, h, w, C), see `HeldMaps.all`: the images' maps, and the mirror images' if wanted.

    Args:
        encoder: whose maps.
        images: as for `fit_rationale`.
        batch_size: images at a time.
        max_images: no more than the first so many are used.
        held: what is to hold the images', and the mirror images' if they are wanted.
        verbose: as for `fit_rationale`.
        thumbnails: gets the images in small, batch by batch, where it is given.
    """
    batches = checked_batches(images, batch_size, rgb=encoder.takes_rgb)
    model = FeatureMaps(encoder)
    for batch in reading(images, batches, "Computing feature maps", verbose):
        encoder.map_size.check(*batch.shape[1:3])
        batch = batch[: max_images - len(held[0])]
        if thumbnails is not None:
            thumbnails.append(thumbnails_of(batch))
        for maps, seen in zip(held, (batch, batch[:, :, ::-1]), strict=False):
            maps.add(model.predict_on_batch(seen))
        if len(held[0]) >= max_images:
            break
    return [maps.all() for maps in held]


def of_all(function: Callable, maps: Any, *others: Any, axis: int = 0) -> np.ndarray:
    """`function` of feature maps in float32, so many at a time that memory holds them so."""
    parts = []
    for rows in in_chunks(maps):
        part = function(ops.cast(maps[rows], "float32"), *(other[rows] for other in others))
        parts.append(ops.convert_to_numpy(part))  # with PyTorch's, the graph would be kept
    return np.concatenate(parts, axis=axis)
