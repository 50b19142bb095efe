"""Maps drawn sharper by the colours of each image: what looks like the object belongs to it."""

import numpy as np
from keras import ops

from keras_cr._resize import resize
from keras_cr._types import Array

SIDE = 48  # places on a side of a refined map
ROUNDS = 2
_BINS = 8  # of each colour channel
_LEVEL, _SOFTNESS = 0.5, 0.1  # of the share with which a place counts as the object's
_BLUR_COLOURS, _BLUR_PLACES = 0.7, 0.9  # standard deviations, in bins and places
_RARE = 1e-5  # added to the frequency of every colour
_CERTAIN = 0.99  # a map says no more than that


def refine_by_colours(maps: Array, images: Array, rounds: int = ROUNDS) -> np.ndarray:
    """Maps of objects, refined by a histogram of the object's colours and one of the background's.

    A map enlarged to `SIDE` places says which share of each colour is the object's; the logarithm
    of the object's and the background's frequency of a place's colour, smoothed over neighbouring
    places, is added to the logit of the map. The result takes the map's place in the next round.
    (The two histograms are those of Boykov and Jolly, ICCV 2001, and GrabCut, Rother et al.,
    SIGGRAPH 2004; there they enter a graph cut, here a map stays a map.) A map that is nowhere
    above 0.5 is enlarged and stays as it is.

    Args:
        maps: `(B, h, w)`, 0..1, over the whole images.
        images: `(B, H, W, 3)`, RGB 0..255, the same squares, or their thumbnails.
        rounds: how often colours are counted.

    Returns:
        `(B, SIDE, SIDE)` float32, 0..1.
    """
    places, count = (SIDE, SIDE), len(maps)
    highest = ops.convert_to_numpy(ops.max(maps, axis=(1, 2), keepdims=True)).astype("float32")
    maps = resize(ops.cast(maps, "float32")[..., None], places, "bicubic")[..., 0]
    maps = np.clip(ops.convert_to_numpy(maps), 0, highest)
    channels = np.clip(_small(images) * (_BINS / 256), 0, _BINS - 1).astype("int32")
    colour = (channels * [_BINS * _BINS, _BINS, 1]).sum(axis=-1).reshape(count, -1)
    own = colour + _BINS**3 * np.arange(count)[:, None]
    blur_colours, blur_places = _blur(_BINS, _BLUR_COLOURS), _blur(SIDE, _BLUR_PLACES)

    def log_frequency(weights):
        found = np.bincount(own.ravel(), weights.ravel(), count * _BINS**3)
        found = found.reshape(count, _BINS, _BINS, _BINS)
        found = np.einsum("nrgb,ri,gj,bk->nijk", found, *3 * [blur_colours], optimize=True)
        found = found.reshape(count, -1)
        found = np.log(found / found.sum(axis=1, keepdims=True) + _RARE)
        return np.take_along_axis(found, colour, axis=1)

    refined = maps
    for _ in range(rounds):
        share = 1 / (1 + np.exp((_LEVEL - refined.reshape(count, -1)) / _SOFTNESS))
        evidence = (log_frequency(share) - log_frequency(1 - share)).reshape(count, *places)
        known = np.clip(refined, 1 - _CERTAIN, _CERTAIN)
        logit = np.log(known / (1 - known)) + blur_places @ evidence @ blur_places.T
        refined = 1 / (1 + np.exp(-logit))
    return np.where(highest > _LEVEL, refined, maps).astype("float32")


def thumbnails_of(images: Array) -> np.ndarray:
    """What is seen of images `(B, H, W, 3)`, to be kept: `(B, SIDE, SIDE, 3)` uint8."""
    return np.clip(np.round(_small(images)), 0, 255).astype("uint8")


def _small(images):
    """Images of `SIDE` places on a side, as an array of floats."""
    small = ops.cast(images, "float32")
    if tuple(small.shape[1:3]) != (SIDE, SIDE):
        small = resize(small, (SIDE, SIDE), antialias=True)
    return ops.convert_to_numpy(small)


def _blur(size: int, deviation: float) -> np.ndarray:
    """(size, size): the weights of a Gaussian blur, each place's own of 1 in all."""
    apart = np.arange(size)[:, None] - np.arange(size)
    weights = np.exp(-0.5 * (apart / deviation) ** 2)
    return weights / weights.sum(axis=1, keepdims=True)
