"""Differences of two encoders on the same test images, over several training seeds."""

from collections.abc import Sequence
from typing import Any

import numpy as np

DRAWS, CONFIDENCE = 10_000, 0.95
WORKING_ENTRIES = 2**22  # resampled images held at once: about 16 bytes each, so about 64 MB


def spread(values: Sequence[float]) -> dict[str, float | int | None]:
    """Mean and sample standard deviation of one number over several runs.

    Args:
        values: one a run, at least one.

    Returns:
        `mean`; `std`, with n - 1 in the denominator, None for a single value; and `n`.

    Raises:
        ValueError: there is no value, or one is not finite.

    Example:

    >>> spread([0.70, 0.74])
    {'mean': 0.72, 'std': 0.0282..., 'n': 2}
    """
    values = np.asarray(values, "float64")
    if values.ndim != 1 or not values.size or not np.isfinite(values).all():
        raise ValueError(f"`values` must be one finite number a run; received {values.tolist()}.")
    std = float(values.std(ddof=1)) if values.size > 1 else None
    return {"mean": float(values.mean()), "std": std, "n": values.size}


def paired_bootstrap(
    differences: Any,
    draws: int = DRAWS,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> tuple[float, float]:
    """A percentile interval of the mean difference, over training seeds and test images.

    Each draw takes the seeds with replacement, then the test images with replacement. All seeds
    are measured on the same images, so a draw has one set of images for all of its seeds: what is
    peculiar to an image does not average out with more seeds. An image stays paired with itself
    in both encoders.

    Args:
        differences: (seeds, images): what an image got from one encoder minus what it got from the
            other, both trained with that seed.
        draws: number of draws.
        confidence: share of the draws' means inside the interval.
        seed: of the draws.

    Returns:
        (low, high), in the unit of `differences`. With one seed it covers the choice of test
        images alone; with few seeds it tends to be too narrow.

    Raises:
        ValueError: `differences` is not 2-D, is empty or not finite; `draws` is not positive;
            `confidence` lies outside (0, 1).

    Example:

    >>> low, high = paired_bootstrap(np.stack([correct_a[s] - correct_b[s] for s in range(3)]))
    """
    differences = np.asarray(differences, "float64")
    if differences.ndim != 2 or 0 in differences.shape or not np.isfinite(differences).all():
        raise ValueError(
            "`differences` must be finite, of shape (seeds, images) with at least one of each; "
            f"received shape {differences.shape} with {np.sum(~np.isfinite(differences))} values "
            "that are not finite. Leave out images that have no score."
        )
    if draws < 1:
        raise ValueError(f"`draws` must be at least 1; received {draws}.")
    if not 0 < confidence < 1:
        raise ValueError(f"`confidence` must lie between 0 and 1; received {confidence}.")
    rng = np.random.default_rng(seed)
    seeds, images = differences.shape
    means, chunk = np.empty(draws), max(WORKING_ENTRIES // images, 1)
    for start in range(0, draws, chunk):
        rows = slice(start, min(start + chunk, draws))
        number = rows.stop - start
        drawn_seeds = rng.integers(seeds, size=(seeds, number))
        drawn_images = rng.integers(images, size=(number, images))
        of_seed = np.stack([each[drawn_images].mean(axis=1) for each in differences])
        means[rows] = of_seed[drawn_seeds, np.arange(number)].mean(axis=0)
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, (tail, 1 - tail))
    return float(low), float(high)
